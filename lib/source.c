/* SPDX-License-Identifier: MIT */
/* Sources: adding and finding. */
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
    uint32_t hash = segment->name_key ^ parent; /* FNV-1a, with a key */

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    return &segment->names[(hash ^ hash >> 15) & segment->name_mask];
}

struct vmt_source *source_named(const struct vmt_source *parent, const char *id, size_t n)
{
    /* Acquire: pairs with the release in source_put_name and source_remove_name. */
    struct vmt_source *s = __atomic_load_n(bucket_of(parent->segment, parent->index, id, n), __ATOMIC_ACQUIRE);

    while (s && (s->parent != parent || strncmp(s->name, id, n) != 0 || s->name[n] != '\0'))
        s = __atomic_load_n(&s->next_name, __ATOMIC_ACQUIRE);
    return s;
}

void source_put_name(struct vmt_source *source)
{
    struct vmt_source **bucket = bucket_of(source->segment, source->parent->index, source->name, strlen(source->name));

    PUT(source->next_name, *bucket);
    PUT_RELEASE(*bucket, source); /* pairs with the acquire in source_named() */
}

void source_remove_name(struct vmt_source *source)
{
    struct vmt_source **p = bucket_of(source->segment, source->parent->index, source->name, strlen(source->name));

    while (*p != source)
        p = &(*p)->next_name;
    PUT_RELEASE(*p, source->next_name); /* as above */
}

int vmt_source_find(struct vmt_segment *segment, const char *id, struct vmt_source **ret)
{
    struct vmt_source *source;
    struct grace g = { 0 };

    if (!segment || !GET(segment->open))
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

        source = n && n < VMT_NAME_SIZE ? source_named(source, id, n) : NULL;
        id += n;
        if (*id == '/')
            id++;
    }
    if (segment->space.fixed)
        pthread_mutex_unlock(&segment->lock);
    else
        grace_read_unlock(g);
    if (!source || GET(source->found))
        return -ENOENT;
    *ret = source;
    return 0;
}

/* ---- adding ---- */

int source_check_id(const char *id)
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
        uint64_t from = entry_offset(segment->source_used);

        *error = space_grow(segment, from, from + 4096);
        if (*error < 0)
            return NULL;
        segment->source_allocated += 4096 / SHM_ENTRY_BYTES;
    }
    source = &segment->sources[segment->source_used];
    source->index = segment->source_used++;
    source->entry = space_at(segment, entry_offset(source->index));
    return source;
}

struct record *source_departed(const struct vmt_source *source, const struct schema *schema)
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

    if (source_departed(parent, schema))
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
    generation += generation & 1; /* half born by a writer that died: behind source_used, so no restart has seen it */
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
    /* Release: pairs with the fence behind the reader's copy of the header in shm_state(). */
    if (GET(segment->header->source_used) < segment->source_used)
        PUT_RELEASE(segment->header->source_used, segment->source_used);
    POINT("publish: used");
    structure_end(segment);
}

/* The memory of a new source and what its removal will take, so that nothing can fail once it is published. */
static int allocate(struct vmt_segment *segment, const struct vmt_schema *declared, struct vmt_source *parent,
                    struct vmt_source *source)
{
    int error = 0;

    source->schema = schema_intern(segment, declared, &error);
    if (source->schema && parent)
        error = departed_make(parent, source->schema);
    if (error < 0)
        return error;
    source->shared_offset = space_alloc(segment, shm_shard_bytes(declared->slots), false, &error);
    source->shared = space_at(segment, source->shared_offset);
    return source->shared_offset ? 0 : error;
}

static int add(struct vmt_segment *segment, const struct vmt_schema *declared, struct vmt_source *parent,
               const char *id, struct vmt_source **ret)
{
    int error = 0;
    struct vmt_source *source = source_new(segment, &error); /* first: its page must not be taken by what follows */

    if (!source)
        return error;
    error = allocate(segment, declared, parent, source);
    if (error < 0) {
        source->next_leaving = segment->free_sources;
        segment->free_sources = source;
        return error;
    }
    source->segment = segment;
    source->parent = parent;
    source->shards = NULL;
    source->last_shard = NULL;
    source->idle = NULL;
    source->departed = NULL;
    source->last_departed = NULL;
    source->link = NULL;
    source->depth = parent ? parent->depth + 1 : 0;
    source->held = 0;
    source->held_by_thread = 0;
    source->children = 0;
    source->removed = false;
    PUT(source->found, false);
    memset(source->name, 0, sizeof(source->name));
    memcpy(source->name, id, strlen(id));
    publish(source);
    if (parent) {
        parent->children++;
        source_put_name(source);
    }
    *ret = source;
    return 0;
}

int source_make_root(struct vmt_segment *segment)
{
    for (uint32_t i = 0; i < VMT_SEGMENT_SLOTS; i++)
        segment->own[i] = i;
    return add(segment, &vmt_schema_segment, NULL, "", &segment->root);
}

void source_count_own(struct vmt_segment *segment, uint32_t slot)
{
    if (segment->own[slot] != UINT32_MAX)
        vmt_count(segment->root, segment->own[slot], 1);
}

bool source_no_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EFBIG || error == -ENFILE || error == -ENOMEM;
}

/* What an earlier writer left under this id goes on, if it is the same kind of thing. */
static int add_or_adopt(struct vmt_segment *segment, const struct vmt_schema *declared, struct vmt_source *parent,
                        const char *id, struct vmt_source **ret)
{
    struct vmt_source *found = source_named(parent, id, strlen(id));
    int r;

    if (found && !found->found)
        return -EEXIST;
    if (found && schema_equal(found->schema->declared, declared)) {
        PUT(found->found, false);
        *ret = found;
        return 0;
    }
    if (found)
        source_remove(found);
    r = add(segment, declared, parent, id, ret);
    if (r == 0)
        source_count_own(segment, VMT_SEGMENT_SOURCES_ADDED);
    return r;
}

int source_add_locked(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                      const char *id, struct vmt_source **ret)
{
    source_reap_leaving(segment);
    if (parent->removed)
        return -ESTALE;
    if (parent->depth == VMT_DEPTH_MAX)
        return -ELOOP;
    return add_or_adopt(segment, schema, parent, id, ret);
}

static int lock_and_add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                        const char *id, struct vmt_source **ret)
{
    int r;

    pthread_mutex_lock(&segment->lock);
    r = source_add_locked(segment, schema, parent, id, ret);
    pthread_mutex_unlock(&segment->lock);
    return r;
}

int vmt_source_add(struct vmt_segment *segment, const struct vmt_schema *schema, struct vmt_source *parent,
                   const char *id, struct vmt_source **ret)
{
    int r;

    if (!segment || !GET(segment->open))
        return -ENODEV;
    if (segment->forked)
        return -ECHILD;
    if (!id || (parent && parent->segment != segment))
        return -EINVAL;
    r = source_check_id(id);
    if (r == 0)
        r = schema_check(schema);
    if (r < 0)
        return r;
    if (!parent)
        parent = segment->root;
    if (GET(segment->retired_count) >= RECLAIM_AT)
        space_reclaim(segment);
    r = lock_and_add(segment, schema, parent, id, ret);
    if (source_no_room(r) && space_reclaim(segment))
        r = lock_and_add(segment, schema, parent, id, ret);
    if (source_no_room(r))
        source_count_own(segment, VMT_SEGMENT_DROPPED_SOURCES);
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
