/* SPDX-License-Identifier: MIT */
/* The sums of one source over its shards. */
#include <errno.h>
#include <string.h>

#include "lib/snapshot.h"

#define GROUP_TRIES 8 /* as far as the budget goes */
#define TOGETHER 16   /* shards added up at once: each sum is in a register meanwhile */

/* to = acc (+) shard, slot by slot; acc NULL: to = shard. Each value of the shard that counts is loaded once. */
static void put_together(const struct parsed *p, uint64_t *to, const uint64_t *acc, const uint64_t *shard)
{
    if (!acc) {
        shm_load(to, shard, p->schema.slots);
        return;
    }
    shm_load_add(to, acc, shard, p->schema.slots);
    for (uint32_t i = 0; i < p->special_count; i++) {
        for (uint32_t k = p->specials[i].slot; k < p->specials[i].slot + p->specials[i].size; k++)
            to[k] = shm_combine(p->specials[i].flags, acc[k], __atomic_load_n(&shard[k], __ATOMIC_RELAXED));
    }
}

static inline uint64_t bytes_of(const struct parsed *p)
{
    return shm_round(shm_shard_bytes(p->schema.slots), SHM_GRANULE);
}

/* May the shard be read, for the i-th time? */
static inline bool again(const struct parsed *p, struct budget *budget, int i)
{
    uint64_t bytes = bytes_of(p);

    if (i == 0)
        return true;
    if (i == GROUP_TRIES || bytes > budget->again)
        return false;
    budget->again -= bytes;
    return true;
}

/* One shard through the mapping. Groups: ended first, begun last; equal means that no group was open in between, or
 * that all of it was seen. The acquire load pairs with the release in vmt_end(), the fence with that in vmt_begin(). */
static int add_mapped(const struct shm_view *view, const struct parsed *p, uint64_t offset, uint64_t *to,
                      const uint64_t *acc, struct budget *budget, struct shm_shard *h)
{
    const struct shm_shard *shm = (const void *)shm_at(view, offset);
    const uint64_t *values = (const uint64_t *)(const void *)(shm + 1);

    for (int i = 0; again(p, budget, i); i++) {
        h->ended = __atomic_load_n(&shm->ended, __ATOMIC_ACQUIRE);
        h->torn = __atomic_load_n(&shm->torn, __ATOMIC_RELAXED);
        put_together(p, to, acc, values);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        h->begun = __atomic_load_n(&shm->begun, __ATOMIC_RELAXED);
        if (!p->groups || h->begun == h->ended)
            break;
    }
    return 0;
}

/* The same by copying: a system call each for what must come in order. */
static int add_copied(struct shm_view *view, const struct parsed *p, uint64_t offset, uint64_t *to, const uint64_t *acc,
                      uint64_t *copy, struct budget *budget, struct shm_shard *h)
{
    for (int i = 0; again(p, budget, i); i++) {
        struct shm_shard after_values;

        if (i && shm_view_copy(view, offset, h, sizeof(*h)) < 0)
            return -EBADMSG;
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* ended: pairs with the release in vmt_end() */
        if (shm_view_copy(view, offset + sizeof(*h), copy, p->schema.slots * sizeof(*copy)) < 0)
            return -EBADMSG;
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* before begun: pairs with the release fence in vmt_begin() */
        if (!p->groups)
            break;
        /* torn once more, too: the copy above took it before ended, and a group may have been mended in between. */
        if (shm_view_copy(view, offset, &after_values, sizeof(after_values)) < 0)
            return -EBADMSG;
        h->begun = after_values.begun;
        h->torn = after_values.torn;
        if (h->begun == h->ended)
            break;
    }
    put_together(p, to, acc, copy);
    return 0;
}

static int add_one(struct shm_view *view, const struct parsed *p, uint64_t offset, uint64_t *to, const uint64_t *acc,
                   uint64_t *copy, struct budget *budget, struct shm_shard *h)
{
    return view->direct ? add_mapped(view, p, offset, to, acc, budget, h)
                        : add_copied(view, p, offset, to, acc, copy, budget, h);
}

/* Next shard, and whose this one is, through the mapping. */
static inline void head_mapped(const struct shm_shard *shm, struct shm_shard *h)
{
    /* Acquire: pairs with the release that links a shard; what it leads to is complete. */
    h->next = __atomic_load_n(&shm->next, __ATOMIC_ACQUIRE);
    h->generation = __atomic_load_n(&shm->generation, __ATOMIC_RELAXED);
    h->source = __atomic_load_n(&shm->source, __ATOMIC_RELAXED);
    h->slots = __atomic_load_n(&shm->slots, __ATOMIC_RELAXED);
}

/* Next shard, owner and so on. */
static int head(struct shm_view *view, uint64_t offset, struct shm_shard *h)
{
    const struct shm_shard *shm;

    if (!view->direct) {
        if (shm_view_copy(view, offset, h, sizeof(*h)) < 0)
            return -EBADMSG;
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* as above */
        return 0;
    }
    shm = (const void *)shm_at(view, offset);
    head_mapped(shm, h);
    h->kind = __atomic_load_n(&shm->kind, __ATOMIC_RELAXED);
    h->owner = __atomic_load_n(&shm->owner, __ATOMIC_RELAXED);
    return 0;
}

static inline bool is_of(const struct source_ref *source, uint32_t slots, const struct shm_shard *h)
{
    return h->generation == source->generation && h->source == source->entry && h->slots == slots;
}

static inline uint64_t after(const struct source_ref *source, uint64_t offset, uint64_t next)
{
    return offset == source->shared ? source->shards : next;
}

/* Where a shard of this source can be, its budget taken. */
static int visit(struct shm_view *view, const struct source_ref *source, uint64_t offset, struct budget *budget,
                 struct shm_shard *h)
{
    uint64_t bytes = bytes_of(source->schema);

    if (!shm_within(view, offset, bytes, SHM_GRANULE) || bytes > budget->visits)
        return -EBADMSG;
    budget->visits -= bytes;
    if (head(view, offset, h) < 0)
        return -EBADMSG;
    return is_of(source, source->schema->schema.slots, h) ? 0 : -ESTALE;
}

/* Up to TOGETHER shards from *offset on, through the mapping as it is: where their values are. Returns how many there
 * are before one that can't be had so, which is left to visit(). What is asked for at each is copied, to stay in
 * registers across the loads. Headers lie far apart, and one leads to the next: those of shards acquired in a row are
 * fetched ahead, by the distance of the last two. */
static uint32_t visit_some(const struct shm_view *mapped, const struct source_ref *of, uint64_t *offset,
                           struct budget *budget, const uint64_t **values)
{
    const struct shm_view view = *mapped;
    const struct source_ref source = *of;
    const uint32_t slots = source.schema->schema.slots;
    const uint64_t bytes = bytes_of(of->schema);
    const union {
        uint32_t one[2]; /* source and slots stand side by side */
        uint64_t both;
    } whose = { .one = { source.entry, slots } };
    uint64_t at = *offset, before = at, left = budget->visits;
    uint32_t n = 0;

    for (; at && n < TOGETHER; n++) {
        const struct shm_shard *shm;
        uint64_t next;

        if (at % SHM_GRANULE || !shm_within_now(&view, at, bytes) || bytes > left)
            break;
        __builtin_prefetch((const void *)((uintptr_t)view.base + at + 2 * (at - before)));
        shm = (const void *)shm_at(&view, at);
        next = __atomic_load_n(&shm->next, __ATOMIC_ACQUIRE); /* as in head_mapped() */
        if (__atomic_load_n(&shm->generation, __ATOMIC_RELAXED) != source.generation ||
            __atomic_load_n((const uint64_t *)(const void *)&shm->source, __ATOMIC_RELAXED) != whose.both)
            break;
        values[n] = shm_at(&view, at + sizeof(*shm));
        left -= bytes;
        before = at;
        at = after(&source, at, next);
    }
    *offset = at;
    budget->visits = left;
    return n;
}

/* As many shards as can be had like this, several at a time; no groups keep them apart, and all slots are sums.
 * Whether there were any. */
static bool add_together(const struct shm_view *view, const struct source_ref *source, uint64_t *offset,
                         struct budget *budget, uint64_t *values)
{
    const uint64_t *shards[TOGETHER];
    const uint64_t *acc = NULL;
    uint32_t n = visit_some(view, source, offset, budget, shards);

    for (; n; n = *offset ? visit_some(view, source, offset, budget, shards) : 0) {
        shm_sum(values, acc, shards, n, source->schema->schema.slots);
        acc = values;
    }
    return acc != NULL;
}

/* Values that others are to be subtracted by are summed before all of the others: what was added is then at least
 * what was removed. */
static int sum_minuends(struct shm_view *view, const struct source_ref *source, struct workspace *work,
                        struct budget *budget)
{
    const struct vmt_schema *schema = &source->schema->schema;
    uint64_t offset = source->shared ? source->shared : source->shards;
    struct shm_shard h;

    memset(work->removed, 0, schema->slots * sizeof(*work->removed));
    for (; offset; offset = after(source, offset, h.next)) {
        const uint64_t *values = work->copy;
        int r = visit(view, source, offset, budget, &h);

        if (r < 0)
            return r;
        if (view->direct)
            values = shm_at(view, offset + sizeof(h));
        else if (shm_view_copy(view, offset + sizeof(h), work->copy, schema->slots * sizeof(*values)) < 0)
            return -EBADMSG;
        for (uint32_t i = 0; i < schema->count; i++) {
            uint32_t slot = schema->descriptors[i].slot;

            if (schema->descriptors[i].minuend)
                work->removed[slot] += __atomic_load_n(&values[slot], __ATOMIC_RELAXED);
        }
    }
    /* Pairs with no fence: vmt_add() is relaxed, and needs program order only, which x86 keeps. Elsewhere what was
     * removed may be seen before what was added. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return 0;
}

static void put_minuends(const struct vmt_schema *schema, uint64_t *values, const uint64_t *removed)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        if (schema->descriptors[i].minuend)
            values[schema->descriptors[i].slot] = removed[schema->descriptors[i].slot];
    }
}

static bool have(struct workspace **work)
{
    if (!*work)
        *work = workspace_take();
    return *work != NULL;
}

int sums(struct shm_view *view, const struct source_ref *source, uint64_t *values, struct workspace **work,
         struct budget *budget, each_shard_fn *each, void *arg)
{
    const struct parsed *p = source->schema;
    uint64_t offset = source->shared ? source->shared : source->shards;
    uint64_t *acc = NULL;
    uint32_t flags = 0;
    int r;

    if ((p->minuends || each || !view->direct) && !have(work))
        return -ENOMEM;
    if (p->minuends) {
        r = sum_minuends(view, source, *work, budget);
        if (r < 0)
            return r;
    }
    if (view->direct && !each && !p->groups && !p->special_count && add_together(view, source, &offset, budget, values))
        acc = values;
    while (offset) {
        struct shm_shard h = { 0 };
        uint32_t shard_flags = 0;
        uint64_t *copy, *to;

        if (acc == values && !have(work)) /* one shard alone needs none */
            return -ENOMEM;
        to = acc == values ? (*work)->spare : values;
        copy = *work ? (*work)->copy : NULL;
        r = visit(view, source, offset, budget, &h);
        if (r < 0)
            return r;
        if (each) {
            /* Kept apart, then put together from the copy: the parts then sum up to the whole (but for
             * minuends, which were summed before). */
            r = add_one(view, p, offset, (*work)->own, NULL, copy, budget, &h);
            if (r == 0)
                put_together(p, to, acc, (*work)->own);
        } else {
            r = add_one(view, p, offset, to, acc, copy, budget, &h);
        }
        if (r < 0)
            return r;
        if (p->groups && h.begun != h.ended)
            shard_flags |= VMT_SAMPLE_UNCONFIRMED;
        if (p->groups && h.torn)
            shard_flags |= VMT_SAMPLE_TORN;
        flags |= shard_flags;
        if (each && !each(arg, offset, &h, (*work)->own, shard_flags))
            return -ENOMEM;
        acc = to;
        offset = after(source, offset, h.next);
    }
    if (!acc)
        parsed_put_nothing(p, values);
    else if (acc != values)
        memcpy(values, acc, p->schema.slots * sizeof(*values));
    if (p->minuends)
        put_minuends(&p->schema, values, (*work)->removed);
    return (int)flags;
}
