/* SPDX-License-Identifier: MIT */
/* Whose are the directories of debugfs: they name the thread that made the VM, and its number in that process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/kvm/finder.h"
#include "shm/clock.h"

#define FEW 16U            /* directories of a process are read in any case; */
#define MANY_NS 500000000U /* where there are more of them, all such processes together have that long at a look */

/* The process of a thread, which may have ended since it was asked for. */
struct owner {
    struct debugfs_vm vm;
    uint32_t tgid;
    uint32_t look; /* at which it was last there */
};

static uint32_t remembered(struct finder *finder, const struct debugfs_vm *vm)
{
    struct owner *owners = finder->owners.data;

    for (size_t i = 0; i < finder->owners.used; i++) {
        if (owners[i].vm.ino == vm->ino && owners[i].vm.pid == vm->pid && owners[i].vm.fd == vm->fd) {
            owners[i].look = (uint32_t)finder->look;
            return owners[i].tgid;
        }
    }
    return 0;
}

static void forget_gone(struct finder *finder)
{
    struct owner *owners = finder->owners.data;
    size_t n = 0;

    for (size_t i = 0; i < finder->owners.used; i++) {
        if (owners[i].look == (uint32_t)finder->look)
            owners[n++] = owners[i];
    }
    finder->owners.used = n;
}

static uint32_t owner_of(struct finder *finder, const struct debugfs_vm *vm)
{
    struct proc_who who = { .tgid = vm->pid };
    uint32_t tgid;

    if (finder_known(finder, vm->pid))
        return vm->pid;
    tgid = remembered(finder, vm);
    if (tgid || proc_who(finder->proc, vm->pid, &who) < 0)
        return tgid;
    if (pool_add(&finder->owners, 1, sizeof(struct owner)) != SIZE_MAX)
        ((struct owner *)finder->owners.data)[finder->owners.used - 1] =
            (struct owner){ .vm = *vm, .tgid = who.tgid, .look = (uint32_t)finder->look };
    return who.tgid;
}

void directories_clear(struct finder *finder)
{
    struct directory *dirs = finder->dirs.data;

    for (size_t i = 0; i < finder->dirs.used; i++) {
        free(dirs[i].vcpus);
        free(dirs[i].values);
    }
    finder->dirs.used = 0;
}

/* Its directory goes when the module does; and it may have been mounted since. */
static int make_ready(struct finder *finder)
{
    struct debugfs *d = &finder->debugfs;
    struct stat st;

    if (finder->prepared && d->fd >= 0 && fstat(d->fd, &st) == 0 && st.st_nlink > 0)
        return 0;
    return finder_prepare(finder);
}

static int list(struct finder *finder)
{
    struct debugfs_vm *found = NULL;
    long n = debugfs_list(&finder->debugfs, &found);
    struct directory *dirs;

    if (n <= 0)
        return n == -ENOMEM ? -ENOMEM : 0;
    if (!pool_reserve(&finder->dirs, (size_t)n, sizeof(*dirs))) {
        free(found);
        return -ENOMEM;
    }
    dirs = finder->dirs.data;
    for (long i = 0; i < n; i++)
        dirs[i] = (struct directory){ .vm = found[i], .tgid = owner_of(finder, &found[i]) };
    finder->dirs.used = (size_t)n;
    free(found);
    forget_gone(finder);
    return 0;
}

/* Under whichever of its descriptors the process has that VM. */
static int32_t first_of(const struct process *process, int32_t fd)
{
    const struct proc_link *link = process_link(process, fd);

    return link && link->kind == PROC_VM ? link->first : -1;
}

/* A process that has one has a VM. */
static int join(struct finder *finder, struct directory *dir)
{
    struct known *known = dir->tgid ? finder_known(finder, dir->tgid) : NULL;

    if (!known)
        return 0;
    if (!known->process && process_scan(finder, known->pid, known->start, &known->process) > 0)
        items_missing(known->process);
    if (!known->process)
        return 0;
    dir->first = first_of(known->process, dir->vm.fd);
    if (pool_add(&known->process->dirs, 1, sizeof(dir)) == SIZE_MAX)
        return -ENOMEM;
    ((struct directory **)known->process->dirs.data)[known->process->dirs.used - 1] = dir;
    return 0;
}

int directories_join(struct finder *finder)
{
    struct known *known = finder->known.data;
    bool needed = false;
    int r;

    directories_clear(finder);
    for (size_t i = 0; i < finder->known.used; i++) {
        if (known[i].process) {
            known[i].process->dirs.used = 0;
            items_missing(known[i].process);
            needed = needed || known[i].process->vm_missing || known[i].process->vcpus_missing;
        }
    }
    if (!needed || !finder->initial)
        return 0;
    finder->directories_end_ns = shm_clock_ns(CLOCK_MONOTONIC) + MANY_NS;
    r = make_ready(finder);
    if (r == 0 && finder->debugfs.fd >= 0)
        r = list(finder);
    for (size_t i = 0; i < finder->dirs.used && r == 0; i++)
        r = join(finder, &((struct directory *)finder->dirs.data)[i]);
    return r;
}

int directories_read(struct finder *finder, struct process *process)
{
    const struct debugfs *d = &finder->debugfs;
    size_t vm_slots = d->vm ? d->vm->schema.slots : 0;
    size_t vcpu_slots = d->vcpu ? d->vcpu->schema.slots : 0;
    struct directory **dirs = process->dirs.data;

    for (size_t i = 0; i < process->dirs.used; i++) {
        uint64_t *values;
        long n;

        dirs[i]->gone = i >= FEW && shm_clock_ns(CLOCK_MONOTONIC) > finder->directories_end_ns;
        if (dirs[i]->gone)
            continue;
        values = calloc(vm_slots + vcpu_slots + 1, sizeof(*values));
        if (!values)
            return -ENOMEM;
        free(dirs[i]->values);
        dirs[i]->values = values;
        n = debugfs_read(d, &dirs[i]->vm, process->vm_missing && d->vm ? values : NULL,
                         process->vcpus_missing && d->vcpu ? values + vm_slots : NULL, &dirs[i]->vcpus);
        if (n == -ENOMEM)
            return -ENOMEM;
        dirs[i]->gone = n < 0;
        dirs[i]->vcpu_count = n > 0 ? (size_t)n : 0;
    }
    return 0;
}
