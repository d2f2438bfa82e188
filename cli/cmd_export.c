/* SPDX-License-Identifier: MIT */
/* vmtally export: one snapshot of one VM, or of all, encoded for other programs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "commands.h"
#include "export_files.h"
#include "host.h"
#include "message.h"
#include "nearest.h"
#include "sandbox.h"
#include "select.h"
#include "write_file.h"

enum { OPTION_FORMAT = 0x200, OPTION_FULL, OPTION_SOURCE, OPTION_OUTPUT = 'o' };

struct format;

struct arguments {
    struct options *common;
    const struct format *format;
    const char *output; /* NULL: stdout */
    const char *source; /* a glob, NULL: all */
    char *vm;           /* NULL: all */
    int full;
    int directory; /* output is one, for many files */
};

/* What encodes snapshots, one after the other, into one buffer. */
struct encoder {
    const struct arguments *a;
    struct vmt_msgpack *stream;
    struct export_files files; /* if they are many */
    /* of --format kvm: sources that matched, that became files, that could not be read */
    size_t matched;
    size_t written;
    size_t absent;
    struct nearest nearest;
};

static int encode_msgpack(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    return e->a->full ? vmt_msgpack_encode_full(snapshot, out) : vmt_msgpack_encode(e->stream, snapshot, out);
}

static int encode_json(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    (void)e;
    return vmt_json_encode(snapshot, 0, out);
}

static int encode_kvm_source(struct encoder *e, const struct vmt_snapshot *snapshot, size_t i, struct vmt_buffer *out)
{
    int r = e->a->directory ? export_files_add(&e->files, snapshot, i, out) : vmt_kvm_encode(snapshot, i, out);

    if (r == -ENOENT) /* it counts nothing */
        return 0;
    e->written += r == 0;
    e->absent += r == -ENODATA;
    return r == -ENODATA ? 0 : r;
}

static int encode_kvm(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    size_t before = out->size, written = e->written;
    int r = e->a->directory ? export_files_vm(&e->files, snapshot) : 0;

    for (size_t i = 0; i < vmt_snapshot_count(snapshot) && r == 0; i++) {
        const char *id = vmt_snapshot_source(snapshot, i)->id;

        if (e->a->source && !select_matches(e->a->source, id)) {
            nearest_try(&e->nearest, id);
            continue;
        }
        e->matched++;
        r = encode_kvm_source(e, snapshot, i, out);
    }
    if (r < 0) { /* all of a VM, or nothing */
        out->size = before;
        e->written = written;
    }
    return r;
}

enum { MSGPACK, JSON, KVM, FORMATS };

static const struct format {
    const char *name;
    int (*encode)(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out);
    int binary;
} formats[FORMATS] = {
    [MSGPACK] = { "msgpack", encode_msgpack, 1 },
    [JSON] = { "json", encode_json, 0 },
    [KVM] = { "kvm", encode_kvm, 1 },
};

static int is_kvm(const struct arguments *a) { return a->format == &formats[KVM]; }

/* ---- what is asked for ---- */

static const struct argp_option options[] = {
    { "format", OPTION_FORMAT, "FORMAT", 0, "msgpack; json: an object a line; kvm: a KVM statistics file a source", 0 },
    { "full", OPTION_FULL, NULL, 0, "msgpack: self-contained maps, with names beside the values", 0 },
    { "source", OPTION_SOURCE, "GLOB", 0, "kvm: only sources whose full id matches, such as 'vm/vcpu-0'", 0 },
    { "output", OPTION_OUTPUT, "FILE", 0,
      "Write to FILE, which is replaced only by a complete one; kvm: below the directory FILE, or one source to FILE",
      0 },
    { 0 },
};

static const struct format *find_format(const char *name, struct argp_state *state)
{
    struct nearest nearest = { .asked = name };
    char all[64] = "", near[NEAREST_TEXT];

    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
        nearest_try(&nearest, formats[i].name);
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", formats[i].name);
    }
    if (nearest.found)
        argp_error(state, "no format %s%s", name, nearest_text(&nearest, near, sizeof(near)));
    else
        argp_error(state, "no format %s; there are: %s", name, all);
    return NULL;
}

static int is_directory(const char *path)
{
    struct stat st;

    return path[0] && (path[strlen(path) - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)));
}

/* What fits together. Does not return where it does not. */
static void check(struct arguments *a, struct argp_state *state)
{
    if (!a->format)
        argp_error(state, "which format? --format msgpack, --format json or --format kvm");
    else if (a->full && a->format != &formats[MSGPACK])
        argp_error(state, "--full is for --format msgpack; the others have the names anyway");
    else if (a->source && !is_kvm(a))
        argp_error(state,
                   "--source is for --format kvm; 'vmtally show --json --source GLOB' has the values of some sources");
    else if (is_kvm(a) && !a->source && !a->output)
        argp_error(state, "--format kvm is a file for each source; name a directory for them with --output DIR, or one "
                          "source with --source ID");
    else if (a->format->binary && !a->output && isatty(STDOUT_FILENO))
        argp_error(state, "%s is not for a terminal; use --output FILE or a pipe", a->format->name);
    a->directory = is_kvm(a) && a->output && (!a->source || is_directory(a->output));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_FORMAT:
        a->format = find_format(arg, state);
        return 0;
    case OPTION_FULL:
        a->full = 1;
        return 0;
    case OPTION_SOURCE:
        a->source = arg;
        return 0;
    case OPTION_OUTPUT:
        if (!arg[0])
            argp_error(state, "--output needs the name of a file");
        a->output = strcmp(arg, "-") == 0 ? NULL : arg;
        return 0;
    case ARGP_KEY_ARG:
        if (a->vm)
            argp_error(state, "one VM at a time, or all: '%s' is one too many", arg);
        a->vm = arg;
        return 0;
    case ARGP_KEY_SUCCESS:
        check(a, state);
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
    "Encode one snapshot of a VM, or one each of all, one after the other."
    "\vVM is the name that 'vmtally list' shows, or the path of a segment file. --format kvm writes what KVM's own "
    "statistics descriptors would give, each source into a file of its own: FILE/VM/vm/vcpu-0.kvm, and FILE/VM.kvm for "
    "the segment itself. In a GLOB '*' matches a '/' too.",
    children,
    NULL,
    NULL,
};

/* ---- in the sandbox ---- */

/* Append a snapshot of each segment. Those that can't be read are said and left out: then *status is 1. Returns how
 * many there are, or -ENOMEM. */
static long encode(struct encoder *e, const struct selection *selection, struct vmt_snapshot *snapshot,
                   struct vmt_buffer *out, int *status)
{
    long done = 0;

    for (size_t i = 0; i < selection->count; i++) {
        int r = selection_take_or_say(e->a->common, selection->files[i].path, snapshot);

        if (r < 0) {
            *status = 1;
            continue;
        }
        r = e->a->format->encode(e, snapshot, out);
        if (message_too_large(r, selection->files[i].path)) {
            *status = 1;
            continue;
        }
        if (r < 0)
            return r;
        done++;
    }
    return done;
}

/* Of --format kvm, what became of the sources. Whether there is anything to write. */
static int say_sources(const struct encoder *e)
{
    const char *asked = e->a->source ? e->a->source : "what was found";
    char near[NEAREST_TEXT];

    if (e->matched == 0 && asked[strcspn(asked, "*?[")])
        message_error("no source matches '%s'; 'vmtally show' shows all", asked);
    else if (e->matched == 0)
        message_error("no source %s%s", asked,
                      e->nearest.found ? nearest_text(&e->nearest, near, sizeof(near)) : "; 'vmtally show' shows all");
    else if (e->written > 1 && !e->a->directory)
        message_error("%zu sources match '%s', too many for one file; name one and its VM, or a directory for all with "
                      "--output DIR/",
                      e->written, asked);
    else if (e->absent > 0)
        message_error("%zu of %zu sources left out: their values could not be read", e->absent, e->matched);
    else if (e->written == 0)
        message_error("%s: has no statistics", asked);
    return e->written == 1 || (e->written > 1 && e->a->directory);
}

/* Find, read and encode what was asked for. *found becomes 1 where there is something to write. */
static int collect_all(struct encoder *e, struct vmt_snapshot *snapshot, struct vmt_buffer *buffer, int *found)
{
    struct selection selection = { 0 };
    int status = 0;
    long done;

    if (selection_find(e->a->common, e->a->vm, &selection)) {
        selection_say_trouble(e->a->common, e->a->vm, &selection);
        return 1;
    }
    done = encode(e, &selection, snapshot, buffer, &status);
    if (selection.count == 0)
        selection_say_none(e->a->common);
    if (done < 0)
        message_error("out of memory");
    *found = done > 0 && (!is_kvm(e->a) || say_sources(e));
    selection_say_trouble(e->a->common, e->a->vm, &selection);
    selection_free(&selection);
    return status;
}

/* All of it, in the sandbox. The exit status; an empty buffer is one of 1: a file that is there already is better than
 * an empty one. */
static int collect(const struct arguments *a, struct vmt_buffer *buffer)
{
    struct encoder encoder = { .a = a, .nearest = { .asked = a->source ? a->source : "" } };
    struct vmt_snapshot *snapshot = NULL;
    int status = 1, found = 0;

    host_start(a->common, 0);
    sandbox_enter(a->common, (char *const *)&a->vm, a->vm != NULL, 0);
    if (vmt_snapshot_new(&snapshot) || vmt_msgpack_new(&encoder.stream))
        message_error("out of memory");
    else
        status = collect_all(&encoder, snapshot, buffer, &found);
    if (!found)
        vmt_buffer_clear(buffer);
    export_files_free(&encoder.files);
    vmt_msgpack_free(encoder.stream);
    vmt_snapshot_free(snapshot);
    host_stop(a->common);
    return found ? status : 1;
}

/* ---- the command ---- */

static int not_written(const struct arguments *a, int error)
{
    char reason[256];

    message_error("%s: not written: %s", a->output, message_reason(error, reason, sizeof(reason)));
    return 1;
}

/* The child's part: into memory that its parent made. */
static int collect_into(const struct arguments *a, int fd)
{
    struct vmt_buffer buffer = { 0 };
    int status = collect(a, &buffer);
    int r = write_all(fd, buffer.data, buffer.size);

    return r < 0 ? not_written(a, r) : status;
}

/* What a child left in memory, into files. From here on nobody can change it, whatever became of the child. */
static int write_collected(const struct arguments *a, int fd)
{
    struct stat st;
    void *data;
    int status = 0;
    int r;

    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 || fstat(fd, &st) < 0)
        return not_written(a, -errno);
    if (st.st_size == 0)
        return 1; /* the child has said why */
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return not_written(a, -errno);
    if (a->directory) {
        status = export_files_write(a->output, data, (size_t)st.st_size);
    } else {
        r = write_file(a->output, data, (size_t)st.st_size);
        status = r < 0 ? not_written(a, r) : 0;
    }
    munmap(data, (size_t)st.st_size);
    return status;
}

static int wait_for(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return 1;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    message_error("the process that reads segments was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    return -1;
}

/* Whoever looks at segments may not write files, and whoever writes files never sees a segment: two processes. */
static int export_to_file(const struct arguments *a)
{
    int fd = memfd_create("vmtally export", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    pid_t child = fd < 0 ? -1 : fork();
    int status;

    if (child == 0)
        _exit(collect_into(a, fd));
    status = child < 0 ? not_written(a, -errno) : wait_for(child);
    if (child > 0 && status >= 0)
        status |= write_collected(a, fd);
    if (fd >= 0)
        close(fd);
    return status != 0;
}

int cmd_export(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { .common = common };
    struct vmt_buffer buffer = { 0 };
    int status;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments))
        return 1;
    if (arguments.output)
        return export_to_file(&arguments);
    status = collect(&arguments, &buffer);
    if (buffer.size > 0)
        status |= message_write(buffer.data, buffer.size);
    vmt_buffer_free(&buffer);
    return status;
}
