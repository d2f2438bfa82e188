/* SPDX-License-Identifier: MIT */
/* vmtally export: one snapshot of one VM, or of all, encoded for other programs. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "export.h"
#include "host.h"
#include "message.h"
#include "names.h"
#include "sandbox.h"
#include "segment.h"
#include "select.h"

enum { OPTION_FORMAT = 0x200, OPTION_FULL, OPTION_PRETTY, OPTION_VM, OPTION_OUTPUT = 'o' };

/* What encodes snapshots, one after the other, into one buffer. */
struct encoder {
    const struct export_arguments *a;
    struct formatter formatter;
    struct export_kvm kvm;
    struct names names; /* of VMs */
    /* of what --source and --stat choose */
    size_t sources;
    size_t stats;
    size_t programs; /* of all VMs, that match or not; counted where there is a pattern */
    struct nearest source;
    struct nearest stat;
    struct nearest program;
};

static int is_kvm(const struct export_arguments *a) { return a->format->id == FORMAT_KVM; }

/* ---- what is asked for ---- */

static const struct argp_option options[] = {
    { "format", OPTION_FORMAT, "FORMAT", 0,
      "msgpack; json: an object a line; openmetrics; prometheus: its text format 0.0.4; kvm: a KVM statistics file a "
      "source; qemu: QMP's answers to query-stats; firecracker: a line of Firecracker's metrics a VM; tinykvm: "
      "TinyKVM's "
      "JSON of programs",
      0 },
    { "vm", OPTION_VM, "VM", 0, "This VM only; the same as VM as an argument", 0 },
    { "full", OPTION_FULL, NULL, 0, "msgpack: self-contained maps, with names beside the values", 0 },
    { "pretty", OPTION_PRETTY, NULL, 0, "json, tinykvm: indented", 0 },
    { "output", OPTION_OUTPUT, "FILE", 0,
      "Write to FILE, which is replaced only by a complete one; kvm: below the directory FILE, or one source to FILE",
      0 },
    { 0 },
};

static int is_directory(const char *path)
{
    struct stat st;

    return path[0] && (path[strlen(path) - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)));
}

/* What the argument is. */
static void take_argument(struct export_arguments *a, struct argp_state *state)
{
    if (!a->argument)
        return;
    if (a->format->flags & FORMAT_PATTERN) {
        if (a->argument[0])
            format_check_pattern(a->argument, state);
        else
            a->argument = NULL; /* all, as in TinyKVM */
        return;
    }
    if (a->vm)
        argp_error(state, "one VM at a time, or all: '%s' is one too many", a->argument);
    a->vm = a->argument;
}

/* Options that the format does not take. */
static void check_options(const struct export_arguments *a, struct argp_state *state)
{
    const struct filter *f = &a->filter;

    if (a->full && !(a->format->flags & FORMAT_FULL))
        argp_error(state, "--full is for --format msgpack; the others have the names anyway");
    if (a->pretty && !(a->format->flags & FORMAT_PRETTY))
        argp_error(state, "--pretty is for --format json and --format tinykvm");
    if (f->source_count && !(a->format->flags & FORMAT_CHOICE))
        argp_error(state, "--source is for --format kvm, openmetrics and prometheus; 'vmtally show --json --source "
                          "GLOB' has the values of some sources");
    if (f->stat_count && (is_kvm(a) || !(a->format->flags & FORMAT_CHOICE)))
        argp_error(state,
                   "--stat is for --format openmetrics and prometheus; 'vmtally show --json --stat GLOB' has the "
                   "values of some statistics");
}

/* What fits together. Does not return where it does not. */
static void check(struct export_arguments *a, struct argp_state *state)
{
    char all[FORMAT_NAMES];

    if (!a->format)
        argp_error(state, "which format? --format %s", format_names(all, sizeof(all), 0));
    check_options(a, state);
    take_argument(a, state);
    if (is_kvm(a) && !a->filter.source_count && !a->output)
        argp_error(state, "--format kvm is a file for each source; name a directory for them with --output DIR, or one "
                          "source with --source ID");
    else if (a->format->flags & FORMAT_BINARY && !a->output && isatty(STDOUT_FILENO))
        argp_error(state, "%s is not for a terminal; use --output FILE or a pipe", a->format->name);
    a->directory = is_kvm(a) && a->output && (!a->filter.source_count || is_directory(a->output));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct export_arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->filter;
        state->child_inputs[1] = a->common;
        return 0;
    case OPTION_FORMAT:
        a->format = format_find(arg, 0, state);
        return 0;
    case OPTION_FULL:
        a->full = 1;
        return 0;
    case OPTION_PRETTY:
        a->pretty = 1;
        return 0;
    case OPTION_VM:
        if (a->vm)
            argp_error(state, "one VM at a time, or all: '%s' is one too many", arg);
        a->vm = arg;
        return 0;
    case OPTION_OUTPUT:
        if (!arg[0])
            argp_error(state, "--output needs the name of a file");
        a->output = strcmp(arg, "-") == 0 ? NULL : arg;
        return 0;
    case ARGP_KEY_ARG:
        if (a->argument)
            argp_error(state, "one VM at a time, or all: '%s' is one too many", arg);
        a->argument = arg;
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
    "[VM]\n--format tinykvm [PATTERN]",
    "Encode one snapshot of a VM, or one each of all, one after the other."
    "\vVM is the name that 'vmtally list' shows, or the path of a segment file. --format kvm writes what KVM's own "
    "statistics descriptors would give, each source into a file of its own: FILE/VM/vm/vcpu-0.kvm, and FILE/VM.kvm for "
    "the segment itself. openmetrics and prometheus are one text of all VMs, for the textfile collector of Prometheus' "
    "node exporter too; without any VM it is empty. Lines of Firecracker's metrics have the VM's name as \"id\", "
    "unless "
    "one VM was named. PATTERN is an extended regular expression that the whole name of a program matches. --source "
    "and "
    "--stat are for openmetrics and prometheus, --source for kvm too. In a GLOB '*' matches a '/' too.",
    children,
    NULL,
    NULL,
};

/* ---- in the sandbox ---- */

/* Whether --source and --stat have chosen anything yet, and what they were perhaps meant to. */
static void note_chosen(struct encoder *e, const struct vmt_snapshot *snapshot)
{
    const struct vmt_choice *choice = e->formatter.choice;

    for (size_t i = 0; choice && e->stats == 0 && i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);

        if (choice->source && !choice->source(choice->arg, snapshot, i)) {
            nearest_try(&e->source, s->id);
            continue;
        }
        e->sources++;
        for (uint32_t k = 0; k < s->schema->count && e->stats == 0; k++) {
            const struct vmt_descriptor *d = &s->schema->descriptors[k];

            if (!choice->statistic || choice->statistic(choice->arg, s->schema, d))
                e->stats++;
            else
                nearest_try(&e->stat, d->name);
        }
    }
}

/* The same of the pattern, which may be a name. */
static void note_programs(struct encoder *e, const struct vmt_snapshot *snapshot)
{
    for (size_t i = 0; e->program.asked && i < vmt_snapshot_count(snapshot); i++) {
        const struct vmt_sample *s = vmt_snapshot_source(snapshot, i);

        if (strcmp(s->schema->target, "program") == 0) {
            nearest_try(&e->program, s->name);
            e->programs++;
        }
    }
}

static int encode_one(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    struct format_vm vm = { 0 };
    char title[SEGMENT_NAME], name[NAME_SIZE];
    int r;

    if (is_kvm(e->a))
        return export_kvm_add(&e->kvm, snapshot, out);
    if (!e->a->vm && !format_suits(e->a->format, vmt_snapshot_segment(snapshot)))
        return 0;
    note_chosen(e, snapshot);
    note_programs(e, snapshot);
    segment_title(title, sizeof(title), vmt_snapshot_segment(snapshot));
    r = names_add(&e->names, title, name);
    if (r == 0)
        r = formatter_add(&e->formatter, &vm, snapshot, name, out);
    format_vm_free(&vm);
    return r;
}

/* Whether its writer is there; of what is left of others nobody knows for how long. */
static int is_running(const struct vmt_snapshot *snapshot)
{
    enum vmt_state state = segment_state(vmt_snapshot_segment(snapshot));

    return state == VMT_STATE_LIVE || state == VMT_STATE_STALLED;
}

/* Append a snapshot of each segment. Those that can't be read are said and left out: then *status is 1. Where VMs have only
 * their names, those that run come first, and so have them for themselves. Returns how many there are, or -ENOMEM. */
static long encode(struct encoder *e, const struct selection *selection, struct vmt_snapshot *snapshot,
                   struct vmt_buffer *out, int *status)
{
    const int passes = e->a->format->flags & FORMAT_BY_NAME ? 2 : 1;
    long done = 0;

    for (size_t i = 0; i < selection->count * (size_t)passes; i++) {
        const char *path = selection->files[i % selection->count].path;
        const int again = i >= selection->count;
        int r =
            again ? selection_take(e->a->common, path, snapshot) : selection_take_or_say(e->a->common, path, snapshot);

        if (r < 0) { /* it was said the first time; or it has gone since */
            *status |= !again;
            continue;
        }
        if (passes == 2 && is_running(snapshot) == again)
            continue;
        r = encode_one(e, snapshot, out);
        if (message_too_large(r, path)) {
            *status = 1;
            continue;
        }
        if (r < 0)
            return r;
        done++;
    }
    return done;
}

/* No source or statistic is called so, or matches. */
static void say_none(const char *kind, const char *glob, size_t globs, const struct nearest *nearest)
{
    char near[NEAREST_TEXT];

    if (globs == 1 && nearest->found && !strpbrk(glob, "*?[!"))
        message_error("no %s %s%s", kind, glob, nearest_text(nearest, near, sizeof(near)));
    else
        message_error("no %s matches '%s'%s; 'vmtally show' shows all", kind, glob, globs > 1 ? " and the others" : "");
}

/* Of what was read, whether there is anything to write; says so if not. */
static int say_empty(const struct encoder *e, const struct vmt_buffer *out)
{
    const struct filter *f = &e->a->filter;
    char near[NEAREST_TEXT];

    if (is_kvm(e->a))
        return export_kvm_say(&e->kvm);
    if (f->source_count && e->sources == 0)
        say_none("source", f->sources[0], f->source_count, &e->source);
    else if (f->stat_count && e->stats == 0)
        say_none("statistic", f->stats[0], f->stat_count, &e->stat);
    else if (out->size == 0 && e->program.found)
        message_error("no program %s%s", e->formatter.pattern, nearest_text(&e->program, near, sizeof(near)));
    else if (out->size == 0 && e->programs)
        message_error("no program matches '%s'; 'vmtally show' shows all", e->formatter.pattern);
    else if (out->size == 0 && !(e->a->format->flags & FORMAT_PATTERN))
        message_error("nothing that was found counts what %s has a name for", e->a->format->name);
    else if (out->size == 0)
        message_error("no programs: no VM that was found counts what TinyKVM counts of programs");
    else
        return 1;
    return 0;
}

/* What was found is encoded. *found becomes 1 where there is something to write. */
static int encode_all(struct encoder *e, const struct selection *selection, struct vmt_snapshot *snapshot,
                      struct vmt_buffer *buffer, int *found)
{
    const int none = selection->count == 0;
    const int whole = (e->a->format->flags & FORMAT_WHOLE) != 0;
    int status = 0;
    long r;

    e->formatter.alone = e->a->vm && selection->count == 1;
    e->formatter.expected = selection->count;
    r = encode(e, selection, snapshot, buffer, &status);
    if (none && !whole)
        selection_say_none(e->a->common);
    if (r > 0 || (r == 0 && none && whole)) { /* of no VMs: else a collector would have those of before for ever */
        r = formatter_end(&e->formatter, buffer);
        if (r == -EFBIG) {
            message_error("all of it takes more than %zu MiB to write down; name one VM", VMT_BUFFER_MAX >> 20);
            return 1;
        }
        *found = r == 0 && (none || say_empty(e, buffer));
    }
    if (r < 0)
        message_error("out of memory");
    return status;
}

/* Find, read and encode what was asked for. */
static int collect_all(struct encoder *e, struct vmt_snapshot *snapshot, struct vmt_buffer *buffer, int *found)
{
    struct selection selection = { 0 };
    int status = 1;

    if (selection_find(e->a->common, e->a->vm, &selection) == 0)
        status = encode_all(e, &selection, snapshot, buffer, found);
    selection_say_trouble(e->a->common, e->a->vm, &selection);
    selection_free(&selection);
    return status;
}

/* All of it, in the sandbox. The exit status; an empty buffer is one of 1: a file that is there already is better than
 * an empty one. */
static int collect(const struct export_arguments *a, struct vmt_buffer *buffer)
{
    const struct filter *f = &a->filter;
    const char *source = f->source_count ? f->sources[0] : "";
    struct vmt_choice choice;
    struct encoder encoder = {
        .a = a,
        .formatter = { .format = a->format, .full = a->full, .pretty = a->pretty, .choice = filter_choice(f, &choice) },
        .kvm = { .a = a, .nearest.asked = source },
        .source.asked = source,
        .stat.asked = f->stat_count ? f->stats[0] : "",
    };
    struct vmt_snapshot *snapshot = NULL;
    int status = 1, found = 0;

    encoder.formatter.pattern = encoder.program.asked = a->format->flags & FORMAT_PATTERN ? a->argument : NULL;
    if (!a->vm)
        options_say_dir(a->common, 0);
    host_start(a->common, 0);
    sandbox_enter(a->common, (char *const *)&a->vm, a->vm != NULL, 0);
    if (vmt_snapshot_new(&snapshot)) {
        message_error("out of memory");
    } else {
        vmt_snapshot_want_shards(snapshot, (a->format->flags & FORMAT_SHARDS) != 0);
        status = collect_all(&encoder, snapshot, buffer, &found);
    }
    if (!found)
        vmt_buffer_clear(buffer);
    export_files_free(&encoder.kvm.files);
    formatter_free(&encoder.formatter);
    names_free(&encoder.names);
    vmt_snapshot_free(snapshot);
    host_stop(a->common);
    return found ? status : 1;
}

/* ---- the command ---- */

int cmd_export(int argc, char **argv, struct options *common)
{
    struct export_arguments arguments = { .common = common };
    struct vmt_buffer buffer = { 0 };
    int status;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    if (arguments.output)
        status = export_to_file(&arguments, collect);
    else
        status = collect(&arguments, &buffer);
    if (buffer.size > 0)
        status |= message_write(buffer.data, buffer.size);
    vmt_buffer_free(&buffer);
    filter_free(&arguments.filter);
    return status;
}
