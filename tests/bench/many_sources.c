/* SPDX-License-Identifier: MIT */
/* Attaching to a segment, and whole snapshots of one, read and encoded. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/export.h>
#include <vmtally/schemas.h>

#define COUNTERS 64
#define SOURCES 1000

/* A snapshot of 1,000 sources takes so many times what loading, keeping and adding up the same values takes. Before the
 * checks against hostile files it was this (commit e2f3144, median of 5 runs of this row; 17.2 and 42.1 with them); they
 * may cost a tenth. Another CPU has another ratio, by copying above all: there compare with that commit. */
#define GUARDED_BEFORE 17.3
#define COPY_BEFORE 43.6
#define DEARER 1.10

struct watched {
    struct vmt_segment *segment;
    enum vmt_read_mode mode;
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    struct vmt_msgpack *stream;
    struct vmt_buffer out;
    const uint64_t *memory[SOURCES]; /* the same values, as the writer sees them */
    uint64_t *values;                /* COUNTERS of each, then their sums */
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

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2"), noinline))
#else
#define WIDE __attribute__((noinline))
#endif

typedef uint64_t four __attribute__((vector_size(32), may_alias));

WIDE static void keep_and_add(const uint64_t *const *memory, uint64_t *values)
{
    four *sums = (four *)(void *)(values + SOURCES * COUNTERS);

    for (int i = 0; i < SOURCES; i++) {
        four *to = (four *)(void *)(values + i * COUNTERS);

        for (int k = 0; k < COUNTERS / 4; k++) {
            to[k] = ((const four *)(const void *)memory[i])[k];
            sums[k] += to[k];
        }
    }
}

/* Nothing looked at but the values, and nothing asked. */
static void load_only(void *arg, uint64_t n)
{
    struct watched *w = arg;

    for (uint64_t i = 0; i < n; i++) {
        memset(w->values + SOURCES * COUNTERS, 0, COUNTERS * sizeof(*w->values));
        keep_and_add(w->memory, w->values);
        BARRIER();
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

/* vm-0 and below it that many of the schema, one shard each with something in every slot. memory (may be NULL): where. */
static struct vmt_segment *populate(const char *name, const struct vmt_schema *schema, unsigned count,
                                    const uint64_t **memory)
{
    struct vmt_segment *segment = segment_new(name, 0);
    struct vmt_source *vm = source_new(segment, &vmt_schema_vm, NULL, "vm", 0);

    for (unsigned i = 0; i < count; i++) {
        struct vmt_shard *shard = vmt_shard_acquire(source_new(segment, schema, vm, "vcpu", i));

        for (uint32_t slot = 0; slot < schema->slots; slot++)
            vmt_add(shard, slot, (uint64_t)i * 1000003 + slot);
        if (memory)
            memory[i] = (const uint64_t *)(const void *)shard + 16;
    }
    return segment;
}

const struct vmt_schema *counters(void)
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
    struct vmt_segment *segment = populate("hundred", counters(), 100, NULL);
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
    struct watched mapped = { .mode = VMT_READ_GUARDED };
    struct watched copied = { .mode = VMT_READ_COPY };
    struct vmt_segment *segment;

    attaching();
    segment = populate("thousand", counters(), SOURCES, mapped.memory);
    mapped.segment = copied.segment = segment;
    if (posix_memalign((void **)&mapped.values, 64, (SOURCES + 1) * COUNTERS * sizeof(uint64_t)) != 0)
        stop("no memory");

    struct way ways[] = {
        { .name = "vmt_snapshot_take, GUARDED", .run = take, .arg = &mapped },
        { .name = "vmt_snapshot_take, COPY", .run = take, .arg = &copied },
        { .name = "vmt_msgpack_encode", .run = encode, .arg = &mapped },
        { .name = "the same values, nothing checked", .run = load_only, .arg = &mapped },
    };
    int wide = 1;

#if defined(__x86_64__)
    wide = __builtin_cpu_supports("avx2");
#endif
    open_it(&mapped);
    open_it(&copied);
    measure(ways, wide ? 4 : 3);
    heading("1,000 sources of 64 counters");
    for (int i = 0; i < 3; i++)
        row_at_most_ns(&ways[i], 1e6);
    row_ratio(&ways[1], &ways[0], 0);
    if (wide) {
        row_ratio(&ways[0], &ways[3], GUARDED_BEFORE * DEARER);
        row_ratio(&ways[1], &ways[3], COPY_BEFORE * DEARER);
    }
    note("a frame is %zu bytes", mapped.out.size);
    close_it(&mapped);
    close_it(&copied);
    free(mapped.values);
    vmt_segment_close(segment);
}
