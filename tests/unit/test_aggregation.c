/* SPDX-License-Identifier: MIT */
/* What the values of shards and of sources add up to. */
#include "watched.h"

#include <pthread.h>

TestSuite(aggregation, .init = setup, .fini = teardown);

/* ---- of each kind ---- */

Test(aggregation, shards_are_put_together_by_each_statistics_aggregation)
{
    const uint64_t *v;

    fill(add_source(segment, &part_schema, NULL, "a"), 10);
    look();
    v = sample_of(snapshot, "a")->values;
    cr_expect_eq(v[P_EVENTS], 31);
    cr_expect_eq(v[P_LEVEL], 30);
    cr_expect_eq(v[P_PEAK], 20);
    cr_expect_eq(v[P_MINIMUM], 10);
    cr_expect_eq((int64_t)v[P_DRIFT], -30);
    cr_expect_eq((int64_t)v[P_HIGH], -10);
    cr_expect_eq((int64_t)v[P_LOW], -20);
    cr_expect_eq(v[P_TOP], 20);
    cr_expect_eq(v[P_LINEAR + 1], 1);
    cr_expect_eq(v[P_LINEAR + 2], 1);
    cr_expect_eq(v[P_TIME], 2);
    cr_expect_eq(v[P_TIME + 1], 30);
    cr_expect_eq(v[P_TIME + 2], 10);
    cr_expect_eq(v[P_TIME + 3], 20);
}

Test(aggregation, sources_are_put_together_by_each_statistics_aggregation)
{
    const struct vmt_total *total;
    const uint64_t *v;

    fill(add_source(segment, &part_schema, NULL, "a"), 10);
    fill(add_source(segment, &part_schema, NULL, "b"), 100);
    add_source(segment, &part_schema, NULL, "c");
    look();
    total = total_named(sample_of(snapshot, ""), "part");
    v = total->values;
    cr_assert_eq(total->sources, 3);
    cr_expect_eq(v[P_EVENTS], 332);
    cr_expect_eq(v[P_LEVEL], 330);
    cr_expect_eq(v[P_PEAK], 200);
    cr_expect_eq(v[P_MINIMUM], 10);
    cr_expect_eq((int64_t)v[P_DRIFT], -330);
    cr_expect_eq((int64_t)v[P_HIGH], -10);
    cr_expect_eq((int64_t)v[P_LOW], -200);
    cr_expect_eq(v[P_TOP], 200);
    cr_expect_eq(v[P_MEAN], 110, "(30 + 300 + 0) / 3");
    cr_expect_eq(v[P_ZEROS], 3);
    cr_expect_eq(v[P_TIME], 4);
    cr_expect_eq(v[P_TIME + 2], 10);
}

Test(aggregation, zeros_are_counted_over_live_sources_at_every_level)
{
    struct vmt_source *a = add_source(segment, &part_schema, NULL, "a");
    struct vmt_source *b = add_source(segment, &part_schema, a, "b");
    struct vmt_source *c = add_source(segment, &part_schema, a, "c");
    struct vmt_shard *shard = vmt_shard_acquire(b);

    (void)c;
    vmt_set(shard, P_ZEROS, 7);
    look();
    cr_assert_eq(total_of(snapshot, "a", P_ZEROS), 1, "c");
    cr_assert_eq(total_of(snapshot, "", P_ZEROS), 2, "a and c");
    vmt_source_remove(c);
    look();
    cr_assert_eq(total_of(snapshot, "a", P_ZEROS), 0);
    cr_assert_eq(total_of(snapshot, "", P_ZEROS), 1, "a");
}

Test(aggregation, a_total_over_one_source_takes_no_memory_of_its_own)
{
    struct vmt_source *parent = add_source(segment, &part_schema, NULL, "parent");
    struct vmt_source *child = add_source(segment, &small_schema, parent, "child");
    const uint64_t *values;

    vmt_count(child, S_EVENTS, 5);
    look();
    values = sample_of(snapshot, "parent/child")->values;
    cr_assert_eq(total_named(sample_of(snapshot, "parent"), "small")->values, values);
    cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->values, values);
    vmt_count(add_source(segment, &small_schema, NULL, "other"), S_EVENTS, 6);
    look();
    values = sample_of(snapshot, "parent/child")->values;
    cr_assert_eq(total_named(sample_of(snapshot, "parent"), "small")->values, values);
    cr_assert_eq(values[S_EVENTS], 5);
    cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->values[S_EVENTS], 11);
    vmt_source_remove(child);
    look();
    cr_assert_eq(total_named(sample_of(snapshot, "parent"), "small")->values[S_EVENTS], 5);
    cr_assert_eq(total_named(sample_of(snapshot, "parent"), "small")->sources, 0);
    cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->values[S_EVENTS], 11);
    cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->departed[S_EVENTS], 5);
}

Test(aggregation, means_are_rounded_toward_zero_signed_and_unsigned)
{
    static const struct vmt_descriptor descriptors[] = {
        { .name = "m", .flags = VMT_TYPE_INSTANT | VMT_AGGREGATION_AVERAGE | VMT_SIGNED, .size = 1 },
        { .name = "u", .flags = VMT_TYPE_INSTANT | VMT_AGGREGATION_AVERAGE, .size = 1, .slot = 1 },
    };
    static const struct vmt_schema schema = { "mean", "test", "part", descriptors, 2, 2 };
    static const int64_t values[] = { -5, -2, 0, -1 };
    const struct vmt_total *total;

    for (size_t i = 0; i < LENGTH(values); i++) {
        struct vmt_source *source = NULL;
        struct vmt_shard *shard;

        cr_assert_eq(vmt_source_addf(segment, &schema, NULL, &source, "s-%zu", i), 0);
        shard = vmt_shard_acquire(source);
        vmt_set(shard, 0, (uint64_t)values[i]);
        vmt_set(shard, 1, (uint64_t)-values[i]);
    }
    look();
    total = total_named(sample_of(snapshot, ""), "mean");
    cr_assert_eq((int64_t)total->values[0], -2);
    cr_assert_eq(total->values[1], 2);
}

Test(aggregation, minima_and_signed_peaks_of_which_nothing_was_counted_are_absent)
{
    const struct vmt_total *total;

    vmt_shard_acquire(add_source(segment, &part_schema, NULL, "a")); /* a shard, and nothing in it */
    add_source(segment, &part_schema, NULL, "b");                    /* not even a shard */
    look();
    for (int i = 0; i < 3; i++) {
        const uint64_t *v = i < 2 ? sample_of(snapshot, i ? "a" : "b")->values : NULL;

        total = total_named(sample_of(snapshot, ""), "part");
        v = v ? v : total->values;
        cr_expect_eq(v[P_MINIMUM], UINT64_MAX);
        cr_expect_eq((int64_t)v[P_LOW], INT64_MAX);
        cr_expect_eq((int64_t)v[P_HIGH], INT64_MIN);
        cr_expect_eq(v[P_PEAK], 0);
        cr_expect_eq(v[P_TIME + 2], UINT64_MAX);
        cr_expect_eq(v[P_EVENTS], 0);
    }
    cr_assert_eq(total->departed[P_MINIMUM], UINT64_MAX);
}

/* ---- totals by name ---- */

Test(aggregation, a_total_by_name_is_over_all_schemas_that_have_it)
{
    static const struct vmt_descriptor none = { .name = "none", .size = 1 };
    static const struct vmt_descriptor other_unit = { .name = "events", .flags = VMT_UNIT_BYTES, .size = 1 };
    static const struct vmt_descriptor other_type = { .name = "events", .flags = VMT_TYPE_PEAK, .size = 1 };
    struct vmt_source *vm = add_source(segment, &vmt_schema_vm, NULL, "vm");
    struct vmt_source *a = add_source(segment, &part_schema, vm, "a");
    struct vmt_source *b = add_source(segment, &small_schema, vm, "b");
    struct vmt_shard *mean;
    uint64_t values[P_SLOTS] = { 77 };

    fill(a, 10);
    vmt_count(b, S_EVENTS, 1000);
    vmt_source_remove(b);
    b = add_source(segment, &small_schema, a, "b");
    vmt_count(b, S_EVENTS, 200);
    look();
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), vmt_schema_find(&part_schema, "events"), values), 0);
    cr_assert_eq(values[0], 1231);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm/a"), vmt_schema_find(&part_schema, "events"), values), 0);
    cr_assert_eq(values[0], 200);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), vmt_schema_find(&part_schema, "linear"), values), 0);
    cr_assert_eq(values[1], 1);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), vmt_schema_find(&part_schema, "low"), values), 0);
    cr_assert_eq((int64_t)values[0], -20);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), &none, values), -ENOENT);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), &other_unit, values), -ENOENT);
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), &other_type, values), -ENOENT);
    mean = vmt_shard_acquire(add_source(segment, &part_schema, vm, "c"));
    vmt_set(mean, P_MEAN, 70);
    look();
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, "vm"), vmt_schema_find(&part_schema, "mean"), values), 0);
    cr_assert_eq(values[0], 50);
}

/* ---- gauges of two counters ---- */

static int stop;

/* Up in one shard, down in another: between them the true level is 0 or 1. */
static void *up_and_down(void *arg)
{
    struct vmt_shard **shards = arg;

    for (unsigned i = 0; !said(&stop); i++) {
        vmt_add(shards[i & 1], 0, 1);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        vmt_add(shards[~i & 1], 1, 1);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    return NULL;
}

Test(aggregation, a_gauge_of_two_counters_is_never_negative)
{
    static const struct vmt_descriptor descriptors[] = {
        { .name = "added", .size = 1 },
        { .name = "removed", .size = 1, .slot = 1, .minuend = 1 },
    };
    static const struct vmt_schema schema = { "level", "test", "part", descriptors, 2, 2 };
    struct vmt_source *source = add_source(segment, &schema, NULL, "a");
    struct vmt_reader *readers[3];
    struct vmt_shard *shards[2];
    pthread_t thread;

    vmt_shards_acquire(source, 2, shards);
    readers[0] = attach(vmt_segment_path(segment), VMT_READ_COPY);
    readers[1] = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    readers[2] = attach_here(segment);
    cr_assert_eq(pthread_create(&thread, NULL, up_and_down, shards), 0);
    while (__atomic_load_n(&shards[0]->value_[0], __ATOMIC_RELAXED) < 1000)
        nap_us(100);
    for (int i = 0; i < 6000; i++) {
        const struct vmt_sample *a;
        const struct vmt_total *total;

        take(snapshot, readers[i % 3]);
        a = sample_of(snapshot, "a");
        total = total_named(sample_of(snapshot, ""), "level");
        cr_assert_geq(a->values[0], a->values[1]);
        cr_assert_geq(total->values[0], total->values[1]);
    }
    say(&stop, 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++) {
        take(snapshot, readers[i]);
        cr_assert_eq(value_of(snapshot, "a", 0), value_of(snapshot, "a", 1));
        vmt_reader_close(readers[i]);
    }
}
