/* SPDX-License-Identifier: MIT */
/* Sources: adding, finding, and removing with all that they counted kept. The protocol, with its readers' half, is in
 * shm/FORMAT.md; it is modelled in tests/model/fold.pml and nest.pml. */
#include "lib/writer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vmtally/schemas.h>

#include "lib/grace.h"
#include "lib/point.h"
#include "shm/clock.h"

#define RECLAIM_AT 8 /* retired sources: a grace period for each would be much, a file that grows meanwhile, too */

struct record *record_new(struct vmt_segment *segment)
{
    struct record *record = segment->free_records;

    if (record) {
        segment->free_records = record->next;
    } else {
        if (segment->record_count == segment->record_limit)
            return NULL;
        record = &segment->records[segment->record_count++];
    }
    record->next = NULL;
    record->source = NULL;
    return record;
}

void record_free(struct vmt_segment *segment, struct record *record)
{
    record->next = segment->free_records;
    segment->free_records = record;
}

/* ---- names: (parent, name) -> source, walked under RCU ---- */

static struct vmt_source **bucket_of(const struct vmt_segment *segment, uint32_t parent, const char *name, size_t n)
{
    uint32_t hash = 2166136261U ^ parent; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    return &segment->names[(hash ^ hash >> 15) & segment->name_mask];
}

static struct vmt_source *name_find(const struct vmt_segment *segment, const struct vmt_source *parent,
                                    const char *name, size_t n)
{
    /* Acquire: pairs with the release in name_add and name_remove. */
    struct vmt_source *s = __atomic_load_n(bucket_of(segment, parent->index, name, n), __ATOMIC_ACQUIRE);

    while (s && (s->parent != parent || strncmp(s->name, name, n) != 0 || s->name[n] != '\0'))
        s = __atomic_load_n(&s->next_name, __ATOMIC_ACQUIRE);
    return s;
}

static void name_add(struct vmt_source *source)
{
    struct vmt_source **bucket = bucket_of(source->segment, source->parent->index, source->name, strlen(source->name));

    PUT(source->next_name, *bucket);
    PUT_RELEASE(*bucket, source);
}

static void name_remove(struct vmt_source *source)
{
    struct vmt_source **p = bucket_of(source->segment, source->parent->index, source->name, strlen(source->name));

    while (*p != source)
        p = &(*p)->next_name;
    PUT_RELEASE(*p, source->next_name);
}

int vmt_source_find(struct vmt_segment *segment, const char *id, struct vmt_source **ret)
{
    struct vmt_source *source;
    struct grace g = { 0 };

    if (!segment)
        return -ENODEV;
    if (segment->forked)
        return -ECHILD;
    /* In a jail under the mutex: who waits for a read section does so by a futex that is not private. */
    if (segment->space.fixed)
        pthread_mutex_lock(&segment->lock);
    else
        g = grace_read_lock();
    source = segment->root;
    while (source && *id) {
        size_t n = strcspn(id, "/");

        source = n && n < VMT_NAME_SIZE ? name_find(segment, source, id, n) : NULL;
        id += n;
        if (*id == '/')
            id++;
    }
    if (segment->space.fixed)
        pthread_mutex_unlock(&segment->lock);
    else
        grace_read_unlock(g);
    if (!source)
        return -ENOENT;
    *ret = source;
    return 0;
}

/* ---- adding ---- */

static int id_check(const char *id)
{
    size_t n = strlen(id);

    if (n >= VMT_NAME_SIZE)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < n; i++) {
        if (id[i] <= ' ' || id[i] > '~' || id[i] == '/')
            return -EINVAL;
    }
    return n ? 0 : -EINVAL;
}

static struct vmt_source *source_new(struct vmt_segment *segment, int *error)
{
    struct vmt_source *source;

    if (segment->free_sources) {
        source = segment->free_sources;
        segment->free_sources = source->next_leaving;
        return source;
    }
    if (segment->source_used == segment->source_limit) {
        *error = -ENFILE;
        return NULL;
    }
    if (segment->source_used == segment->source_allocated) {
        const struct shm_header *h = segment->header;
        uint64_t from = shm_round(sizeof(*h), 4096) + (uint64_t)segment->source_used * SHM_ENTRY_BYTES;

        *error = space_grow(segment, from, from + 4096);
        if (*error < 0)
            return NULL;
        segment->source_allocated += 4096 / SHM_ENTRY_BYTES;
    }
    source = &segment->sources[segment->source_used];
    source->index = segment->source_used++;
    source->entry =
        space_at(segment, shm_round(sizeof(struct shm_header), 4096) + (uint64_t)source->index * SHM_ENTRY_BYTES);
    return source;
}

static struct record *departed_of(const struct vmt_source *source, const struct schema *schema)
{
    struct record *record = source->departed;

    while (record && record->schema != schema)
        record = record->next;
    return record;
}

/* The block in which parent keeps what departed with this schema, and those of its ancestors before it, so that who has
 * one can always be folded. Made empty: linking it changes no sum. */
static int departed_make(struct vmt_source *parent, struct schema *schema)
{
    struct vmt_segment *segment = parent->segment;
    uint32_t slots = schema->declared->slots;
    struct record *record;
    struct shm_departed *block;
    int error = 0;

    if (departed_of(parent, schema))
        return 0;
    if (parent->parent)
        error = departed_make(parent->parent, schema);
    if (error < 0)
        return error;
    record = record_new(segment);
    if (!record)
        return -ENOSPC;
    record->schema = schema;
    record->offset = space_alloc(segment, shm_departed_bytes(slots), false, &error);
    if (!record->offset) {
        record_free(segment, record);
        return error;
    }
    block = space_at(segment, record->offset);
    structure_begin(segment);
    PUT(block->next, 0);
    PUT(block->schema, schema->offset);
    PUT(block->generation, GET(parent->entry->generation));
    PUT(block->source, parent->index);
    PUT(block->slots, slots);
    for (uint32_t copy = 0; copy < 2; copy++) {
        uint64_t *values = (uint64_t *)(void *)((char *)(block + 1) + copy * shm_copy_bytes(slots));

        for (uint32_t i = 0; i < schema->declared->count; i++) {
            const struct vmt_descriptor *d = &schema->declared->descriptors[i];

            for (uint32_t k = 0; k < d->size; k++)
                PUT(values[d->slot + k], shm_identity(d->flags));
        }
    }
    POINT("departed_make: filled");
    /* Release: pairs with the reader's acquire load of the link. Before any commit that uses it. */
    if (parent->last_departed)
        PUT_RELEASE(parent->last_departed->next, record->offset);
    else
        PUT_RELEASE(parent->entry->departed, record->offset);
    POINT("departed_make: linked");
    structure_end(segment);
    parent->last_departed = block;
    record->next = parent->departed;
    parent->departed = record;
    return 0;
}

/* The entry's birth: odd, fields, even. */
static void publish(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    struct shm_entry *e = source->entry;
    uint64_t generation = GET(e->generation);
    uint64_t name[VMT_NAME_SIZE / 8] = { 0 };

    memcpy(name, source->name, sizeof(source->name));
    structure_begin(segment);
    PUT(e->generation, generation + 1);
    /* Release fence: pairs with the reader's acquire fence before it looks at the generation again. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    POINT("publish: odd");
    PUT(e->fold, 0);
    PUT(e->state, SHM_LIVE);
    POINT("publish: live");
    PUT(e->parent, source->parent ? source->parent->index : 0);
    PUT(e->parent_generation, source->parent ? GET(source->parent->entry->generation) : 0);
    PUT(e->schema, source->schema->offset);
    PUT(e->shards, 0);
    PUT(e->shared, (uint32_t)(source->shared_offset / SHM_GRANULE));
    PUT(e->departed, 0);
    PUT(e->created_ns, shm_clock_ns(CLOCK_REALTIME));
    PUT(e->flags, 0);
    for (size_t i = 0; i < sizeof(name) / 8; i++)
        PUT(((uint64_t *)(void *)e->name)[i], name[i]);
    shard_init(segment, source->shared_offset, source, generation + 2, SHM_SHARD_SHARED);
    POINT("publish: filled");
    /* Release: pairs with the reader's acquire load of the generation. */
    PUT_RELEASE(e->generation, generation + 2);
    POINT("publish: even");
    if (GET(segment->header->source_used) < segment->source_used)
        PUT_RELEASE(segment->header->source_used, segment->source_used);
    POINT("publish: used");
    structure_end(segment);
}

static int add(struct vmt_segment *segment, const struct vmt_schema *declared, struct vmt_source *parent,
               const char *id, struct vmt_source **ret)
{
    struct vmt_source *source;
    struct schema *schema;
    int error = 0;

    schema = schema_intern(segment, declared, &error);
    if (!schema)
        return error;
    if (parent)
        error = departed_make(parent, schema);
    if (error < 0)
        return error;
    source = source_new(segment, &error);
    if (!source)
        return error;
    source->shared_offset = space_alloc(segment, shm_shard_bytes(declared->slots), false, &error);
    if (!source->shared_offset) {
        source->next_leaving = segment->free_sources;
        segment->free_sources = source;
        return error;
    }
    source->segment = segment;
    source->parent = parent;
    source->schema = schema;
    source->shared = space_at(segment, source->shared_offset);
    source->shards = NULL;
    source->last_shard = NULL;
    source->idle = NULL;
    source->departed = NULL;
    source->last_departed = NULL;
    source->depth = parent ? parent->depth + 1 : 0;
    source->held = 0;
    source->held_by_thread = 0;
    source->children = 0;
    source->removed = false;
    memset(source->name, 0, sizeof(source->name));
    memcpy(source->name, id, strlen(id));
    publish(source);
    if (parent) {
        parent->children++;
        name_add(source);
    }
    *ret = source;
    return 0;
}

int source_make_root(struct vmt_segment *segment)
{
    return add(segment, &vmt_schema_segment, NULL, "", &segment->root);
}

static bool no_room(int error) { return error == -ENOSPC || error == -EFBIG || error == -ENFILE; }

static int add_locked(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                      const char *id, struct vmt_source **ret)
{
    int r;

    pthread_mutex_lock(&segment->lock);
    source_reap_leaving(segment);
    if (parent->removed)
        r = -ESTALE;
    else if (parent->depth == VMT_DEPTH_MAX)
        r = -ELOOP;
    else if (name_find(segment, parent, id, strlen(id)))
        r = -EEXIST;
    else
        r = add(segment, schema, parent, id, ret);
    pthread_mutex_unlock(&segment->lock);
    return r;
}

int vmt_source_add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                   const char *id, struct vmt_source **ret)
{
    int r;

    if (!segment)
        return -ENODEV;
    if (segment->forked)
        return -ECHILD;
    if (!id || (parent && parent->segment != segment))
        return -EINVAL;
    r = id_check(id);
    if (r == 0)
        r = schema_check(schema);
    if (r < 0)
        return r;
    if (!parent)
        parent = segment->root;
    if (GET(segment->retired_count) >= RECLAIM_AT)
        space_reclaim(segment);
    r = add_locked(segment, schema, parent, id, ret);
    if (no_room(r) && space_reclaim(segment))
        r = add_locked(segment, schema, parent, id, ret);
    if (r == 0)
        vmt_count(segment->root, VMT_SEGMENT_SOURCES_ADDED, 1);
    else if (no_room(r))
        vmt_count(segment->root, VMT_SEGMENT_DROPPED_SOURCES, 1);
    return r;
}

int vmt_source_addf(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                    struct vmt_source **ret, const char *format, ...)
{
    char id[VMT_NAME_SIZE];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(id, sizeof(id), format, args);
    va_end(args);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n >= sizeof(id))
        return segment ? -ENAMETOOLONG : -ENODEV;
    return vmt_source_add(segment, schema, parent, id, ret);
}

/* ---- removing ---- */

static uint64_t *copy_of(struct vmt_segment *segment, const struct record *block, uint64_t version)
{
    return (uint64_t *)(void *)((char *)space_at(segment, block->offset) + sizeof(struct shm_departed) +
                                (version & 1) * shm_copy_bytes(block->schema->declared->slots));
}

/* to = to (+) from, slot by slot, of what is kept on departure. */
static void fold_values(const struct vmt_schema *schema, uint64_t *to, const uint64_t *from)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        if (!shm_kept_on_departure(d->flags))
            continue;
        for (uint32_t k = d->slot; k < d->slot + d->size; k++)
            PUT(to[k], shm_combine(d->flags, to[k], GET(from[k])));
    }
}

/* One commit point per parent: every inactive copy is made ready, then version says that they are the active ones. */
static void fold_into_parent(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    struct vmt_source *parent = source->parent;
    uint64_t version = GET(parent->entry->version);
    uint64_t child_version = GET(source->entry->version);
    uint64_t *mine;

    PUT(source->entry->fold, version + 1);
    POINT("fold_into_parent: fold");
    for (struct record *block = parent->departed; block; block = block->next) {
        const uint64_t *active = copy_of(segment, block, version);
        uint64_t *inactive = copy_of(segment, block, version + 1);

        for (uint32_t k = 0; k < block->schema->declared->slots; k++)
            PUT(inactive[k], active[k]);
    }
    POINT("fold_into_parent: copied");
    mine = copy_of(segment, departed_of(parent, source->schema), version + 1);
    fold_values(source->schema->declared, mine, (const uint64_t *)(const void *)(source->shared + 1));
    for (struct record *shard = source->shards; shard; shard = shard->next)
        fold_values(source->schema->declared, mine,
                    (const uint64_t *)(const void *)((struct shm_shard *)space_at(segment, shard->offset) + 1));
    for (struct record *block = source->departed; block; block = block->next)
        fold_values(block->schema->declared, copy_of(segment, departed_of(parent, block->schema), version + 1),
                    copy_of(segment, block, child_version));
    POINT("fold_into_parent: added");
    /* Release: pairs with the reader's acquire load of version: it sees fold and the copies. The only commit. */
    PUT_RELEASE(parent->entry->version, version + 1);
    /* Release fence: burying must not overtake the commit, nor the next fold's writes into what was active until now;
     * pairs with the acquire fences of the reader before it looks at generations and version again. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    POINT("fold_into_parent: committed");
}

static void bury(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    struct shm_entry *e = source->entry;
    uint64_t generation = GET(e->generation);
    uint64_t bytes = shm_shard_bytes(source->schema->declared->slots);
    struct record *next;

    PUT(e->generation, generation + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* as in publish() */
    POINT("bury: odd");
    PUT(e->state, SHM_FREE);
    POINT("bury: free");
    PUT_RELEASE(e->fold, 0); /* after state: see tests/model/fold.pml, M_FOLDFIRST */
    POINT("bury: fold");
    PUT_RELEASE(e->generation, generation + 2);
    POINT("bury: even");

    space_retire(segment, source->shared_offset, bytes, false);
    for (struct record *shard = source->shards; shard; shard = next) {
        next = shard->next;
        space_retire(segment, shard->offset, bytes, true);
        record_free(segment, shard);
    }
    for (struct record *block = source->departed; block; block = next) {
        next = block->next;
        space_retire(segment, block->offset, shm_departed_bytes(block->schema->declared->slots), false);
        record_free(segment, block);
    }
}

static void leaving_remove(struct vmt_source *source)
{
    struct vmt_source **p = &source->segment->leaving;

    while (*p && *p != source)
        p = &(*p)->next_leaving;
    if (*p)
        *p = source->next_leaving;
}

void source_try_finish(struct vmt_source *source)
{
    while (source && source->removed && source->held == 0 && source->children == 0) {
        struct vmt_segment *segment = source->segment;
        struct vmt_source *parent = source->parent;

        leaving_remove(source);
        structure_begin(segment);
        fold_into_parent(source);
        bury(source);
        structure_end(segment);
        source->next_leaving = segment->retired_sources;
        segment->retired_sources = source;
        PUT(segment->retired_count, segment->retired_count + 1);
        parent->children--;
        source = parent;
    }
}

void source_reap_leaving(struct vmt_segment *segment)
{
    struct vmt_source *next;

    for (struct vmt_source *source = segment->leaving; source; source = next) {
        next = source->next_leaving;
        if (source->held_by_thread)
            shard_reap_dead_owners(source);
        if (source->held == 0 && source->children == 0) {
            source_try_finish(source);
            next = segment->leaving; /* its parents may have gone too */
        }
    }
}

void vmt_source_remove(struct vmt_source *source)
{
    struct vmt_segment *segment;

    if (!source || !source->parent || source->segment->forked)
        return;
    segment = source->segment;
    pthread_mutex_lock(&segment->lock);
    source_reap_leaving(segment);
    if (!source->removed) {
        source->removed = true;
        name_remove(source);
        structure_begin(segment);
        PUT(source->entry->state, SHM_DRAINING);
        POINT("vmt_source_remove: draining");
        structure_end(segment);
        source->next_leaving = segment->leaving;
        segment->leaving = source;
        if (source->held_by_thread)
            shard_reap_dead_owners(source);
        vmt_count(segment->root, VMT_SEGMENT_SOURCES_REMOVED, 1);
        source_try_finish(source);
    }
    pthread_mutex_unlock(&segment->lock);
}
