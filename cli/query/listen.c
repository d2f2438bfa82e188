/* SPDX-License-Identifier: MIT */
#include "cli/query/listen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/message.h"

#define BACKLOG 32

static int say(const char *path, const char *what)
{
    message_error("%s: %s", path, what);
    return -1;
}

static int say_error(const char *path, int error)
{
    char reason[256];

    return say(path, strerror_r(error, reason, sizeof(reason)));
}

static int new_socket(void) { return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

/* ---- the name ---- */

/* Whether nobody listens on it any more: 1, 0, or -1 after a message. */
static int is_left(const struct sockaddr_un *address)
{
    int fd = new_socket();
    int r = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = r < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    if (error == ECONNREFUSED)
        return 1;
    if (error == 0 || error == EAGAIN || error == EPROTOTYPE) /* accepted, many wait, of another kind */
        return 0;
    return say_error(address->sun_path, error);
}

/* Remove what is in the way, if it is a socket that somebody left. 0, or -1 after a message. */
static int clear_name(const struct sockaddr_un *address)
{
    const char *path = address->sun_path;
    struct stat before, now;
    int left;

    if (lstat(path, &before) < 0)
        return errno == ENOENT ? 0 : say_error(path, errno);
    if (!S_ISSOCK(before.st_mode))
        return say(path, "is there already, and is no socket; name another file");
    left = is_left(address);
    if (left < 0)
        return -1;
    if (!left)
        return say(path, "somebody listens on it already; end that, or name another file");
    if (lstat(path, &now) < 0 || now.st_ino != before.st_ino || now.st_dev != before.st_dev)
        return say(path, "replaced meanwhile; try again");
    return unlink(path) < 0 ? say_error(path, errno) : 0;
}

static int bind_as(int fd, const struct sockaddr_un *address)
{
    mode_t mask = umask(0177);
    int r = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = errno;

    umask(mask);
    errno = error;
    return r;
}

int listener_open(const char *path, struct listener *ret)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct listener l = { .path = path };

    if (strlen(path) >= sizeof(address.sun_path)) {
        message_error("%s: the name of a socket has at most %zu bytes", path, sizeof(address.sun_path) - 1);
        return -1;
    }
    strcpy(address.sun_path, path);
    if (clear_name(&address))
        return -1;
    l.fd = new_socket();
    if (l.fd < 0)
        return say_error(path, errno);
    if (bind_as(l.fd, &address) == 0) {
        if (lstat(path, &l.file) == 0 && listen(l.fd, BACKLOG) == 0) {
            *ret = l;
            return 0;
        }
        unlink(path);
    }
    say_error(path, errno);
    close(l.fd);
    return -1;
}

/* ---- the process that outlives ---- */

static void remove_name(const struct listener *l)
{
    struct stat st;

    if (lstat(l->path, &st) == 0 && st.st_ino == l->file.st_ino && st.st_dev == l->file.st_dev)
        unlink(l->path);
}

void listener_close(struct listener *listener)
{
    close(listener->fd);
    remove_name(listener);
}

static int status_of(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    message_error("the process that answers was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    return 1;
}

/* Signals wait until they are asked for here: none is lost. */
static int wait_for_end(pid_t child, const sigset_t *signals)
{
    int status, signal;

    for (;;) {
        pid_t r = waitpid(child, &status, WNOHANG);

        if (r == child)
            return status_of(status);
        if (r < 0 && errno != EINTR)
            return 1;
        signal = sigwaitinfo(signals, NULL);
        if (signal > 0 && signal != SIGCHLD)
            kill(child, SIGTERM);
    }
}

int listener_run(struct listener *listener, int (*serve)(void *arg, int fd), void *arg)
{
    sigset_t signals, before;
    pid_t child;
    int status = 1;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, &before);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        _exit(message_finish(serve(arg, listener->fd)));
    }
    close(listener->fd);
    if (child > 0)
        status = wait_for_end(child, &signals);
    else
        say_error(listener->path, errno);
    remove_name(listener);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}
