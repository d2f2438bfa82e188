/* SPDX-License-Identifier: MIT */
/* Going on in a segment that an earlier writer left: it died, was closed, or handed over.
 *
 * The file is checked as if an enemy had written it: from private copies, each value loaded once, and no two blocks may
 * share a granule, so that every chain ends. From what is found the private index is made again; only then is the first
 * byte written. Changes that were half done are finished or taken back (PROTOCOL: shm/FORMAT.md, "Restart";
 * tests/model/restart.pml), in an order in which dying here again leaves nothing that the next one can't do once more.
 */
#include "lib/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/point.h"
#include "lib/schema_set.h"
#include "shm/file.h"

struct restart {
    struct vmt_segment *segment;
    struct shm_view view;
    struct shm_header header; /* private copies */
    struct shm_entry *table;
    uint64_t *used; /* a bit for each granule that belongs to a block */
    const char *why;
};

static int refuse(struct restart *r, const char *why)
{
    r->why = why;
    return -EBADMSG;
}

/* ---- the header ---- */

static bool open_here(int fd)
{
    for (const struct vmt_segment *s = segment_first(); s; s = s->next) {
        if (s->open && !s->forked && segment_has_file(s, fd))
            return true;
    }
    return false;
}

/* In the middle of a change: of one that died, or of another that got the descriptor too, and is at it now? */
static bool is_being_taken(struct restart *r)
{
    const struct timespec moment = { .tv_nsec = 100000000 };
    struct shm_header h;

    if (!(r->header.structure & 1))
        return false;
    nanosleep(&moment, NULL);
    return shm_view_copy(&r->view, 0, &h, sizeof(h)) < 0 || memcmp(&h, &r->header, sizeof(h)) != 0;
}

/* Sizes as this writer makes them: what it goes on with must be what it would have made. */
static bool geometry_good(const struct shm_header *h, uint64_t file_bytes)
{
    return h->header_bytes == SHM_HEADER_BYTES && h->source_offset == SHM_HEADER_BYTES &&
           h->source_bytes == SHM_ENTRY_BYTES && h->max_bytes % 4096 == 0 && h->max_bytes >= SEGMENT_BYTES_MIN &&
           h->max_bytes <= SEGMENT_BYTES_MAX && h->file_bytes % 4096 == 0 && h->file_bytes <= h->max_bytes &&
           h->file_bytes <= file_bytes && arena_offset(h->source_limit) <= h->file_bytes &&
           (!(h->compatible & SHM_FIXED) || h->file_bytes == h->max_bytes);
}

static bool name_good(const struct restart *r, const struct vmt_segment_options *o)
{
    const char *name = r->header.name;

    if (strnlen(name, sizeof(r->header.name)) == sizeof(r->header.name) || shm_name_check(name) < 0)
        return false;
    return o->path || o->fd > 0 ? !o->name || strcmp(name, o->name) == 0 : strcmp(name, r->segment->name) == 0;
}

static bool all_zeros(struct shm_view *view)
{
    static const uint64_t zeros[512];
    uint64_t page[512];

    if (view->bytes % sizeof(page))
        return false;
    for (uint64_t offset = 0; offset < view->bytes; offset += sizeof(page)) {
        if (shm_view_copy(view, offset, page, sizeof(page)) < 0 || memcmp(page, zeros, sizeof(page)) != 0)
            return false;
    }
    return true;
}

/* Is it what a creator leaves that dies before there is a magic? Anything else that begins with zeros is somebody's. */
static bool half_made(struct restart *r, const struct vmt_segment_options *o)
{
    struct shm_header *h = &r->header;

    if (r->view.bytes > segment_bytes_max(o) || r->view.bytes < sizeof(*h) ||
        shm_view_copy(&r->view, 0, h, sizeof(*h)) < 0)
        return false;
    if (h->byte_order == SHM_BYTE_ORDER && h->major == SHM_MAJOR)
        return geometry_good(h, r->view.file_bytes) && name_good(r, o);
    return all_zeros(&r->view);
}

static int read_header(struct restart *r, const struct vmt_segment_options *o)
{
    struct shm_header *h = &r->header;
    int error = shm_read_header(&r->view, h, &r->why);

    if (error == -ENODATA && !half_made(r, o)) {
        r->why = "it is no segment";
        return -EMEDIUMTYPE;
    }
    if (error < 0)
        return error;
    if (h->minor > SHM_MINOR || (h->compatible & ~(uint64_t)SHM_FIXED)) {
        r->why = "a newer version of vmtally made it";
        return -EPROTONOSUPPORT;
    }
    if (!geometry_good(h, r->view.file_bytes))
        return refuse(r, "its sizes contradict each other, or it was truncated");
    if (!name_good(r, o))
        return refuse(r, "it is another VM's");
    if (!(h->compatible & SHM_FIXED) != !o->fixed_bytes)
        return refuse(r, o->fixed_bytes ? "it was not made in jail mode" : "it was made in jail mode");
    /* Also for the sake of time: who made it may have made it so that each source takes long. */
    if (h->file_bytes > segment_bytes_max(o) ||
        h->source_limit > (o->max_sources > SEGMENT_SOURCES ? o->max_sources : SEGMENT_SOURCES))
        return refuse(r, "it is larger than it may be");
    /* By descriptor the lock may have come along with it: then it proves nothing. */
    if (o->fd > 0 && (open_here(r->view.fd) || is_being_taken(r) ||
                      (h->lifecycle != SHM_CLOSED && !h->handed_ns && header_writer_lives(h))))
        return -EEXIST;
    return 0;
}

/* ---- blocks ---- */

/* The granules of a block: nobody else's, within the arena. */
static bool claim(struct restart *r, uint64_t offset, uint64_t bytes, bool own_pages)
{
    const struct space *space = &r->segment->space;
    uint64_t from;
    uint64_t to;

    if (offset % SHM_GRANULE || offset >= space->file_bytes)
        return false;
    space_extent(space, offset, bytes, own_pages, &from, &to);
    if (from < arena_offset(r->header.source_limit) || to > space->file_bytes || offset + bytes > to)
        return false;
    for (uint64_t g = from / SHM_GRANULE; g < to / SHM_GRANULE; g++) {
        if (r->used[g / 64] >> g % 64 & 1)
            return false;
        r->used[g / 64] |= 1ULL << g % 64;
    }
    return true;
}

static int find_schemas(struct restart *r)
{
    struct vmt_segment *segment = r->segment;
    struct schema_set *set = schema_set_new();
    int error;

    if (!set)
        return -ENOMEM;
    segment->found = set;
    error = schema_set_follow(set, &r->view, r->header.schemas, &r->why);
    if (error < 0)
        return error;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct parsed *p = set->known[i];

        /* Also what a newer version has declared: it could not be folded. */
        if (p->schema.count != p->block->descriptors || schema_check(&p->schema) < 0)
            return refuse(r, "a schema is not one that this version would make");
        if (!claim(r, set->offsets[i], p->block->block_bytes, false))
            return refuse(r, "blocks overlap");
        schema_add(segment, &p->schema, set->offsets[i]);
    }
    return 0;
}

static struct schema *schema_at(const struct restart *r, uint64_t offset)
{
    for (uint32_t i = 0; i < r->segment->schema_count; i++) {
        if (r->segment->schemas[i].offset == offset)
            return &r->segment->schemas[i];
    }
    return NULL;
}

/* A block's header; its values are any. */
static int find_shard(struct restart *r, const struct vmt_source *source, uint64_t offset, bool own_pages,
                      struct shm_shard *h)
{
    uint32_t slots = source->schema->declared->slots;

    if (shm_view_copy(&r->view, offset, h, sizeof(*h)) < 0)
        return refuse(r, "a shard lies outside of the file");
    if (h->source != source->index || h->generation != r->table[source->index].generation || h->slots != slots)
        return refuse(r, "a shard contradicts its source");
    return claim(r, offset, shm_shard_bytes(slots), own_pages) ? 0 : refuse(r, "blocks overlap");
}

static int find_shards(struct restart *r, struct vmt_source *source)
{
    struct vmt_segment *segment = r->segment;
    struct shm_shard h;
    uint64_t offset = (uint64_t)r->table[source->index].shared * SHM_GRANULE;
    int error = find_shard(r, source, offset, false, &h);

    source->shared_offset = offset;
    source->shared = space_at(segment, offset);
    for (offset = r->table[source->index].shards; error == 0 && offset; offset = h.next) {
        struct record *shard;

        error = find_shard(r, source, offset, true, &h);
        if (error < 0)
            return error;
        shard = record_new(segment);
        if (!shard)
            return refuse(r, "there are more shards than there can be");
        shard->source = source;
        shard->schema = source->schema;
        shard->offset = offset;
        shard->next = source->shards;
        source->shards = shard;
        source->last_shard = space_at(segment, offset);
    }
    return error;
}

static int find_departed(struct restart *r, struct vmt_source *source)
{
    struct vmt_segment *segment = r->segment;
    struct shm_departed h;

    for (uint64_t offset = r->table[source->index].departed; offset; offset = h.next) {
        struct record *block;
        struct schema *schema;

        if (shm_view_copy(&r->view, offset, &h, sizeof(h)) < 0)
            return refuse(r, "a departed block lies outside of the file");
        schema = schema_at(r, h.schema);
        if (!schema || h.source != source->index || h.generation != r->table[source->index].generation ||
            h.slots != schema->declared->slots || source_departed(source, schema))
            return refuse(r, "a departed block contradicts its source");
        if (!claim(r, offset, shm_departed_bytes(h.slots), false))
            return refuse(r, "blocks overlap");
        block = record_new(segment);
        if (!block)
            return refuse(r, "there are more departed blocks than there can be");
        block->schema = schema;
        block->offset = offset;
        block->next = source->departed;
        source->departed = block;
        source->last_departed = space_at(segment, offset);
    }
    return 0;
}

/* ---- sources ---- */

/* Was it born, and neither buried nor folded? */
static bool lives(const struct restart *r, uint32_t i)
{
    const struct shm_entry *e = &r->table[i];

    if (e->generation & 1 || e->state == SHM_FREE)
        return false;
    return i == 0 || e->fold == 0 || e->parent >= r->header.source_used || e->fold > r->table[e->parent].version;
}

static int find_source(struct restart *r, uint32_t i)
{
    struct vmt_segment *segment = r->segment;
    struct vmt_source *source = &segment->sources[i];
    const struct shm_entry *e = &r->table[i];
    int error;

    source->segment = segment;
    source->schema = schema_at(r, e->schema);
    if (!source->schema)
        return refuse(r, "a source's schema is none of those in the file");
    memcpy(source->name, e->name, sizeof(source->name));
    if (i != 0 && (strnlen(e->name, sizeof(e->name)) == sizeof(e->name) || source_check_id(e->name) < 0))
        return refuse(r, "a source's name is not one that it may have");
    if (e->state > SHM_DRAINING)
        return refuse(r, "a source's state is out of range");
    error = find_shards(r, source);
    return error < 0 ? error : find_departed(r, source);
}

/* What stands between it and source 0, once all sources are found. */
static int find_parent(struct restart *r, uint32_t i)
{
    struct vmt_segment *segment = r->segment;
    struct vmt_source *source = &segment->sources[i];
    const struct shm_entry *e = &r->table[i];
    uint32_t parent = e->parent;

    if (parent >= r->header.source_used || parent == i || !lives(r, parent) ||
        r->table[parent].generation != e->parent_generation)
        return refuse(r, "a source's parent is not there");
    source->parent = &segment->sources[parent];
    source->parent->children++;
    source->depth = 1;
    for (; parent != 0; parent = r->table[parent].parent) {
        if (++source->depth > VMT_DEPTH_MAX || parent >= r->header.source_used)
            return refuse(r, "sources are nested too deep, or in a circle");
    }
    if (!source_departed(source->parent, source->schema))
        return refuse(r, "a parent has no room for what a child counted");
    for (const struct record *block = source->departed; block; block = block->next) {
        if (!source_departed(source->parent, block->schema))
            return refuse(r, "a parent has no room for what a child's children counted");
    }
    if (e->state == SHM_DRAINING) {
        source->removed = true;
        source->next_leaving = segment->leaving;
        segment->leaving = source;
        return 0;
    }
    if (source_named(source->parent, source->name, strlen(source->name)))
        return refuse(r, "two sources have the same name");
    source_put_name(source);
    source->found = true;
    return 0;
}

static void find_own_counters(struct vmt_segment *segment)
{
    for (uint32_t i = 0; i < VMT_SEGMENT_SLOTS; i++) {
        const struct vmt_descriptor *ours = &vmt_schema_segment.descriptors[i]; /* one slot each */
        const struct vmt_descriptor *d = vmt_schema_find(segment->root->schema->declared, ours->name);

        segment->own[i] = d && d->flags == ours->flags ? d->slot : UINT32_MAX;
    }
}

static int find_sources(struct restart *r)
{
    struct vmt_segment *segment = r->segment;
    uint32_t used = r->header.source_used;
    int error = 0;

    r->table = malloc((size_t)used * sizeof(*r->table));
    if (!r->table)
        return -ENOMEM;
    if (shm_view_copy(&r->view, SHM_HEADER_BYTES, r->table, (uint64_t)used * sizeof(*r->table)) < 0)
        return refuse(r, "the source table lies outside of the file");
    if (!lives(r, 0) || r->table[0].state != SHM_LIVE || r->table[0].parent != 0)
        return refuse(r, "source 0 is not there");
    segment->source_used = used;
    for (uint32_t i = 0; i < used; i++) {
        segment->sources[i].index = i;
        segment->sources[i].entry = space_at(segment, entry_offset(i));
    }
    for (uint32_t i = 0; i < used && error == 0; i++) {
        if (lives(r, i))
            error = find_source(r, i);
    }
    segment->root = &segment->sources[0];
    for (uint32_t i = 1; i < used && error == 0; i++) {
        if (lives(r, i))
            error = find_parent(r, i);
    }
    if (error < 0)
        return error;
    if (strcmp(segment->root->schema->declared->name, vmt_schema_segment.name) != 0)
        return refuse(r, "source 0 is of another schema");
    find_own_counters(segment);
    return 0;
}

/* ---- writing ---- */

/* Memory that was a hole, or never allocated, would be a SIGBUS when the file system is full. */
static int allocate(struct restart *r)
{
    struct vmt_segment *segment = r->segment;
    uint64_t arena = arena_offset(r->header.source_limit);
    bool fixed = segment->space.fixed;
    uint64_t entries_end = fixed ? arena : arena_offset(r->header.source_used);
    int error;

    segment->source_allocated =
        fixed ? segment->source_limit : (uint32_t)((entries_end - SHM_HEADER_BYTES) / SHM_ENTRY_BYTES);
    error = shm_file_fill_holes(r->view.fd, 0, entries_end, fixed);
    if (error == 0 && segment->space.file_bytes > arena)
        error = shm_file_fill_holes(r->view.fd, arena, segment->space.file_bytes, fixed);
    return error;
}

static void zero_instants(struct vmt_source *source)
{
    for (uint32_t i = 0; i < source->schema->instant_count; i++)
        PUT(((uint64_t *)(void *)(source->shared + 1))[source->schema->instants[i]], 0);
}

static void mend_source(struct restart *r, uint32_t i)
{
    struct vmt_segment *segment = r->segment;
    struct vmt_source *source = &segment->sources[i];

    if (!lives(r, i)) {
        /* Half born, and nobody has counted; or half buried, and its parent has all. An entry that is free stays. */
        if (r->table[i].generation & 1 || r->table[i].state != SHM_FREE)
            source_bury(source->entry);
        source->next_leaving = segment->free_sources;
        segment->free_sources = source;
        return;
    }
    PUT(source->entry->fold, 0); /* not committed: will be done again */
    zero_instants(source);
    for (struct record *shard = source->shards; shard; shard = shard->next)
        shard_take_over(shard);
}

static int mend(struct restart *r, const struct vmt_segment_options *o)
{
    struct vmt_segment *segment = r->segment;
    struct shm_header *h = segment->header;
    uint64_t seen = r->header.structure;

    /* Another number in any case: of two that got the same descriptor, and with it the lock, one goes on. */
    if (!__atomic_compare_exchange_n(&h->structure, &seen, (seen + 1) | 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return -EEXIST;
    /* Release fence: who sees any of this sees that a change is under way. As in structure_begin(). */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    POINT("mend: odd");
    PUT(h->lifecycle, SHM_BORN);
    for (uint32_t i = 0; i < r->header.source_used; i++)
        mend_source(r, i);
    POINT("mend: sources");
    header_put_writer(h, o);
    POINT("mend: writer");
    /* Release: pairs with the acquire fence in set_labels() of the reader: what is new with an incarnation is there. */
    PUT_RELEASE(h->incarnation, r->header.incarnation + 1);
    POINT("mend: incarnation");
    PUT_RELEASE(h->lifecycle, SHM_OPEN); /* pairs with the fences in shm_state() */
    structure_end(segment);
    POINT("mend: even");
    source_reap_leaving(segment);
    return 0;
}

int segment_restart(struct vmt_segment *segment, const struct vmt_segment_options *o, int fd, const char **why)
{
    struct restart r = { .segment = segment, .view = { .fd = fd, .cap = UINT64_MAX / 4096 * 4096 }, .why = "" };
    struct space *space = &segment->space;
    int error = shm_file_check(fd, o->any_filesystem);

    if (error == 0)
        error = read_header(&r, o);
    if (error == 0) {
        space->fixed = r.header.compatible & SHM_FIXED;
        space->max_bytes = r.header.max_bytes < segment_bytes_max(o) ? r.header.max_bytes : segment_bytes_max(o);
        space->file_bytes = r.header.file_bytes;
        segment->source_limit = r.header.source_limit;
        error = segment_map(segment, fd, space->file_bytes);
    }
    if (error == 0) {
        r.used = calloc(space->file_bytes / SHM_GRANULE / 64 + 1, sizeof(*r.used));
        error = r.used ? find_schemas(&r) : -ENOMEM;
    }
    if (error == 0)
        error = find_sources(&r);
    if (error == 0 && !shm_view_good(&r.view))
        error = refuse(&r, "it was truncated meanwhile");
    if (error == 0)
        error = allocate(&r);
    if (error == 0) {
        space_recover(space, arena_offset(segment->source_limit), r.used);
        memcpy(segment->name, r.header.name, sizeof(segment->name));
        error = mend(&r, o);
    }
    free(r.table);
    free(r.used);
    if (error == -EBADMSG || error == -EPROTONOSUPPORT || error == -EMEDIUMTYPE || error == -ENODATA)
        *why = r.why;
    return error;
}
