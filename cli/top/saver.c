/* SPDX-License-Identifier: MIT */
#include "cli/top/saver.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/message.h"

#define WAIT_MS 1000 /* a home on a server that does not answer */
#define END_NAPS 100

struct reply {
    uint32_t number;
    int32_t error;
};

/* ---- the file ---- */

/* Where somebody else can swap directories or links, root could be led anywhere. */
static int trusted(const char *path)
{
    char buf[PATH_MAX];
    char *at = buf;
    struct stat st;

    if (geteuid() != 0)
        return 0;
    snprintf(buf, sizeof(buf), "%s", path);
    for (;;) {
        if (stat(at, &st) < 0)
            return -errno;
        if (st.st_uid != 0 || (st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)))
            return -EPERM;
        if (!strcmp(at, "/"))
            return 0;
        at = dirname(at);
    }
}

/* The directory and all above it, where they are missing; its path without links into resolved (PATH_MAX bytes). */
static int make_directory(const char *path, char *resolved)
{
    char there[PATH_MAX]; /* as much of path as is there already */
    const char *missing;
    struct stat st;
    size_t n;
    int r;

    snprintf(there, sizeof(there), "%s", path);
    while (!realpath(there, resolved)) {
        if (errno != ENOENT || !strcmp(there, "/"))
            return -errno;
        *strrchr(there, '/') = '\0';
        if (!there[0])
            strcpy(there, "/");
    }
    r = trusted(resolved);
    for (missing = path + strlen(there); r == 0 && *missing; missing += n) {
        missing += strspn(missing, "/");
        n = strcspn(missing, "/");
        if (strlen(resolved) + n + 2 > PATH_MAX)
            return -ENAMETOOLONG;
        if (strcmp(resolved, "/") != 0)
            strcat(resolved, "/");
        strncat(resolved, missing, n);
        if (mkdir(resolved, 0700) < 0 && (errno != EEXIST || stat(resolved, &st) < 0))
            return -errno;
    }
    return r;
}

/* The file to be written, behind links, into target (PATH_MAX bytes), and the mode that it has or shall have. */
static int find_target(const char *path, char *target, mode_t *mode)
{
    char buf[PATH_MAX];
    struct stat st;
    size_t n;
    int r;

    if (path[0] != '/' || strlen(path) >= sizeof(buf))
        return -ENAMETOOLONG;
    snprintf(buf, sizeof(buf), "%s", path);
    r = make_directory(dirname(buf), target);
    if (r < 0)
        return r;
    n = strcmp(target, "/") ? strlen(target) : 0;
    if (n + strlen(strrchr(path, '/')) + sizeof(".XXXXXX") > PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(target + n, strrchr(path, '/'));
    if (lstat(target, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    snprintf(buf, sizeof(buf), "%s", target);
    if (!realpath(buf, target) || stat(target, &st) < 0 || faccessat(AT_FDCWD, target, W_OK, AT_EACCESS) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    *mode = st.st_mode & 0777;
    return strlen(target) + sizeof(".XXXXXX") > PATH_MAX ? -ENAMETOOLONG : trusted(target);
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* As message_printable() would have it, but for ends of lines. */
static int is_text(const char *text, size_t size)
{
    static char plain[SAVER_BYTES + 1];
    static char clean[SAVER_BYTES + 1];

    memcpy(plain, text, size);
    plain[size] = '\0';
    for (size_t i = 0; i < size; i++) {
        if (plain[i] == '\n')
            plain[i] = ' ';
    }
    return strlen(plain) == size && !strcmp(message_printable(plain, clean, sizeof(clean)), plain);
}

int saver_write(const char *path, const char *text, size_t size)
{
    char target[PATH_MAX];
    char beside[PATH_MAX + 8];
    mode_t mode = 0600;
    int fd;
    int r;

    if (size > SAVER_BYTES)
        return -EFBIG;
    if (!is_text(text, size))
        return -EILSEQ;
    r = find_target(path, target, &mode);
    if (r < 0)
        return r;
    snprintf(beside, sizeof(beside), "%s.XXXXXX", target);
    fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = write_all(fd, text, size);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(beside, target) < 0)
        r = -errno;
    if (r < 0)
        unlink(beside);
    return r;
}

/* ---- the process ---- */

/* Nothing of kvmtop's but the one descriptor, not its terminal either: neither keys nor a hangup reach it. */
static void leave_all(int *fd)
{
    int high = fcntl(*fd, F_DUPFD, STDERR_FILENO + 2); /* out of the way of what follows */
    int null = open("/dev/null", O_RDWR);

    signal(SIGXFSZ, SIG_IGN);
    prctl(PR_SET_NAME, "kvmtop-saver");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setsid();
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        if (null < 0 || dup2(null, i) < 0)
            close(i);
    }
    *fd = dup2(high, STDERR_FILENO + 1);
    closefrom(STDERR_FILENO + 2);
    if (chdir("/") < 0) /* keeps what is mounted here busy: no reason to end */
        return;
}

static _Noreturn void serve(int fd, const char *path)
{
    static char text[SAVER_BYTES + 1]; /* one more: a longer one is noticed */

    leave_all(&fd);
    for (;;) {
        struct reply reply = { 0 };
        const struct iovec parts[] = { { &reply.number, sizeof(reply.number) }, { text, sizeof(text) } };
        ssize_t n = readv(fd, parts, 2);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < (ssize_t)sizeof(reply.number))
            _exit(0);
        reply.error = saver_write(path, text, (size_t)n - sizeof(reply.number));
        if (write(fd, &reply, sizeof(reply)) != sizeof(reply))
            _exit(0);
    }
}

void saver_start(struct saver *saver, const char *path)
{
    int fds[2];
    pid_t child;

    *saver = (struct saver){ .path = path ? strdup(path) : NULL, .fd = -1, .error = -ENOENT };
    if (!saver->path)
        return;
    saver->error = -ECHILD;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return;
    signal(SIGPIPE, SIG_IGN);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        serve(fds[1], saver->path);
    }
    close(fds[1]);
    if (child < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        close(fds[0]);
    else {
        saver->fd = fds[0];
        saver->child = child;
    }
}

/* It ends once nobody can ask it any more; only where the file system does not answer it is left behind. */
static void wait_for_end(pid_t child)
{
    const struct timespec nap = { .tv_nsec = 2000000 };

    for (int i = 0; i < END_NAPS && waitpid(child, NULL, WNOHANG) == 0; i++)
        nanosleep(&nap, NULL);
}

void saver_end(struct saver *saver)
{
    if (saver->fd >= 0) {
        close(saver->fd);
        wait_for_end(saver->child);
    }
    free(saver->path);
    *saver = (struct saver){ .fd = -1, .error = -EPIPE };
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until it can be read or written: 0, or negative errno. */
static int wait_for(int fd, short events, int64_t until_ms)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int64_t left = until_ms - now_ms();
        int r = left > 0 ? poll(&p, 1, (int)left) : 0;

        if (r > 0)
            return 0;
        if (r == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

/* Replies to what was given up before are passed over. */
static int ask(struct saver *saver, const char *text, size_t size)
{
    uint32_t number = ++saver->number;
    const struct iovec parts[] = { { &number, sizeof(number) }, { (char *)text, size } };
    int64_t until_ms = now_ms() + WAIT_MS;
    struct reply reply;
    int r = wait_for(saver->fd, POLLOUT, until_ms);

    if (r == 0 && writev(saver->fd, parts, 2) < 0)
        r = -errno;
    while (r == 0) {
        r = wait_for(saver->fd, POLLIN, until_ms);
        if (r == 0 && read(saver->fd, &reply, sizeof(reply)) != sizeof(reply))
            r = -EPIPE;
        if (r == 0 && reply.number == number)
            return reply.error;
    }
    return r;
}

static const struct {
    int error;
    const char *reason;
} reasons[] = {
    { EACCES, "permission denied" },
    { EPERM, "root writes no settings where others own the directories; set HOME or XDG_CONFIG_HOME" },
    { ENOENT, "it or its directory is a symbolic link to what is not there" },
    { ECHILD, "the process that writes settings could not be started" },
    { EPIPE, "the process that writes settings has ended; start kvmtop again" },
    { EAGAIN, "the file system does not answer" },
    { ETIMEDOUT, "the file system does not answer" },
    { EISDIR, "a directory" },
};

static const char *reason_of(int error, char *buf, size_t size)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].error == -error)
            return reasons[i].reason;
    }
    return message_reason(error, buf, size);
}

int saver_save(struct saver *saver, const char *text, char *why, size_t why_size)
{
    char name[PATH_MAX];
    char buf[256];
    int r;

    if (!saver->path) {
        snprintf(why, why_size, "settings have no place: set HOME or XDG_CONFIG_HOME");
        return -ENOENT;
    }
    r = saver->fd < 0 ? saver->error : ask(saver, text, strlen(text));
    if (r < 0)
        snprintf(why, why_size, "Not saved: %s: %s", reason_of(r, buf, sizeof(buf)),
                 message_printable(saver->path, name, sizeof(name)));
    return r;
}
