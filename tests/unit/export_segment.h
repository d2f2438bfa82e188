/* SPDX-License-Identifier: MIT */
/* export_segment.h: a segment with a value of every kind, for the tests of all encoders, and what its snapshot says as
 * vmtally/reader.h defines it. */
#ifndef TESTS_UNIT_EXPORT_SEGMENT_H
#define TESTS_UNIT_EXPORT_SEGMENT_H

#include "helper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/export.h>
#include <vmtally/segment.h>

#define EVERY_KIND(X)                                                                                                  \
    X(CUMULATIVE, ALL_EXITS, "exits", NONE, 1, 0, "Exits \"quoted\", back\\slash, ünïcode")                            \
    X(CUMULATIVE, ALL_TIME, "time", NANOSECONDS, 1, 0, "Time")                                                         \
    X(INSTANT, ALL_MEMORY, "memory", MEBIBYTES, 1, 0, "")                                                              \
    X(PEAK, ALL_PEAK, "peak", CYCLES, 1, 0, "Peak")                                                                    \
    X(MINIMUM, ALL_MINIMUM, "minimum", BYTES, 1, 0, "Minimum")                                                         \
    X(BOOLEAN, ALL_RUNNING, "running", BOOL, 1, 0, "Running")                                                          \
    X(SIGNED_INSTANT, ALL_DRIFT, "drift", NANOSECONDS, 1, 0, "Drift")                                                  \
    X(SIGNED_PEAK, ALL_HIGH, "high", NONE, 1, 0, "High")                                                               \
    X(SIGNED_MINIMUM, ALL_LOW, "low", NONE, 1, 0, "Low")                                                               \
    X(LINEAR, ALL_LINEAR, "linear", NONE, 4, 10, "Linear")                                                             \
    X(LOG, ALL_LOG, "log", BYTES, 8, 0, "Logarithmic")                                                                 \
    X(LATENCY, ALL_LATENCY, "io", NANOSECONDS, 16, 0, "Latency")
VMT_SCHEMA_ENUM(ALL, EVERY_KIND)
VMT_SCHEMA_DEFINE(all_schema, "all", "test", "vcpu", ALL, EVERY_KIND)

#define OTHER_STATISTICS(X) X(CUMULATIVE, OTHER_COUNT, "count", NONE, 1, 0, "Count")
VMT_SCHEMA_ENUM(OTHER, OTHER_STATISTICS)
VMT_SCHEMA_DEFINE(other_schema, "other", "test", "block", OTHER, OTHER_STATISTICS)

#define BEYOND_DOUBLE ((UINT64_C(1) << 53) + 1)

static struct vmt_segment *segment;
static struct vmt_source *vm;
static struct vmt_shard *full_shard;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;
static struct vmt_buffer out;

static inline void take(void) { cr_assert_eq(vmt_snapshot_take(snapshot, reader), 0); }

/* "vm" with two children of the same schema: one with a value of every kind, one in which nothing was counted. */
static inline void make_segment(void)
{
    const char *labels[] = { "rack=7", "note=a \"b\" \\ ü", NULL };
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-1", .labels = labels };
    struct vmt_source *full, *empty;

    test_dir_init();
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    cr_assert_eq(vmt_source_add(segment, &other_schema, NULL, "vm", &vm), 0);
    cr_assert_eq(vmt_source_add(segment, &all_schema, vm, "full", &full), 0);
    cr_assert_eq(vmt_source_add(segment, &all_schema, vm, "empty", &empty), 0);
    full_shard = vmt_shard_acquire(full);
    vmt_add(full_shard, ALL_EXITS, UINT64_MAX);
    vmt_add(full_shard, ALL_TIME, BEYOND_DOUBLE);
    vmt_set(full_shard, ALL_MEMORY, 512);
    vmt_peak(full_shard, ALL_PEAK, UINT64_MAX - 1);
    vmt_minimum(full_shard, ALL_MINIMUM, 0);
    vmt_set(full_shard, ALL_RUNNING, 1);
    vmt_set(full_shard, ALL_DRIFT, (uint64_t)INT64_MIN);
    vmt_peak_signed(full_shard, ALL_HIGH, -3);
    vmt_minimum_signed(full_shard, ALL_LOW, -70000);
    vmt_record(full_shard, ALL_LINEAR, 25);
    vmt_record(full_shard, ALL_LOG, 1000);
    vmt_latency(full_shard, ALL_LATENCY, ALL_LATENCY_BUCKETS, 1500);
    cr_assert_eq(vmt_reader_open(vmt_segment_path(segment), NULL, &reader), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
}

static inline void remove_segment(void)
{
    vmt_buffer_free(&out);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

static inline const struct vmt_sample *source(const char *id)
{
    const struct vmt_sample *sample = vmt_snapshot_find(snapshot, id);

    cr_assert_not_null(sample, "%s", id);
    return sample;
}

/* "null", or the number as it must be in any text. */
static inline void expect(const struct vmt_descriptor *d, uint64_t value, char text[24])
{
    uint32_t how = d->flags & VMT_AGGREGATION_MASK, is_signed = d->flags & VMT_SIGNED;
    int is_peak = how == VMT_AGGREGATION_TYPE && (d->flags & VMT_TYPE_MASK) == VMT_TYPE_PEAK;

    if (how == VMT_AGGREGATION_MIN && value == (is_signed ? INT64_MAX : UINT64_MAX))
        strcpy(text, "null");
    else if (is_peak && is_signed && value == (uint64_t)INT64_MIN)
        strcpy(text, "null");
    else if (is_signed)
        snprintf(text, 24, "%" PRId64, (int64_t)value);
    else
        snprintf(text, 24, "%" PRIu64, value);
}

#endif
