/* SPDX-License-Identifier: MIT */
/* vmtally export: one snapshot of one VM, or of all, encoded for other programs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "commands.h"
#include "message.h"
#include "sandbox.h"
#include "select.h"

/* What encodes snapshots, one after the other, into one buffer. */
struct encoder {
    struct vmt_msgpack *stream;
    int full;
};

static int encode_msgpack(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    return e->full ? vmt_msgpack_encode_full(snapshot, out) : vmt_msgpack_encode(e->stream, snapshot, out);
}

static int encode_json(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out)
{
    (void)e;
    return vmt_json_encode(snapshot, 0, out);
}

static const struct format {
    const char *name;
    int (*encode)(struct encoder *e, const struct vmt_snapshot *snapshot, struct vmt_buffer *out);
    int binary;
} formats[] = {
    { "msgpack", encode_msgpack, 1 },
    { "json", encode_json, 0 },
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

enum { OPTION_FORMAT = 0x200, OPTION_FULL, OPTION_OUTPUT = 'o' };

struct arguments {
    struct options *common;
    const struct format *format;
    const char *output; /* NULL: stdout */
    char *vm;           /* NULL: all */
    int full;
};

static const struct argp_option options[] = {
    { "format", OPTION_FORMAT, "FORMAT", 0, "msgpack, or json: an object a line", 0 },
    { "full", OPTION_FULL, NULL, 0, "msgpack: self-contained maps, with names beside the values", 0 },
    { "output", OPTION_OUTPUT, "FILE", 0, "Write to FILE, which is replaced only by a complete one", 0 },
    { 0 },
};

static const struct format *find_format(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a->common;
        return 0;
    case OPTION_FORMAT:
        a->format = find_format(arg);
        if (!a->format)
            argp_error(state, "no format '%s'; there are: msgpack, json", arg);
        return 0;
    case OPTION_FULL:
        a->full = 1;
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
        if (!a->format)
            argp_error(state, "which format? --format msgpack or --format json");
        else if (a->full && !a->format->binary)
            argp_error(state, "--full is for --format msgpack; json always has the names");
        else if (a->format->binary && !a->output && isatty(STDOUT_FILENO))
            argp_error(state, "msgpack is not for a terminal; use --output FILE or a pipe");
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
    "\vVM is the name that 'vmtally list' shows, or the path of a segment file.",
    children,
    NULL,
    NULL,
};

/* Append a snapshot of each segment. Those that can't be read are said and left out: then *status is 1. Returns how
 * many there are, or -ENOMEM. */
static long encode(const struct arguments *a, const struct selection *selection, struct encoder *e,
                   struct vmt_snapshot *snapshot, struct vmt_buffer *out, int *status)
{
    long done = 0;

    for (size_t i = 0; i < selection->count; i++) {
        int r = selection_take_or_say(selection->files[i].path, snapshot);

        if (r < 0) {
            *status = 1;
            continue;
        }
        r = a->format->encode(e, snapshot, out);
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

/* ---- the file ---- */

static int write_all(int fd, const struct vmt_buffer *buffer)
{
    size_t done = 0;

    while (done < buffer->size) {
        ssize_t n = write(fd, buffer->data + done, buffer->size - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

/* Write to a device, a pipe, or through a symbolic link, which are not for us to replace. */
static int write_in_place(const char *path, const struct vmt_buffer *buffer)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
    int r;

    if (fd < 0)
        return -errno;
    r = write_all(fd, buffer);
    return close(fd) < 0 && r == 0 ? -errno : r;
}

/* Fill temporary, a name for mkostemp(), and rename it to path. */
static int write_and_rename(char *temporary, const char *path, mode_t mode, const struct vmt_buffer *buffer)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, buffer);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r)
        unlink(temporary);
    return r;
}

/* Write a complete file or none: under another name in the same directory first. */
static int write_file(const char *path, const struct vmt_buffer *buffer)
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path) + 1 : 0;
    mode_t mask = umask(0);
    mode_t mode = 0666 & ~mask;
    sigset_t endings, before;
    char *temporary;
    struct stat st;
    int r;

    umask(mask);
    if (lstat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return write_in_place(path, buffer);
        mode = st.st_mode & 0777;
    }
    if (asprintf(&temporary, "%.*s.vmtally-XXXXXX", directory, path) < 0)
        return -ENOMEM;
    /* Ended in between, the temporary file would stay. */
    sigemptyset(&endings);
    sigaddset(&endings, SIGHUP);
    sigaddset(&endings, SIGINT);
    sigaddset(&endings, SIGQUIT);
    sigaddset(&endings, SIGTERM);
    sigprocmask(SIG_BLOCK, &endings, &before);
    r = write_and_rename(temporary, path, mode, buffer);
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(temporary);
    return r;
}

/* ---- the command ---- */

/* In the sandbox: find, read and encode what was asked for. The exit status; an empty buffer is one of 1. */
static int collect(const struct arguments *a, struct vmt_buffer *buffer)
{
    struct selection selection = { 0 };
    struct encoder encoder = { NULL, a->full };
    struct vmt_snapshot *snapshot = NULL;
    int status = 0;
    long done;

    sandbox_enter(a->common, (char *const *)&a->vm, a->vm != NULL, 0);
    if (selection_find(a->common->dir, a->vm, &selection))
        return 1;
    if (vmt_snapshot_new(&snapshot) || vmt_msgpack_new(&encoder.stream))
        done = -ENOMEM;
    else
        done = encode(a, &selection, &encoder, snapshot, buffer, &status);
    if (selection.count == 0)
        selection_say_none(a->common->dir);
    if (done < 0)
        message_error("out of memory");
    if (done <= 0) { /* a file that is there already is better than an empty one */
        vmt_buffer_clear(buffer);
        status = 1;
    }
    vmt_msgpack_free(encoder.stream);
    vmt_snapshot_free(snapshot);
    selection_free(&selection);
    return status;
}

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
    int r = write_all(fd, &buffer);

    return r < 0 ? not_written(a, r) : status;
}

/* What a child left in memory, into the file. */
static int write_collected(const struct arguments *a, int fd)
{
    struct vmt_buffer buffer = { 0 };
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return not_written(a, -errno);
    if (st.st_size == 0)
        return 1; /* the child has said why */
    buffer.size = (size_t)st.st_size;
    buffer.data = mmap(NULL, buffer.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (buffer.data == MAP_FAILED)
        return not_written(a, -errno);
    r = write_file(a->output, &buffer);
    munmap(buffer.data, buffer.size);
    return r < 0 ? not_written(a, r) : 0;
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

/* Whoever looks at segments may not write files, and whoever writes the file never sees a segment: two processes. */
static int export_to_file(const struct arguments *a)
{
    int fd = memfd_create("vmtally export", MFD_CLOEXEC);
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
