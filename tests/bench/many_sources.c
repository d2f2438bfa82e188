/* SPDX-License-Identifier: MIT */
/* Attaching to a segment, and whole snapshots of one, read and encoded. */
#include "bench.h"

#include <stdio.h>

#include <vmtally/export.h>
#include <vmtally/schemas.h>

#define COUNTERS 64

struct watched {
    struct vmt_segment *segment;
    enum vmt_read_mode mode;
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    struct vmt_msgpack *stream;
    struct vmt_buffer out;
};

static void attach(void *arg, uint64_t n)
{
    struct watched *w = arg;

    for (uint64_t i = 0; i < n; i++)
        vmt_reader_close(reader_new(w->segment, w->mode));
}

static void attach_and_take(void *arg, uint64_t n)
{
    struct watched *w = arg;

    for (uint64_t i = 0; i < n; i++) {
        struct vmt_reader *reader = reader_new(w->segment, w->mode);

        vmt_snapshot_free(snapshot_new(reader));
        vmt_reader_close(reader);
    }
}

static void take(void *arg, uint64_t n)
{
    struct watched *w = arg;

    for (uint64_t i = 0; i < n; i++) {
        if (vmt_snapshot_take(w->snapshot, w->reader) != 0)
            stop("vmt_snapshot_take failed");
    }
}

static void encode(void *arg, uint64_t n)
{
    struct watched *w = arg;

    for (uint64_t i = 0; i < n; i++) {
        vmt_buffer_clear(&w->out);
        if (vmt_msgpack_encode(w->stream, w->snapshot, &w->out) < 0)
            stop("vmt_msgpack_encode failed");
    }
}

/* vm-0 and below it that many of the schema, one shard each with something in every slot. */
static struct vmt_segment *populate(const char *name, const struct vmt_schema *schema, unsigned count)
{
    struct vmt_segment *segment = segment_new(name, 0);
    struct vmt_source *vm = source_new(segment, &vmt_schema_vm, NULL, "vm", 0);

    for (unsigned i = 0; i < count; i++) {
        struct vmt_shard *shard = vmt_shard_acquire(source_new(segment, schema, vm, "vcpu", i));

        for (uint32_t slot = 0; slot < schema->slots; slot++)
            vmt_add(shard, slot, (uint64_t)i * 1000003 + slot);
    }
    return segment;
}

static const struct vmt_schema *counters(void)
{
    static char names[COUNTERS][VMT_NAME_SIZE];
    static struct vmt_descriptor descriptors[COUNTERS];
    static const struct vmt_schema schema = { .name = "counters",
                                              .provider = "test",
                                              .target = "vcpu",
                                              .descriptors = descriptors,
                                              .count = COUNTERS,
                                              .slots = COUNTERS };

    for (unsigned i = 0; i < COUNTERS; i++) {
        snprintf(names[i], sizeof(names[i]), "counter_%u", i);
        descriptors[i] =
            (struct vmt_descriptor){ .name = names[i], .help = "", .flags = VMT_TYPE_CUMULATIVE, .slot = i, .size = 1 };
    }
    return &schema;
}

static void attaching(void)
{
    struct vmt_segment *segment = populate("hundred", counters(), 100);
    struct watched mapped = { .segment = segment, .mode = VMT_READ_GUARDED };
    struct watched copied = { .segment = segment, .mode = VMT_READ_COPY };
    struct way ways[] = {
        { .name = "open + close, GUARDED", .run = attach, .arg = &mapped },
        { .name = "open + close, COPY", .run = attach, .arg = &copied },
        { .name = "and a first snapshot, GUARDED", .run = attach_and_take, .arg = &mapped },
        { .name = "and a first snapshot, COPY", .run = attach_and_take, .arg = &copied },
    };

    measure(ways, 4);
    heading("Attaching to a segment of 100 sources of 64 counters");
    for (int i = 0; i < 4; i++)
        row_at_most_ns(&ways[i], 100e3);
    vmt_segment_close(segment);
}

static void open_it(struct watched *w)
{
    w->reader = reader_new(w->segment, w->mode);
    w->snapshot = snapshot_new(w->reader);
    if (vmt_msgpack_new(&w->stream) < 0)
        stop("no memory");
}

static void close_it(struct watched *w)
{
    vmt_buffer_free(&w->out);
    vmt_msgpack_free(w->stream);
    vmt_snapshot_free(w->snapshot);
    vmt_reader_close(w->reader);
}

void bench_many_sources(void)
{
    struct vmt_segment *segment;

    attaching();
    segment = populate("thousand", counters(), 1000);

    struct watched mapped = { .segment = segment, .mode = VMT_READ_GUARDED };
    struct watched copied = { .segment = segment, .mode = VMT_READ_COPY };
    struct way ways[] = {
        { .name = "vmt_snapshot_take, GUARDED", .run = take, .arg = &mapped },
        { .name = "vmt_snapshot_take, COPY", .run = take, .arg = &copied },
        { .name = "vmt_msgpack_encode", .run = encode, .arg = &mapped },
    };

    open_it(&mapped);
    open_it(&copied);
    measure(ways, 3);
    heading("1,000 sources of 64 counters");
    for (int i = 0; i < 3; i++)
        row_at_most_ns(&ways[i], 1e6);
    row_ratio(&ways[1], &ways[0], 0);
    note("a frame is %zu bytes", mapped.out.size);
    close_it(&mapped);
    close_it(&copied);
    vmt_segment_close(segment);
}
