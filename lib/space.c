/* SPDX-License-Identifier: MIT */
#include "lib/writer.h"

#include <errno.h>

#include "lib/grace.h"
#include "lib/point.h"
#include "shm/file.h"

#define PAGE 4096U
#define CHUNK 65536U

/* The class of a size in units, and the units that it is rounded up to: 1 .. 8, then a quarter of a power of two
 * apart: 10 12 14 16 20 24 28 32 40 ... */
static uint32_t class_of(uint64_t units, uint64_t *rounded)
{
    uint32_t class = 8;
    uint64_t size = 8;
    uint64_t step = 2;

    if (units <= 8) {
        *rounded = units;
        return (uint32_t)units;
    }
    for (;;) {
        for (int i = 0; i < 4; i++) {
            size += step;
            class ++;
            if (units <= size) {
                *rounded = size;
                return class;
            }
        }
        step *= 2;
    }
}

static uint64_t unit_of(const struct space *space, bool *own_pages)
{
    *own_pages = *own_pages && !space->fixed;
    return *own_pages ? PAGE : SHM_GRANULE;
}

/* A block of own pages is known by the start of its first page, wherever in it it began. */
static void push(struct space *space, struct space_list *list, uint64_t offset, bool own_pages)
{
    uint32_t granule = (uint32_t)((own_pages && !space->fixed ? offset / PAGE * PAGE : offset) / SHM_GRANULE);

    space->map[granule] = list->first;
    if (!list->first)
        list->last = granule;
    list->first = granule;
}

void space_init(struct space *space, uint64_t used, uint64_t file_bytes)
{
    space->file_bytes = file_bytes;
    space->packed = used;
    space->packed_end = space->fixed ? file_bytes : used;
}

int space_grow(struct vmt_segment *segment, uint64_t from, uint64_t to)
{
    struct space *space = &segment->space;
    int r;

    if (to > space->max_bytes || space->fd < 0)
        return -ENOSPC;
    r = shm_file_allocate(space->fd, from, to, false);
    if (r < 0 || to <= space->file_bytes)
        return r;
    POINT("space_grow: allocated");
    space->file_bytes = to;
    /* After the allocation succeeded; who sees an offset below it sees the space (release in structure_end). */
    PUT(segment->header->file_bytes, to);
    return 0;
}

/* Free granules that are no block of any class: as the largest blocks that fit. */
static void scrap(struct space *space, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t bytes = to - from;
        uint64_t units;

        while (class_of(bytes / SHM_GRANULE, &units), units != bytes / SHM_GRANULE)
            bytes -= SHM_GRANULE;
        push(space, &space->free[0][class_of(units, &units)], from, false);
        from += bytes;
    }
}

/* The front of the first run that is long enough, 0: none is. */
static uint64_t take_run(struct space *space, uint64_t bytes)
{
    uint32_t wanted = (uint32_t)(bytes / SHM_GRANULE);
    uint32_t *link = &space->runs;
    uint32_t run;
    uint32_t rest;

    while (*link && space->map[*link + 1] < wanted)
        link = &space->map[*link];
    run = *link;
    if (!run)
        return 0;
    rest = space->map[run + 1] - wanted;
    *link = space->map[run];
    if (rest >= 2) {
        space->map[run + wanted] = *link;
        space->map[run + wanted + 1] = rest;
        *link = run + wanted;
    } else if (rest) {
        scrap(space, (uint64_t)(run + wanted) * SHM_GRANULE, (uint64_t)(run + wanted + 1) * SHM_GRANULE);
    }
    return (uint64_t)run * SHM_GRANULE;
}

static void add_run(struct space *space, uint64_t from, uint64_t to)
{
    uint64_t whole[2] = { shm_round(from, PAGE), to / PAGE * PAGE }; /* else shards would share pages */

    if (space->fixed && to - from >= 2 * SHM_GRANULE) {
        whole[0] = from;
        whole[1] = to;
    } else if (whole[0] >= whole[1]) {
        whole[0] = whole[1] = to;
    }
    scrap(space, from, whole[0]);
    scrap(space, whole[1], to);
    if (whole[0] < whole[1]) {
        uint32_t run = (uint32_t)(whole[0] / SHM_GRANULE);

        space->map[run] = space->runs;
        space->map[run + 1] = (uint32_t)((whole[1] - whole[0]) / SHM_GRANULE);
        space->runs = run;
    }
}

void space_extent(const struct space *space, uint64_t offset, uint64_t bytes, bool own_pages, uint64_t *from,
                  uint64_t *to)
{
    uint64_t unit = unit_of(space, &own_pages);
    uint64_t units;

    class_of(shm_round(bytes, unit) / unit, &units);
    *from = offset / unit * unit;
    *to = *from + units * unit;
}

void space_recover(struct space *space, uint64_t from, const uint64_t *used)
{
    uint64_t end = space->file_bytes / SHM_GRANULE;
    uint64_t g = from / SHM_GRANULE;

    while (g < end) {
        uint64_t start = g;

        while (g < end && !(used[g / 64] >> g % 64 & 1))
            g++;
        if (g > start)
            add_run(space, start * SHM_GRANULE, g * SHM_GRANULE);
        while (g < end && used[g / 64] >> g % 64 & 1)
            g++;
    }
    space->packed = space->packed_end = from;
}

/* From the end of the file, as whole pages: the kernel places them on the node of the calling thread. */
static uint64_t extend(struct vmt_segment *segment, uint64_t bytes, int *error)
{
    uint64_t offset = segment->space.file_bytes;

    *error = segment->space.fixed ? -ENOSPC : space_grow(segment, offset, offset + bytes);
    return *error < 0 ? 0 : offset;
}

/* Fewer, larger pieces first; what an earlier writer left before the file grows. */
static uint64_t next_chunk(struct vmt_segment *segment, uint64_t least, uint64_t *bytes, int *error)
{
    uint64_t offset;

    *bytes = least < CHUNK ? CHUNK : least;
    offset = take_run(&segment->space, *bytes);
    if (!offset)
        offset = take_run(&segment->space, *bytes = least);
    if (!offset)
        offset = extend(segment, *bytes = least < CHUNK ? CHUNK : least, error);
    if (!offset && least < CHUNK)
        offset = extend(segment, *bytes = least, error);
    return offset;
}

static uint64_t carve(struct vmt_segment *segment, uint64_t bytes, int *error)
{
    struct space *space = &segment->space;

    if (space->packed_end - space->packed < bytes) {
        uint64_t chunk;
        uint64_t offset = next_chunk(segment, space->fixed ? bytes : shm_round(bytes, PAGE), &chunk, error);

        if (!offset)
            return 0;
        if (offset != space->packed_end) {
            scrap(space, space->packed, space->packed_end);
            space->packed = offset;
        }
        space->packed_end = offset + chunk;
    }
    space->packed += bytes;
    return space->packed - bytes;
}

static uint64_t pages(struct vmt_segment *segment, uint64_t bytes, int *error)
{
    uint64_t offset = take_run(&segment->space, bytes);

    return offset ? offset : extend(segment, bytes, error);
}

/* Blocks that all began where a page does would fight for the same few sets of a reader's cache. Within the first page:
 * by the page in which it begins a block is found again. */
static uint64_t stagger(uint64_t offset, uint64_t slack)
{
    const uint64_t step = 2 * SHM_GRANULE;

    slack = slack < PAGE ? slack : PAGE - step;
    return offset + offset / PAGE % (slack / step + 1) * step;
}

uint64_t space_alloc(struct vmt_segment *segment, uint64_t bytes, bool own_pages, int *error)
{
    struct space *space = &segment->space;
    uint64_t unit = unit_of(space, &own_pages);
    uint64_t units;
    uint32_t class = class_of(shm_round(bytes, unit) / unit, &units);
    struct space_list *list = &space->free[own_pages][class];
    uint64_t offset;

    if (list->first) {
        offset = (uint64_t)list->first * SHM_GRANULE;
        list->first = space->map[list->first];
    } else {
        offset = own_pages ? pages(segment, units * unit, error) : carve(segment, units * unit, error);
    }
    return own_pages && offset ? stagger(offset, units * unit - bytes) : offset;
}

static struct space_list *list_for(struct space_list lists[2][SPACE_CLASSES], struct space *space, uint64_t bytes,
                                   bool own_pages)
{
    uint64_t unit = unit_of(space, &own_pages);
    uint64_t units;

    return &lists[own_pages][class_of(shm_round(bytes, unit) / unit, &units)];
}

void space_retire(struct vmt_segment *segment, uint64_t offset, uint64_t bytes, bool own_pages)
{
    push(&segment->space, list_for(segment->space.retired, &segment->space, bytes, own_pages), offset, own_pages);
}

void space_free(struct vmt_segment *segment, uint64_t offset, uint64_t bytes, bool own_pages)
{
    push(&segment->space, list_for(segment->space.free, &segment->space, bytes, own_pages), offset, own_pages);
}

/* All of from, in front of to. */
static void move(struct space *space, struct space_list to[2][SPACE_CLASSES], struct space_list from[2][SPACE_CLASSES])
{
    for (int kind = 0; kind < 2; kind++) {
        for (uint32_t i = 0; i < SPACE_CLASSES; i++) {
            struct space_list *source = &from[kind][i];

            if (!source->first)
                continue;
            space->map[source->last] = to[kind][i].first;
            if (!to[kind][i].first)
                to[kind][i].last = source->last;
            to[kind][i].first = source->first;
            source->first = 0;
        }
    }
}

static void move_sources(struct vmt_source **to, struct vmt_source **from)
{
    while (*from) {
        struct vmt_source *source = *from;

        *from = source->next_leaving;
        source->next_leaving = *to;
        *to = source;
    }
}

bool space_reclaim(struct vmt_segment *segment)
{
    struct space *space = &segment->space;
    bool some;

    /* Who is inside can't wait for itself, nor for another that waits for it. */
    if (grace_inside())
        return false;
    /* One waits, the others for it: else they would retire more and more meanwhile. */
    pthread_mutex_lock(&segment->reclaim);
    pthread_mutex_lock(&segment->lock);
    some = segment->retired_count != 0;
    PUT(segment->retired_count, 0);
    move(space, space->waiting, space->retired);
    move_sources(&segment->waiting_sources, &segment->retired_sources);
    pthread_mutex_unlock(&segment->lock);
    if (some)
        grace_wait();
    pthread_mutex_lock(&segment->lock);
    some |= segment->free_sources != NULL;
    move(space, space->free, space->waiting);
    move_sources(&segment->free_sources, &segment->waiting_sources);
    pthread_mutex_unlock(&segment->lock);
    pthread_mutex_unlock(&segment->reclaim);
    return some;
}
