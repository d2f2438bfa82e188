/* SPDX-License-Identifier: MIT */
/* Reading all sources, so that each total is of one version of its parent (shm/FORMAT.md, "The reader's algorithm";
 * tests/model/fold.pml, nest.pml and walk.pml).
 *
 * The protocol asks, for each parent: version; then for each child generation, entry, shards, generation again; then
 * version again. Done for all parents at once, in passes over the table:
 *   first look at all generations and versions; acquire; copy of the table; shards and departed blocks of the children
 *   of parents that are not done; acquire; second look at all generations and versions.
 * A parent whose version and generation, and whose children's generations, are as at the first look is done; the
 * others are read again, with their children, in the next pass. A subtotal that is done stays: what it counts can move
 * only by the removal of its source, and then the new pass leaves it out.
 */
#include <errno.h>
#include <string.h>

#include "lib/snapshot.h"

#define PASSES 6
#define PASS_VISITS 3U /* of each byte in a pass: in a sound file no shard is visited, or reckoned with, more often */
#define VISITS 6U      /* in all passes together */

struct walk {
    struct vmt_snapshot *s;
    struct vmt_reader *r;
    const struct shm_header *header;
    uint64_t *generation[2]; /* first and second look */
    uint64_t *version[2];
    const char *table;
    uint32_t used;
    const struct parsed *last; /* schema that was asked for */
    uint64_t last_offset;      /* of it */
    bool followed;             /* the chain of schemas, in this pass */
    bool no_memory;            /* for a schema */
    uint8_t pass;              /* from 1 */
    bool orphans;              /* sources were met in this pass that belong to no parent that is there */
};

/* All generations and versions. Acquire, on both sides, is the caller's fence. */
static int look(struct walk *w, int which)
{
    struct shm_view *view = &w->r->view;
    uint64_t stride = w->header->source_bytes;

    if (!view->direct) {
        if (shm_view_copy(view, w->header->source_offset, w->s->work->table.data, w->used * stride) < 0)
            return -EBADMSG;
        for (uint32_t i = 0; i < w->used; i++) {
            const struct shm_entry *e = (const void *)(w->table + i * stride);

            w->generation[which][i] = e->generation;
            w->version[which][i] = e->version;
        }
        return 0;
    }
    for (uint32_t i = 0; i < w->used; i++) {
        const struct shm_entry *e = (const void *)shm_at(view, w->header->source_offset + i * stride);

        /* Acquire: pairs with the release in fold_into_parent(); the copies of this version are complete. */
        w->version[which][i] = __atomic_load_n(&e->version, __ATOMIC_ACQUIRE);
        /* Acquire: pairs with the releases in publish() and source_bury(). */
        w->generation[which][i] = __atomic_load_n(&e->generation, __ATOMIC_ACQUIRE);
    }
    return 0;
}

static const struct parsed *schema_at(struct walk *w, uint64_t offset)
{
    const struct parsed *p = w->last && w->last_offset == offset ? w->last : schema_set_find(w->r->schemas, offset);
    const char *why;
    uint64_t first;

    if (p) {
        w->last = p;
        w->last_offset = offset;
    }
    if (p || w->followed)
        return p;
    w->followed = true; /* once a pass: it is bounded, but not cheap */
    if (shm_view_link(&w->r->view, offsetof(struct shm_header, schemas), &first) < 0)
        return NULL;
    w->no_memory |= schema_set_follow(w->r->schemas, &w->r->view, first, &why) == -ENOMEM;
    return schema_set_find(w->r->schemas, offset);
}

static bool to_be_done(const struct walk *w, uint32_t parent)
{
    const struct node *n = NODE(w->s, parent);

    return !n->done || n->generation != w->generation[0][parent];
}

/* What was read as a child stays while the subtotal that it is part of does: also when its parent, or it itself, has
 * departed since. */
static bool stands(const struct walk *w, const struct node *n)
{
    const struct node *parent = NODE(w->s, n->entry.parent);

    return parent->done && parent->generation == n->entry.parent_generation;
}

/* How many entries there are by now, at least. */
static uint32_t used_now(struct walk *w)
{
    static_assert(offsetof(struct shm_header, source_used) % 8 == 0, "two u32 in one load");
    uint32_t both[2] = { w->used };

    if (w->used == w->header->source_used) /* else the rest lies behind this reader's cap */
        shm_view_copy(&w->r->view, offsetof(struct shm_header, source_used), both, sizeof(both));
    else
        both[0] = w->header->source_used;
    return both[0];
}

/* In the parent's departed blocks, by the first look? Source 0 has no parent. */
static bool is_folded(const struct walk *w, uint32_t i, const struct shm_entry *e)
{
    return i != 0 && e->fold != 0 && e->parent < w->used && e->fold <= w->version[0][e->parent];
}

/* Is entry i free, or folded? Then nothing below it can live; where something seems to, it has changed since, or never was
 * right. */
static bool has_departed(const struct walk *w, uint32_t i)
{
    const struct shm_entry *e = (const void *)(w->table + (uint64_t)i * w->header->source_bytes);

    return e->state == SHM_FREE || is_folded(w, i, e);
}

/* What is said to be below that parent can't be. */
static bool refuse(struct walk *w, uint32_t parent)
{
    if (parent < w->used)
        NODE(w->s, parent)->failed = true;
    w->orphans = true;
    return false;
}

/* Does the entry take part in this pass, and is it one that counts as of its parent's version? */
static bool takes_part(struct walk *w, uint32_t i)
{
    struct node *n = NODE(w->s, i);
    const struct shm_entry *raw = (const void *)(w->table + (uint64_t)i * w->header->source_bytes);
    struct shm_entry e = *raw;
    uint64_t generation = w->generation[0][i];

    /* Odd: being born or buried, counts nothing. */
    if (generation & 1)
        return false;
    /* Gone since: its parent's version tells. Or born since, and has counted nothing. */
    if (e.generation != generation || e.state == SHM_FREE)
        return false;
    if (shm_check_entry(&e, i, w->header->source_limit, &w->r->view))
        return refuse(w, e.parent);
    /* A parent that was not there when the snapshot began: so this was not, either. Or there is none. */
    if (e.parent >= w->used) {
        w->orphans |= e.parent >= used_now(w);
        return false;
    }
    if (i != 0 && w->generation[0][e.parent] != e.parent_generation)
        return refuse(w, e.parent);
    if (i == 0 ? n->done : !to_be_done(w, e.parent))
        return false;
    /* Seen still, so below a parent that is done: this is a later incarnation, born after the snapshot began. */
    if (n->seen)
        return false;
    if (is_folded(w, i, &e))
        return false;
    if (i != 0 && has_departed(w, e.parent))
        return refuse(w, e.parent);
    n->entry = e;
    return true;
}

/* ---- values ---- */

struct keep {
    struct vmt_snapshot *s;
    const struct parsed *schema;
    uint32_t count;
};

static bool keep_shard(void *arg, uint64_t offset, const struct shm_shard *h, const uint64_t *values, uint32_t flags)
{
    struct keep *k = arg;
    size_t at = pool_add(&k->s->values, k->schema->schema.slots, sizeof(uint64_t));
    size_t shard = pool_add(&k->s->shards, 1, sizeof(struct vmt_shard_sample));
    uint32_t id = (uint32_t)(offset / SHM_GRANULE);

    if (at == SIZE_MAX || shard == SIZE_MAX)
        return false;
    memcpy(VALUES(k->s, at), values, k->schema->schema.slots * sizeof(uint64_t));
    ((struct vmt_shard_sample *)k->s->shards.data)[shard] = (struct vmt_shard_sample){
        .values = (const uint64_t *)(uintptr_t)at, /* an index, until the pool stops moving */
        .owner = h->owner,
        .held = h->kind <= SHM_SHARD_SHARED ? h->kind : 0,
        .flags = flags,
        .id = id ? id : UINT32_MAX, /* of a sound file, never */
    };
    k->count++;
    return true;
}

static int read_values(struct walk *w, uint32_t i)
{
    struct vmt_snapshot *s = w->s;
    struct node *n = NODE(s, i);
    struct keep keep = { .s = s };
    uint64_t *own;
    struct source_ref source = {
        .schema = schema_at(w, n->entry.schema),
        .generation = n->entry.generation,
        .shards = n->entry.shards,
        .shared = n->entry.flags & SHM_ENTRY_SHARED_USED ? (uint64_t)n->entry.shared * SHM_GRANULE : 0,
        .entry = i,
    };
    uint64_t bytes;
    int r;

    if (!source.schema)
        return -EBADMSG;
    /* Each source has a shared shard, used or not: this bounds the memory of a snapshot by the size of the file. */
    bytes = shm_round(shm_shard_bytes(source.schema->schema.slots), SHM_GRANULE);
    if (bytes > s->budget.visits)
        return -EBADMSG;
    s->budget.visits -= bytes;
    if (n->values_room < source.schema->schema.slots) {
        n->values = pool_add(&s->values, source.schema->schema.slots, sizeof(uint64_t));
        if (n->values == SIZE_MAX)
            return -ENOMEM;
        n->values_room = source.schema->schema.slots;
    }
    n->schema = source.schema;
    n->shards = s->shards.used;
    keep.schema = source.schema;
    own = s->want_shards ? s->work->whole : VALUES(s, n->values);
    r = sums(&w->r->view, &source, own, &s->work, &s->budget, s->want_shards ? keep_shard : NULL, &keep);
    if (s->want_shards && r >= 0)
        memcpy(VALUES(s, n->values), own, n->schema->schema.slots * sizeof(uint64_t)); /* the pool may have moved */
    n->shard_count = keep.count;
    if (r < 0)
        return r;
    n->flags = (uint32_t)r | (n->entry.state == SHM_DRAINING ? VMT_SAMPLE_LEAVING : 0);
    return 0;
}

/* The active copies of what departed below source i, as of the version of the first look. */
static int read_departed(struct walk *w, uint32_t i)
{
    struct vmt_snapshot *s = w->s;
    struct shm_view *view = &w->r->view;
    uint64_t offset = NODE(s, i)->entry.departed;
    uint64_t version = w->version[0][i];
    struct shm_departed h;

    NODE(s, i)->first_block = 0;
    NODE(s, i)->listed = false;
    for (uint32_t n = 0; offset; n++, offset = h.next) {
        const struct parsed *schema;
        const uint64_t *nothing;
        struct block *b;
        size_t at;
        uint64_t bytes;

        if (n == VMT_SCHEMAS_MAX || !shm_within(view, offset, sizeof(h), SHM_GRANULE) ||
            shm_view_copy(view, offset, &h, sizeof(h)) < 0)
            return -EBADMSG;
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* next: pairs with the link in departed_make() */
        if (h.source != i || h.generation != NODE(s, i)->entry.generation)
            return -ESTALE;
        schema = schema_at(w, h.schema);
        if (!schema || h.slots != schema->schema.slots)
            return -EBADMSG;
        bytes = shm_departed_bytes(h.slots);
        if (!shm_within(view, offset, bytes, SHM_GRANULE) || bytes > s->budget.visits)
            return -EBADMSG;
        s->budget.visits -= bytes;
        if (block_find(s, NODE(s, i), schema))
            return -EBADMSG; /* which of the two would count? */
        at = pool_add(&s->work->blocks, 1, sizeof(struct block));
        if (at == SIZE_MAX)
            return -ENOMEM;
        b = BLOCK(s, at + 1);
        b->schema = schema;
        b->whole = NOTHING;
        b->next = NODE(s, i)->first_block;
        b->values = pool_add(&s->values, h.slots, sizeof(uint64_t));
        if (b->values == SIZE_MAX)
            return -ENOMEM;
        if (shm_view_copy(view, offset + sizeof(h) + (version & 1) * shm_copy_bytes(h.slots), VALUES(s, b->values),
                          (uint64_t)h.slots * 8) < 0)
            return -EBADMSG;
        nothing = parsed_nothing(schema);
        if (nothing && memcmp(nothing, VALUES(s, b->values), h.slots * sizeof(*nothing)) == 0) {
            s->values.used = b->values;
            b->values = NOTHING;
        }
        NODE(s, i)->first_block = (uint32_t)at + 1;
    }
    NODE(s, i)->listed = true;
    return 0;
}

/* The entry as a child: its own values. */
static int read_child(struct walk *w, uint32_t i)
{
    struct node *n = NODE(w->s, i);
    int r = read_values(w, i);

    n = NODE(w->s, i);
    if (r == -ENOMEM)
        return r;
    if (r < 0) { /* damaged; or used anew, or grown past what was visible, meanwhile: the next pass will tell */
        n->reading = false;
        NODE(w->s, n->entry.parent)->failed = true;
        return 0;
    }
    n->seen = true;
    if (n->generation != n->entry.generation)
        n->done = n->listed = false; /* that was another one's */
    n->generation = n->entry.generation;
    return 0;
}

/* The entry as a parent: what departed below it. */
static int read_parent(struct walk *w, uint32_t i)
{
    const struct shm_entry *raw = (const void *)(w->table + (uint64_t)i * w->header->source_bytes);
    struct node *n = NODE(w->s, i);
    int r;

    n->parenting = n->seen && raw->generation == n->generation && to_be_done(w, i);
    if (!n->parenting)
        return 0;
    n->entry.departed = raw->departed; /* grows when a schema is new below it */
    r = read_departed(w, i);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        n->failed = true;
    return 0;
}

/* What stayed the same from the first to the second look is good. Returns how many parents are not done. */
static uint32_t judge(struct walk *w)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < w->used; i++) {
        struct node *n = NODE(w->s, i);

        if (n->reading && w->generation[1][i] != n->generation) {
            n->seen = false;
            NODE(w->s, n->entry.parent)->failed = true;
        }
    }
    for (uint32_t i = 0; i < w->used; i++) {
        struct node *n = NODE(w->s, i);

        if (n->parenting && !n->failed && w->generation[1][i] == n->generation &&
            w->version[1][i] == w->version[0][i]) {
            n->done = true;
            n->pass = w->pass;
        }
        left += n->seen && !n->done;
    }
    return left + w->orphans + !NODE(w->s, 0)->seen;
}

/* Who takes part in this pass, after the first look. */
static void choose(struct walk *w)
{
    for (uint32_t i = 0; i < w->used; i++) {
        struct node *n = NODE(w->s, i);

        n->failed = false;
        n->parenting = false;
    }
    /* Its subtotal was not had, and now it has gone: whoever is above it must be read again; and so on, up to one who
     * has not gone. */
    for (uint32_t i = 0; i < w->used; i++) {
        struct node *n = NODE(w->s, i);

        for (uint32_t k = i; n->seen && !n->done && w->generation[0][k] != n->generation;) {
            n->seen = false;
            k = n->entry.parent;
            n = NODE(w->s, k);
            n->done = false;
        }
    }
    for (uint32_t i = 0; i < w->used; i++) {
        struct node *n = NODE(w->s, i);

        /* Below a parent that is to be read again, only what is found again counts. */
        if (n->seen && (i == 0 ? !n->done : !stands(w, n)))
            n->seen = false;
    }
    for (uint32_t i = 0; i < w->used; i++)
        NODE(w->s, i)->reading = takes_part(w, i);
}

static int pass(struct walk *w)
{
    struct vmt_snapshot *s = w->s;
    int r = 0;

    if (look(w, 0) < 0)
        return -EBADMSG;
    /* By copying: what the acquire loads in look() are when mapped. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (shm_view_copy(&w->r->view, w->header->source_offset, s->work->table.data,
                      (uint64_t)w->used * w->header->source_bytes) < 0)
        return -EBADMSG;
    /* Pairs with the releases that link shards and departed blocks: what the table leads to is complete. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    choose(w);
    for (uint32_t i = 0; i < w->used && r == 0; i++) {
        if (NODE(s, i)->reading)
            r = read_child(w, i);
    }
    for (uint32_t i = 0; i < w->used && r == 0; i++)
        r = read_parent(w, i);
    if (r < 0 || w->no_memory)
        return r < 0 ? r : -ENOMEM;
    /* Pairs with the release fences of the writer's removal: who has seen memory that was used anew sees, from here
     * on, that its generation or version changed. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (look(w, 1) < 0)
        return -EBADMSG;
    return judge(w) ? 1 : 0;
}

/* Nothing was changed from when structure was loaded up to now: another pass would find the same. (Acquire: pairs with
 * the release fence in structure_begin(); who has seen anything of a change sees that there is one.) */
static bool nothing_changed(struct walk *w, uint64_t structure)
{
    uint64_t now;

    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return shm_view_link(&w->r->view, offsetof(struct shm_header, structure), &now) == 0 && now == structure &&
           !(structure & 1);
}

int walk(struct vmt_snapshot *s, struct vmt_reader *r, const struct shm_header *header)
{
    struct walk w = { .s = s, .r = r, .header = header, .used = header->source_used };
    /* Of a file that is larger than this reader's cap, only the front is seen. */
    uint64_t room = r->view.bytes > header->source_offset ? r->view.bytes - header->source_offset : 0;
    uint64_t visible = room / header->source_bytes;
    uint64_t visits = VISITS * shm_view_solid(&r->view);
    uint64_t structure = header->structure;
    struct workspace *work = s->work;
    int result = 1;

    if (w.used > visible)
        w.used = (uint32_t)visible;
    if (w.used == 0)
        return -EBADMSG;
    if (!pool_reserve(&work->nodes, w.used, sizeof(struct node)) || !pool_reserve(&work->glances, 4 * w.used, 8) ||
        !pool_reserve(&work->table, (uint64_t)w.used * header->source_bytes, 1))
        return -ENOMEM;
    work->nodes.used = w.used;
    work->glances.used = 4 * (size_t)w.used;
    work->table.used = (size_t)w.used * header->source_bytes;
    work->blocks.used = 0;
    memset(work->nodes.data, 0, w.used * sizeof(struct node));
    for (int k = 0; k < 2; k++) {
        w.generation[k] = (uint64_t *)work->glances.data + (size_t)(2 * k) * w.used;
        w.version[k] = (uint64_t *)work->glances.data + (size_t)(2 * k + 1) * w.used;
    }
    w.table = work->table.data;
    s->budget.again = shm_view_solid(&r->view);
    for (int i = 0; i < PASSES && result == 1; i++) {
        uint64_t most = PASS_VISITS * shm_view_solid(&r->view);

        s->budget.visits = visits < most ? visits : most;
        visits -= s->budget.visits;
        w.followed = false;
        w.orphans = false;
        w.pass++;
        result = pass(&w);
        visits += s->budget.visits;
        if (result == 1 && nothing_changed(&w, structure))
            break;
        if (result == 1 && shm_view_link(&r->view, offsetof(struct shm_header, structure), &structure) < 0)
            result = -EBADMSG;
    }
    if (result >= 0 && !NODE(s, 0)->seen)
        result = -EBADMSG;
    return result;
}
