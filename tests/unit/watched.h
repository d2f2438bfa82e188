/* SPDX-License-Identifier: MIT */
/* watched.h: a segment "vm" with a reader and a snapshot of it. */
#ifndef TESTS_UNIT_WATCHED_H
#define TESTS_UNIT_WATCHED_H

#include "parts.h"

static struct vmt_segment *segment;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;

static inline void setup(void)
{
    test_dir_init();
    segment = new_segment("vm");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    snapshot = new_snapshot();
}

static inline void teardown(void)
{
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

static inline void look(void) { take(snapshot, reader); }

/* n events through a shard, and one through vmt_count. */
static inline void count_events(struct vmt_source *source, uint64_t n)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);

    vmt_add(shard, P_EVENTS, n - 1);
    vmt_count(source, P_EVENTS, 1);
    vmt_shard_release(shard);
}

/* Two shards and the shared one, all different. */
static inline void fill(struct vmt_source *source, int64_t times)
{
    struct vmt_shard *shards[2];

    vmt_shards_acquire(source, 2, shards);
    for (int i = 0; i < 2; i++) {
        int64_t v = times * (i + 1);

        vmt_add(shards[i], P_EVENTS, (uint64_t)v);
        vmt_set(shards[i], P_LEVEL, (uint64_t)v);
        vmt_peak(shards[i], P_PEAK, (uint64_t)v);
        vmt_minimum(shards[i], P_MINIMUM, (uint64_t)v);
        vmt_set(shards[i], P_DRIFT, (uint64_t)-v);
        vmt_peak_signed(shards[i], P_HIGH, -v);
        vmt_minimum_signed(shards[i], P_LOW, -v);
        vmt_set(shards[i], P_TOP, (uint64_t)v);
        vmt_set(shards[i], P_MEAN, (uint64_t)v);
        vmt_record(shards[i], P_LINEAR, (uint64_t)v);
        vmt_latency(shards[i], P_TIME, P_TIME_BUCKETS, (uint64_t)v);
    }
    vmt_count(source, P_EVENTS, 1);
}

#endif
