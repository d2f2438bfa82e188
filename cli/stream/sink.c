/* SPDX-License-Identifier: MIT */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/export/buffer.h"
#include "../message.h"
#include "shm/clock.h"

#define MODE 0640

static const char *name_of(const struct sink *s) { return s->path ? s->path : "standard output"; }

/* Each reason once, until something is written again. */
static void say(struct sink *s, int error)
{
    char reason[256];

    s->failed = true;
    if (s->said == error)
        return;
    s->said = error;
    s->since = 0;
    message_error("%s: not written: %s", name_of(s), message_reason(error, reason, sizeof(reason)));
}

static void say_again(struct sink *s)
{
    if (s->said)
        message_error("%s: written again; %" PRIu64 " sample%s missed", name_of(s), s->since,
                      s->since == 1 ? " was" : "s were");
    s->said = 0;
}

/* ---- opening ---- */

static bool is_fifo(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Never waits. 0, or a negative errno; *fd is -1 of a FIFO that nobody reads. */
static int open_path(const char *path, int *fd, bool *regular)
{
    struct stat st;

    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, MODE);
    if (*fd < 0 && !(errno == ENXIO && is_fifo(path)))
        return -errno;
    *regular = *fd >= 0 && fstat(*fd, &st) == 0 && S_ISREG(st.st_mode);
    return 0;
}

int sink_open(struct sink *s, const char *path, bool alone)
{
    struct stat st;
    int r = 0;

    *s = (struct sink){ .path = path, .fd = STDOUT_FILENO, .anew = true, .alone = alone };
    if (path)
        r = open_path(path, &s->fd, &s->regular);
    else
        s->regular = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    if (r < 0)
        say(s, r);
    return r < 0;
}

static void drop_rest(struct sink *s)
{
    vmt_buffer_clear(&s->rest);
    s->rest_at = 0;
}

static void take(struct sink *s, int fd, bool regular)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = fd;
    s->regular = regular;
    s->anew = true;
    /* Whoever has its beginning does not get more. */
    if (s->alone)
        s->rest_at = 0;
    else
        drop_rest(s);
}

static bool same_file(int a, int b)
{
    struct stat x, y;

    return a >= 0 && b >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void sink_reopen(struct sink *s)
{
    bool regular = false;
    int fd = -1;
    int r = s->path ? open_path(s->path, &fd, &regular) : 0;

    if (r < 0) {
        say(s, r);
    } else if (same_file(s->fd, fd)) { /* was not moved; who reads it may wait for a rest */
        close(fd);
        s->anew = true;
    } else if (s->path) {
        take(s, fd, regular);
    }
}

void sink_close(struct sink *s)
{
    if (s->path && s->fd >= 0)
        close(s->fd);
    vmt_buffer_free(&s->rest);
    s->fd = -1;
}

/* Nobody reads it any more. */
static void lose(struct sink *s)
{
    if (s->path)
        take(s, -1, false);
    else
        s->gone = true;
}

void sink_look(struct sink *s, short events)
{
    if (events & (POLLERR | POLLHUP) && !s->regular)
        lose(s);
}

int sink_begins(struct sink *s)
{
    struct pollfd p = { .fd = s->fd };
    int begins;

    if (s->fd >= 0 && !s->regular && poll(&p, 1, 0) == 1)
        sink_look(s, p.revents);
    if (s->fd < 0)
        sink_reopen(s);
    begins = s->anew && s->fd >= 0;
    s->anew = s->anew && s->fd < 0;
    return begins;
}

/* ---- writing ---- */

/* Whether it may be written now; 0: the time is over. */
static bool wait_for_room(const struct sink *s, const struct sink_patience *patience)
{
    for (;;) {
        struct pollfd p[] = { { .fd = s->fd, .events = POLLOUT }, { .fd = patience->wake_fd, .events = POLLIN } };
        uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
        uint64_t left_ms = now < patience->until_ns ? (patience->until_ns - now + 999999U) / 1000000U : 0;

        if (left_ms == 0)
            return false;
        if (poll(p, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX) < 0 && errno != EINTR)
            return false;
        if (p[0].revents)
            return true;
        if (p[1].revents && !patience->woken(patience->arg))
            return false;
    }
}

/* Some of it, without waiting: how many bytes, or a negative errno. Standard output is others', too, who may not be
 * told to do without waiting: a pipe that has room takes as many bytes as this. */
static ssize_t write_some(const struct sink *s, const char *data, size_t size)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    ssize_t n;

    if (!s->path && !s->regular) {
        if (poll(&p, 1, 0) != 1)
            return -EAGAIN;
        size = size < PIPE_BUF ? size : PIPE_BUF;
    }
    n = write(s->fd, data, size);
    return n < 0 ? -errno : n;
}

/* As much as goes, *done so far. 0: all of it; -EAGAIN: the time is over; or another negative errno. */
static int write_on(const struct sink *s, const char *data, size_t size, size_t *done,
                    const struct sink_patience *patience)
{
    while (*done < size) {
        ssize_t n = write_some(s, data + *done, size - *done);

        if (n >= 0)
            *done += (size_t)n;
        else if (n == -EAGAIN && !wait_for_room(s, patience))
            return -EAGAIN;
        else if (n != -EAGAIN && n != -EINTR)
            return (int)n;
    }
    return 0;
}

/* Take the last size bytes of a file away again. Whether that could be done: nobody else has written behind them. */
static bool undo(const struct sink *s, size_t size)
{
    off_t end = lseek(s->fd, 0, SEEK_CUR);
    struct stat st;

    if (!s->regular || end < (off_t)size || fstat(s->fd, &st) < 0 || st.st_size != end)
        return false;
    return ftruncate(s->fd, end - (off_t)size) == 0 && lseek(s->fd, end - (off_t)size, SEEK_SET) >= 0;
}

/* What went wrong. */
static void failed(struct sink *s, int error)
{
    if (error == -EPIPE)
        lose(s);
    else if (error != -EAGAIN)
        say(s, error);
}

bool sink_flush(struct sink *s, const struct sink_patience *patience)
{
    int r = 0;

    if (s->rest.size == 0 || s->fd < 0)
        return s->rest.size == 0;
    r = write_on(s, s->rest.data, s->rest.size, &s->rest_at, patience);
    if (r == 0)
        drop_rest(s);
    else if (r != -EAGAIN)
        failed(s, r);
    return s->rest.size == 0;
}

/* As sink_put(). */
static bool put(struct sink *s, const char *data, size_t size, const struct sink_patience *patience)
{
    size_t done = 0;
    int r;

    if (s->gone || !sink_flush(s, patience) || s->fd < 0)
        return false;
    r = write_on(s, data, size, &done, patience);
    if (r == 0)
        return true;
    failed(s, r);
    if (done == 0 || s->fd < 0 || s->gone || undo(s, done))
        return false;
    if (vmt_buffer_append(&s->rest, data, size) == 0) {
        s->rest_at = done;
        return true;
    }
    say(s, -ENOMEM);
    lose(s); /* what follows would not fit to what is there */
    return false;
}

bool sink_put(struct sink *s, const char *data, size_t size, const struct sink_patience *patience)
{
    bool written = put(s, data, size, patience);

    if (!written)
        s->since++;
    else if (s->rest.size == 0)
        say_again(s);
    return written;
}

short sink_events(const struct sink *s) { return s->rest.size > 0 ? POLLOUT : 0; }
