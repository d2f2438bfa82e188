/* SPDX-License-Identifier: MIT */
/* What a process has: its VMs and vCPUs, and where the values of each come from. */
#include <stdlib.h>

#include "lib/kvm/finder.h"

/* ---- what is there ---- */

static const struct held *held_of(const struct process *process, int32_t vcpu)
{
    const struct held *held = process->held.data;

    for (size_t i = 0; i < process->held.used; i++) {
        if (held[i].vcpu == vcpu)
            return &held[i];
    }
    return NULL;
}

/* How many VMs; *first: the descriptor of one of them, -1: none is open. */
static size_t count_vms(const struct process *process, int32_t *first)
{
    const struct proc_link *links = process->links.data;
    size_t n = 0;

    *first = -1;
    for (size_t i = 0; i < process->links.used; i++) {
        if (links[i].kind != PROC_VM || links[i].first != links[i].fd)
            continue;
        if (n++ == 0)
            *first = links[i].fd;
    }
    return n;
}

void items_missing(struct process *process)
{
    const struct proc_link *links = process->links.data;
    int32_t vm;
    bool several = count_vms(process, &vm) > 1;

    bool some = false; /* vCPUs */

    process->vm_missing = several || !held_of(process, BULLETIN_VM);
    process->vcpus_missing = several;
    for (size_t i = 0; i < process->links.used; i++) {
        some = some || links[i].kind == PROC_VCPU || links[i].kind == PROC_VCPU_STATS;
        if (links[i].kind == PROC_VCPU && !held_of(process, links[i].vcpu))
            process->vcpus_missing = true;
    }
    process->vcpus_missing = process->vcpus_missing || !some;
}

/* The directory of this VM, under whichever of its descriptors. */
static const struct directory *directory_of(const struct process *process, int32_t vm, bool only_vm)
{
    struct directory *const *dirs = process->dirs.data;

    for (size_t i = 0; i < process->dirs.used; i++) {
        if (!dirs[i]->gone && dirs[i]->first >= 0 && dirs[i]->first == vm)
            return dirs[i];
    }
    /* It may have been moved to another number, or closed. */
    return only_vm && process->dirs.used == 1 && !dirs[0]->gone ? dirs[0] : NULL;
}

/* ---- what is wanted on the board ---- */

static struct thing *want(struct finder *finder, int32_t vm, int32_t vcpu, uint32_t flags)
{
    size_t i = pool_add(&finder->wanted, 1, sizeof(struct thing));
    struct thing *t = i == SIZE_MAX ? NULL : &((struct thing *)finder->wanted.data)[i];

    if (t)
        *t = (struct thing){ .vm = vm,
                             .vcpu = vcpu,
                             .fd = -1,
                             .flags = flags | BULLETIN_NO_VALUES,
                             .schema = vcpu == BULLETIN_VM && !(flags & BULLETIN_TOTAL) ? finder->vm_schema
                                                                                        : finder->vcpu_schema };
    return t;
}

static bool want_held(struct finder *finder, int32_t vm, uint32_t flags, const struct held *held)
{
    struct thing *t = want(finder, vm, held->vcpu, flags);

    if (!t)
        return false;
    t->flags &= ~BULLETIN_NO_VALUES;
    t->schema = held->schema;
    t->fd = held->theirs;
    t->token = held->token;
    t->held = held;
    return true;
}

static bool want_from(struct finder *finder, int32_t vm, int32_t vcpu, uint32_t flags, const struct directory *dir)
{
    bool of_vm = vcpu == BULLETIN_VM && !(flags & BULLETIN_TOTAL);
    uint32_t schema = of_vm ? finder->from_vm : finder->from_vcpu;
    struct thing *t = want(finder, vm, vcpu, flags);

    if (!t || schema == BULLETIN_NO_SCHEMA)
        return t != NULL;
    t->flags = (flags & BULLETIN_NO_VALUES) | (t->flags & ~BULLETIN_NO_VALUES) | BULLETIN_FROM_DEBUGFS;
    t->schema = schema;
    t->token = dir->vm.ino;
    t->from = dir;
    return true;
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

static bool add_number(struct pool *numbers, int32_t number)
{
    size_t i = pool_add(numbers, 1, sizeof(number));

    if (i != SIZE_MAX)
        ((int32_t *)numbers->data)[i] = number;
    return i != SIZE_MAX;
}

/* The numbers of all vCPUs of the process's only VM, however they are known. */
static bool all_vcpus(struct finder *finder, const struct process *process, const struct directory *dir)
{
    struct pool *numbers = &finder->numbers;
    const struct proc_link *links = process->links.data;
    const struct held *held = process->held.data;
    int32_t *n;
    size_t unique = 0;
    bool good = true;

    numbers->used = 0;
    for (size_t i = 0; i < process->links.used; i++)
        good = good && (links[i].kind != PROC_VCPU || add_number(numbers, links[i].vcpu));
    for (size_t i = 0; i < process->held.used; i++)
        good = good && (held[i].vcpu == BULLETIN_VM || add_number(numbers, held[i].vcpu));
    for (size_t i = 0; dir && i < dir->vcpu_count; i++)
        good = good && (dir->vcpus[i] > INT32_MAX || add_number(numbers, (int32_t)dir->vcpus[i]));
    n = numbers->data;
    if (numbers->used)
        qsort(n, numbers->used, sizeof(*n), by_number);
    for (size_t i = 0; i < numbers->used; i++) {
        if (i == 0 || n[i] != n[i - 1])
            n[unique++] = n[i];
    }
    numbers->used = unique;
    return good;
}

/* The vCPUs in finder->numbers: those that process has no statistics fd of (or process is NULL: all) have the directory's
 * sums together, or where there is one vCPU only it alone. */
static bool want_vcpus(struct finder *finder, const struct process *process, int32_t vm, const struct directory *dir)
{
    const int32_t *numbers = finder->numbers.data;
    size_t n = finder->numbers.used;
    size_t without = 0;
    bool good = true;

    if (!finder->debugfs.vcpu)
        dir = NULL;
    for (size_t i = 0; i < n; i++)
        without += !process || !held_of(process, numbers[i]);
    if (without && dir && n > 1)
        good = want_from(finder, vm, BULLETIN_VM, BULLETIN_TOTAL, dir);
    for (size_t i = 0; i < n && good; i++) {
        const struct held *held = process ? held_of(process, numbers[i]) : NULL;

        if (held)
            good = want_held(finder, vm, 0, held);
        else if (dir)
            good = want_from(finder, vm, numbers[i], n > 1 ? BULLETIN_NO_VALUES : 0, dir);
        else
            good = want(finder, vm, numbers[i], 0) != NULL;
    }
    return good;
}

/* One VM: all that the process has is that VM's. */
static bool want_one(struct finder *finder, const struct process *process, int32_t vm)
{
    const struct directory *dir = directory_of(process, vm, true);
    const struct held *held = held_of(process, BULLETIN_VM);
    const struct held *all = process->held.data;
    bool good = all_vcpus(finder, process, dir);

    if (vm < 0)
        vm = BULLETIN_ONLY_VM;
    if (held)
        good = good && want_held(finder, vm, 0, held);
    else if (dir)
        good = good && want_from(finder, vm, BULLETIN_VM, 0, dir);
    else
        good = good && want(finder, vm, BULLETIN_VM, 0);
    good = good && want_vcpus(finder, process, vm, dir);
    for (size_t i = 0; i < process->held.used && good; i++) {
        if (held_of(process, all[i].vcpu) != &all[i])
            good = want_held(finder, vm, BULLETIN_SPARE, &all[i]);
    }
    return good;
}

/* One VM of several, of which only debugfs knows. */
static bool want_directory(struct finder *finder, int32_t vm, const struct directory *dir)
{
    bool good = want_from(finder, vm, BULLETIN_VM, 0, dir);

    finder->numbers.used = 0;
    for (size_t i = 0; i < dir->vcpu_count && good; i++)
        good = dir->vcpus[i] > INT32_MAX || add_number(&finder->numbers, (int32_t)dir->vcpus[i]);
    return good && want_vcpus(finder, NULL, vm, dir);
}

/* All that is held of VMs, or of vCPUs. */
static bool want_all_held(struct finder *finder, const struct process *process, bool vms, uint32_t flags)
{
    const struct held *held = process->held.data;
    bool good = true;

    for (size_t i = 0; i < process->held.used && good; i++) {
        if ((held[i].vcpu == BULLETIN_VM) == vms)
            good = want_held(finder, -1, flags, &held[i]);
    }
    return good;
}

/* Which statistics fd is of which of several VMs does not show: debugfs knows, if not as much. */
static bool want_several(struct finder *finder, const struct process *process)
{
    const struct proc_link *links = process->links.data;
    bool by_debugfs = process->held.used == 0 || (process->dirs.used && !finder->debugfs.locked);
    bool any = false;
    bool good = true;

    for (size_t i = 0; i < process->links.used && good; i++) {
        const struct directory *dir;

        if (links[i].kind != PROC_VM || links[i].first != links[i].fd)
            continue;
        dir = by_debugfs ? directory_of(process, links[i].fd, false) : NULL;
        any = any || dir;
        if (dir)
            good = want_directory(finder, links[i].fd, dir);
        else if (by_debugfs || !held_of(process, BULLETIN_VM))
            good = want(finder, links[i].fd, BULLETIN_VM, 0) != NULL;
    }
    any = any && by_debugfs;
    good = good && want_all_held(finder, process, true, any ? BULLETIN_SPARE : 0);
    good = good && want_all_held(finder, process, false, any ? BULLETIN_SPARE : 0);
    for (size_t i = 0; i < process->links.used && good && !any && !process->held.used; i++) {
        if (links[i].kind == PROC_VCPU)
            good = want(finder, -1, links[i].vcpu, 0) != NULL;
    }
    return good;
}

/* What is to be had of the process's VMs at this look. */
bool items_want(struct finder *finder, struct process *process)
{
    int32_t vm;
    bool several = count_vms(process, &vm) > 1;

    if (process->dirs.used && directories_read(finder, process) < 0)
        return false;
    finder->wanted.used = 0;
    return several ? want_several(finder, process) : want_one(finder, process, vm);
}
