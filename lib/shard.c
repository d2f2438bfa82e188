/* SPDX-License-Identifier: MIT */
/* Shards change hands by release, or when the kernel proves their thread gone; never otherwise. */
#include "lib/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmtally/schemas.h>

#include "lib/point.h"

static struct shm_shard *shm_of(const struct record *shard) { return space_at(shard->source->segment, shard->offset); }

static uint64_t *values_of(struct shm_shard *shm) { return (uint64_t *)(void *)(shm + 1); }

void shard_init(struct vmt_segment *segment, uint64_t offset, const struct vmt_source *source, uint64_t generation,
                uint32_t kind)
{
    struct shm_shard *shm = space_at(segment, offset);
    const struct vmt_schema *schema = source->schema->declared;

    PUT(shm->next, 0);
    PUT(shm->generation, generation);
    PUT(shm->source, source->index);
    PUT(shm->slots, schema->slots);
    PUT(shm->kind, kind);
    PUT(shm->owner, 0);
    PUT(shm->torn, 0);
    PUT(shm->begun, 0);
    PUT(shm->ended, 0);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        for (uint32_t k = d->slot; k < d->slot + d->size; k++)
            PUT(values_of(shm)[k], shm_identity(d->flags));
    }
}

/* A group that its owner left open, by dying or being cancelled in it, is closed, and the values said to disagree. */
static void mend_group(struct record *shard)
{
    struct shm_shard *shm = shm_of(shard);
    uint64_t begun = GET(shm->begun);

    if (begun == GET(shm->ended))
        return;
    PUT(shm->torn, GET(shm->torn) + 1);
    POINT("mend_group: torn");
    /* Release: whoever takes this for a whole group sees torn. Pairs with the reader's acquire load of ended. */
    PUT_RELEASE(shm->ended, begun);
    source_count_own(shard->source->segment, VMT_SEGMENT_SHARDS_TORN);
}

/* Nobody's: groups are closed, and what it said of the moment is no more. */
static void make_idle(struct record *shard)
{
    struct vmt_source *source = shard->source;
    struct shm_shard *shm = shm_of(shard);

    mend_group(shard);
    for (uint32_t i = 0; i < shard->schema->instant_count; i++)
        PUT(values_of(shm)[shard->schema->instants[i]], 0);
    PUT(shm->kind, SHM_SHARD_IDLE);
    PUT(shm->owner, 0);
    shard->next_idle = source->idle;
    source->idle = shard;
}

static void give_back(struct record *shard)
{
    make_idle(shard);
    shard->held = false;
    shard->source->held--;
    shard->source->held_by_thread -= shard->by_thread;
}

void shard_take_over(struct record *shard)
{
    struct vmt_segment *segment = shard->source->segment;

    segment->space.map[shard->offset / SHM_GRANULE] = (uint32_t)(shard - segment->records);
    make_idle(shard);
}

void shard_reap_dead_owners(struct vmt_source *source)
{
    for (struct record *shard = source->shards; shard; shard = shard->next) {
        int r;

        if (!shard->held || !shard->by_thread)
            continue;
        r = pthread_mutex_trylock(&shard->robust);
        if (r != EOWNERDEAD)
            continue; /* EBUSY: it lives */
        pthread_mutex_consistent(&shard->robust);
        pthread_mutex_unlock(&shard->robust);
        give_back(shard);
    }
}

static struct record *shard_new(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    struct record *shard = record_new(segment);
    int error;

    if (!shard)
        return NULL;
    shard->offset = space_alloc(segment, shm_shard_bytes(source->schema->declared->slots), true, &error);
    if (!shard->offset) {
        record_free(segment, shard);
        return NULL;
    }
    shard->source = source;
    shard->schema = source->schema;
    segment->space.map[shard->offset / SHM_GRANULE] = (uint32_t)(shard - segment->records);
    structure_begin(segment);
    shard_init(segment, shard->offset, source, GET(source->entry->generation), SHM_SHARD_IDLE);
    POINT("shard_new: filled");
    /* Release: pairs with the reader's acquire load of the link. Linked before it is counted in. */
    PUT_RELEASE(*(source->last_shard ? &source->last_shard->next : &source->entry->shards), shard->offset);
    POINT("shard_new: linked");
    structure_end(segment);
    source->last_shard = shm_of(shard);
    shard->next = source->shards;
    source->shards = shard;
    source_count_own(segment, VMT_SEGMENT_SHARDS_CREATED);
    return shard;
}

static int own(struct record *shard)
{
    if (!shard->has_robust) {
        pthread_mutexattr_t attr;

        pthread_mutexattr_init(&attr);
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&shard->robust, &attr);
        pthread_mutexattr_destroy(&attr);
        shard->has_robust = true;
    }
    return pthread_mutex_trylock(&shard->robust);
}

static struct record *take(struct vmt_source *source, bool by_thread)
{
    struct record *shard;

    if (!source->idle && source->held_by_thread)
        shard_reap_dead_owners(source);
    shard = source->idle;
    if (shard)
        source->idle = shard->next_idle;
    else
        shard = shard_new(source);
    if (!shard)
        return NULL;
    shard->by_thread = by_thread && own(shard) == 0;
    shard->owner = pthread_self();
    shard->held = true;
    source->held++;
    source->held_by_thread += shard->by_thread;
    PUT(shm_of(shard)->kind, SHM_SHARD_HELD);
    return shard;
}

static struct vmt_shard *scratch(const struct vmt_source *source)
{
    size_t bytes = (size_t)shm_round(shm_shard_bytes(GET(source->schema->declared)->slots), SHM_GRANULE);
    void *p = NULL;

    if (source->segment->space.fixed || posix_memalign(&p, SHM_GRANULE, bytes) != 0)
        return VMT_SCRATCH;
    memset(p, 0, bytes);
    return p;
}

static struct shm_shard *acquire_locked(struct vmt_source *source, bool by_thread)
{
    struct vmt_segment *segment = source->segment;
    struct record *shard = NULL;

    pthread_mutex_lock(&segment->lock);
    if (!source->removed)
        shard = take(source, by_thread && !segment->space.fixed);
    if (shard && !segment->space.fixed)
        PUT(shm_of(shard)->owner, (uint32_t)gettid());
    /* Release fence: what it is about to count is not seen before it is linked and named. Pairs with the acquire fence
     * behind the reader's copy of the table in pass(). */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    pthread_mutex_unlock(&segment->lock);
    return shard ? shm_of(shard) : NULL;
}

static struct vmt_shard *acquire(struct vmt_source *source, bool by_thread)
{
    struct shm_shard *shm;

    if (!source || source->segment->forked)
        return VMT_SCRATCH;
    shm = acquire_locked(source, by_thread);
    if (!shm && space_reclaim(source->segment))
        shm = acquire_locked(source, by_thread);
    if (shm)
        return (struct vmt_shard *)(void *)shm;
    source_count_own(source->segment, VMT_SEGMENT_DROPPED_SHARDS);
    return scratch(source);
}

struct vmt_shard *vmt_shard_acquire(struct vmt_source *source) { return acquire(source, false); }

struct vmt_shard *vmt_shard_acquire_thread(struct vmt_source *source) { return acquire(source, true); }

void vmt_shards_acquire(struct vmt_source *source, size_t n, struct vmt_shard *shards[])
{
    for (size_t i = 0; i < n; i++)
        shards[i] = acquire(source, false);
}

static void release(struct vmt_segment *segment, struct vmt_shard *address)
{
    uint64_t offset = (uint64_t)((uint8_t *)(void *)address - segment->space.base);
    uint32_t index = segment->space.map[offset / SHM_GRANULE];
    struct record *shard = index < segment->record_count ? &segment->records[index] : NULL;

    /* The host's bug (released twice, or never acquired) must not become ours. */
    if (!shard || shard->offset != offset || !shard->held)
        return;
    if (shard->by_thread && (!pthread_equal(shard->owner, pthread_self()) || pthread_mutex_unlock(&shard->robust) != 0))
        return; /* not its thread: stays its own until it ends */
    give_back(shard);
    source_try_finish(shard->source);
}

void vmt_shard_release(struct vmt_shard *shard)
{
    struct vmt_segment *segment;

    if (!shard || shard == VMT_SCRATCH)
        return;
    segment = segment_of(shard);
    if (!segment) {
        free(shard); /* scratch */
        return;
    }
    if (segment->forked)
        return;
    pthread_mutex_lock(&segment->lock);
    if (segment->open)
        release(segment, shard);
    pthread_mutex_unlock(&segment->lock);
}

void vmt_shards_release(size_t n, struct vmt_shard *shards[])
{
    for (size_t i = 0; i < n; i++) {
        vmt_shard_release(shards[i]);
        shards[i] = VMT_SCRATCH;
    }
}
