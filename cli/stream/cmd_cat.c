/* SPDX-License-Identifier: MIT */
/* vmtally cat: a stream of msgpack, as export and stream write it, read back and written in another format. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../commands.h"
#include "../export.h"
#include "../message.h"
#include "../nearest.h"
#include "../sandbox.h"
#include "../segment.h"
#include "cat.h"
#include "shm/clock.h"

enum { OPTION_FORMAT = 0x200, OPTION_VM, OPTION_PRETTY, OPTION_PATTERN, OPTION_FOLLOW = 'f' };

#define HEADER "\x9e\x00\x01\xa7VMTALLY" /* what a header frame begins with: STREAM.md, section 2 */
#define OUT_BYTES ((size_t)1 << 20)      /* written at a time, about */
#define PROGRESS_NS 2000000000U          /* who waits that long wants to know how much there is still to do */
#define PROGRESS_AGAIN_NS 200000000U

struct cat {
    const struct cat_arguments *a;
    struct formatter formatter;
    struct vmt_decoder *decoder;
    struct cat_input in;
    struct cat_vms vms;
    struct vmt_buffer out;
    struct vmt_decoder_state before; /* when the file at hand began */
    const char *last_path;           /* of the file before it */
    uint64_t snapshots;              /* of all, and how many of them were of the VM that was asked for */
    uint64_t chosen;
    struct nearest nearest; /* to the VM that was asked for, of those that are in it */
    size_t written;
    uint64_t progress_ns; /* when it is to be shown next; 0: never */
    bool progress;        /* it stands on the terminal */
    bool told;            /* --follow: that something is wrong */
    int status;
};

/* ---- what is asked for ---- */

static const struct argp_option options[] = {
    { "format", OPTION_FORMAT, "FORMAT", 0,
      "json (if not given), msgpack, qemu, firecracker, tinykvm: of each snapshot; openmetrics, prometheus, kvm (one "
      "source): of the last one of each VM",
      0 },
    { "follow", OPTION_FOLLOW, NULL, 0, "Go on as the last FILE grows, and with the next file of that name", 0 },
    { "vm", OPTION_VM, "VM", 0, "Only what is of the VM with this name, or path", 0 },
    { "pretty", OPTION_PRETTY, NULL, 0, "json, tinykvm: indented", 0 },
    { "programs", OPTION_PATTERN, "PATTERN", 0, "tinykvm: only programs whose whole name matches", 0 },
    { 0 },
};

static bool is_kvm(const struct cat_arguments *a) { return a->format->id == FORMAT_KVM; }

/* It is made of the last snapshots. */
static bool is_of_last(const struct cat_arguments *a) { return a->format->flags & FORMAT_WHOLE || is_kvm(a); }

static void check(struct cat_arguments *a, struct argp_state *state)
{
    static char standard[] = "-";
    static char *alone[] = { standard };

    if (!a->format)
        a->format = format_find("json", FORMAT_READING, state);
    if (a->file_count == 0 && isatty(STDIN_FILENO))
        argp_error(state, "which file? '-' is standard input");
    if (a->file_count == 0) {
        a->files = alone;
        a->file_count = 1;
    }
    if (a->pretty && !(a->format->flags & FORMAT_PRETTY))
        argp_error(state, "--pretty is for --format json and --format tinykvm");
    else if (a->pattern && !(a->format->flags & FORMAT_PATTERN))
        argp_error(state, "--programs is for --format tinykvm");
    else if ((a->filter.source_count || a->filter.stat_count) && !(a->format->flags & FORMAT_CHOICE))
        argp_error(state, "--source and --stat are for --format openmetrics and prometheus, --source for kvm");
    else if (is_kvm(a) && (!a->filter.source_count || a->filter.stat_count))
        argp_error(state, "--format kvm is a file for each source; name one with --source ID");
    else if (a->follow && is_of_last(a))
        argp_error(state, "--follow has no end, and %s is of the last snapshots", a->format->name);
    else if (a->format->flags & FORMAT_BINARY && isatty(STDOUT_FILENO))
        argp_error(state, "%s is not for a terminal; use a pipe", a->format->name);
    if (a->pattern)
        format_check_pattern(a->pattern, state);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct cat_arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->filter;
        state->child_inputs[1] = a->common;
        return 0;
    case OPTION_FORMAT:
        a->format = format_find(arg, FORMAT_READING, state);
        return 0;
    case OPTION_FOLLOW:
        a->follow = 1;
        return 0;
    case OPTION_VM:
        a->vm = arg;
        return 0;
    case OPTION_PRETTY:
        a->pretty = 1;
        return 0;
    case OPTION_PATTERN:
        a->pattern = arg[0] ? arg : NULL; /* all, as in TinyKVM */
        return 0;
    case ARGP_KEY_ARGS:
        a->files = state->argv + state->next;
        a->file_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_SUCCESS:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &filter_argp, 0, NULL, 0 }, { &options_argp, 0, NULL, 0 }, { 0 } };
static const struct argp parser = {
    options,
    parse,
    "[FILE...]",
    "Read streams that 'vmtally stream --format msgpack' and 'vmtally export --format msgpack' have written, and write "
    "what is in them in another format."
    "\vSeveral files are read as one, '-' is standard input. What can't be read is passed over and said: then the exit "
    "status is 1. --source and --stat are for openmetrics and prometheus, --source says which source is meant for kvm.",
    children,
    NULL,
    NULL,
};

/* ---- progress ---- */

static void hide_progress(struct cat *c)
{
    if (c->progress)
        fputs("\r\033[K", stderr);
    c->progress = false;
}

static void show_progress(struct cat *c)
{
    uint64_t now = c->progress_ns ? shm_clock_ns(CLOCK_MONOTONIC) : 0;
    char name[PATH_MAX];

    if (now < c->progress_ns || c->in.size == 0 || c->in.at > c->in.size || !c->progress_ns)
        return;
    fprintf(stderr, "\r%.40s: %d %%", message_printable(c->in.path, name, sizeof(name)),
            (int)((double)c->in.at * 100 / (double)c->in.size));
    c->progress = true;
    c->progress_ns = now + PROGRESS_AGAIN_NS;
}

/* ---- output ---- */

/* 0, or 1 where nobody takes it. */
static int flush(struct cat *c)
{
    int r = 0;

    if (c->out.size > 0)
        r = message_write(c->out.data, c->out.size);
    c->written += c->out.size;
    vmt_buffer_clear(&c->out);
    return r;
}

static bool is_asked_for(const struct cat *c, const struct vmt_segment_info *info, const char *title)
{
    return !c->a->vm || strcmp(c->a->vm, title) == 0 || strcmp(c->a->vm, info->name) == 0 ||
           strcmp(c->a->vm, info->path) == 0;
}

static int out_of_memory(struct cat *c)
{
    hide_progress(c);
    message_error("out of memory");
    return 1;
}

/* 0, or 1 after a message. */
static int convert(struct cat *c, const struct vmt_snapshot *snapshot)
{
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    char title[SEGMENT_NAME];
    struct cat_vm *vm;
    int r;

    c->snapshots++;
    if (!is_asked_for(c, info, segment_title(title, sizeof(title), info))) {
        if (c->chosen == 0)
            nearest_try(&c->nearest, title);
        return 0;
    }
    if (!c->a->vm && !format_suits(c->a->format, info))
        return 0;
    c->chosen++;
    vm = cat_vms_find(&c->vms, snapshot, title);
    if (!vm && c->vms.count >= CAT_VMS_MAX) {
        hide_progress(c);
        message_error("%s: more than %d VMs; choose one with --vm", c->in.path, CAT_VMS_MAX);
        return 1;
    }
    if (!vm)
        return out_of_memory(c);
    if (is_of_last(c->a))
        return cat_vms_keep(&c->vms, vm, snapshot) == -ENOMEM ? out_of_memory(c) : 0;
    r = formatter_add(&c->formatter, &vm->format, snapshot, vm->name, &c->out);
    if (r == 0) {
        format_vm_written(&vm->format, 1);
    } else {
        hide_progress(c);
        if (!message_too_large(r, info->path))
            return out_of_memory(c);
        c->status = 1;
    }
    return c->out.size >= OUT_BYTES ? flush(c) : 0;
}

static bool is_running(const struct vmt_snapshot *snapshot)
{
    enum vmt_state state = vmt_snapshot_segment(snapshot)->state;

    return state == VMT_STATE_LIVE || state == VMT_STATE_STALLED;
}

/* --format kvm. */
static int convert_source(struct cat *c)
{
    const struct export_arguments asked = { .filter = c->a->filter, .single = 1 };
    struct export_kvm kvm = { .a = &asked, .nearest.asked = asked.filter.sources[0] };
    int r = 0;

    for (size_t i = 0; i < c->vms.count && r == 0; i++) {
        if (c->vms.vms[i]->last)
            r = export_kvm_add(&kvm, c->vms.vms[i]->last, &c->out);
    }
    if (r < 0)
        return out_of_memory(c);
    return export_kvm_say(&kvm) ? flush(c) : 1;
}

/* Those that ran come first, and so have their names for themselves. */
static int convert_last(struct cat *c)
{
    char title[SEGMENT_NAME];
    int r = 0;

    c->formatter.expected = c->vms.count;
    for (size_t i = 0; i < c->vms.count * 2 && r == 0; i++) {
        struct cat_vm *vm = c->vms.vms[i % c->vms.count];

        if (!vm->last || is_running(vm->last) == (i >= c->vms.count))
            continue;
        segment_title(title, sizeof(title), vmt_snapshot_segment(vm->last));
        r = formatter_add(&c->formatter, &vm->format, vm->last, title, &c->out);
    }
    if (r == 0)
        r = formatter_end(&c->formatter, &c->out);
    if (r == 0)
        return flush(c);
    if (r == -EFBIG)
        message_error("all of it takes more than %zu MiB to write down; choose one VM with --vm", VMT_BUFFER_MAX >> 20);
    else
        message_error("out of memory");
    return 1;
}

/* ---- input ---- */

/* What could not be read since before. Whether there was any. */
static bool say_trouble(struct cat *c, const char *path, bool ends)
{
    struct vmt_decoder_state now;
    uint64_t skipped, damaged;

    vmt_decoder_state(c->decoder, &now);
    skipped = now.skipped - c->before.skipped;
    damaged = now.damaged_bytes - c->before.damaged_bytes;
    if (!skipped && !damaged && !(ends && now.waiting))
        return false;
    hide_progress(c);
    if (now.snapshots == c->before.snapshots && !skipped && damaged)
        message_error("%s: not a stream of vmtally: 'vmtally stream --format msgpack' writes one", path);
    else if (damaged)
        message_error("%s: damaged: %" PRIu64 " bytes passed over", path, damaged);
    if (skipped)
        message_error("%s: %" PRIu64
                      " frame%s passed over: what has to stand before them was cut off, or they are of a "
                      "kind that is not known here",
                      path, skipped, skipped == 1 ? "" : "s");
    if (ends && now.waiting)
        message_error("%s: ends within a frame: %" PRIu64 " bytes of it are there", path, now.waiting);
    return true;
}

static int new_decoder(struct cat *c)
{
    vmt_decoder_free(c->decoder);
    c->decoder = NULL;
    c->before = (struct vmt_decoder_state){ 0 };
    return vmt_decoder_new(&c->decoder) < 0 ? out_of_memory(c) : 0;
}

/* All snapshots that are whole so far. */
static int convert_all(struct cat *c)
{
    const struct vmt_snapshot *snapshot;
    int r;

    while ((r = vmt_decoder_next(c->decoder, &snapshot)) != 0) {
        if (r == 1 && convert(c, snapshot))
            return 1;
        if (r != 1 && r != -EBADMSG)
            return out_of_memory(c);
    }
    return flush(c);
}

/* Nothing follows: behind a frame that was cut off there may be whole ones. */
static int end(struct cat *c)
{
    vmt_decoder_end(c->decoder);
    return convert_all(c);
}

/* A file begins. One that begins as a stream does is not what was missing at the end of the one before. */
static int begin(struct cat *c, size_t size, bool anew)
{
    bool header = size >= sizeof(HEADER) - 1 && memcmp(c->in.bytes, HEADER, sizeof(HEADER) - 1) == 0;
    struct vmt_decoder_state state;

    vmt_decoder_state(c->decoder, &state);
    if (state.waiting == 0 || !(header || anew))
        return 0;
    if (end(c))
        return 1;
    c->status |= say_trouble(c, anew ? c->in.path : c->last_path, true);
    return new_decoder(c);
}

/* What is in the bytes that were read last. */
static int decode(struct cat *c, size_t size)
{
    if (vmt_decoder_feed(c->decoder, c->in.bytes, size) < 0)
        return out_of_memory(c);
    if (convert_all(c))
        return 1;
    if (c->in.follow && !c->told && say_trouble(c, c->in.path, false)) {
        c->told = true;
        c->status = 1;
    }
    return 0;
}

/* To its end. 0, or 1 where nothing can follow. */
static int read_file(struct cat *c, bool last)
{
    char reason[256];
    bool first = true, anew = false;
    ssize_t n;

    while ((n = cat_input_read(&c->in, &anew)) > 0) {
        if ((first || anew) && begin(c, (size_t)n, anew))
            return 1;
        first = false;
        if (decode(c, (size_t)n))
            return 1;
        show_progress(c);
    }
    if (last && !c->in.follow && end(c))
        return 1;
    hide_progress(c);
    if (n < 0) {
        message_error("%s: %s", c->in.path, message_reason((int)n, reason, sizeof(reason)));
        c->status = 1;
    }
    if (!c->told)
        c->status |= say_trouble(c, c->in.path, last);
    vmt_decoder_state(c->decoder, &c->before);
    c->last_path = c->in.path;
    return 0;
}

static int read_all(struct cat *c)
{
    const struct cat_arguments *a = c->a;

    for (size_t i = 0; i < a->file_count; i++) {
        bool last = i + 1 == a->file_count;
        int r;

        if (cat_input_open(&c->in, a->files[i], a->follow && last)) {
            c->status = 1;
            continue;
        }
        r = read_file(c, last);
        cat_input_close(&c->in);
        if (r)
            return r;
    }
    return 0;
}

/* What was asked for is not there. */
static void say_none(struct cat *c)
{
    char near[NEAREST_TEXT];

    if (c->status == 0 && c->snapshots == 0)
        message_error("%s: no snapshot in it", c->a->files[0]);
    else if (c->chosen == 0 && c->snapshots > 0)
        message_error("no snapshot of %s is in it%s", c->a->vm, nearest_text(&c->nearest, near, sizeof(near)));
    else if (c->written == 0 && c->chosen > 0)
        message_error("no program%s%s%s is in it", c->a->pattern ? " that matches '" : "",
                      c->a->pattern ? c->a->pattern : "", c->a->pattern ? "'" : "");
    else
        return;
    c->status = 1;
}

/* Whether there are any others. */
static bool say_left_out(struct cat *c)
{
    size_t left_out = 0;

    for (size_t i = 0; i < c->vms.count; i++)
        left_out += !c->vms.vms[i]->last;
    if (left_out == 0)
        return true;
    message_error(
        "%zu of %zu VMs left out: the last snapshots of all take more than %zu MiB of memory; choose one with "
        "--vm",
        left_out, c->vms.count, CAT_VMS_BYTES >> 20);
    c->status = 1;
    return left_out < c->vms.count;
}

static int cat(struct cat *c)
{
    if (new_decoder(c) || read_all(c))
        return 1;
    if (is_of_last(c->a) && c->chosen > 0 && !say_left_out(c))
        return 1;
    if (is_of_last(c->a) && c->chosen > 0 && (is_kvm(c->a) ? convert_source(c) : convert_last(c)))
        return 1;
    say_none(c);
    return c->status;
}

int cmd_cat(int argc, char **argv, struct options *common)
{
    struct cat_arguments a = { .common = common };
    struct cat c = { .a = &a, .in.fd = -1 };
    struct vmt_choice choice;
    int status;

    if (argp_parse(&parser, argc, argv, 0, NULL, &a))
        return 1;
    c.formatter = (struct formatter){ .format = a.format,
                                      .pretty = a.pretty,
                                      .alone = a.vm != NULL,
                                      .pattern = a.pattern,
                                      .anew_after = FORMAT_ANEW_SAMPLES,
                                      .choice = filter_choice(&a.filter, &choice) };
    c.nearest.asked = a.vm;
    if (isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) && !a.follow)
        c.progress_ns = shm_clock_ns(CLOCK_MONOTONIC) + PROGRESS_NS;
    sandbox_enter(common, a.files, a.file_count, SANDBOX_ALL_PATHS);
    status = cat(&c);
    vmt_decoder_free(c.decoder);
    cat_vms_free(&c.vms);
    formatter_free(&c.formatter);
    vmt_buffer_free(&c.out);
    free(c.in.bytes);
    filter_free(&a.filter);
    return status;
}
