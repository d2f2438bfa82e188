/* SPDX-License-Identifier: MIT */
/* vmtally export: one snapshot of one VM, or of all, encoded for other programs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmtally/export.h>

#include "commands.h"
#include "message.h"
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
    const char *vm;     /* NULL: all */
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

static int put(const struct arguments *a, const struct vmt_buffer *buffer)
{
    char reason[256];
    int r;

    if (!a->output)
        return message_write(buffer->data, buffer->size);
    r = write_file(a->output, buffer);
    if (r)
        message_error("%s: not written: %s", a->output, message_reason(r, reason, sizeof(reason)));
    return r != 0;
}

int cmd_export(int argc, char **argv, struct options *common)
{
    struct arguments arguments = { .common = common };
    struct selection selection = { 0 };
    struct encoder encoder = { NULL, 0 };
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_buffer buffer = { 0 };
    int status = 0;
    long done;

    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments) || selection_find(common->dir, arguments.vm, &selection))
        return 1;
    encoder.full = arguments.full;
    if (vmt_snapshot_new(&snapshot) || vmt_msgpack_new(&encoder.stream))
        done = -ENOMEM;
    else
        done = encode(&arguments, &selection, &encoder, snapshot, &buffer, &status);
    if (selection.count == 0)
        selection_say_none(common->dir);
    if (done < 0)
        message_error("out of memory");
    if (done <= 0)
        status = 1; /* a file that is there already is better than an empty one */
    else
        status |= put(&arguments, &buffer);
    vmt_buffer_free(&buffer);
    vmt_msgpack_free(encoder.stream);
    vmt_snapshot_free(snapshot);
    selection_free(&selection);
    return status;
}
