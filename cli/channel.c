/* SPDX-License-Identifier: MIT */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/export/buffer.h"
#include "message.h"
#include "shm/clock.h"

#define MAGIC 0x48435456U   /* "VTCH": a sender that lost count is noticed */
#define STEP_BYTES 0x10000U /* memory is taken as bytes come, not as they are announced */
#define LOOK_NS 2000000     /* between two looks at whether a child has ended */

/* What stands before a message, of 32 bits each. */
enum { HEAD_MAGIC, HEAD_KIND, HEAD_SIZE, HEAD_ZERO, HEAD_WORDS };

/* ---- time ---- */

/* When it ends: 0 is never. */
static uint64_t end_of(int timeout_ms)
{
    return timeout_ms < 0 ? 0 : shm_clock_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000U;
}

/* What is left of it, for poll(): rounded up, so that nobody polls without waiting. */
static int left_ms(uint64_t end_ns)
{
    uint64_t now = end_ns ? shm_clock_ns(CLOCK_MONOTONIC) : 0;

    return end_ns == 0 ? -1 : now < end_ns ? (int)((end_ns - now + 999999U) / 1000000U) : 0;
}

/* 0, -ETIMEDOUT, or a negative errno. Who comes after the end waits no more, ready or not: nobody is held by a trickle. */
static int wait_for(int fd, short events, uint64_t end_ns)
{
    int left;

    while ((left = left_ms(end_ns)) != 0) {
        struct pollfd p = { .fd = fd, .events = events };
        int r = poll(&p, 1, left);

        if (r > 0)
            return p.revents & POLLNVAL ? -EBADF : 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
    return -ETIMEDOUT;
}

/* ---- messages ---- */

void channel_out_begin(struct channel_out *out, uint32_t kind, const void *data, size_t size)
{
    *out = (struct channel_out){ .head = { MAGIC, kind, (uint32_t)size, 0 }, .data = size ? data : "", .size = size };
}

/* writev() and read(): what the reader is in lets no more through (cli/sandbox.c). 1: all is sent; or a negative errno. */
static int send_some(int fd, struct channel_out *out)
{
    const size_t head = sizeof(out->head);
    size_t of_head = out->sent < head ? out->sent : head;
    size_t of_data = out->sent - of_head;
    struct iovec parts[] = { { (char *)out->head + of_head, head - of_head },
                             { (char *)(uintptr_t)out->data + of_data, out->size - of_data } };
    ssize_t n = writev(fd, parts, 2);

    if (n < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    out->sent += (size_t)n;
    return out->sent == head + out->size;
}

int channel_out_go(int fd, struct channel_out *out)
{
    int r;

    if (out->size > CHANNEL_MAX)
        return -EMSGSIZE;
    do
        r = send_some(fd, out);
    while (r == 0 || r == -EINTR);
    return r == -EAGAIN ? 0 : r;
}

int channel_send(int fd, uint32_t kind, const void *data, size_t size, int timeout_ms, int *part)
{
    uint64_t end_ns = end_of(timeout_ms);
    struct channel_out out;
    int r;

    channel_out_begin(&out, kind, data, size);
    while ((r = channel_out_go(fd, &out)) == 0) {
        r = wait_for(fd, POLLOUT, end_ns);
        if (r < 0)
            break;
    }
    if (r < 0 && part && out.sent > 0)
        *part = 1;
    return r < 0 ? r : 0;
}

/* All of the size bytes. */
static int receive_all(int fd, void *data, size_t size, uint64_t end_ns)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)data + done, size - done);
        int r = 0;

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno == ECONNRESET)
            return -EPIPE;
        else if (errno == EAGAIN)
            r = wait_for(fd, POLLIN, end_ns);
        else if (errno != EINTR)
            r = -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

int channel_receive(int fd, uint32_t *kind, struct vmt_buffer *data, size_t most, int timeout_ms)
{
    uint64_t end_ns = end_of(timeout_ms);
    uint32_t head[HEAD_WORDS];
    int r = receive_all(fd, head, sizeof(head), end_ns);

    vmt_buffer_clear(data);
    if (r < 0)
        return r;
    if (head[HEAD_MAGIC] != MAGIC || head[HEAD_ZERO] != 0 || head[HEAD_SIZE] > most || head[HEAD_SIZE] > CHANNEL_MAX)
        return -EBADMSG;
    while (data->size < head[HEAD_SIZE]) {
        size_t left = head[HEAD_SIZE] - data->size;
        size_t step = left < STEP_BYTES ? left : STEP_BYTES;

        r = vmt_buffer_reserve(data, step);
        if (r == 0)
            r = receive_all(fd, data->data + data->size, step, end_ns);
        if (r < 0)
            return r;
        data->size += step;
    }
    *kind = head[HEAD_KIND];
    return 0;
}

/* ---- the two processes ---- */

/* What the parent has open is nothing to a process that sees segments: sockets, files that are written, keys; nor its
 * standard input and output. Returns the channel's new number, or -1. */
static int leave_all(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 2); /* out of the way of what follows */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int standard[] = { STDIN_FILENO, STDOUT_FILENO };

    for (size_t i = 0; i < 2; i++) {
        if (null < 0 || dup2(null, standard[i]) < 0)
            close(standard[i]);
    }
    if (high < 0 || dup3(high, STDERR_FILENO + 1, O_CLOEXEC) < 0)
        return -1;
    closefrom(STDERR_FILENO + 2);
    return STDERR_FILENO + 1;
}

static int child(int (*run)(void *arg, int fd), void *arg, int fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return 1; /* it has ended before that */
    fd = leave_all(fd);
    return fd < 0 ? 1 : run(arg, fd);
}

pid_t channel_start(int (*run)(void *arg, int fd), void *arg, int *fd)
{
    pid_t self = getpid();
    int fds[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    signal(SIGPIPE, SIG_IGN);
    fflush(NULL); /* or both would write what is buffered */
    pid = fork();
    if (pid == 0)
        _exit(child(run, arg, fds[1], self));
    if (pid < 0)
        pid = -errno;
    close(fds[1]);
    if (pid < 0)
        close(fds[0]);
    else
        *fd = fds[0];
    return pid;
}

/* Its wait status; -1: there is no such child. */
static int wait_until(pid_t pid, uint64_t end_ns, int *killed)
{
    const struct timespec pause = { .tv_nsec = LOOK_NS };
    int status;

    for (;;) {
        pid_t r = waitpid(pid, &status, WNOHANG);

        if (r == pid)
            return status;
        if (r < 0 && errno != EINTR)
            return -1;
        if (end_ns && !*killed && shm_clock_ns(CLOCK_MONOTONIC) >= end_ns) {
            kill(pid, SIGKILL);
            *killed = 1;
        }
        nanosleep(&pause, NULL);
    }
}

int channel_end(pid_t pid, int timeout_ms)
{
    int killed = 0;
    int status = wait_until(pid, end_of(timeout_ms), &killed);

    if (status >= 0 && WIFEXITED(status))
        return WEXITSTATUS(status);
    if (killed)
        message_error("the process that reads segments did not end, and was killed");
    else if (status >= 0)
        message_error("the process that reads segments was ended by signal %d (%s)", WTERMSIG(status),
                      strsignal(WTERMSIG(status)));
    return -1;
}
