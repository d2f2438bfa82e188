/* SPDX-License-Identifier: MIT */
/* vmtally gc: remove segments whose writer is gone. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include <vmtally/reader.h>

#include "commands.h"
#include "message.h"
#include "sandbox.h"
#include "select.h"
#include "units.h"

enum { OPTION_DRY_RUN = 0x200 };

struct arguments {
    struct options *common;
    int dry_run;
};

static const struct argp_option options[] = {
    { "dry-run", OPTION_DRY_RUN, NULL, 0, "Only say what would be removed", 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_DRY_RUN:
        a->dry_run = 1;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s': gc looks at all segments of a directory (--dir)", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,  parse,
    NULL,     "Remove the segments whose writer is gone, and say which. Those of running VMs are left alone.",
    children, NULL,
    NULL,
};

static const struct vmt_descriptor bytes_descriptor = {
    .name = "bytes", .help = "", .flags = VMT_FLAGS_BYTES, .size = 1
};

/* What was done so far. */
struct tally {
    uint64_t bytes;
    size_t removed;
    size_t in_use;
    size_t left;
    int failed;
};

static void collect(const char *path, int dry_run, struct tally *t)
{
    char name[4096];
    char text[256];
    struct stat st;
    uint64_t bytes = lstat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
    int r = vmt_remove_dead(path, dry_run);

    switch (r) {
    case 0:
        t->removed++;
        t->bytes += bytes;
        printf("%s %s (%s)\n", dry_run ? "would remove" : "removed", message_printable(path, name, sizeof(name)),
               unit_format(text, sizeof(text), &bytes_descriptor, bytes));
        return;
    case -EBUSY:
    case -EAGAIN: /* another writer has just taken the name */
        t->in_use++;
        return;
    case -ENOENT: /* somebody else was faster */
        return;
    case -EMEDIUMTYPE:
    case -EBADMSG:
    case -EPROTONOSUPPORT:
    case -ENODATA: /* it may be about to become a segment */
        t->left++;
        message_error("%s: left alone: %s", path, message_reason(r, text, sizeof(text)));
        return;
    default:
        t->failed = 1;
        message_error("%s: not removed: %s", path, message_reason(r, text, sizeof(text)));
    }
}

/* Temporary files of creators that died; of those that are being made right now nothing is said. */
static void collect_leftovers(const char *dir, int dry_run, struct tally *t)
{
    struct vmt_found *found = NULL;
    long count = vmt_discover_leftovers(dir, &found);
    size_t in_use = t->in_use;

    for (long i = 0; i < count; i++)
        collect(found[i].path, dry_run, t);
    t->in_use = in_use;
    vmt_found_free(found, count);
}

int cmd_gc(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { common, 0 };
    struct selection selection = { 0 };
    struct tally t = { 0 };
    char freed[UNIT_TEXT];

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    sandbox_enter(common, NULL, 0, arguments.dry_run ? 0 : SANDBOX_REMOVE);
    if (selection_find(common, NULL, &selection))
        return 1;
    for (size_t i = 0; i < selection.count; i++)
        collect(selection.files[i].path, arguments.dry_run, &t);
    collect_leftovers(common->dir, arguments.dry_run, &t);
    selection_free(&selection);
    unit_format(freed, sizeof(freed), &bytes_descriptor, t.bytes);
    printf("%zu %s%s, %s %s, %zu in use", t.removed, t.removed == 1 ? "segment" : "segments",
           arguments.dry_run ? " to remove" : " removed", freed, arguments.dry_run ? "to free" : "freed", t.in_use);
    if (t.left)
        printf(", %zu left alone", t.left);
    puts("");
    return t.failed;
}
