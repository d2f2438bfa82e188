/* SPDX-License-Identifier: MIT */
/* lives.h: segments with several writers, one after the other: options to go on with one, and an earlier writer that was
 * killed. */
#ifndef TESTS_UNIT_LIVES_H
#define TESTS_UNIT_LIVES_H

#include "parts.h"

static struct vmt_snapshot *snapshot;
static char why[256];

static inline void setup(void)
{
    test_dir_init();
    snapshot = new_snapshot();
}

static inline void teardown(void)
{
    vmt_snapshot_free(snapshot);
    test_dir_fini();
}

static inline struct vmt_segment_options resume(const char *name)
{
    return (struct vmt_segment_options){ .struct_size = sizeof(struct vmt_segment_options),
                                         .name = name,
                                         .keep = 1,
                                         .resume = 1,
                                         .why = why,
                                         .why_size = sizeof(why) };
}

static inline struct vmt_segment *resumed(const struct vmt_segment_options *options)
{
    struct vmt_segment *segment = NULL;
    int r = vmt_segment_create(options, &segment);

    cr_assert_eq(r, 0, "%s: %s", strerror(-r), why);
    return segment;
}

/* Life 1: a VM with two parts, one of which has gone; a group left open. Then it is killed. */
static inline void live_and_die(void *arg)
{
    struct vmt_segment_options *options = arg;
    struct vmt_segment *segment = NULL;
    struct vmt_source *vm, *a, *b, *gone;
    struct vmt_shard *shard;

    REQUIRE(vmt_segment_create(options, &segment) == 0);
    REQUIRE(vmt_source_add(segment, &small_schema, NULL, "vm", &vm) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "a", &a) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "b", &b) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "gone", &gone) == 0);
    vmt_count(gone, P_EVENTS, 1000);
    vmt_source_remove(gone);
    shard = vmt_shard_acquire(a);
    vmt_add(shard, P_EVENTS, 5);
    vmt_set(shard, P_LEVEL, 7);
    vmt_peak(shard, P_PEAK, 9);
    vmt_begin(shard);
    vmt_add(shard, P_TIME, 1);
    vmt_count(b, P_EVENTS, 30);
    vmt_count(b, P_LEVEL, 3);
    raise(SIGKILL);
}

static inline void one_life(struct vmt_segment_options *options)
{
    cr_assert_eq(end_of(start_child(live_and_die, options)), 128 + SIGKILL);
}

#endif
