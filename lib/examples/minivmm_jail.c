/* SPDX-License-Identifier: MIT */
#include "minivmm_jail.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

int jail_enter(void)
{
    char dir[] = "/tmp/minivmm-jail.XXXXXX";
    int r;

    /* The root directory is removed before it is entered: nothing is left behind, and nothing can ever be made in it. */
    if (!mkdtemp(dir) || chdir(dir) < 0 || rmdir(dir) < 0) {
        r = -errno;
        warn("--jail: can't make an empty root directory %s", dir);
        return r;
    }
    if (chroot(".") < 0 || chdir("/") < 0) {
        r = -errno;
        warn("--jail: can't change the root directory (this needs root)");
        return r;
    }
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        r = -errno;
        warn("--jail: can't become user %d", NOBODY);
        return r;
    }
    return 0;
}

#define ANY 0xffffffffU

/* One call, or one call with one value of one argument. */
struct rule {
    int call;
    unsigned argument;
    uint64_t value;
};

/* vmtally's cold calls in jail mode: nothing but these (vmtally(3)). */
static const struct rule library_rules[] = {
    { SCMP_SYS(futex), 1, FUTEX_WAIT_PRIVATE },
    { SCMP_SYS(futex), 1, FUTEX_WAKE_PRIVATE },
};

/* vmt_kvm_add() of what was added before, vmt_kvm_sample(), and vmt_source_remove() of such a source. */
static const struct rule kernel_rules[] = {
    { SCMP_SYS(ioctl), 1, KVM_GET_STATS_FD },
    { SCMP_SYS(fcntl), 1, F_SETFD },
    { SCMP_SYS(pread64), ANY, 0 },
    { SCMP_SYS(close), ANY, 0 },
};

/* The VMM's own business. */
static const struct rule vmm_rules[] = {
    /* the guest */
    { SCMP_SYS(ioctl), 1, KVM_RUN },
#ifdef __x86_64__
    { SCMP_SYS(ioctl), 1, KVM_SET_SREGS }, /* a vCPU that is plugged starts anew */
    { SCMP_SYS(ioctl), 1, KVM_SET_REGS },
#endif
    /* the threads: condition variables with a time, joins */
    { SCMP_SYS(futex), 1, FUTEX_WAIT_BITSET_PRIVATE },
    { SCMP_SYS(futex), 1, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME },
    { SCMP_SYS(futex), 1, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME },
    { SCMP_SYS(futex), 1, FUTEX_WAIT },
    { SCMP_SYS(restart_syscall), ANY, 0 }, /* a wait goes on after SIGCONT */
    /* kicking a vCPU's thread out of KVM_RUN, as pthread_kill() does it */
    { SCMP_SYS(getpid), ANY, 0 },
    { SCMP_SYS(tgkill), ANY, 0 },
    { SCMP_SYS(rt_sigprocmask), ANY, 0 },
    { SCMP_SYS(rt_sigreturn), ANY, 0 },
    /* the main thread's sleep, ended by SIGINT and SIGTERM */
    { SCMP_SYS(rt_sigtimedwait), ANY, 0 },
    /* the time, where the vDSO can't tell it */
    { SCMP_SYS(clock_gettime), ANY, 0 },
    /* what is to be said */
    { SCMP_SYS(write), 0, STDOUT_FILENO },
    { SCMP_SYS(write), 0, STDERR_FILENO },
    /* the end: threads give back their stacks, the segment and the guest their memory */
    { SCMP_SYS(exit), ANY, 0 },
    { SCMP_SYS(madvise), ANY, 0 },
    { SCMP_SYS(munmap), ANY, 0 },
    { SCMP_SYS(close), ANY, 0 },
    { SCMP_SYS(exit_group), ANY, 0 },
};

static int add_rules(scmp_filter_ctx filter, const struct rule *rules, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = rules[i].argument == ANY ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, rules[i].call, 0)
                                     : seccomp_rule_add(filter, SCMP_ACT_ALLOW, rules[i].call, 1,
                                                        SCMP_CMP(rules[i].argument, SCMP_CMP_EQ, rules[i].value, 0));
    return r;
}

int jail_close(int disk_fd, bool kernel)
{
    const struct rule disk_rules[] = {
        { SCMP_SYS(pread64), 0, (uint64_t)disk_fd },
        { SCMP_SYS(pwrite64), 0, (uint64_t)disk_fd },
        { SCMP_SYS(fdatasync), 0, (uint64_t)disk_fd },
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int r;

    if (!filter)
        return -ENOMEM;
    r = add_rules(filter, library_rules, sizeof(library_rules) / sizeof(library_rules[0]));
    if (r == 0 && kernel)
        r = add_rules(filter, kernel_rules, sizeof(kernel_rules) / sizeof(kernel_rules[0]));
    if (r == 0)
        r = add_rules(filter, vmm_rules, sizeof(vmm_rules) / sizeof(vmm_rules[0]));
    if (r == 0)
        r = add_rules(filter, disk_rules, sizeof(disk_rules) / sizeof(disk_rules[0]));
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r < 0)
        warnx("--jail: can't install the seccomp filter: %s", strerror(-r));
    return r;
}
