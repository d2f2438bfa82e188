/* SPDX-License-Identifier: MIT */
/* Statistics fds of other processes: duplicated, seen to be still the same, read. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kvm/finder.h"

/* Is that descriptor of ours of the kind that the other's link says it is? */
static bool is_of(int ours, int32_t vcpu)
{
    int32_t number = 0;
    enum proc_kind kind = proc_link_of(AT_FDCWD, "/proc/self", ours, &number);

    return kind == (vcpu == BULLETIN_VM ? PROC_VM_STATS : PROC_VCPU_STATS) && number == vcpu;
}

/* A duplicate, close-on-exec; -EBADF where that number is something else by now. */
static int duplicate(const struct process *process, int32_t theirs, int32_t vcpu)
{
    int fd = process->pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process->pidfd, theirs, 0);

    if (process->pidfd < 0)
        return -EPERM;
    if (fd < 0)
        return -errno;
    if (is_of(fd, vcpu))
        return fd;
    close(fd);
    return -EBADF;
}

/* The VM "kvm-PID" was made by that thread: of this process, or of one that has ended. Readers as this one hold
 * statistics fds of others. */
static bool made_by(const struct finder *finder, const struct process *process, const char *id)
{
    struct proc_who who;
    char *end;
    unsigned long tid = strncmp(id, "kvm-", 4) == 0 ? strtoul(id + 4, &end, 10) : 0;

    if (!finder->initial || tid == 0 || tid > INT32_MAX || tid == process->pid)
        return true;
    return proc_who(finder->proc, (uint32_t)tid, &who) < 0 || who.tgid == process->pid;
}

int hold_get(struct finder *finder, struct process *process, const struct proc_link *link, struct held *ret)
{
    const struct kvm_schema *schema;
    struct held held = { .theirs = link->fd, .vcpu = link->vcpu };
    char id[VMT_NAME_SIZE];
    int r;

    held.ours = duplicate(process, held.theirs, held.vcpu);
    if (held.ours == -EPERM || held.ours == -ENOSYS)
        process->denied = true;
    if (held.ours < 0)
        return held.ours;
    r = kvm_schema_read(held.ours, held.vcpu != BULLETIN_VM, id, &schema);
    if (r == 0 && !made_by(finder, process, id)) {
        kvm_schema_release(schema);
        r = -EBADF;
    }
    if (r == 0) {
        held.read = schema;
        held.schema = finder_schema(finder, schema);
        r = held.schema == BULLETIN_NO_SCHEMA ? -ENOMEM : 0;
    }
    if (r < 0 || process->passing || finder_crowded(finder, held.ours)) {
        close(held.ours);
        held.ours = -1;
    }
    if (r < 0)
        return r;
    *(held.vcpu == BULLETIN_VM ? &finder->vm_schema : &finder->vcpu_schema) = held.schema;
    held.token = ++finder->last_token;
    *ret = held;
    return 0;
}

bool hold_same(const struct finder *finder, const struct process *process, const struct held *held)
{
    char text[16];
    int32_t vcpu = 0;
    long order;

    if (held->ours < 0)
        return true; /* is seen when it is read */
    order = syscall(SYS_kcmp, finder->self, process->pid, KCMP_FILE, held->ours, held->theirs);
    if (order >= 0 || (errno != ENOSYS && errno != EPERM && errno != EACCES))
        return order == 0;
    /* A kernel without it: what it is, if not which. */
    snprintf(text, sizeof(text), "%u", process->pid);
    return proc_link_of(finder->proc, text, held->theirs, &vcpu) ==
               (held->vcpu == BULLETIN_VM ? PROC_VM_STATS : PROC_VCPU_STATS) &&
           vcpu == held->vcpu;
}

void hold_drop(struct held *held)
{
    if (held->ours >= 0)
        close(held->ours);
    held->ours = -1;
}

int hold_read(const struct process *process, const struct held *held, uint64_t *values)
{
    int fd = held->ours;
    int r;

    if (fd >= 0)
        return kvm_values_read(held->read, fd, values);
    fd = duplicate(process, held->theirs, held->vcpu);
    if (fd < 0)
        return fd;
    r = kvm_values_read(held->read, fd, values);
    close(fd);
    return r;
}
