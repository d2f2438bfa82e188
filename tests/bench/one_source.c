/* SPDX-License-Identifier: MIT */
/* One vCPU read over and over: against the kernel's own statistics fd, and against the sum of the same memory. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <vmtally/schemas.h>

#define SHARDS 16

struct sampled {
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    const struct vmt_sample *sample;
    uint64_t *values;
    const uint64_t *memory[SHARDS]; /* the same values, as the writer sees them */
    uint32_t slots;
    int fd;
    uint64_t data_offset;
};

static void sample_it(void *arg, uint64_t n)
{
    struct sampled *s = arg;

    for (uint64_t i = 0; i < n; i++) {
        if (vmt_reader_sample(s->reader, s->sample, s->values) != 0)
            stop("vmt_reader_sample failed");
    }
}

static void snapshot_it(void *arg, uint64_t n)
{
    struct sampled *s = arg;

    for (uint64_t i = 0; i < n; i++) {
        if (vmt_snapshot_take(s->snapshot, s->reader) != 0)
            stop("vmt_snapshot_take failed");
    }
}

static void pread_kvm(void *arg, uint64_t n)
{
    struct sampled *s = arg;

    for (uint64_t i = 0; i < n; i++) {
        if (pread(s->fd, s->values, s->slots * 8, (off_t)s->data_offset) != (ssize_t)(s->slots * 8))
            stop("pread of the KVM statistics: %m");
    }
}

/* ---- the sum of that memory, by slot; the loops that a compiler makes the most of ---- */

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2"), noinline))
#else
#define WIDE __attribute__((noinline))
#endif

typedef uint64_t four __attribute__((vector_size(32), may_alias));

/* Shard after shard into memory. */
WIDE static void sum_by_rows(uint64_t *to, const uint64_t *const *from, uint32_t slots)
{
    for (uint32_t i = 0; i < slots; i += 4)
        *(four *)(void *)(to + i) = *(const four *)(const void *)(from[0] + i);
    for (uint32_t s = 1; s < SHARDS; s++) {
        const uint64_t *one = from[s];

        for (uint32_t i = 0; i < slots; i += 4)
            *(four *)(void *)(to + i) += *(const four *)(const void *)(one + i);
    }
}

/* A few slots of all shards in registers, then the next few. */
WIDE static void sum_by_columns(uint64_t *to, const uint64_t *const *from, uint32_t slots)
{
    uint32_t i = 0;

    for (; i + 32 <= slots; i += 32) {
        four a[8] = { { 0 } };

        for (uint32_t s = 0; s < SHARDS; s++) {
            const four *p = (const four *)(const void *)(from[s] + i);
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++)
                a[k] += p[k];
        }
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++)
            ((four *)(void *)(to + i))[k] = a[k];
    }
    for (; i < slots; i += 4) {
        four a = { 0 };

        for (uint32_t s = 0; s < SHARDS; s++)
            a += *(const four *)(const void *)(from[s] + i);
        *(four *)(void *)(to + i) = a;
    }
}

static void rows(void *arg, uint64_t n)
{
    struct sampled *s = arg;

    for (uint64_t i = 0; i < n; i++) {
        sum_by_rows(s->values, s->memory, s->slots);
        BARRIER();
    }
}

static void columns(void *arg, uint64_t n)
{
    struct sampled *s = arg;

    for (uint64_t i = 0; i < n; i++) {
        sum_by_columns(s->values, s->memory, s->slots);
        BARRIER();
    }
}

/* ---- */

static struct sampled attach(struct vmt_segment *segment, enum vmt_read_mode mode, const char *id)
{
    struct sampled s = { .reader = reader_new(segment, mode) };

    s.snapshot = snapshot_new(s.reader);
    s.sample = vmt_snapshot_find(s.snapshot, id);
    if (!s.sample)
        stop("source %s is not in the snapshot", id);
    s.slots = s.sample->schema->slots;
    if (posix_memalign((void **)&s.values, 64, (s.slots + 32) * sizeof(*s.values)) != 0)
        stop("no memory");
    return s;
}

static void detach(struct sampled *s)
{
    vmt_snapshot_free(s->snapshot);
    vmt_reader_close(s->reader);
    free(s->values);
}

static void fill(struct vmt_shard *shard, uint32_t slots)
{
    for (uint32_t i = 0; i < slots; i++)
        vmt_add(shard, i, i * 1000);
}

static void against_kvm(const struct vmt_schema *schema, int fd, uint64_t data_offset, const char *why)
{
    struct vmt_segment *segment = segment_new("one", 0);
    struct vmt_source *source = source_new(segment, schema, NULL, "vcpu", 0);
    struct vmt_shard *shard = vmt_shard_acquire(source);
    struct sampled mapped, copied;

    fill(shard, schema->slots);
    mapped = attach(segment, VMT_READ_GUARDED, "vcpu-0");
    copied = attach(segment, VMT_READ_COPY, "vcpu-0");
    mapped.fd = fd;
    mapped.data_offset = data_offset;

    /* A snapshot of its own: the sample that is read belongs to the first one. */
    struct vmt_snapshot *again = snapshot_new(mapped.reader), *again_copied = snapshot_new(copied.reader);
    struct sampled whole = { .reader = mapped.reader, .snapshot = again };
    struct sampled whole_copied = { .reader = copied.reader, .snapshot = again_copied };
    struct way ways[] = {
        { .name = "vmt_reader_sample, GUARDED", .run = sample_it, .arg = &mapped },
        { .name = "vmt_reader_sample, COPY", .run = sample_it, .arg = &copied },
        { .name = "vmt_snapshot_take, GUARDED", .run = snapshot_it, .arg = &whole },
        { .name = "vmt_snapshot_take, COPY", .run = snapshot_it, .arg = &whole_copied },
        { .name = "pread of the KVM statistics fd", .run = pread_kvm, .arg = &mapped },
    };
    char text[96];

    snprintf(text, sizeof(text), "One source, one shard, %u statistics (%u bytes)", schema->count, schema->slots * 8);
    measure(ways, fd >= 0 ? 5 : 4);
    heading(text);
    if (fd >= 0) {
        row_ratio(&ways[0], &ways[4], 0.5);
        for (int i = 1; i < 4; i++)
            row_ratio(&ways[i], &ways[4], 0);
    } else {
        for (int i = 0; i < 4; i++)
            row(&ways[i]);
        note("pread of the KVM statistics fd: skipped, %s", why);
    }
    row_ratio(&ways[1], &ways[0], 0);
    vmt_snapshot_free(again);
    vmt_snapshot_free(again_copied);
    detach(&mapped);
    detach(&copied);
    vmt_segment_close(segment);
}

/* What is compared gives the same. */
static void check_sums(const struct way *way, const struct sampled *s)
{
    way->run(way->arg, 1);
    for (uint32_t i = 0; i < s->slots; i++) {
        if (s->values[i] != SHARDS * i * 1000U)
            stop("%s: the sum of slot %u is wrong", way->name, i);
        s->values[i] = 0;
    }
}

static void against_memory(const struct vmt_schema *schema)
{
    struct vmt_segment *segment = segment_new("sixteen", 0);
    struct vmt_source *source = source_new(segment, schema, NULL, "vcpu", 0);
    struct vmt_shard *shards[SHARDS];
    struct sampled mapped, copied;
    double bytes = SHARDS * 8.0 * schema->slots;

    vmt_shards_acquire(source, SHARDS, shards);
    for (int i = 0; i < SHARDS; i++)
        fill(shards[i], schema->slots);
    mapped = attach(segment, VMT_READ_GUARDED, "vcpu-0");
    copied = attach(segment, VMT_READ_COPY, "vcpu-0");
    for (int i = 0; i < SHARDS; i++)
        mapped.memory[i] = (const uint64_t *)(const void *)shards[i] + 16;

    struct way ways[] = {
        { .name = "vmt_reader_sample, GUARDED", .run = sample_it, .arg = &mapped },
        { .name = "best loop, shard by shard", .run = rows, .arg = &mapped },
        { .name = "best loop, slots in registers", .run = columns, .arg = &mapped },
        { .name = "vmt_reader_sample, COPY", .run = sample_it, .arg = &copied },
    };
    int wide = 1;
    char text[96];

#if defined(__x86_64__)
    wide = __builtin_cpu_supports("avx2");
#endif
    snprintf(text, sizeof(text), "One source, %d shards of %u bytes", SHARDS, schema->slots * 8);
    heading(text);
    if (wide) {
        for (int k = 0; k < 3; k++)
            check_sums(&ways[k], &mapped);
        measure(ways, 4);
        row_speed(&ways[0], ways[1].ns < ways[2].ns ? &ways[1] : &ways[2], bytes, 0.7);
        row_speed(&ways[0], ways[1].ns < ways[2].ns ? &ways[2] : &ways[1], bytes, 0.7);
    } else {
        measure(&ways[0], 1);
        measure(&ways[3], 1);
        note("the sum of the same memory: skipped, this CPU has no AVX2");
    }
    row_ratio(&ways[3], &ways[0], 0);
    detach(&mapped);
    detach(&copied);
    vmt_segment_close(segment);
}

void bench_one_source(void)
{
    const struct vmt_schema *schema = vcpu_shape();
    uint64_t data_offset = 0;
    const char *why;
    int fd = kvm_vcpu_stats(&schema, &data_offset, &why);

    against_kvm(schema, fd, data_offset, why);
    against_memory(schema);
}
