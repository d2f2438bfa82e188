/* SPDX-License-Identifier: MIT */
#include "lib/kvm/place.h"

#include <errno.h>
#include <string.h>

#include "lib/kvm/handle.h"

/* ---- the segment's tree ---- */

/* Is it there, below a parent that is? */
bool places_linked(const struct places *p, uint32_t i)
{
    const struct node *n = NODE(p->s, i);
    const struct node *parent = NODE(p->s, n->entry.parent);

    return n->seen && parent->seen && parent->generation == n->entry.parent_generation;
}

/* Levels below source 0; more than there may be, where it leads to none. */
static uint32_t depth_of(const struct places *p, uint32_t i)
{
    uint32_t depth = 0;

    for (; i && depth <= VMT_DEPTH_MAX; depth++)
        i = places_linked(p, i) ? NODE(p->s, i)->entry.parent : i;
    return depth;
}

static bool is_copy(const struct node *n)
{
    return n->schema->kernel && !n->schema->handle && !(n->flags & VMT_SAMPLE_LEAVING) &&
           strcmp(n->entry.name, KVM_COPY_NAME) == 0;
}

/* May it be what the VMM counts a VM or vCPU in? */
static bool is_subject(const struct places *p, uint32_t i)
{
    const struct node *n = NODE(p->s, i);

    return places_linked(p, i) && !n->schema->kernel && !(n->flags & VMT_SAMPLE_LEAVING);
}

/* Beside source i, if nothing is yet. Below it there must be room for another level. */
static void put_beside(struct places *p, struct place *place, uint32_t i)
{
    struct node *n = NODE(p->s, i);

    if (i == 0 || n->joined || !is_subject(p, i) || depth_of(p, i) >= VMT_DEPTH_MAX)
        return;
    if (place_is_vm(place) ? !n->schema->of_vm : !n->schema->of_vcpu)
        return;
    n->joined = 1 + (uint32_t)(place - p->all);
    place->parent = i;
    place->beside = true;
}

/* ---- by handles ---- */

/* Where a handle names an fd, what the kernel gives of it stands beside the handle's parent; the first one that does.
 * And note where there are copies. */
static void follow_handles(struct places *p)
{
    for (uint32_t i = 1; i < p->used; i++) {
        const struct node *n = NODE(p->s, i);
        struct place *place;

        if (!places_linked(p, i) || !n->schema->kernel || n->flags & VMT_SAMPLE_LEAVING)
            continue;
        if (is_copy(n))
            NODE(p->s, n->entry.parent)->copied = true;
        if (!n->schema->handle)
            continue;
        p->handles = true;
        place = places_with_fd(p, *VALUES(p->s, n->values));
        if (place && place->parent == NOWHERE && (place_is_vm(place) ? n->schema->of_vm : n->schema->of_vcpu))
            put_beside(p, place, n->entry.parent);
    }
}

/* A process that has several VMs: debugfs tells them apart, statistics files, which are spare ones then, have more in
 * them, and the VMM may say whose they are. If it does of all, they are taken, else none. */
static void settle_spares(struct places *p)
{
    uint32_t vms = 0;
    bool all = true;

    for (uint32_t i = 0; i < p->count; i++) {
        const struct place *place = &p->all[i];

        all = all && (!place->spare || place->beside);
        vms += place->spare && place_is_vm(place);
    }
    for (uint32_t i = 0; i < p->count; i++) {
        struct place *place = &p->all[i];

        if (all && vms && vms == p->vms) {
            place->replaced = !place->spare;
            place->total = NULL;
        } else if (place->spare && place->beside) {
            NODE(p->s, place->parent)->joined = 0;
            place->beside = false;
            place->parent = NOWHERE;
        }
    }
}

/* ---- by what sources are called ---- */

/* The one VM is counted in the one source that counts VMs. */
static void place_vms(struct places *p)
{
    uint32_t candidate = 0;
    uint32_t candidates = 0;

    bool one = p->vms == 1 && p->all[0].item->vm != BULLETIN_UNKNOWN_VM && p->all[0].parent == NOWHERE;

    for (uint32_t i = 1; i < p->used && one; i++) {
        if (NODE(p->s, i)->seen && NODE(p->s, i)->schema->of_vm && is_subject(p, i)) {
            candidate = i;
            candidates++;
        }
    }
    if (candidates == 1)
        put_beside(p, &p->all[0], candidate);
}

/* The whole number that a name ends in. */
static bool number_of(const char *name, int32_t *ret)
{
    size_t end = strlen(name);
    size_t from = end;
    int32_t number = 0;

    while (from > 0 && name[from - 1] >= '0' && name[from - 1] <= '9')
        from--;
    if (from == end || end - from > 9)
        return false;
    for (; from < end; from++)
        number = 10 * number + (name[from] - '0');
    *ret = number;
    return true;
}

/* The VM that is counted in what stands nearest above source i. */
static struct place *vm_above(const struct places *p, uint32_t i)
{
    for (uint32_t depth = 0; i && depth <= VMT_DEPTH_MAX && places_linked(p, i); depth++) {
        uint32_t joined;

        i = NODE(p->s, i)->entry.parent;
        joined = NODE(p->s, i)->joined;
        if (joined && place_is_vm(&p->all[joined - 1]))
            return &p->all[joined - 1];
    }
    return NULL;
}

/* For each vCPU that has no place yet, the source below its VM's that is called like it. */
static void look_for_names(struct places *p)
{
    for (uint32_t i = 1; i < p->used; i++) {
        const struct node *n = NODE(p->s, i);
        struct place *vm, *place;
        int32_t number;

        if (!n->seen || !n->schema->of_vcpu || n->joined)
            continue;
        if (is_copy(n) && (vm = vm_above(p, i)))
            vm->copied = true;
        if (!is_subject(p, i) || !number_of(n->entry.name, &number))
            continue;
        vm = vm_above(p, i);
        place = vm ? places_vcpu(p, vm, number) : NULL;
        if (place)
            place->like = place->like ? NOWHERE : i;
    }
}

/* The node below which the vCPUs of a VM are. */
static uint32_t above_vcpus(const struct places *p, const struct place *vcpu)
{
    const struct place *vm = vcpu->vm == NOWHERE ? NULL : &p->all[vcpu->vm];

    return !vm ? 0 : vm->beside ? vm->parent : vm->node;
}

/* What has none beside what the VMM counts has a place of its own. */
static void place_others(struct places *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct place *place = &p->all[i];

        place->node = p->used + i;
        if (place->parent == NOWHERE && place->like && place->like != NOWHERE)
            put_beside(p, place, place->like);
        if (place->parent == NOWHERE && !place->spare && !place->replaced)
            place->parent = place_is_vm(place) ? 0 : above_vcpus(p, place);
        place->shown = place->parent != NOWHERE;
    }
}

/* Of what has no handle though others have, the VMM knows more: KVM keeps vCPUs that were unplugged. */
static bool unplugged(const struct places *p, const struct place *place)
{
    bool summed = place->vm != NOWHERE && p->all[place->vm].total;

    return p->handles && place->item->fd < 0 && place->item->flags & BULLETIN_NO_VALUES && !summed;
}

/* Copies of statistics files have more in them than what debugfs tells; and of what nothing is known there is nothing
 * to be said beside what the VMM counts. */
static void leave_out(struct places *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct place *place = &p->all[i];
        uint32_t flags = place->item->flags;
        bool copied = place->beside && NODE(p->s, place->parent)->copied;
        bool all_copied = copied;

        if (place_is_vm(place) && place->copied)
            place->total = NULL;
        if (!place_is_vm(place))
            all_copied = place->vm != NOWHERE && p->all[place->vm].copied;
        if ((all_copied && flags & BULLETIN_FROM_DEBUGFS) || (copied && flags & BULLETIN_NO_VALUES) ||
            (place->beside && place->item->schema == BULLETIN_NO_SCHEMA) || unplugged(p, place))
            place->shown = false;
    }
}

/* Is what the kernel counts shown beside it? */
static bool has_beside(const struct places *p, const struct node *n)
{
    return n->joined && p->all[n->joined - 1].shown;
}

/* Was a statistics fd of the process read? */
static bool reads_fds(const struct places *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->all[i].item->fd >= 0 && !(p->all[i].item->flags & BULLETIN_NO_VALUES))
            return true;
    }
    return false;
}

/* Handles and copies in whose place something is now; a handle that leads to nothing, beside a copy; one that names no
 * fd; and one that the newest look came too early for, where what others name was read. */
static void hide(struct places *p)
{
    bool reads = reads_fds(p);

    for (uint32_t i = 1; i < p->used; i++) {
        struct node *n = NODE(p->s, i);
        const struct node *parent = NODE(p->s, n->entry.parent);
        bool handle = n->seen && n->schema->handle;
        uint64_t fd = handle ? *VALUES(p->s, n->values) : 0;

        if (!n->seen || !n->schema->kernel)
            continue;
        if ((has_beside(p, parent) && (handle || strcmp(n->entry.name, KVM_COPY_NAME) == 0)) ||
            (handle && (parent->copied || !kvm_names_fd(fd) || (reads && !places_with_fd(p, fd)))))
            n->seen = false;
    }
}

int places_find(struct places *ret, const struct bulletin_process *process)
{
    if (process && places_list(ret, process) < 0)
        return -ENOMEM;
    if (ret->count == 0 && !ret->s->schemas->handles)
        return 0;
    follow_handles(ret);
    if (ret->count) {
        settle_spares(ret);
        place_vms(ret);
        look_for_names(ret);
        place_others(ret);
        leave_out(ret);
    }
    hide(ret);
    if (ret->count)
        places_name(ret);
    return 0;
}
