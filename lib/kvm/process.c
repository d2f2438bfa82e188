/* SPDX-License-Identifier: MIT */
/* Looking into one process: which of its descriptors are KVM's, and whether they still are. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kvm/finder.h"

#define ARGUMENTS_MAX 65536
#define HELD_MAX 16384U /* statistics fds of a process: four times as many as a VM may have vCPUs */
#define AGAIN_LOOKS 8U  /* a known process is gone through at least that often */

/* ---- its pidfd ---- */

/* Where another proc file system was given, its numbers may be those of another PID namespace: then what a pidfd is of is
 * seen there, if we stand in it ourselves. */
static bool pidfd_is_of(const struct finder *finder, int pidfd, uint32_t pid)
{
    char path[64], text[512];
    const char *at;
    ssize_t n;
    int fd;

    if (!finder->given)
        return true;
    snprintf(path, sizeof(path), "self/fdinfo/%d", pidfd);
    fd = openat(finder->proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return faccessat(finder->proc, "self", F_OK, AT_SYMLINK_NOFOLLOW) < 0; /* it is no such file system at all */
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "Pid:\t");
    return at && strtoul(at + 5, NULL, 10) == pid;
}

/* -1: it can't be had; *gone: because there is no such process any more. */
static int open_pidfd(const struct finder *finder, const struct process *process, bool *gone)
{
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);

    *gone = fd < 0 && errno == ESRCH && !finder->given;
    if (fd < 0)
        return -1;
    /* From here on it can't become another one; until here it may have. */
    *gone = proc_start(finder->proc_path, process->pid) != process->start;
    if (!*gone && pidfd_is_of(finder, fd, process->pid))
        return fd;
    close(fd);
    return -1;
}

bool process_begin(struct finder *finder, struct process *process)
{
    bool gone;

    if (process->pidfd >= 0)
        return true;
    process->pidfd = open_pidfd(finder, process, &gone);
    process->passing = process->pidfd < 0 || finder_crowded(finder, process->pidfd);
    if (!process->passing) {
        struct epoll_event e = { .events = EPOLLIN, .data.u64 = process->pid };

        process->passing = epoll_ctl(finder->epoll, EPOLL_CTL_ADD, process->pidfd, &e) < 0;
    }
    return !gone;
}

void process_end(struct process *process)
{
    if (!process->passing || process->pidfd < 0)
        return;
    close(process->pidfd);
    process->pidfd = -1;
}

/* ---- what is of whom ---- */

/* A child that was forked, and has its parent's VM too: it can do nothing with it. */
static bool inherited(struct finder *finder, const struct process *process, const struct proc_link *link)
{
    const struct known *parent = finder_known(finder, process->who.parent);
    const struct proc_link *links;

    if (finder->given || !parent || !parent->process || parent->process == process)
        return false;
    links = parent->process->links.data;
    for (size_t i = 0; i < parent->process->links.used; i++) {
        if (links[i].fd == link->fd && links[i].kind == link->kind)
            return syscall(SYS_kcmp, process->pid, process->who.parent, KCMP_FILE, link->fd, link->fd) == 0;
    }
    return false;
}

/* Holds no VM, and runs none: who has statistics fds only reads them, as we do. */
static bool has_vm(struct finder *finder, const struct process *process)
{
    const struct proc_link *links = process->links.data;

    for (size_t i = 0; i < process->links.used; i++) {
        if (links[i].kind == PROC_VM || links[i].kind == PROC_VCPU)
            return !inherited(finder, process, &links[i]);
    }
    return false;
}

/* Where this very process has VMs: not what it has duplicated. */
static bool is_ours(const struct finder *finder, int32_t fd)
{
    const struct known *known = finder->known.data;

    for (size_t i = 0; i < finder->known.used; i++) {
        const struct process *p = known[i].process;
        const struct held *held = p ? p->held.data : NULL;

        for (size_t k = 0; p && k < p->held.used; k++) {
            if (held[k].ours == fd)
                return true;
        }
    }
    return false;
}

/* The kernel's order of the files behind them: the same file is neighbour of itself. */
static int by_file(const void *a, const void *b, void *pid)
{
    const struct proc_link *x = a;
    const struct proc_link *y = b;
    long order = syscall(SYS_kcmp, *(uint32_t *)pid, *(uint32_t *)pid, KCMP_FILE, x->fd, y->fd);

    if (order == 1 || order == 2)
        return order == 1 ? -1 : 1;
    return (x->fd > y->fd) - (x->fd < y->fd);
}

static int by_fd(const void *a, const void *b)
{
    int32_t x = ((const struct proc_link *)a)->fd;
    int32_t y = ((const struct proc_link *)b)->fd;

    return (x > y) - (x < y);
}

struct proc_link *process_link(const struct process *process, int32_t fd)
{
    const struct proc_link key = { .fd = fd };

    return process->links.used ? bsearch(&key, process->links.data, process->links.used, sizeof(key), by_fd) : NULL;
}

/* Descriptors of one VM, of which there may be more than one. */
static int mark_same(struct process *process, struct pool *scratch)
{
    struct proc_link *links = process->links.data;
    struct proc_link *vms;
    size_t n = 0;

    for (size_t i = 0; i < process->links.used; i++)
        n += links[i].kind == PROC_VM;
    if (n < 2)
        return 0;
    if (!pool_reserve(scratch, n, sizeof(*vms)))
        return -ENOMEM;
    vms = scratch->data;
    n = 0;
    for (size_t i = 0; i < process->links.used; i++) {
        if (links[i].kind == PROC_VM)
            vms[n++] = links[i];
    }
    qsort_r(vms, n, sizeof(*vms), by_file, &process->pid);
    for (size_t i = 1; i < n; i++) {
        if (syscall(SYS_kcmp, process->pid, process->pid, KCMP_FILE, vms[i - 1].fd, vms[i].fd) == 0)
            vms[i].first = vms[i - 1].first;
    }
    for (size_t i = 0; i < n; i++) {
        if (vms[i].first != vms[i].fd)
            process_link(process, vms[i].fd)->first = vms[i].first;
    }
    return 0;
}

/* ---- its statistics fds ---- */

static const struct held *held_before(const struct finder *finder, const struct process *process,
                                      const struct proc_link *link)
{
    const struct held *held = process->held.data;

    for (size_t i = 0; i < process->held.used; i++) {
        if (held[i].theirs == link->fd && held[i].vcpu == link->vcpu && hold_same(finder, process, &held[i]))
            return &held[i];
    }
    return NULL;
}

/* Those of before that are still the same, and new ones. */
static int update_held(struct finder *finder, struct process *process)
{
    const struct proc_link *links = process->links.data;
    struct held *before = process->held.data;
    size_t count = process->held.used;
    struct pool now = { 0 };
    int r = 0;

    process->denied = false;
    for (size_t i = 0; i < process->links.used && r == 0 && now.used < HELD_MAX; i++) {
        const struct held *same;
        struct held held;

        if ((links[i].kind != PROC_VM_STATS && links[i].kind != PROC_VCPU_STATS) ||
            (process->pid == (uint32_t)finder->self && is_ours(finder, links[i].fd)))
            continue;
        same = held_before(finder, process, &links[i]);
        if (same)
            held = *same;
        else if (hold_get(finder, process, &links[i], &held) < 0)
            continue;
        if (pool_add(&now, 1, sizeof(held)) == SIZE_MAX) {
            if (!same)
                hold_drop(&held);
            r = -ENOMEM;
            break;
        }
        ((struct held *)now.data)[now.used - 1] = held;
        if (same)
            before[same - before].theirs = -1; /* taken over */
    }
    for (size_t i = 0; i < count; i++) {
        if (before[i].theirs >= 0)
            hold_drop(&before[i]);
    }
    free(before);
    process->held = now;
    return r;
}

/* ---- looking ---- */

static void read_name(struct finder *finder, struct process *process)
{
    char *arguments = malloc(ARGUMENTS_MAX);
    char comm[PROC_COMM_SIZE] = "";
    long n = arguments ? proc_cmdline(finder->proc, process->pid, arguments, ARGUMENTS_MAX) : -1;

    proc_comm(finder->proc, process->pid, comm);
    vmm_name(comm, arguments ? arguments : "", n > 0 ? (size_t)n : 0, process->name);
    free(arguments);
}

static struct process *process_new(uint32_t pid, uint64_t start)
{
    struct process *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->pid = pid;
    p->start = start;
    p->pidfd = -1;
    return p;
}

void process_free(struct finder *finder, struct process *process)
{
    if (!process)
        return;
    for (size_t i = 0; i < process->held.used; i++)
        hold_drop(&((struct held *)process->held.data)[i]);
    if (process->pidfd >= 0)
        close(process->pidfd); /* with its last copy it leaves the epoll set */
    free(process->held.data);
    free(process->links.data);
    free(process->things.data);
    free(process->dirs.data);
    free(process);
    finder->epoch++;
}

static bool any_of_kvm(const struct pool *links)
{
    const struct proc_link *link = links->data;

    for (size_t i = 0; i < links->used; i++) {
        if (link[i].kind == PROC_VM || link[i].kind == PROC_VCPU)
            return true;
    }
    return false;
}

static int take_links(struct pool *to, const struct pool *from)
{
    if (!pool_reserve(to, from->used, sizeof(struct proc_link)))
        return -ENOMEM;
    if (from->used)
        memcpy(to->data, from->data, from->used * sizeof(struct proc_link));
    to->used = from->used;
    return 0;
}

static int look_into(struct finder *finder, struct process *process, uint64_t fd_count)
{
    int r = proc_who(finder->proc, process->pid, &process->who);

    if (r == 0)
        r = take_links(&process->links, &finder->links);
    if (r < 0)
        return r;
    process->fd_count = fd_count;
    process->scanned = finder->look;
    if (!has_vm(finder, process))
        return 0;
    if (!process_begin(finder, process))
        return -ESRCH;
    if (process->pidfd >= 0 && mark_same(process, &finder->links) < 0)
        return -ENOMEM;
    if (!process->name[0])
        read_name(finder, process);
    r = update_held(finder, process);
    return r < 0 ? r : 1;
}

int process_scan(struct finder *finder, uint32_t pid, uint64_t start, struct process **ret)
{
    uint64_t fd_count = finder->counts ? proc_fd_count(finder->proc, pid) : 0;
    struct process *p = *ret;
    size_t seen;
    int r = proc_links(finder->proc, pid, &finder->numbers, &finder->links, &seen);

    if (r < 0)
        return r;
    if (!any_of_kvm(&finder->links))
        return 0;
    if (!p)
        p = process_new(pid, start);
    if (!p)
        return -ENOMEM;
    r = look_into(finder, p, fd_count == seen ? fd_count : 0);
    process_end(p);
    if (r < 0)
        p->fd_count = 0; /* what it has is not known whole */
    if (r > 0 && !*ret) {
        finder->epoch++;
        *ret = p;
    } else if (p != *ret) {
        process_free(finder, p);
    }
    return r;
}

static bool unchanged(const struct finder *finder, const struct process *process)
{
    const struct held *held = process->held.data;

    if (!process->fd_count || finder->look - process->scanned >= AGAIN_LOOKS ||
        proc_fd_count(finder->proc, process->pid) != process->fd_count)
        return false;
    for (size_t i = 0; i < process->held.used; i++) {
        if (!hold_same(finder, process, &held[i]))
            return false;
    }
    return true;
}

int process_again(struct finder *finder, struct process *process)
{
    if ((process->passing || process->pidfd < 0) && proc_start(finder->proc_path, process->pid) != process->start)
        return -ESRCH;
    if (unchanged(finder, process))
        return 1;
    return process_scan(finder, process->pid, process->start, &process);
}
