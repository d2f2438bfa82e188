/* SPDX-License-Identifier: MIT */
/* Four layers, each of use where another is missing: no new privileges; no capability but those that reading takes; of
 * the file system what Landlock is told; of the system calls what the filter lets through. */
#include "sandbox.h"

#include <asm/termbits.h> /* not <termios.h>: what ioctl() takes is the kernel's */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "segment.h"
#include "shm/file.h"

/* A build whose tools do in our process what the sandbox forbids: -DSANDBOX_NO_FILTER (sanitizers: other system calls),
 * -DSANDBOX_NONE (coverage: writes its profile at the end). */
#ifdef SANDBOX_NO_FILTER
#define WITH_FILTER 0
#else
#define WITH_FILTER 1
#endif
#ifdef SANDBOX_NONE
#define WITH_ANY 0
#else
#define WITH_ANY 1
#endif

static struct {
    int landlock;
    int filter;
} in_force;

const char *sandbox_text(void)
{
    if (in_force.landlock)
        return in_force.filter ? "Landlock and seccomp" : "Landlock";
    return in_force.filter ? "seccomp" : "none";
}

/* ---- capabilities ---- */

/* A root that reads segments of others needs one of these two. */
static uint32_t to_read(void)
{
    const uint32_t search = 1U << CAP_DAC_READ_SEARCH;
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

    syscall(SYS_capget, &header, data);
    return data[0].permitted & search ? search : 1U << CAP_DAC_OVERRIDE;
}

/* All but these; ambient ones go with the inheritable. */
static void drop_capabilities(uint32_t keep)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0)
        return;
    data[0].permitted &= keep;
    data[0].effective &= keep;
    data[0].inheritable = 0;
    memset(&data[1], 0, sizeof(data[1]));
    syscall(SYS_capset, &header, data);
}

/* ---- Landlock ---- */

/* Debian 12's <linux/landlock.h> ends with version 2 of the interface. */
#define FS_ALL_1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)     /* version 2 */
#define FS_TRUNCATE (1ULL << 14)  /* 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define NET_ALL 3ULL              /* 4: bind and connect TCP */
#define SCOPE_ALL 3ULL            /* 6: abstract Unix sockets, signals */

/* struct landlock_ruleset_attr, as far as it goes by now. */
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

/* What is denied, of all that this version of the interface knows, unless a rule allows it. */
static int ruleset_new(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset r = { .fs = FS_ALL_1 };
    size_t size = version >= 6 ? sizeof(r) : version >= 4 ? offsetof(struct ruleset, scoped) : sizeof(r.fs);

    if (version < 1)
        return -1;
    r.fs |= version >= 2 ? FS_REFER : 0;
    r.fs |= version >= 3 ? FS_TRUNCATE : 0;
    r.net = version >= 4 ? NET_ALL : 0;
    r.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
    r.scoped = version >= 6 ? SCOPE_ALL : 0;
    return (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
}

/* A handle of path, or of the nearest directory above it that is there. */
static int open_nearest(const char *path)
{
    char buf[PATH_MAX];
    char *at = buf;

    if (strlen(path) >= sizeof(buf))
        return -1;
    memcpy(buf, path, strlen(path) + 1);
    for (;;) {
        int fd = open(at, O_PATH | O_CLOEXEC);

        if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR) || !strcmp(at, "/") || !strcmp(at, "."))
            return fd;
        at = dirname(at);
    }
}

/* Without a handle there is no permission either: nothing to allow. */
static void allow(int ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = open_nearest(path) };
    struct stat st;

    if (rule.parent_fd < 0)
        return;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

static void allow_parent(int ruleset, const char *path, uint64_t access)
{
    char buf[PATH_MAX];

    if (strlen(path) >= sizeof(buf))
        return; /* nobody can open it */
    memcpy(buf, path, strlen(path) + 1);
    allow(ruleset, dirname(buf), access);
}

static void allow_segments(int ruleset, const struct options *common, char *const *names, size_t count, unsigned flags)
{
    uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    char dirs[SHM_DIRS_MAX][PATH_MAX];
    size_t paths = 0;
    size_t n;

    if (flags & SANDBOX_REMOVE)
        access |= LANDLOCK_ACCESS_FS_REMOVE_FILE;
    for (size_t i = 0; i < count; i++) {
        if (!(flags & SANDBOX_ALL_PATHS) && !strchr(names[i], '/'))
            continue;
        paths++;
        if (!segment_process(names[i])) /* of which nothing is read any more */
            allow_parent(ruleset, names[i], access);
    }
    if (count && paths == count)
        return;
    n = common->dir ? 0 : shm_dirs(dirs);
    if (common->dir)
        allow(ruleset, common->dir, access);
    for (size_t i = 0; i < n; i++)
        allow(ruleset, dirs[i], access);
}

static int enter_landlock(const struct options *common, char *const *names, size_t count, unsigned flags)
{
    int ruleset = ruleset_new();
    int r;

    if (ruleset < 0)
        return 0;
    allow_segments(ruleset, common, names, count, flags);
    allow(ruleset, "/proc/loadavg", LANDLOCK_ACCESS_FS_READ_FILE);                  /* getloadavg(), once */
    allow(ruleset, "/sys/devices/system/cpu/online", LANDLOCK_ACCESS_FS_READ_FILE); /* sysconf() */
    r = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return r == 0;
}

/* ---- seccomp ---- */

/* What is on neither list is answered with ENOSYS, as by an older kernel: the C library then does without, or a call
 * fails, and nobody's view ends because a library got a new habit. */
static const int allowed[] = {
    /* files that are open, or are found */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
    SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(stat64),
    SCMP_SYS(lstat64), SCMP_SYS(fstat64), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(statfs),
    SCMP_SYS(fstatfs), SCMP_SYS(fstatfs64), SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(flock),
    /* memory; mapping it is below */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(futex_time64),
    /* signals to ourselves, and waiting */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64),
    SCMP_SYS(select), SCMP_SYS(_newselect), SCMP_SYS(pselect6), SCMP_SYS(pselect6_time64), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(wait4),
    /* what time it is, who we are */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrandom),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(sysinfo),
    /* the end */
    SCMP_SYS(exit), SCMP_SYS(exit_group)
};

/* No way leads there but one that somebody else wrote: the process ends at once, and can't try another. */
static const int deadly[] = { SCMP_SYS(execve),
                              SCMP_SYS(execveat),
                              SCMP_SYS(ptrace),
                              SCMP_SYS(process_vm_readv),
                              SCMP_SYS(process_vm_writev),
                              SCMP_SYS(socket),
                              SCMP_SYS(socketpair),
                              SCMP_SYS(open_by_handle_at),
                              SCMP_SYS(mount),
                              SCMP_SYS(umount2),
                              SCMP_SYS(pivot_root),
                              SCMP_SYS(chroot),
                              SCMP_SYS(setns),
                              SCMP_SYS(unshare),
                              SCMP_SYS(init_module),
                              SCMP_SYS(finit_module),
                              SCMP_SYS(kexec_load),
                              SCMP_SYS(bpf),
                              SCMP_SYS(io_uring_setup),
                              SCMP_SYS(userfaultfd) };

/* What the speaker does without, too: it starts nothing and looks at nobody. All else it may call, as libraries that resolve
 * names, speak TLS and serve HTTP do what they do. */
static const int deadly_speaker[] = { SCMP_SYS(kcmp),          SCMP_SYS(pidfd_getfd),    SCMP_SYS(kexec_file_load),
                                      SCMP_SYS(swapon),        SCMP_SYS(reboot),         SCMP_SYS(acct),
                                      SCMP_SYS(delete_module), SCMP_SYS(perf_event_open) };

/* Beside the first list, for who looks at other processes and tells what it found. */
static const int allowed_finder[] = { SCMP_SYS(readlink),    SCMP_SYS(readlinkat), SCMP_SYS(pidfd_open),
                                      SCMP_SYS(pidfd_getfd), SCMP_SYS(epoll_ctl),  SCMP_SYS(epoll_wait),
                                      SCMP_SYS(epoll_pwait), SCMP_SYS(ftruncate),  SCMP_SYS(ftruncate64) };

/* Beside the first list, for a server. */
static const int allowed_serve[] = { SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown) };

#define WRITES ((scmp_datum_t)(O_ACCMODE | O_CREAT | O_TRUNC))
#define STATMOUNT 457 /* on all machines; newer than the names that libseccomp has here */
#define EQUALS(argument, value) SCMP_CMP64(argument, SCMP_CMP_EQ, value, 0)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Which terminal settings there are, and how large it is; nothing that puts characters into somebody's input. */
static int add_ioctls(scmp_filter_ctx c)
{
    static const unsigned long requests[] = { TCGETS,    TCSETS,  TCSETSW,  TCSETSF,  TCFLSH,
#ifdef TCGETS2 /* C libraries from 2025 on */
                                              TCGETS2,   TCSETS2, TCSETSW2, TCSETSF2,
#endif
                                              TIOCGWINSZ };
    int r = 0;

    for (size_t i = 0; i < COUNT(requests); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, EQUALS(1, requests[i]));
    return r;
}

static int add_fcntls(scmp_filter_ctx c)
{
    static const int commands[] = { F_GETFD, F_SETFD, F_GETFL, F_OFD_GETLK, F_OFD_SETLK };
    static const int calls[] = { SCMP_SYS(fcntl), SCMP_SYS(fcntl64) };
    int r = 0;

    for (size_t k = 0; k < COUNT(calls); k++) {
        for (size_t i = 0; i < COUNT(commands); i++)
            r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, calls[k], 1, EQUALS(1, (scmp_datum_t)commands[i]));
    }
    return r;
}

static int add_list(scmp_filter_ctx c, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; i < count; i++)
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

/* Through a socket that is open and connected: to no other address. */
static int add_talk(scmp_filter_ctx c)
{
    return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, EQUALS(4, 0)) |
           seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(recvfrom), 1, EQUALS(4, 0)) |
           seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(send), 0) |
           seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(recv), 0);
}

/* What everybody may. */
static int add_basis(scmp_filter_ctx c)
{
    const scmp_datum_t self = (scmp_datum_t)getpid();
    int r = add_ioctls(c) | add_fcntls(c) | add_list(c, allowed, COUNT(allowed));

    for (size_t i = 0; i < COUNT(deadly); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    /* Only to read. */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, WRITES, 0));
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, WRITES, 0));
    for (int i = 0; i < 2; i++) /* no new code */
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, i ? SCMP_SYS(mmap) : SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap2), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, STATMOUNT, 0); /* what lies behind a directory, without asking it */
    /* Limits may be asked for; raise() and abort() are signals to ourselves. */
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, EQUALS(0, 0), EQUALS(2, 0));
    r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, EQUALS(0, self));
    return r;
}

static int add_reader(scmp_filter_ctx c, const struct options *common, unsigned flags)
{
    int r = 0;

    /* Its flags lie behind a pointer, where a filter can't look: Landlock must deny writing. */
    if (in_force.landlock)
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(openat2), 0);
    if (common->host || flags & SANDBOX_SERVE)
        r |= add_talk(c);
    if (flags & SANDBOX_SERVE)
        r |= add_list(c, allowed_serve, COUNT(allowed_serve));
    if (flags & SANDBOX_REMOVE) {
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(unlink), 0);
        r |= seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(unlinkat), 1, EQUALS(2, 0));
    }
    return r;
}

static int add_finder(scmp_filter_ctx c)
{
    return add_talk(c) | add_list(c, allowed_finder, COUNT(allowed_finder)) |
           seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(kcmp), 1, EQUALS(2, KCMP_FILE));
}

/* Nothing but what no library does. */
static int add_speaker(scmp_filter_ctx c)
{
    static const int kinds[] = { SCMP_SYS(mmap), SCMP_SYS(mmap2) };
    const scmp_datum_t write_exec = PROT_WRITE | PROT_EXEC;
    int r = 0;

    for (size_t i = 0; i < COUNT(deadly); i++) {
        if (deadly[i] != SCMP_SYS(socket) && deadly[i] != SCMP_SYS(socketpair))
            r |= seccomp_rule_add(c, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    }
    for (size_t i = 0; i < COUNT(deadly_speaker); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_KILL_PROCESS, deadly_speaker[i], 0);
    /* Modules of the resolver are mapped from files; what was written never becomes code. */
    for (size_t i = 0; i < COUNT(kinds); i++)
        r |= seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), kinds[i], 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, write_exec, write_exec));
    r |= seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    return r | seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(pkey_mprotect), 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
}

/* Instead of the flags of a reader. */
#define FINDER (~0U)
#define SPEAKER (~1U)

static int enter_filter(const struct options *common, unsigned flags)
{
    scmp_filter_ctx c = seccomp_init(flags == SPEAKER ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
    int r;

    if (!c)
        return 0;
    seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: a list would be walked at each call */
    if (flags == SPEAKER)
        r = add_speaker(c);
    else
        r = add_basis(c) | (flags == FINDER ? add_finder(c) : add_reader(c, common, flags));
    if (r == 0)
        r = seccomp_load(c);
    seccomp_release(c);
    return r == 0;
}

/* ---- all of it ---- */

/* What goes in any case. Whether the rest can follow. */
static int give_up(uint32_t capabilities)
{
    const struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none); /* a file that a crash would write */
    drop_capabilities(capabilities);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

void sandbox_enter(const struct options *common, char *const *names, size_t count, unsigned flags)
{
    const uint32_t removing = 1U << CAP_DAC_READ_SEARCH | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER;

    if (!WITH_ANY || common->no_sandbox || !give_up(to_read() | (flags & SANDBOX_REMOVE ? removing : 0)))
        return;
    in_force.landlock = enter_landlock(common, names, count, flags);
    in_force.filter = WITH_FILTER && enter_filter(common, flags);
}

void sandbox_enter_finder(const struct options *common)
{
    if (!WITH_ANY || common->no_sandbox || !give_up(to_read() | 1U << CAP_SYS_PTRACE))
        return;
    in_force.filter = WITH_FILTER && enter_filter(common, FINDER);
}

void sandbox_enter_speaker(const struct options *common)
{
    /* A root is expected to reach the socket or the log of another user that it was told. */
    const uint32_t keep = geteuid() == 0 ? 1U << CAP_DAC_OVERRIDE : 0;

    if (!WITH_ANY || common->no_sandbox || !give_up(keep))
        return;
    in_force.filter = WITH_FILTER && enter_filter(common, SPEAKER);
}
