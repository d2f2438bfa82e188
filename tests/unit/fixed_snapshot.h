/* SPDX-License-Identifier: MIT */
/* fixed_snapshot.h: a snapshot that is the same on every machine at every run, and one of the same VM ten seconds
 * later. All golden files are made of them. In it: all ready-made schemas, what the kernel counts, statistics of each
 * kind, what is above 2^53 and 2^63, below 0 or absent, names and labels that have to be quoted, shards, what
 * departed. Later there was counted more, "vm/balloon" was removed, and "vm/disk-1" added. */
#ifndef TESTS_UNIT_FIXED_SNAPSHOT_H
#define TESTS_UNIT_FIXED_SNAPSHOT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/recorded.h>
#include <vmtally/schemas.h>

#include "lib/kvm/handle.h"
#include "shm/layout.h"

#define FIXED_ENSURE(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "fixed_snapshot.h:%d: %s does not hold\n", __LINE__, #condition);                          \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define FIXED_NASTY "od\"d\\{}=,'<&>" /* a program's name: all that is allowed in one and means something elsewhere */

/* ---- schemas beside the ready-made ones ---- */

#define FIXED_KERNEL_VM_STATISTICS(X)                                                                                  \
    X(CUMULATIVE, FIXED_KV_FLUSHES, "remote_tlb_flush", NONE, 1, 0, "Flushes of all vCPUs' TLBs")                      \
    X(INSTANT, FIXED_KV_PAGES, "pages_4k", NONE, 1, 0, "Pages of 4 KiB mapped into the guest")                         \
    X(PEAK, FIXED_KV_RMAP, "max_mmu_rmap_size", NONE, 1, 0, "Longest reverse map")                                     \
    X(LINEAR, FIXED_KV_ZAPPED, "zapped_hist", NONE, 6, 10, "Pages zapped at a time")
VMT_SCHEMA_ENUM(FIXED_KV, FIXED_KERNEL_VM_STATISTICS)
VMT_SCHEMA_DEFINE(fixed_kernel_vm, KVM_SCHEMA_VM, KVM_PROVIDER, "vm", FIXED_KV, FIXED_KERNEL_VM_STATISTICS)

#define FIXED_KERNEL_VCPU_STATISTICS(X)                                                                                \
    X(CUMULATIVE, FIXED_KC_EXITS, "exits", NONE, 1, 0, "Exits of any reason")                                          \
    X(CUMULATIVE, FIXED_KC_WAIT_NS, "halt_wait_ns", NANOSECONDS, 1, 0, "Time spent halted")                            \
    X(LOG, FIXED_KC_WAIT, "halt_wait_hist", NANOSECONDS, 32, 0, "Time spent halted, each time")                        \
    X(BOOLEAN, FIXED_KC_BLOCKING, "blocking", BOOL, 1, 0, "Halted now")                                                \
    X(BOOLEAN, FIXED_KC_GUEST, "guest_mode", BOOL, 1, 0, "In a nested guest now")
VMT_SCHEMA_ENUM(FIXED_KC, FIXED_KERNEL_VCPU_STATISTICS)
VMT_SCHEMA_DEFINE(fixed_kernel_vcpu, KVM_SCHEMA_VCPU, KVM_PROVIDER, "vcpu", FIXED_KC, FIXED_KERNEL_VCPU_STATISTICS)

#define FIXED_EXTRA_STATISTICS(X)                                                                                      \
    X(CUMULATIVE, FIXED_X_TICKS, "ticks", NONE, 1, 0, "Ticks \"quoted\", back\\slash, ünïcode")                        \
    X(CUMULATIVE, FIXED_X_BEYOND, "beyond", BYTES, 1, 0, "More than a double can tell apart")                          \
    X(INSTANT, FIXED_X_MEMORY, "memory", MEBIBYTES, 1, 0, "")                                                          \
    X(PEAK, FIXED_X_CYCLES, "peak_cycles", CYCLES, 1, 0, "The longest")                                                \
    X(MINIMUM, FIXED_X_LEAST, "least", BYTES, 1, 0, "The least: nothing was counted")                                  \
    X(MINIMUM, FIXED_X_LOWEST, "lowest", MILLISECONDS, 1, 0, "The least: 0")                                           \
    X(BOOLEAN, FIXED_X_RUNNING, "running", BOOL, 1, 0, "Running")                                                      \
    X(SIGNED_INSTANT, FIXED_X_DRIFT, "drift", NANOSECONDS, 1, 0, "How far the guest's clock is ahead")                 \
    X(SIGNED_PEAK, FIXED_X_HIGH, "high", NONE, 1, 0, "The highest: nothing was counted")                               \
    X(SIGNED_MINIMUM, FIXED_X_LOW, "low", MICROSECONDS, 1, 0, "The lowest")                                            \
    X(INSTANT_MAX, FIXED_X_TOP, "top", NONE, 1, 0, "The largest of all")                                               \
    X(INSTANT_AVERAGE, FIXED_X_MEAN, "mean", KIBIBYTES, 1, 0, "The mean of all")                                       \
    X(INSTANT_COUNT_ZERO, FIXED_X_ZEROS, "zeros", NONE, 1, 0, "How many are at 0")                                     \
    X(LINEAR, FIXED_X_SIZES, "sizes", BYTES, 4, 512, "Sizes")                                                          \
    X(LOG, FIXED_X_EMPTY, "empty", SECONDS, 5, 0, "Nothing was recorded")                                              \
    X(LATENCY, FIXED_X_SYNC, "sync", MICROSECONDS, 12, 0, "Time that it takes to set the clock")
VMT_SCHEMA_ENUM(FIXED_X, FIXED_EXTRA_STATISTICS)
VMT_SCHEMA_DEFINE(fixed_extra, "clock", "vmm", "clock", FIXED_X, FIXED_EXTRA_STATISTICS)

/* Levels, and a level that is the difference of two. */
static const struct vmt_descriptor fixed_queue_descriptors[] = {
    { "completed", "Completed", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, VMT_LEVEL_INFO, { 0 } },
    { "submitted", "Submitted", VMT_TYPE_CUMULATIVE, 1, 0, 0, 1, 0, 1, VMT_LEVEL_DIAGNOSTIC, { 0 } },
    { "wakeups", NULL, VMT_TYPE_CUMULATIVE, 2, 0, 0, 1, 0, 0, VMT_LEVEL_DEBUG, { 0 } },
};
static const struct vmt_schema fixed_queue = { "queue", "vmm", "queue", fixed_queue_descriptors, 3, 3 };

/* ---- sources ---- */

#define FIXED_ALWAYS 0
#define FIXED_BEFORE 1 /* not later */
#define FIXED_LATER 2  /* not before */

static const struct fixed_source {
    const char *id;
    const struct vmt_schema *schema;
    uint32_t entry;
    uint32_t flags; /* VMT_SAMPLE_ */
    int when;
    uint32_t shards; /* machines */
} fixed_sources[] = {
    { "", &vmt_schema_segment, 0, 0, FIXED_ALWAYS, 0 },
    { "vm", &vmt_schema_vm, 1, 0, FIXED_ALWAYS, 0 },
    { "vm/vcpu-0", &vmt_schema_vcpu, 2, 0, FIXED_ALWAYS, 0 },
    { "vm/vcpu-0/kvm", &fixed_kernel_vcpu, VMT_ENTRY_KERNEL | 1, 0, FIXED_ALWAYS, 0 },
    { "vm/vcpu-1", &vmt_schema_vcpu, 3, VMT_SAMPLE_UNCONFIRMED, FIXED_ALWAYS, 0 },
    { "vm/rootfs", &vmt_schema_block, 4, 0, FIXED_ALWAYS, 0 },
    { "vm/rootfs/queue-0", &fixed_queue, 5, 0, FIXED_ALWAYS, 0 },
    { "vm/disk-1", &vmt_schema_block, 18, 0, FIXED_LATER, 0 },
    { "vm/eth0", &vmt_schema_net, 6, VMT_SAMPLE_TORN, FIXED_ALWAYS, 0 },
    { "vm/eth1", &vmt_schema_net, 7, VMT_SAMPLE_ABSENT, FIXED_ALWAYS, 0 },
    { "vm/vsock", &vmt_schema_vsock, 8, 0, FIXED_ALWAYS, 0 },
    { "vm/balloon", &vmt_schema_balloon, 9, 0, FIXED_BEFORE, 0 },
    { "vm/clock", &fixed_extra, 10, 0, FIXED_ALWAYS, 0 },
    { "vm/kvm", &fixed_kernel_vm, VMT_ENTRY_KERNEL | 0, 0, FIXED_ALWAYS, 0 },
    { "avif", &vmt_schema_program, 11, 0, FIXED_ALWAYS, 0 },
    { "avif/request", &vmt_schema_request, 12, 0, FIXED_ALWAYS, 2 },
    { "avif/storage", &vmt_schema_storage, 13, 0, FIXED_ALWAYS, 1 },
    { FIXED_NASTY, &vmt_schema_program, 14, 0, FIXED_ALWAYS, 0 },
    { FIXED_NASTY "/request", &vmt_schema_request, 15, 0, FIXED_ALWAYS, 1 },
    { "leaving", &fixed_queue, 16, VMT_SAMPLE_LEAVING, FIXED_ALWAYS, 0 },
};
#define FIXED_SOURCES (sizeof(fixed_sources) / sizeof(fixed_sources[0]))
#define FIXED_TOTALS_MAX 16
#define FIXED_SHARDS_MAX 2
#define FIXED_VALUES_MAX 65536

/* One that is being made. */
struct fixed {
    bool later;
    struct vmt_sample samples[FIXED_SOURCES];
    struct vmt_total totals[FIXED_SOURCES][FIXED_TOTALS_MAX];
    struct vmt_shard_sample shards[FIXED_SOURCES][FIXED_SHARDS_MAX];
    uint32_t number[FIXED_SOURCES]; /* in fixed_sources */
    uint32_t count;
    uint32_t used;
    uint64_t values[FIXED_VALUES_MAX];
};

static inline uint64_t *fixed_values(struct fixed *f, const struct vmt_schema *schema)
{
    uint64_t *values = &f->values[f->used];

    f->used += schema->slots;
    FIXED_ENSURE(f->used <= FIXED_VALUES_MAX);
    for (uint32_t i = 0; i < schema->count; i++) {
        for (uint32_t k = 0; k < schema->descriptors[i].size; k++)
            values[schema->descriptors[i].slot + k] = shm_identity(schema->descriptors[i].flags);
    }
    return values;
}

/* A LATENCY: its five descriptors from d on. seed 0 mod 5: nothing was recorded. */
static inline void fixed_latency(const struct vmt_descriptor *d, uint64_t *values, uint64_t seed, bool later)
{
    const struct vmt_descriptor *hist = d + 4;
    uint64_t times = seed % 5 == 0 ? 0 : 3 + seed % 4 + (later ? 20 : 0);

    for (uint64_t i = 0; i < times; i++) {
        uint64_t value = i == 2 ? UINT64_C(1) << 45 : (seed + 1) * (i + 1) * 977; /* the third one: the last bucket */
        uint64_t bucket = 64 - (uint64_t)__builtin_clzll(value);

        values[d[0].slot]++;
        values[d[1].slot] += value;
        if (value < values[d[2].slot])
            values[d[2].slot] = value;
        if (value > values[d[3].slot])
            values[d[3].slot] = value;
        values[hist->slot + (bucket < hist->size ? bucket : hist->size - 1U)]++;
    }
}

static inline void fixed_fill(const struct vmt_schema *schema, uint64_t *values, uint64_t seed, bool later)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        uint64_t value = (seed * 100 + i) * 13 % 1009 + i;

        if (d->group) {
            fixed_latency(d, values, seed + i, later);
            i += 4;
        } else if (d->size > 1) {
            for (uint32_t k = 0; k < d->size; k++)
                values[d->slot + k] = (seed + k) % 3 + (k + 1 == d->size) + (later && k < 4 ? k : 0);
        } else if ((d->flags & VMT_UNIT_MASK) == VMT_UNIT_BOOLEAN) {
            values[d->slot] = (seed + i) % 2;
        } else if ((d->flags & VMT_TYPE_MASK) == VMT_TYPE_CUMULATIVE) {
            uint64_t scale = (d->flags & VMT_UNIT_MASK) == VMT_UNIT_SECONDS ? 1234567 : 1;

            values[d->slot] = i % 7 == 6 ? 0 : (value + (later ? 10 * (i + 1) : 0)) * scale;
        } else {
            values[d->slot] = value + later;
        }
    }
}

/* What a test looks for. */
static inline void fixed_set(const char *id, uint64_t *values, bool later)
{
    if (strcmp(id, "vm") == 0) {
        values[VMT_VM_VCPUS] = 2;
        values[VMT_VM_MEMORY_BYTES] = UINT64_C(1) << 30;
    }
    if (strcmp(id, "vm/vcpu-0") == 0)
        values[VMT_VCPU_EXITS] = (UINT64_C(1) << 53) + 1 + (later ? 1000 : 0);
    if (strcmp(id, "vm/rootfs/queue-0") == 0) {
        values[0] = later ? 1999 : 999;
        values[1] = later ? 2004 : 1000;
    }
    if (strcmp(id, "vm/clock") != 0)
        return;
    values[FIXED_X_TICKS] = UINT64_MAX;
    values[FIXED_X_BEYOND] = (UINT64_C(1) << 63) + 1 + (later ? 2 : 0);
    values[FIXED_X_LEAST] = UINT64_MAX;
    values[FIXED_X_LOWEST] = 0;
    values[FIXED_X_RUNNING] = 1;
    values[FIXED_X_DRIFT] = (uint64_t)(later ? INT64_C(-6) : INT64_MIN);
    values[FIXED_X_HIGH] = (uint64_t)INT64_MIN;
    values[FIXED_X_LOW] = (uint64_t)INT64_C(-70000);
    memset(&values[FIXED_X_EMPTY], 0, FIXED_X_EMPTY_BUCKETS * sizeof(*values));
}

static inline void fixed_combine(const struct vmt_schema *schema, uint64_t *to, const uint64_t *from)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        for (uint32_t k = d->slot; k < d->slot + d->size; k++)
            to[k] = shm_combine(d->flags, to[k], from[k]);
    }
}

static inline void fixed_add_shards(struct fixed *f, uint32_t at, uint64_t *sums, uint64_t seed)
{
    struct vmt_sample *sample = &f->samples[at];

    for (uint32_t k = 0; k < fixed_sources[f->number[at]].shards; k++) {
        uint64_t *values = fixed_values(f, sample->schema);

        fixed_fill(sample->schema, values, seed + 31 * (k + 1), f->later);
        fixed_combine(sample->schema, sums, values);
        f->shards[at][k] =
            (struct vmt_shard_sample){ .values = values, .owner = 4711 + k, .held = k == 0, .id = 100 * at + k + 1 };
        sample->shard_count++;
    }
    sample->shards = sample->shard_count ? f->shards[at] : NULL;
}

static inline uint32_t fixed_parent(const struct fixed *f, const char *id)
{
    const char *slash = strrchr(id, '/');

    for (uint32_t i = 0; slash && i < f->count; i++) {
        if (strncmp(f->samples[i].id, id, (size_t)(slash - id)) == 0 &&
            strlen(f->samples[i].id) == (size_t)(slash - id))
            return i;
    }
    FIXED_ENSURE(!slash);
    return *id ? 0 : UINT32_MAX;
}

#define FIXED_SECOND UINT64_C(1000000000)
#define FIXED_CREATED_NS (UINT64_C(1700000000) * FIXED_SECOND)

static inline void fixed_add(struct fixed *f, struct vmt_recorded *recorded, uint32_t number)
{
    const struct fixed_source *from = &fixed_sources[number];
    struct vmt_sample *sample = &f->samples[f->count];
    uint64_t *values = fixed_values(f, from->schema);

    f->number[f->count] = number;
    *sample = (struct vmt_sample){ .id = from->id,
                                   .values = from->flags & VMT_SAMPLE_ABSENT ? NULL : values,
                                   .generation = 2 * number + 2,
                                   .created_ns = FIXED_CREATED_NS + number * FIXED_SECOND / 2,
                                   .entry = from->entry,
                                   .parent = fixed_parent(f, from->id),
                                   .flags = from->flags };
    if (from->when == FIXED_LATER)
        sample->created_ns += 65 * FIXED_SECOND;
    if (from->entry & VMT_ENTRY_KERNEL)
        sample->created_ns = 0; /* nobody knows */
    FIXED_ENSURE(vmt_recorded_schema(recorded, from->schema, &sample->schema) == 0);
    if (from->shards)
        fixed_add_shards(f, f->count, values, number);
    else
        fixed_fill(from->schema, values, number, f->later);
    fixed_set(from->id, values, f->later);
    f->count++;
}

/* The total of above over the schema, made if there is none. */
static inline struct vmt_total *fixed_total(struct fixed *f, uint32_t above, const struct vmt_schema *schema)
{
    struct vmt_sample *sample = &f->samples[above];
    struct vmt_total *total = f->totals[above];

    for (; total < f->totals[above] + sample->total_count; total++) {
        if (total->schema == schema)
            return total;
    }
    FIXED_ENSURE(sample->total_count < FIXED_TOTALS_MAX);
    sample->totals = f->totals[above];
    sample->total_count++;
    *total =
        (struct vmt_total){ .schema = schema, .values = fixed_values(f, schema), .departed = fixed_values(f, schema) };
    return total;
}

/* Schemas with a mean or a count of zeros have one source here: the mean is its value. */
static inline void fixed_into_total(struct vmt_total *total, const uint64_t *values)
{
    uint64_t *to = (uint64_t *)(uintptr_t)total->values;

    total->sources++;
    if (!values) {
        total->flags |= VMT_SAMPLE_ABSENT;
        return;
    }
    fixed_combine(total->schema, to, values);
    for (uint32_t i = 0; i < total->schema->count; i++) {
        const struct vmt_descriptor *d = &total->schema->descriptors[i];

        if ((d->flags & VMT_AGGREGATION_MASK) == VMT_AGGREGATION_COUNT_ZERO)
            to[d->slot] = values[d->slot] == 0;
    }
}

/* Of one below "vm" that was removed: its level went with it. */
static inline void fixed_depart(struct fixed *f, struct vmt_recorded *recorded, const struct vmt_schema *declared,
                                uint64_t seed)
{
    uint64_t *values = fixed_values(f, declared);
    const struct vmt_schema *schema;

    FIXED_ENSURE(vmt_recorded_schema(recorded, declared, &schema) == 0);
    fixed_fill(schema, values, seed, false);
    for (uint32_t above = 1; above != UINT32_MAX; above = f->samples[above].parent) {
        struct vmt_total *total = fixed_total(f, above, schema);

        fixed_combine(schema, (uint64_t *)(uintptr_t)total->values, values);
        fixed_combine(schema, (uint64_t *)(uintptr_t)total->departed, values);
    }
}

/* Of each source to all above it. */
static inline void fixed_add_totals(struct fixed *f, struct vmt_recorded *recorded)
{
    for (uint32_t i = 1; i < f->count; i++) {
        for (uint32_t above = f->samples[i].parent; above != UINT32_MAX; above = f->samples[above].parent)
            fixed_into_total(fixed_total(f, above, f->samples[i].schema), f->samples[i].values);
    }
    fixed_depart(f, recorded, &vmt_schema_vcpu, 77); /* there was a "vm/vcpu-2" */
    if (f->later)
        fixed_depart(f, recorded, &vmt_schema_balloon, 11);
}

/* ---- what is had ---- */

static struct vmt_recorded *fixed_recorded; /* of both snapshots, so that one can be compared with the other */

/* Of who looks for leaks. Snapshots stay. */
static inline void fixed_forget(void)
{
    vmt_recorded_free(fixed_recorded);
    fixed_recorded = NULL;
}

static inline struct vmt_snapshot *fixed_make(bool later)
{
    static const char *const labels[] = { "tenant=acme", "odd=a \"quoted\" \\ back", NULL };
    const uint64_t past = later ? 10 * FIXED_SECOND : 0;
    struct vmt_segment_info info = { .path = "/run/vmtally/web-1.vmt",
                                     .name = "web-1",
                                     .labels = labels,
                                     .incarnation = 1,
                                     .created_ns = FIXED_CREATED_NS,
                                     .pid_start = 99,
                                     .begin_ns = 61 * FIXED_SECOND + past,
                                     .end_ns = 61 * FIXED_SECOND + 20000 + past,
                                     .realtime_ns = FIXED_CREATED_NS + 60 * FIXED_SECOND + 123456789 + past,
                                     .heartbeat_ns = 60 * FIXED_SECOND + past,
                                     .file_bytes = 1048576,
                                     .pid = 4711,
                                     .uid = 1000,
                                     .major = 1,
                                     .state = VMT_STATE_LIVE,
                                     .from = VMT_FROM_SEGMENT | VMT_FROM_FDS };
    struct fixed *f = calloc(1, sizeof(*f));
    struct vmt_snapshot *made;

    FIXED_ENSURE(f && (fixed_recorded || vmt_recorded_new(&fixed_recorded) == 0));
    for (uint8_t i = 0; i < sizeof(info.identity); i++) {
        info.identity[i] = i;
        info.boot_id[i] = (uint8_t)(0xb0 + i);
    }
    f->later = later;
    for (uint32_t i = 0; i < FIXED_SOURCES; i++) {
        if (fixed_sources[i].when != (later ? FIXED_BEFORE : FIXED_LATER))
            fixed_add(f, fixed_recorded, i);
    }
    fixed_add_totals(f, fixed_recorded);
    FIXED_ENSURE(vmt_snapshot_new(&made) == 0);
    FIXED_ENSURE(vmt_snapshot_rebuild(made, fixed_recorded, &info, f->samples, f->count) == 0);
    free(f);
    return made;
}

/* The caller's: free with vmt_snapshot_free(). */
static inline struct vmt_snapshot *fixed_snapshot(void) { return fixed_make(false); }
static inline struct vmt_snapshot *fixed_snapshot_later(void) { return fixed_make(true); }

#endif
