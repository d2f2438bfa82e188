/* SPDX-License-Identifier: MIT */
/* What a process has, onto the board. */
#include <errno.h>
#include <string.h>

#include <vmtally/host.h>

#include "lib/kvm/finder.h"
#include "shm/clock.h"

/* ---- the same as at the last look ---- */

static bool same_thing(const struct thing *a, const struct thing *b)
{
    const uint32_t kinds = BULLETIN_TOTAL | BULLETIN_SPARE;

    return a->vm == b->vm && a->vcpu == b->vcpu && (a->flags & kinds) == (b->flags & kinds) &&
           ((a->vm != BULLETIN_UNKNOWN_VM && !(a->flags & BULLETIN_SPARE)) || a->fd == b->fd || a->fd < 0 || b->fd < 0);
}

/* Takes generation and index from what it was; indices are marked as used. */
static void take_over(struct process *process, struct thing *wanted, size_t n, uint8_t *used)
{
    const struct thing *before = process->things.data;
    size_t count = process->things.used;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        /* As a rule it stands where it stood. */
        while (k < count && !same_thing(&before[(at + k) % count], &wanted[i]))
            k++;
        if (k == count)
            continue;
        at = (at + k) % count;
        if (!used[before[at].index]) {
            bool other = before[at].token && wanted[i].token && before[at].token != wanted[i].token;

            wanted[i].index = before[at].index;
            used[before[at].index] = 1;
            if (!other && before[at].schema == wanted[i].schema)
                wanted[i].generation = before[at].generation;
            if (!wanted[i].token)
                wanted[i].token = before[at].token;
        }
        at++;
    }
}

static bool settle(struct finder *finder, struct process *process)
{
    struct thing *wanted = finder->wanted.data;
    size_t n = finder->wanted.used;
    struct pool before = process->things;
    size_t most = n;
    uint32_t next = 0;
    uint8_t *used;

    for (size_t i = 0; i < before.used; i++) {
        uint32_t index = ((struct thing *)before.data)[i].index;

        most = index >= most ? index + 1 : most;
    }
    if (!pool_reserve(&finder->used, most + 1, 1)) /* one more: some index is always free */
        return false;
    used = finder->used.data;
    memset(used, 0, most + 1);
    for (size_t i = 0; i < n; i++)
        wanted[i].index = UINT32_MAX;
    take_over(process, wanted, n, used);
    for (size_t i = 0; i < n; i++) {
        if (!wanted[i].generation)
            wanted[i].generation = finder->last_generation += 2;
        if (wanted[i].index != UINT32_MAX)
            continue;
        while (used[next])
            next++;
        wanted[i].index = next;
        used[next] = 1;
    }
    process->things = finder->wanted; /* and its memory is used anew */
    finder->wanted = before;
    return true;
}

/* ---- on the board ---- */

/* What can't be read, and whether somebody may. */
static uint32_t trouble_of(const struct finder *finder, const struct process *process)
{
    const struct debugfs *d = &finder->debugfs;
    const struct thing *things = process->things.data;
    bool missing = false, from_debugfs = false, total = false;
    bool held_vm = false, held_vcpu = false;

    for (size_t i = 0; i < process->things.used; i++) {
        const struct thing *t = &things[i];

        held_vm = held_vm || (t->held && t->vcpu == BULLETIN_VM);
        held_vcpu = held_vcpu || (t->held && t->vcpu != BULLETIN_VM);
        if (t->vcpu == BULLETIN_VM)
            total = (t->flags & BULLETIN_TOTAL) != 0;
        if (t->flags & BULLETIN_NO_VALUES)
            missing = missing || t->vcpu == BULLETIN_VM || !total;
        from_debugfs = from_debugfs || t->flags & BULLETIN_FROM_DEBUGFS;
    }
    if (process->denied)
        return VMT_HOST_TROUBLE_DENIED;
    if (held_vm && held_vcpu)
        return 0; /* other vCPUs it has unplugged, or their statistics fds */
    if (d->locked && (from_debugfs || missing))
        return VMT_HOST_TROUBLE_DEBUGFS_DENIED;
    if (!missing || (finder->initial && d->fd >= 0))
        return 0;
    return !finder->initial || d->mounted || d->error == -EACCES || d->error == -EPERM ? VMT_HOST_TROUBLE_DEBUGFS_DENIED
                                                                                       : VMT_HOST_TROUBLE_NO_DEBUGFS;
}

/* The values of one; false: they can't be had. */
static bool put_values(struct finder *finder, const struct process *process, const struct thing *t, uint64_t *values,
                       size_t slots)
{
    const struct kvm_schema *vm = finder->debugfs.vm;
    bool of_vm = t->vcpu == BULLETIN_VM && !(t->flags & BULLETIN_TOTAL);

    if (t->flags & BULLETIN_NO_VALUES)
        return false;
    if (t->held && hold_read(process, t->held, values) == 0)
        return true;
    if (t->from && t->from->values) {
        memcpy(values, t->from->values + (of_vm || !vm ? 0 : vm->schema.slots), slots * sizeof(*values));
        return true;
    }
    memset(values, 0, slots * sizeof(*values));
    return false;
}

static void post_item(struct finder *finder, struct process *process, const struct thing *t, struct board *board,
                      uint64_t place)
{
    const struct posted *schemas = finder->schemas.data;
    struct bulletin_item item = { .generation = t->generation,
                                  .index = t->index,
                                  .schema = t->schema,
                                  .vm = t->vm,
                                  .vcpu = t->vcpu,
                                  .fd = t->fd,
                                  .flags = t->flags };

    if (t->schema == BULLETIN_NO_SCHEMA) {
        item.flags |= BULLETIN_NO_VALUES;
    } else {
        size_t slots = schemas[t->schema].schema->schema.slots;

        item.values = board_add(board, slots * sizeof(uint64_t));
        if (!item.values)
            return;
        if (!put_values(finder, process, t, (uint64_t *)(void *)(board->data + item.values), slots))
            item.flags |= BULLETIN_NO_VALUES;
        if (t->held && item.flags & BULLETIN_NO_VALUES)
            process->fd_count = 0; /* go through it again */
    }
    memcpy(board->data + place, &item, sizeof(item));
}

static void post_items(struct finder *finder, struct process *process, struct board *board,
                       struct bulletin_process *ret)
{
    const struct thing *things = process->things.data;

    ret->item_count = (uint32_t)process->things.used;
    ret->items = board_add(board, process->things.used * sizeof(struct bulletin_item));
    for (size_t i = 0; i < process->things.used && !board->failed; i++)
        post_item(finder, process, &things[i], board, ret->items + i * sizeof(struct bulletin_item));
}

int process_post(struct finder *finder, struct process *process, struct board *board, uint64_t place)
{
    struct bulletin_process p = { .start = process->start,
                                  .begin_ns = shm_clock_ns(CLOCK_MONOTONIC),
                                  .pid = process->pid,
                                  .inner_pid = process->who.inner_pid,
                                  .uid = process->who.uid,
                                  .denied = process->denied };

    memcpy(p.name, process->name, sizeof(p.name));
    if (!items_want(finder, process) || !settle(finder, process))
        return -ENOMEM;
    if (process->passing)
        process_begin(finder, process);
    post_items(finder, process, board, &p);
    process_end(process);
    p.end_ns = shm_clock_ns(CLOCK_MONOTONIC);
    p.trouble = trouble_of(finder, process);
    if (board->failed)
        return -ENOMEM;
    memcpy(board->data + place, &p, sizeof(p));
    ((struct bulletin *)(void *)board->data)->trouble |= p.trouble;
    return 0;
}
