/* SPDX-License-Identifier: MIT */
/* vmtally show: the values of a VM, for people or as JSON. */
#include <errno.h>
#include <string.h>

#include <vmtally/host.h>

#include "commands.h"
#include "host.h"
#include "message.h"
#include "nearest.h"
#include "sandbox.h"
#include "show.h"
#include "lib/kvm/handle.h"

enum { OPTION_SOURCE = 0x200, OPTION_STAT, OPTION_SHARDS, OPTION_JSON };

static const struct argp_option options[] = {
    { "source", OPTION_SOURCE, "GLOB", 0,
      "Only sources whose full id matches, such as 'vm/vcpu-*', with what the kernel counts of them", 0 },
    { "stat", OPTION_STAT, "GLOB", 0, "Only statistics whose name matches, such as '*_bytes'", 0 },
    { "shards", OPTION_SHARDS, NULL, 0, "What each shard of a source has counted, too, and whose it is", 0 },
    { "json", OPTION_JSON, NULL, 0, "Print a JSON object a VM, one a line, with exact values", 0 },
    { 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct show *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_SOURCE:
        a->source = arg;
        return 0;
    case OPTION_STAT:
        a->stat = arg;
        return 0;
    case OPTION_SHARDS:
        a->shards = 1;
        return 0;
    case OPTION_JSON:
        a->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (a->vm)
            argp_error(state, "one VM at a time, or all: '%s' is one too many", arg);
        a->vm = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[VM]",
    "Show what the sources of a VM have counted, or those of all VMs."
    "\vVM is the name that 'vmtally list' shows, the path of a segment file, or the pid (or /proc/PID) of a VM without "
    "one. Of each source is said who counts it (vmm or kvm), and what it is. In a GLOB '*' matches a '/' too; quote "
    "it, so that the shell leaves it alone.",
    children,
    NULL,
    NULL,
};

int show_matches(const struct show *show, const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *subject = vmt_snapshot_source(snapshot, vmt_snapshot_subject(snapshot, i));

    return select_matches(show->source, vmt_snapshot_source(snapshot, i)->id) ||
           select_matches(show->source, subject->id);
}

/* ---- globs that nothing matched ---- */

#define TRIES 10000 /* names that are compared, of each kind */
#define SEEN 64     /* schemas that are known to have been looked at */

/* What was perhaps meant instead. */
struct slips {
    struct nearest source;
    struct nearest stat;
    size_t tries;
};

/* Whether glob is a name in full. */
static int plain(const char *glob) { return glob && !strpbrk(glob, "*?[\\"); }

static void try_schema(struct slips *slips, const struct vmt_schema *schema)
{
    for (uint32_t i = 0; i < schema->count && slips->tries < TRIES; i++, slips->tries++)
        nearest_try(&slips->stat, schema->descriptors[i].name);
}

/* Nothing of this VM was shown either, nor of those before. */
static void look_for_slips(const struct show *show, const struct vmt_snapshot *snapshot, struct slips *slips)
{
    const struct vmt_schema *seen[SEEN];
    size_t count = vmt_snapshot_count(snapshot);
    size_t n = 0;

    for (size_t i = 0; i < count && i < TRIES && plain(show->source) && show->sources == 0; i++)
        nearest_try(&slips->source, vmt_snapshot_source(snapshot, i)->id);
    for (size_t i = 0; i < count && plain(show->stat) && show->stats == 0; i++) {
        const struct vmt_schema *schema = vmt_snapshot_source(snapshot, i)->schema;
        size_t k = 0;

        while (k < n && seen[k] != schema)
            k++;
        if (k < n || kvm_is_handle(schema) || !show_matches(show, snapshot, i))
            continue;
        try_schema(slips, schema);
        if (n < SEEN)
            seen[n++] = schema;
    }
}

/* No source or statistic is called so, or matches; where: among what, "" or " in these sources". */
static void say_none(const char *kind, const char *option, const char *glob, const char *where,
                     const struct nearest *nearest)
{
    const char *quote = plain(glob) ? "" : "'";
    char near[NEAREST_TEXT];

    if (nearest->found)
        message_error("no %s %s%s%s", kind, glob, where, nearest_text(nearest, near, sizeof(near)));
    else
        message_error("no %s %s%s%s%s%s; 'vmtally show' without --%s shows all", kind, plain(glob) ? "" : "matches ",
                      quote, glob, quote, where, option);
}

static int say_unmatched(const struct show *show, const struct slips *slips)
{
    if (show->source && show->sources == 0)
        say_none("source", "source", show->source, "", &slips->source);
    else if (show->stat && show->stats == 0)
        say_none("statistic", "stat", show->stat, show->source ? " in these sources" : "", &slips->stat);
    else
        return 0;
    return 1;
}

/* ---- the command ---- */

/* In the sandbox. The exit status. */
static int show_selected(struct show *show, const struct selection *selection, struct vmt_snapshot *snapshot)
{
    struct slips slips = { .source = { .asked = show->source }, .stat = { .asked = show->stat } };
    size_t shown = 0;
    int status = 0;
    int r = 0;

    for (size_t i = 0; i < selection->count && r == 0; i++) {
        const char *path = selection->files[i].path;

        if (selection_take_or_say(show->common, path, snapshot) < 0) {
            status = 1;
            continue;
        }
        shown++;
        r = show->json ? show_json(show, snapshot, &status) : show_text(show, snapshot);
        if (message_too_large(r, path)) {
            status = 1;
            r = 0;
        }
        look_for_slips(show, snapshot, &slips);
    }
    status |= message_finish(status); /* before what follows on stderr, where both are the terminal or one log */
    if (r < 0) {
        message_error("out of memory");
        return 1;
    }
    if (shown > 0)
        status |= say_unmatched(show, &slips);
    selection_say_trouble(show->common, show->vm, selection);
    return status;
}

int cmd_show(int argc, char **argv, struct options *common)
{
    struct show show = { .common = common };
    struct selection selection = { 0 };
    struct vmt_snapshot *snapshot = NULL;
    int status = 1;

    if (argp_parse(&parser, argc, argv, 0, NULL, &show))
        return 1;
    host_start(common, 0);
    sandbox_enter(common, &show.vm, show.vm != NULL, 0);
    if (selection_find(common, show.vm, &selection)) {
        selection_say_trouble(common, show.vm, &selection);
    } else if (vmt_snapshot_new(&snapshot)) {
        message_error("out of memory");
    } else {
        vmt_snapshot_want_shards(snapshot, show.shards);
        status = show_selected(&show, &selection, snapshot);
        if (selection.count == 0) {
            selection_say_none(common);
            status = 1;
        }
    }
    vmt_snapshot_free(snapshot);
    selection_free(&selection);
    host_stop(common);
    return status;
}
