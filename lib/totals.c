/* SPDX-License-Identifier: MIT */
/* From nodes to what users see: the tree in order, full ids, and for each source what its descendants counted. */
#include "lib/totals.h"

#include <errno.h>
#include <string.h>

#include "lib/snapshot.h"

#define SAMPLE(s, i) (&((struct vmt_sample *)(s)->samples.data)[i])
#define TOTAL(s, i) (&((struct vmt_total *)(s)->totals.data)[i])
#define ORDER(s, i) (((uint32_t *)(s)->work->order.data)[i])

/* Of totals while they are made, beside VMT_SAMPLE_. */
#define PASS_SHIFT 24 /* three bits: the last pass in which any of it was read; 0: nothing is in it */
#define PASS_MASK (7U << PASS_SHIFT)
#define SHARED 0x20000000U  /* values are those of the only one below that counts: often there is no second */
#define UNKNOWN 0x40000000U /* what one below counts itself is not known */
#define COVERED 0x80000000U /* and is not missed: the sum over all of them is known, and in it */

/* A pool's index, kept in a pointer's place until the pools have stopped moving. */
static void *index_as_pointer(size_t at) { return (void *)(uintptr_t)at; }

static uint64_t *values_at(struct vmt_snapshot *s, const void *index) { return VALUES(s, (uintptr_t)index); }

static bool is_nothing(const void *index) { return (uintptr_t)index == NOTHING; }

static const uint64_t *nothing_of(const struct vmt_schema *schema)
{
    return parsed_nothing((const struct parsed *)(const void *)schema);
}

/* ---- the tree ---- */

static bool hangs(const struct vmt_snapshot *s, const struct node *n)
{
    const struct node *parent = NODE(s, n->entry.parent);

    return n->seen && parent->seen && parent->generation == n->entry.parent_generation;
}

static void link_children(struct vmt_snapshot *s)
{
    for (size_t i = 0; i < s->work->nodes.used; i++) {
        NODE(s, i)->first_child = 0;
        NODE(s, i)->next_sibling = 0;
    }
    /* Backwards, so that siblings stand in the order of the table. */
    for (size_t i = s->work->nodes.used; i-- > 1;) {
        struct node *n = NODE(s, i);
        struct node *parent = NODE(s, n->entry.parent);

        if (!hangs(s, n))
            continue;
        n->next_sibling = parent->first_child;
        parent->first_child = (uint32_t)i;
    }
}

/* Parents in a circle, which are never reached from source 0. (A chain that ends elsewhere is no damage: those are read
 * as part of a subtotal, and above that one has departed since.) */
static bool has_circle(const struct vmt_snapshot *s)
{
    for (size_t i = 1; i < s->work->nodes.used; i++) {
        const struct node *n = NODE(s, i);
        uint32_t steps = 0;

        while (n != NODE(s, 0) && hangs(s, n) && steps++ <= VMT_DEPTH_MAX)
            n = NODE(s, n->entry.parent);
        if (steps > VMT_DEPTH_MAX)
            return true;
    }
    return false;
}

/* Depth first. A chain of parents that is too deep is cut. */
static int order_tree(struct vmt_snapshot *s)
{
    uint32_t path[VMT_DEPTH_MAX + 1] = { 0 }; /* entries */
    size_t samples[VMT_DEPTH_MAX + 1] = { 0 };
    uint32_t depth = 0;

    if (!pool_reserve(&s->work->order, s->work->nodes.used, sizeof(uint32_t)) ||
        !pool_reserve(&s->samples, s->work->nodes.used, sizeof(struct vmt_sample)))
        return -ENOMEM;
    for (;;) {
        uint32_t next;
        size_t at = s->samples.used++;

        ORDER(s, at) = path[depth];
        memset(SAMPLE(s, at), 0, sizeof(struct vmt_sample));
        SAMPLE(s, at)->entry = path[depth];
        SAMPLE(s, at)->depth = depth;
        SAMPLE(s, at)->parent = depth ? (uint32_t)samples[depth - 1] : UINT32_MAX;
        samples[depth] = at;
        next = NODE(s, path[depth])->first_child;
        if (next && depth == VMT_DEPTH_MAX)
            s->info.flags |= VMT_SNAPSHOT_PARTIAL;
        if (next && depth < VMT_DEPTH_MAX) {
            path[++depth] = next;
            continue;
        }
        while (depth && !NODE(s, path[depth])->next_sibling)
            depth--;
        if (!depth)
            return 0;
        path[depth] = NODE(s, path[depth])->next_sibling;
    }
}

/* ---- totals ---- */

static bool is_mean(uint32_t flags) { return (flags & VMT_AGGREGATION_MASK) == VMT_AGGREGATION_AVERAGE; }

static bool is_zeros(uint32_t flags) { return (flags & VMT_AGGREGATION_MASK) == VMT_AGGREGATION_COUNT_ZERO; }

static struct vmt_total *total_of(struct vmt_snapshot *s, const struct vmt_sample *sample,
                                  const struct vmt_schema *schema)
{
    size_t first = (uintptr_t)sample->totals;

    for (size_t i = first; i < first + sample->total_count; i++) {
        if (TOTAL(s, i)->schema == schema)
            return TOTAL(s, i);
    }
    return NULL;
}

static void add_slots(const struct vmt_schema *schema, uint64_t *to, const uint64_t *from, bool one_source)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        for (uint32_t k = d->slot; k < d->slot + d->size; k++) {
            if (is_zeros(d->flags) && one_source)
                to[k] += from[k] == 0;
            else
                to[k] = shm_combine(d->flags, to[k], from[k]);
        }
    }
}

static bool same_up(const struct vmt_total *total)
{
    return ((const struct parsed *)(const void *)total->schema)->same_up;
}

/* Into a total: what stands at from, if anything does. */
static int add_values(struct vmt_snapshot *s, struct vmt_total *to, const void *from, bool one_source)
{
    uint32_t slots = to->schema->slots;

    if (is_nothing(from))
        return 0;
    if (is_nothing(to->values) && same_up(to)) {
        to->values = from;
        to->flags |= SHARED;
        return 0;
    }
    if (is_nothing(to->values) || to->flags & SHARED) {
        size_t values = pool_add(&s->values, slots, sizeof(uint64_t));

        if (values == SIZE_MAX)
            return -ENOMEM;
        memcpy(VALUES(s, values), is_nothing(to->values) ? nothing_of(to->schema) : values_at(s, to->values),
               slots * sizeof(uint64_t));
        to->values = index_as_pointer(values);
        to->flags &= ~SHARED;
    }
    add_slots(to->schema, values_at(s, to->values), values_at(s, from), one_source);
    return 0;
}

/* The pass in which a source was read as a parent; of one that never was, a later one than all. */
static uint32_t pass_of(const struct node *n) { return (n->done ? n->pass : 7U) << PASS_SHIFT; }

static void note_pass(struct vmt_total *total, uint32_t pass)
{
    if ((total->flags & PASS_MASK) < pass)
        total->flags = (total->flags & ~PASS_MASK) | pass;
}

/* An empty total for each schema that the source has a departed block of: the writer makes one for all below it, and
 * kvm/join.c for those that it adds. */
static int make_totals(struct vmt_snapshot *s, size_t at)
{
    struct vmt_sample *sample = SAMPLE(s, at);
    const struct node *n = NODE(s, sample->entry);

    sample->totals = index_as_pointer(s->totals.used);
    for (uint32_t b = n->first_block; b; b = BLOCK(s, b)->next) {
        const struct block *block = BLOCK(s, b);
        size_t total = pool_add(&s->totals, 1, sizeof(struct vmt_total));

        if (total == SIZE_MAX)
            return -ENOMEM;
        *TOTAL(s, total) =
            (struct vmt_total){ .schema = &block->schema->schema,
                                .values = index_as_pointer(NOTHING),
                                .departed = index_as_pointer(block->values),
                                .flags = (n->done ? 0 : VMT_SAMPLE_ABSENT) | (block->whole == NOTHING ? 0 : COVERED) |
                                         (block->values == NOTHING ? 0 : pass_of(n)) };
        if (add_values(s, TOTAL(s, total), index_as_pointer(block->values), false) < 0 ||
            add_values(s, TOTAL(s, total), index_as_pointer(block->whole), false) < 0)
            return -ENOMEM;
        sample->total_count++;
    }
    return 0;
}

/* What is not known of one below becomes so of a total, unless it has the sum over all. */
static void add_flags(struct vmt_total *to, uint32_t flags)
{
    to->flags |= flags & VMT_SAMPLE_ABSENT;
    if (!(to->flags & COVERED))
        to->flags |= flags & UNKNOWN;
}

/* What departed below a child, into its parent's. */
static int add_departed(struct vmt_snapshot *s, struct vmt_total *to, const struct vmt_total *from)
{
    uint32_t slots = to->schema->slots;

    if (is_nothing(from->departed))
        return 0;
    if (is_nothing(to->departed)) {
        size_t values = pool_add(&s->values, slots, sizeof(uint64_t));

        if (values == SIZE_MAX)
            return -ENOMEM;
        memcpy(VALUES(s, values), nothing_of(to->schema), slots * sizeof(uint64_t));
        to->departed = index_as_pointer(values);
    }
    add_slots(to->schema, values_at(s, to->departed), values_at(s, from->departed), false);
    return 0;
}

/* The source at has no departed block for a schema of which something below it was read in that pass. The writer makes
 * blocks before it adds what is below, so either this is new since the source was read, in an earlier pass (when it had
 * nothing of it, and so it is right); or the segment lies, and the next total above is not known, nor those above it. */
static void lack(struct vmt_snapshot *s, size_t at, const struct vmt_schema *schema, uint32_t pass)
{
    struct vmt_total *total = NULL;

    if (pass == 0 || pass > pass_of(NODE(s, SAMPLE(s, at)->entry)))
        return;
    s->info.flags |= VMT_SNAPSHOT_PARTIAL;
    for (at = SAMPLE(s, at)->parent; at != UINT32_MAX && !total; at = SAMPLE(s, at)->parent)
        total = total_of(s, SAMPLE(s, at), schema);
    if (total)
        total->flags |= VMT_SAMPLE_ABSENT;
}

/* What a child counts itself, into its parent's total. */
static int add_own(struct vmt_snapshot *s, const struct vmt_sample *c)
{
    const struct node *n = NODE(s, c->entry);
    const uint32_t pass = pass_of(NODE(s, SAMPLE(s, c->parent)->entry)); /* children are read with their parents */
    struct vmt_total *to = total_of(s, SAMPLE(s, c->parent), &n->schema->schema);

    if (!to) {
        if (n->schema->schema.slots && !n->schema->handle) /* kvm/join.c has none of these two */
            lack(s, c->parent, &n->schema->schema, pass);
        return 0;
    }
    if (n->kernel && n->flags & VMT_SAMPLE_ABSENT)
        add_flags(to, UNKNOWN);
    else if (add_values(s, to, index_as_pointer(n->values), true) < 0)
        return -ENOMEM;
    to->sources++;
    note_pass(to, pass);
    return 0;
}

/* Child and what is below it, into its parent. */
static int add_up(struct vmt_snapshot *s, size_t child)
{
    const struct vmt_sample *c = SAMPLE(s, child);
    const struct vmt_sample *parent = SAMPLE(s, c->parent);
    const struct node *n = NODE(s, c->entry);

    /* Which schemas there are below it is not known either. */
    for (size_t i = (uintptr_t)parent->totals; !n->listed && i < (uintptr_t)parent->totals + parent->total_count; i++)
        TOTAL(s, i)->flags |= VMT_SAMPLE_ABSENT;
    if (add_own(s, c) < 0)
        return -ENOMEM;
    for (size_t i = (uintptr_t)c->totals; i < (uintptr_t)c->totals + c->total_count; i++) {
        const struct vmt_total *from = TOTAL(s, i);
        struct vmt_total *to = total_of(s, parent, from->schema);

        if (!to) {
            lack(s, c->parent, from->schema, from->flags & PASS_MASK);
            continue;
        }
        if (add_values(s, to, from->values, false) < 0 || add_departed(s, to, from) < 0)
            return -ENOMEM;
        to->sources += from->sources;
        add_flags(to, from->flags);
        note_pass(to, from->flags & PASS_MASK);
    }
    return 0;
}

static void divide_means(struct vmt_snapshot *s)
{
    for (size_t i = 0; i < s->totals.used; i++) {
        const struct vmt_total *total = TOTAL(s, i);
        uint64_t *values;

        if (same_up(total) || is_nothing(total->values))
            continue;
        values = values_at(s, total->values);
        for (uint32_t k = 0; k < total->schema->count; k++) {
            const struct vmt_descriptor *d = &total->schema->descriptors[k];

            if (!is_mean(d->flags) || !total->sources)
                continue;
            for (uint32_t slot = d->slot; slot < d->slot + d->size; slot++)
                values[slot] = d->flags & VMT_SIGNED ? (uint64_t)((int64_t)values[slot] / (int64_t)total->sources)
                                                     : values[slot] / total->sources;
        }
    }
}

/* ---- what users see ---- */

static int put_id(struct vmt_snapshot *s, size_t at)
{
    struct vmt_sample *sample = SAMPLE(s, at);
    const struct node *n = NODE(s, sample->entry);
    size_t own = strlen(n->entry.name);
    size_t text;

    if (sample->parent == UINT32_MAX) {
        text = pool_add(&s->text, 1, 1);
        if (text != SIZE_MAX)
            ((char *)s->text.data)[text] = '\0';
    } else {
        size_t above = (uintptr_t)SAMPLE(s, sample->parent)->id;
        size_t n_above = strlen((char *)s->text.data + above);

        text = pool_add(&s->text, n_above + own + 2, 1);
        if (text != SIZE_MAX) {
            char *id = (char *)s->text.data + text;

            memcpy(id, (char *)s->text.data + above, n_above);
            if (n_above)
                id[n_above++] = '/';
            memcpy(id + n_above, n->entry.name, own + 1);
        }
    }
    sample->id = index_as_pointer(text);
    return text == SIZE_MAX ? -ENOMEM : 0;
}

static const uint64_t *pointer_to(struct vmt_snapshot *s, const struct vmt_schema *schema, const void *index)
{
    return is_nothing(index) ? nothing_of(schema) : values_at(s, index);
}

/* The pools have stopped moving: indices become pointers. */
static void put_pointers(struct vmt_snapshot *s)
{
    for (size_t i = 0; i < s->totals.used; i++) {
        struct vmt_total *total = TOTAL(s, i);

        total->values = pointer_to(s, total->schema, total->values);
        total->departed = pointer_to(s, total->schema, total->departed);
        if (total->flags & UNKNOWN)
            total->flags |= VMT_SAMPLE_ABSENT;
        total->flags &= VMT_SAMPLE_ABSENT;
    }
    for (size_t i = 0; i < s->shards.used; i++) {
        struct vmt_shard_sample *shard = &((struct vmt_shard_sample *)s->shards.data)[i];

        shard->values = values_at(s, shard->values);
    }
    for (size_t i = 0; i < s->samples.used; i++) {
        struct vmt_sample *sample = SAMPLE(s, i);
        const struct node *n = NODE(s, sample->entry);
        const char *slash;

        if (n->kernel)
            sample->entry = n->joined;
        else if (n->schema->kernel && !n->schema->handle)
            s->info.from |= VMT_FROM_COPIES;
        sample->id = (char *)s->text.data + (uintptr_t)sample->id;
        slash = strrchr(sample->id, '/');
        sample->name = sample->parent == UINT32_MAX ? s->info.name : slash ? slash + 1 : sample->id;
        sample->schema = &n->schema->schema;
        sample->values = VALUES(s, n->values);
        sample->totals = sample->total_count ? TOTAL(s, (uintptr_t)sample->totals) : NULL;
        sample->shards = n->shard_count ? &((struct vmt_shard_sample *)s->shards.data)[n->shards] : NULL;
        sample->shard_count = n->shard_count;
        sample->generation = n->generation;
        sample->created_ns = n->entry.created_ns;
        sample->flags = n->flags;
    }
}

int totals_and_samples(struct vmt_snapshot *s)
{
    int r;

    link_children(s);
    r = order_tree(s);
    for (size_t i = 0; r == 0 && i < s->samples.used; i++) {
        r = put_id(s, i);
        if (r == 0)
            r = make_totals(s, i);
    }
    if (r < 0)
        return r;
    if (s->samples.used < s->work->nodes.used && has_circle(s))
        s->info.flags |= VMT_SNAPSHOT_PARTIAL;
    /* Children stand after their parents, so backwards each is complete before it is added. */
    for (size_t i = s->samples.used; r == 0 && i-- > 1;)
        r = add_up(s, i);
    if (r < 0)
        return r;
    divide_means(s);
    pool_fit(&s->values, sizeof(uint64_t));
    pool_fit(&s->shards, sizeof(struct vmt_shard_sample));
    pool_fit(&s->totals, sizeof(struct vmt_total));
    pool_fit(&s->text, 1);
    put_pointers(s);
    return 0;
}

int vmt_sample_total(const struct vmt_sample *sample, const struct vmt_descriptor *d, uint64_t *values)
{
    const uint32_t what = VMT_TYPE_MASK | VMT_UNIT_MASK;
    bool found = false;
    uint32_t sources = 0;

    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];
        const struct vmt_descriptor *own = vmt_schema_find(total->schema, d->name);

        if (!own || ((own->flags ^ d->flags) & what) || own->size != d->size)
            continue;
        if (total->flags & VMT_SAMPLE_ABSENT)
            return -ENODATA;
        for (uint32_t k = 0; k < d->size; k++) {
            uint64_t value = total->values[own->slot + k];

            if (is_mean(d->flags)) /* of means, by how many each stands for; the remainders are lost, as in each */
                value *= total->sources;
            values[k] = found ? shm_combine(d->flags, values[k], value) : value;
        }
        sources += total->sources;
        found = true;
    }
    for (uint32_t k = 0; found && is_mean(d->flags) && sources && k < d->size; k++)
        values[k] = d->flags & VMT_SIGNED ? (uint64_t)((int64_t)values[k] / (int64_t)sources) : values[k] / sources;
    return found ? 0 : -ENOENT;
}
