/* SPDX-License-Identifier: MIT */
#include "lib/kvm/join.h"

#include <errno.h>
#include <string.h>

#include "lib/kvm/handle.h"
#include "lib/kvm/place.h"

/* ---- schemas that have no block ---- */

static const struct vmt_descriptor no_descriptors[1];
static const uint64_t no_values[1];

/* A VM, or vCPU, of which nothing is known but that it is there. */
static const struct parsed unknown_vm = {
    .schema = { .name = KVM_SCHEMA_VM, .provider = KVM_PROVIDER, .target = "vm", .descriptors = no_descriptors },
    .kernel = true,
    .of_vm = true,
    .nothing = no_values,
};
static const struct parsed unknown_vcpu = {
    .schema = { .name = KVM_SCHEMA_VCPU, .provider = KVM_PROVIDER, .target = "vcpu", .descriptors = no_descriptors },
    .kernel = true,
    .of_vcpu = true,
    .nothing = no_values,
};

#define DIRECT_MAX 8U /* schemas; the kernel has two, and of each what debugfs has of it */

struct join {
    struct vmt_snapshot *s;
    struct vmt_reader *r;
    struct places places;
    const struct parsed *direct[DIRECT_MAX]; /* of what is read from the kernel */
    uint32_t direct_count;
};

/* NULL: no memory. */
static const struct parsed *schema_of(struct join *j, const struct bulletin_item *item)
{
    struct parsed *p;

    if (item->schema == BULLETIN_NO_SCHEMA)
        return item->vcpu == BULLETIN_VM ? &unknown_vm : &unknown_vcpu;
    p = host_schema(j->r->host, item->schema);
    return p && parsed_nothing(p) && schema_set_keep(j->r->schemas, p) == 0 ? p : NULL;
}

/* The values of an item into the pool; where, or SIZE_MAX. */
static size_t put_values(struct join *j, const struct bulletin_item *item, const struct parsed *schema)
{
    uint32_t slots = schema->schema.slots;
    size_t at = pool_add(&j->s->values, slots ? slots : 1, sizeof(uint64_t));

    if (at == SIZE_MAX)
        return at;
    memcpy(VALUES(j->s, at),
           item->flags & BULLETIN_NO_VALUES ? parsed_nothing(schema) : bulletin_at(j->places.bulletin, item->values),
           slots * sizeof(uint64_t));
    return at;
}

/* ---- nodes ---- */

static int add_node(struct join *j, const struct place *place)
{
    const struct bulletin_item *item = place->item;
    const struct parsed *schema = schema_of(j, item);
    struct node *n = NODE(j->s, place->node);

    if (!schema)
        return -ENOMEM;
    n->values = put_values(j, item, schema);
    if (n->values == SIZE_MAX)
        return -ENOMEM;
    n->entry.parent = place->parent;
    n->entry.parent_generation = NODE(j->s, place->parent)->generation;
    memcpy(n->entry.name, place->name, sizeof(n->entry.name));
    n->schema = schema;
    n->generation = item->generation;
    n->joined = VMT_ENTRY_KERNEL | item->index;
    n->kernel = n->seen = n->done = n->listed = true;
    n->flags = item->flags & BULLETIN_NO_VALUES ? VMT_SAMPLE_ABSENT : 0;
    if (!(item->flags & BULLETIN_NO_VALUES))
        j->s->info.from |= item->flags & BULLETIN_FROM_DEBUGFS ? VMT_FROM_DEBUGFS : VMT_FROM_FDS;
    return 0;
}

static int add_nodes(struct join *j)
{
    const struct places *p = &j->places;
    struct pool *nodes = &j->s->work->nodes;

    nodes->used = (size_t)p->used + p->count;
    memset(NODE(j->s, p->used), 0, p->count * sizeof(struct node));
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->all[i].shown && add_node(j, &p->all[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- what is above them has totals of their schemas ---- */

/* The departed block of that schema of node i; made, of nothing, if it has none. In front, as new ones are. NULL: no
 * memory. */
static struct block *block_of(struct join *j, uint32_t i, const struct parsed *schema)
{
    struct node *n = NODE(j->s, i);
    struct block *found = block_find(j->s, n, schema);
    size_t at;

    if (found)
        return found;
    at = pool_add(&j->s->work->blocks, 1, sizeof(struct block));
    if (at == SIZE_MAX)
        return NULL;
    *BLOCK(j->s, at + 1) =
        (struct block){ .schema = schema, .values = NOTHING, .whole = NOTHING, .next = n->first_block };
    n->first_block = (uint32_t)at + 1;
    return BLOCK(j->s, at + 1);
}

/* From node i, which is not too deep, up to source 0. */
static int add_blocks(struct join *j, uint32_t i, const struct parsed *schema)
{
    for (uint32_t depth = 0; depth <= VMT_DEPTH_MAX; depth++) {
        if (!block_of(j, i, schema))
            return -ENOMEM;
        if (i == 0)
            break;
        i = NODE(j->s, i)->entry.parent;
    }
    return 0;
}

/* The sum over all vCPUs of a VM, of which it is not known what each has counted. */
static int add_sum(struct join *j, const struct place *vm)
{
    uint32_t source = vm->beside ? vm->parent : vm->node;
    const struct parsed *schema = schema_of(j, vm->total);
    size_t values;

    if (!schema || add_blocks(j, source, schema) < 0)
        return -ENOMEM;
    values = put_values(j, vm->total, schema);
    if (values == SIZE_MAX)
        return -ENOMEM;
    block_of(j, source, schema)->whole = values;
    j->s->info.from |= VMT_FROM_DEBUGFS;
    return 0;
}

static bool is_direct(const struct join *j, const struct parsed *schema)
{
    for (uint32_t i = 0; i < j->direct_count; i++) {
        if (j->direct[i] == schema)
            return true;
    }
    return false;
}

static void note_direct(struct join *j, const struct node *n)
{
    if (!(n->flags & VMT_SAMPLE_ABSENT) && j->direct_count < DIRECT_MAX && !is_direct(j, n->schema))
        j->direct[j->direct_count++] = n->schema;
}

static int add_all_blocks(struct join *j)
{
    const struct places *p = &j->places;
    const struct node *last = NULL;

    for (uint32_t i = 0; i < p->count; i++) {
        const struct place *place = &p->all[i];
        const struct node *n = NODE(j->s, place->node);
        bool same = last && last->schema == n->schema && last->entry.parent == n->entry.parent;

        if (!place->shown)
            continue;
        if (!same && n->schema->schema.slots && add_blocks(j, place->parent, n->schema) < 0)
            return -ENOMEM;
        note_direct(j, n);
        last = n;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        const struct place *vm = &p->all[i];

        if (vm->total && (vm->beside || vm->shown) && add_sum(j, vm) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The kernel goes on counting what the VMM has unplugged, and plugs again: what copies of it had counted by then is in
 * what is read from it. Totals of that are over those that there are. */
static void drop_departed(struct join *j)
{
    for (size_t b = 1; b <= j->s->work->blocks.used; b++) {
        if (is_direct(j, BLOCK(j->s, b)->schema))
            BLOCK(j->s, b)->values = NOTHING;
    }
}

/* A sum of numbers of fds says nothing. */
static void drop_totals_of_handles(struct join *j)
{
    for (uint32_t i = 0; i < j->places.used; i++) {
        uint32_t *at = &NODE(j->s, i)->first_block;

        while (*at) {
            struct block *b = BLOCK(j->s, *at);

            if (b->schema->handle)
                *at = b->next;
            else
                at = &b->next;
        }
    }
}

/* ---- */

int join_nodes(struct vmt_snapshot *s, struct vmt_reader *r, const struct bulletin_process *process)
{
    struct join j = { .s = s, .r = r };
    uint32_t items = process ? process->item_count : 0;
    int result;

    j.places = (struct places){ .s = s, .bulletin = host_bulletin(r->host), .used = (uint32_t)s->work->nodes.used };
    if (!pool_reserve(&s->work->nodes, s->work->nodes.used + items, sizeof(struct node)))
        return -ENOMEM;
    result = places_find(&j.places, process);
    if (result == 0 && j.places.count)
        result = add_nodes(&j);
    if (result == 0 && j.places.count)
        result = add_all_blocks(&j);
    if (result == 0)
        drop_departed(&j);
    if (result == 0 && r->schemas->handles)
        drop_totals_of_handles(&j);
    return result < 0 ? result : j.places.incomplete;
}

void join_times(struct vmt_snapshot *s, const struct bulletin_process *process)
{
    struct vmt_segment_info *info = &s->info;

    s->looked_ns = process->begin_ns;
    if (process->begin_ns < info->begin_ns) {
        info->realtime_ns -= info->begin_ns - process->begin_ns;
        info->begin_ns = process->begin_ns;
    }
}

/* Where nothing is known, nothing is added to what the VMM counts. */
static bool says_something(const struct vmt_reader *r, const struct bulletin_process *process)
{
    const struct bulletin_item *items = bulletin_at(host_bulletin(r->host), process->items);

    for (uint32_t i = 0; i < process->item_count; i++) {
        if (!(items[i].flags & BULLETIN_NO_VALUES))
            return true;
    }
    return false;
}

/* Handles that are still there have led nowhere. Since when the first of them is there, CLOCK_REALTIME; 0: there is none. */
static uint64_t unread_since(const struct vmt_snapshot *s, const struct shm_header *header)
{
    uint64_t since = UINT64_MAX;

    for (uint32_t i = 1; i < s->work->nodes.used; i++) {
        const struct node *n = NODE(s, i);
        uint64_t created = n->entry.created_ns ? n->entry.created_ns : header->created_ns;

        if (n->seen && n->schema->handle && !(n->flags & VMT_SAMPLE_LEAVING))
            since = created < since ? created : since;
    }
    return since == UINT64_MAX ? 0 : since + !since;
}

int join_segment(struct vmt_snapshot *s, struct vmt_reader *r, const struct shm_header *header)
{
    const struct bulletin_process *process = host_process_of(r->host, header, r->view.uid, r->view.uid != 0);
    bool known = process != NULL;
    bool running = s->info.state == VMT_STATE_LIVE || s->info.state == VMT_STATE_STALLED;
    int result;

    r->joined_pid = 0;
    if (known)
        s->pid = process->pid;
    if (known && !says_something(r, process))
        process = NULL;
    if (!process && !r->schemas->handles)
        return 0;
    result = join_nodes(s, r, process);
    if (result >= 0 && r->schemas->handles && host_bulletin(r->host) &&
        host_unread(r->host, r->path, header, known || !running ? 0 : unread_since(s, header)) < 0)
        return -ENOMEM;
    if (result >= 0 && s->info.from & (VMT_FROM_FDS | VMT_FROM_DEBUGFS)) {
        join_times(s, process);
        r->joined_pid = process->pid;
        r->joined_start = process->start;
    }
    return result;
}

/* ---- one source ---- */

int join_sample(const struct vmt_reader *r, const struct vmt_sample *sample, uint64_t *values)
{
    const struct bulletin_process *found = NULL;
    const struct bulletin_item *items;

    if (r->lone)
        found = host_process(r->host, r->lone->pid, r->lone->start);
    else if (r->joined_pid)
        found = host_process(r->host, r->joined_pid, r->joined_start);
    if (!found)
        return -ESTALE;
    if (!(sample->entry & VMT_ENTRY_KERNEL))
        return 0; /* the process itself: it counts nothing */
    items = bulletin_at(host_bulletin(r->host), found->items);
    for (uint32_t i = 0; i < found->item_count; i++) {
        const struct bulletin_item *item = &items[i];
        const struct parsed *schema;

        if (item->flags & BULLETIN_TOTAL || item->generation != sample->generation ||
            item->index != (sample->entry & ~VMT_ENTRY_KERNEL))
            continue;
        if (item->flags & BULLETIN_NO_VALUES)
            return -ENODATA;
        schema = host_schema(r->host, item->schema); /* NO_VALUES where there is none */
        if (!schema || &schema->schema != sample->schema)
            return schema ? -ESTALE : -ENOMEM;
        memcpy(values, bulletin_at(host_bulletin(r->host), item->values), schema->schema.slots * sizeof(*values));
        return 0;
    }
    return -ESTALE;
}

uint32_t vmt_snapshot_pid(const struct vmt_snapshot *snapshot)
{
    return snapshot->pid ? snapshot->pid : snapshot->info.pid;
}

size_t vmt_snapshot_subject(const struct vmt_snapshot *snapshot, size_t i)
{
    const struct vmt_sample *sample = vmt_snapshot_source(snapshot, i);
    const struct vmt_sample *parent = sample ? vmt_snapshot_source(snapshot, sample->parent) : NULL;

    if (!parent || strcmp(parent->schema->target, sample->schema->target) != 0 ||
        strcmp(parent->schema->provider, sample->schema->provider) == 0)
        return i;
    return sample->parent;
}
