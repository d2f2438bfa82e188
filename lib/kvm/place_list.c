/* SPDX-License-Identifier: MIT */
/* What is to be placed: the VMs and vCPUs of a process, and by which descriptors they are known. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kvm/handle.h"
#include "lib/kvm/place.h"

static struct place_fd *fds(const struct places *p) { return p->s->work->fds.data; }

static int by_number(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->item->vcpu > y->item->vcpu) - (x->item->vcpu < y->item->vcpu);
}

struct place *places_vcpu(const struct places *p, const struct place *vm, int32_t number)
{
    struct bulletin_item item = { .vcpu = number };
    struct place asked = { .item = &item };
    uint32_t first = (uint32_t)(vm - p->all) + 1;

    return first >= vm->end ? NULL : bsearch(&asked, &p->all[first], vm->end - first, sizeof(asked), by_number);
}

static struct place *vm_of(const struct places *p, const struct bulletin_item *item)
{
    for (uint32_t i = 0; i < p->count && item->vm != BULLETIN_UNKNOWN_VM; i++) {
        if (place_is_vm(&p->all[i]) && p->all[i].item->vm == item->vm)
            return &p->all[i];
    }
    return NULL;
}

/* One that has no place yet, or the one for which a spare one stands. NULL: it is none. */
static struct place *place_of(struct places *p, const struct bulletin_item *item)
{
    struct place *last = p->count ? &p->all[p->count - 1] : NULL;
    struct place *vm = last && last->vm != NOWHERE ? &p->all[last->vm] : NULL;
    struct place *place;
    bool of_vm = item->vcpu == BULLETIN_VM;

    if (item->flags & BULLETIN_SPARE && item->vm != BULLETIN_UNKNOWN_VM) {
        vm = vm_of(p, item);
        return vm && !of_vm ? places_vcpu(p, vm, item->vcpu) : vm;
    }
    if (!vm || vm->item->vm != item->vm || item->vm == BULLETIN_UNKNOWN_VM)
        vm = NULL;
    if (item->flags & BULLETIN_TOTAL) {
        if (vm && !(item->flags & BULLETIN_NO_VALUES))
            vm->total = item;
        return NULL;
    }
    place = &p->all[p->count];
    *place = (struct place){ .item = item, .vm = NOWHERE, .parent = NOWHERE, .end = p->count + 1 };
    place->spare = item->flags & BULLETIN_SPARE;
    if (of_vm && !place->spare)
        p->vms++;
    if (of_vm)
        place->vm = p->count;
    else if (vm)
        place->vm = (uint32_t)(vm - p->all);
    p->count++;
    if (vm && !of_vm)
        vm->end = p->count;
    if (vm && !of_vm && !(item->flags & BULLETIN_NO_VALUES))
        vm->total = NULL; /* it would be counted twice: better not at all */
    return place;
}

static int by_fd(const void *a, const void *b)
{
    const struct place_fd *x = a, *y = b;

    return (x->fd > y->fd) - (x->fd < y->fd);
}

int places_list(struct places *p, const struct bulletin_process *process)
{
    const struct bulletin_item *items = bulletin_at(p->bulletin, process->items);
    struct workspace *work = p->s->work;

    if (!pool_reserve(&work->places, process->item_count, sizeof(struct place)) ||
        !pool_reserve(&work->sorted, process->item_count, sizeof(struct place *)) ||
        !pool_reserve(&work->fds, process->item_count, sizeof(struct place_fd)))
        return -ENOMEM;
    p->all = work->places.data;
    work->fds.used = 0;
    for (uint32_t i = 0; i < process->item_count; i++) {
        const struct place *place = place_of(p, &items[i]);

        if (place && items[i].fd >= 0)
            fds(p)[work->fds.used++] = (struct place_fd){ items[i].fd, (uint32_t)(place - p->all) };
    }
    if (work->fds.used)
        qsort(fds(p), work->fds.used, sizeof(struct place_fd), by_fd);
    work->places.used = work->sorted.used = p->count;
    return 0;
}

struct place *places_with_fd(const struct places *p, uint64_t fd)
{
    struct place_fd asked = { .fd = (int32_t)fd };
    const struct place_fd *found;

    if (!kvm_names_fd(fd) || p->count == 0 || p->s->work->fds.used == 0)
        return NULL;
    found = bsearch(&asked, fds(p), p->s->work->fds.used, sizeof(asked), by_fd);
    return found ? &p->all[found->place] : NULL;
}
