/* SPDX-License-Identifier: MIT */
/* What can still be done in the sandbox of the commands:
 *     sandbox_probe [--no-sandbox] [--remove | --serve | --host | --finder | --speaker] DIR ACTION [ARGUMENT]
 *
 * Enters it as a command does that looks for segments in DIR (with --host one that has somebody who looks at processes for
 * it; with --finder as that one does; with --speaker as one that talks to others for it), tries ACTION, and prints "done" or the error's name. Built a second time without
 * the system call filter, to see what Landlock alone denies. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/sandbox.h"

static int close_good(int fd) { return fd < 0 ? -1 : close(fd); }

static int try_read(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

    return close_good(fd) < 0 || n < 0 ? -1 : 0;
}

static int try_list(const char *path) { return close_good(open(path, O_RDONLY | O_DIRECTORY)); }
static int try_write(const char *path) { return close_good(open(path, O_WRONLY)); }
static int try_create(const char *path) { return close_good(open(path, O_RDWR | O_CREAT | O_EXCL, 0600)); }
static int try_unlink(const char *path) { return unlink(path); }
static int try_truncate(const char *path) { return truncate(path, 0); }
static int try_mkdir(const char *path) { return mkdir(path, 0700); }
static int try_chmod(const char *path) { return chmod(path, 0777); }
static int try_setuid(const char *uid) { return setuid((uid_t)atoi(uid)); }
static int try_signal(const char *pid) { return kill((pid_t)atoi(pid), 0); }
static int try_raise(const char *none) { return none ? -1 : raise(0); }
static int try_fork(const char *none)
{
    pid_t child = fork();

    (void)none;
    if (child == 0)
        _exit(0);
    return child < 0 ? -1 : waitpid(child, NULL, 0) < 0 ? -1 : 0;
}

static int try_rename(const char *path)
{
    char to[4096];

    snprintf(to, sizeof(to), "%s.renamed", path);
    return rename(path, to);
}

/* The flags lie behind a pointer: no filter sees them. */
static int try_openat2(const char *path)
{
    struct open_how how = { .flags = O_WRONLY };

    return close_good((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

static int try_exec(const char *path)
{
    char *argv[] = { strdup(path), NULL };

    return execve(path, argv, argv + 1);
}

static int try_ptrace(const char *pid) { return (int)ptrace(PTRACE_SEIZE, atoi(pid), NULL, NULL); }
static int try_socket(const char *none) { return none ? -1 : close_good(socket(AF_INET, SOCK_STREAM, 0)); }

static int try_bind(const char *none)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)none;
    return fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&any, sizeof(any));
}

static int try_abstract(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", name);
    return fd < 0 ? -1
                  : connect(fd, (const struct sockaddr *)&address,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}

static int try_code(const char *none)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)none;
    return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int try_code_anew(const char *none)
{
    (void)none;
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int try_code_written(const char *none)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)none;
    return p == MAP_FAILED ? -1 : 0;
}

static int try_resolve(const char *name)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;

    if (getaddrinfo(name, "80", &hints, &found) != 0)
        return -1;
    freeaddrinfo(found);
    return 0;
}

static void *nothing(void *arg) { return arg; }

static int try_thread(const char *none)
{
    pthread_t thread;

    (void)none;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno ? -1 : pthread_join(thread, NULL);
}

/* Standard output is a terminal: type something into it. */
static int try_type(const char *text) { return ioctl(STDOUT_FILENO, TIOCSTI, text); }

static int try_core(const char *none)
{
    struct rlimit limit;

    (void)none;
    return getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max != 0 ? -1 : 0;
}

static int try_readlink(const char *path)
{
    char to[4096];

    return readlink(path, to, sizeof(to)) < 0 ? -1 : 0;
}

/* The standard input of process pid, as a descriptor of ours. */
static int try_getfd(const char *pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);

    return pidfd < 0 ? -1 : close_good((int)syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int compare(const char *pid, int what)
{
    return syscall(SYS_kcmp, getpid(), atoi(pid), what, 0, 0) < 0 ? -1 : 0;
}

static int try_compare_files(const char *pid) { return compare(pid, KCMP_FILE); }
static int try_compare_memory(const char *pid) { return compare(pid, KCMP_VM); }

static int try_machine(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -1 : close_good(ioctl(fd, _IO(0xAE, 1), 0));
}

/* Made before the sandbox: a pair that is connected, and one that listens. */
static int talking[2];
static int listening;

static int try_talk(const char *none)
{
    char byte = 0;

    (void)none;
    return send(talking[0], &byte, 1, 0) < 0 || recv(talking[1], &byte, 1, 0) < 0 ? -1 : 0;
}

static int try_talk_to(const char *none)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    (void)none;
    return sendto(talking[0], "", 1, 0, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : 0;
}

static int try_accept(const char *none)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    (void)none;
    return fd >= 0 || errno == EAGAIN ? 0 : -1;
}

static int make_sockets(void)
{
    struct sockaddr_un any = { .sun_family = AF_UNIX };

    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, talking) || listening < 0 ||
           bind(listening, (const struct sockaddr *)&any, sizeof(any.sun_family)) || listen(listening, 1);
}

static const struct {
    const char *name;
    int (*run)(const char *argument);
} actions[] = {
    { "read", try_read },
    { "list", try_list },
    { "write", try_write },
    { "create", try_create },
    { "unlink", try_unlink },
    { "truncate", try_truncate },
    { "mkdir", try_mkdir },
    { "chmod", try_chmod },
    { "rename", try_rename },
    { "openat2", try_openat2 },
    { "exec", try_exec },
    { "ptrace", try_ptrace },
    { "socket", try_socket },
    { "bind", try_bind },
    { "abstract", try_abstract },
    { "code", try_code },
    { "type", try_type },
    { "signal", try_signal },
    { "code-anew", try_code_anew },
    { "code-written", try_code_written },
    { "resolve", try_resolve },
    { "thread", try_thread },
    { "setuid", try_setuid },
    { "fork", try_fork },
    { "raise", try_raise },
    { "no-core", try_core },
    { "readlink", try_readlink },
    { "getfd", try_getfd },
    { "compare-files", try_compare_files },
    { "compare-memory", try_compare_memory },
    { "machine", try_machine },
    { "talk", try_talk },
    { "talk-to", try_talk_to },
    { "accept", try_accept },
};

int main(int argc, char **argv)
{
    struct options common = { 0 };
    unsigned flags = 0;
    int finder = 0, speaker = 0;
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        common.no_sandbox |= strcmp(argv[at], "--no-sandbox") == 0;
        flags |= strcmp(argv[at], "--remove") == 0 ? SANDBOX_REMOVE : 0;
        flags |= strcmp(argv[at], "--serve") == 0 ? SANDBOX_SERVE : 0;
        finder |= strcmp(argv[at], "--finder") == 0;
        speaker |= strcmp(argv[at], "--speaker") == 0;
        if (strcmp(argv[at], "--host") == 0)
            common.host = (struct vmt_host *)&common; /* that there is one is all that counts */
    }
    if (argc - at < 2 || make_sockets())
        return 2;
    common.dir = argv[at];
    if (finder)
        sandbox_enter_finder(&common);
    else if (speaker)
        sandbox_enter_speaker(&common);
    else
        sandbox_enter(&common, NULL, 0, flags);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].name, argv[at + 1]) != 0)
            continue;
        puts(actions[i].run(argv[at + 2]) == 0 ? "done" : strerrorname_np(errno));
        return 0;
    }
    puts(strcmp(argv[at + 1], "text") == 0 ? sandbox_text() : "no such action");
    return 0;
}
