/* SPDX-License-Identifier: MIT */
/* Removing sources with all that they counted kept: their parents' departed blocks. The protocol, with its readers'
 * half, is in shm/FORMAT.md; it is modelled in tests/model/fold.pml, nest.pml and restart.pml. */
#include "lib/writer.h"

#include <unistd.h>

#include "lib/point.h"

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
    mine = copy_of(segment, source_departed(parent, source->schema), version + 1);
    fold_values(source->schema->declared, mine, (const uint64_t *)(const void *)(source->shared + 1));
    for (struct record *shard = source->shards; shard; shard = shard->next)
        fold_values(source->schema->declared, mine,
                    (const uint64_t *)(const void *)((struct shm_shard *)space_at(segment, shard->offset) + 1));
    for (struct record *block = source->departed; block; block = block->next)
        fold_values(block->schema->declared, copy_of(segment, source_departed(parent, block->schema), version + 1),
                    copy_of(segment, block, child_version));
    POINT("fold_into_parent: added");
    /* Release: pairs with the reader's acquire load of version: it sees fold and the copies. The only commit. */
    PUT_RELEASE(parent->entry->version, version + 1);
    /* Release fence: burying must not overtake the commit, nor the next fold's writes into what was active until now;
     * pairs with the acquire fences of the reader before it looks at generations and version again. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    POINT("fold_into_parent: committed");
}

void source_bury(struct shm_entry *e)
{
    uint64_t odd = GET(e->generation) | 1; /* is so already where death came in between */

    PUT(e->generation, odd);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with the acquire fence before the reader's second look() */
    POINT("source_bury: odd");
    PUT(e->state, SHM_FREE);
    POINT("source_bury: free");
    PUT_RELEASE(e->fold, 0); /* after state: who dies here leaves nothing that looks alive */
    POINT("source_bury: fold");
    PUT_RELEASE(e->generation, odd + 1); /* pairs with the acquire of the generation in look() */
    POINT("source_bury: even");
}

static void bury(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    uint64_t bytes = shm_shard_bytes(source->schema->declared->slots);
    struct record *next;

    source_bury(source->entry);

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

void source_remove(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;

    if (source->parent->link)
        kvm_child_removed(source);
    source->removed = true;
    PUT(source->found, false);
    source_remove_name(source);
    structure_begin(segment);
    PUT(source->entry->state, SHM_DRAINING);
    POINT("source_remove: draining");
    structure_end(segment);
    source->next_leaving = segment->leaving;
    segment->leaving = source;
    if (source->held_by_thread)
        shard_reap_dead_owners(source);
    source_count_own(segment, VMT_SEGMENT_SOURCES_REMOVED);
    source_try_finish(source);
}

/* Of a VM or vCPU that the kernel counts, too. */
static void remove_with_link(struct vmt_source *source)
{
    struct vmt_segment *segment = source->segment;
    int fd;

    segments_hold();
    pthread_mutex_lock(&segment->lock);
    source_reap_leaving(segment);
    fd = kvm_unlink(source);
    source_remove(source);
    pthread_mutex_unlock(&segment->lock);
    if (fd >= 0)
        close(fd);
    segments_let_go();
}

void vmt_source_remove(struct vmt_source *source)
{
    struct vmt_segment *segment;

    if (!source || !source->parent || source->segment->forked)
        return;
    if (GET(source->link)) {
        remove_with_link(source);
        return;
    }
    segment = source->segment;
    pthread_mutex_lock(&segment->lock);
    source_reap_leaving(segment);
    if (!source->removed)
        source_remove(source);
    pthread_mutex_unlock(&segment->lock);
}

void vmt_segment_ready(struct vmt_segment *segment)
{
    if (!segment || !GET(segment->open) || segment->forked)
        return;
    pthread_mutex_lock(&segment->lock);
    source_reap_leaving(segment);
    for (uint32_t i = 1; i < segment->source_used; i++) {
        struct vmt_source *source = &segment->sources[i];

        if (source->found)
            source_remove(source);
    }
    pthread_mutex_unlock(&segment->lock);
}
