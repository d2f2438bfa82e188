/* SPDX-License-Identifier: MIT */
#include "lib/kvm/remote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/clock.h"

#define ANSWER_NS 2000000000U /* as long is waited for it */
#define END_MS 1000           /* and as long for its end */

struct request {
    uint64_t serial;
    uint32_t board;
    uint32_t reserved;
};

struct answer {
    uint64_t serial;
    uint64_t bytes;
    int64_t result;
};

/* ---- the finder's side ---- */

/* The caller's handlers are not for here; and who ends the caller from the terminal has this one end with it, by its
 * socket. */
static void set_signals(void)
{
    static const int ignored[] = { SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGXFSZ };
    static const int faults[] = { SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    sigset_t none;

    for (int s = 1; s < NSIG; s++) {
        bool fault = false;

        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
            fault = fault || s == faults[i];
        if (!fault)
            signal(s, SIG_DFL);
    }
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;

    return (x > y) - (x < y);
}

static void close_between(unsigned first, unsigned last)
{
    long most = sysconf(_SC_OPEN_MAX);

    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    for (unsigned fd = first; fd <= last && fd < most; fd++) /* before Linux 5.9 */
        close((int)fd);
}

/* All but standard input, output and error, and its own. */
static void close_others(const struct finder *finder, const struct board *boards, int socket)
{
    int keep[FINDER_FDS + 3];
    size_t n = finder_fds(finder, keep);
    unsigned next = 3;

    keep[n++] = boards[0].fd;
    keep[n++] = boards[1].fd;
    keep[n++] = socket;
    qsort(keep, n, sizeof(keep[0]), by_number);
    for (size_t i = 0; i < n; i++) {
        if (keep[i] < 3)
            continue;
        close_between(next, (unsigned)keep[i] - 1);
        next = (unsigned)keep[i] + 1;
    }
    close_between(next, INT32_MAX);
}

/* False: the caller has gone. */
static bool answer(struct finder *finder, struct board *boards, int socket)
{
    struct request request;
    struct answer a = { 0 };
    struct board *board;
    ssize_t n = recv(socket, &request, sizeof(request), MSG_DONTWAIT);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n != sizeof(request) || request.board > 1)
        return false;
    board = &boards[request.board];
    a.serial = request.serial;
    a.result = finder_look(finder, board);
    if (a.result == 0)
        a.bytes = ((struct bulletin *)(void *)board->data)->bytes;
    return send(socket, &a, sizeof(a), MSG_NOSIGNAL) == sizeof(a);
}

static void serve(struct finder *finder, struct board *boards, int socket)
{
    struct pollfd fds[2] = { { .fd = socket, .events = POLLIN }, { .fd = finder_fd(finder), .events = POLLIN } };

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            finder_drop_ended(finder, boards); /* also before a look: nobody keeps a VM that has ended */
        if (fds[0].revents && !answer(finder, boards, socket))
            return;
    }
}

static void child(struct finder *finder, struct board *boards, int socket, pid_t parent, void (*prepare)(void *arg),
                  void *arg)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return; /* it has ended before that */
    set_signals();
    close_others(finder, boards, socket);
    finder_take_all(finder);
    if (finder_prepare(finder) < 0)
        return;
    if (prepare)
        prepare(arg);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user's process has lost it */
    serve(finder, boards, socket);
}

/* ---- the caller's side ---- */

int remote_start(struct finder *finder, struct board boards[2], void (*prepare)(void *arg), void *arg,
                 struct remote *ret)
{
    int sockets[2];
    pid_t self = getpid();
    pid_t pid;
    int r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    pid = fork();
    r = pid < 0 ? -errno : 0;
    if (pid == 0) {
        child(finder, boards, sockets[1], self, prepare, arg);
        _exit(0);
    }
    close(sockets[1]);
    if (r < 0) {
        close(sockets[0]);
        return r;
    }
    *ret = (struct remote){ .socket = sockets[0], .pid = pid };
    return 0;
}

/* The answer to the newest request, skipping none: there is one request at a time. */
static int receive(struct remote *remote, uint64_t end_ns, struct answer *ret)
{
    for (;;) {
        uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
        struct pollfd fd = { .fd = remote->socket, .events = POLLIN };
        ssize_t n;
        int r = poll(&fd, 1, now < end_ns ? (int)((end_ns - now) / 1000000) + 1 : 0);

        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0)
            return -ETIMEDOUT;
        n = recv(remote->socket, ret, sizeof(*ret), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n != sizeof(*ret))
            return -EPIPE;
        if (ret->serial == remote->serial) {
            remote->waiting = false;
            return 0;
        }
    }
}

int remote_look(struct remote *remote, uint32_t board, uint64_t *bytes)
{
    uint64_t end_ns = shm_clock_ns(CLOCK_MONOTONIC) + ANSWER_NS;
    struct request request = { .board = board };
    struct answer a;
    int r;

    /* An answer that comes late is of what was then, and nobody wants it any more. */
    r = remote->waiting ? receive(remote, end_ns, &a) : 0;
    if (r < 0)
        return r;
    request.serial = ++remote->serial;
    if (send(remote->socket, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(request))
        return -EPIPE;
    remote->waiting = true;
    r = receive(remote, end_ns, &a);
    if (r < 0)
        return r;
    if (a.result == 0)
        *bytes = a.bytes;
    return (int)a.result;
}

void remote_stop(struct remote *remote)
{
    if (remote->socket < 0)
        return;
    close(remote->socket); /* which ends it, unless it waits for the kernel: it ends with us, then */
    for (int ms = 0; waitpid(remote->pid, NULL, WNOHANG) == 0 && ms < END_MS; ms += 1 + ms / 4)
        poll(NULL, 0, 1 + ms / 4);
    remote->socket = -1;
}
