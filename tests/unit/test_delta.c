/* SPDX-License-Identifier: MIT */
/* What changed between two snapshots: rates, and when there is nothing to compare with. */
#include "parts.h"

#include <math.h>

static struct vmt_segment *segment;
static struct vmt_source *source;
static struct vmt_reader *reader;
static struct vmt_snapshot *older, *newer;
static struct vmt_delta *delta;

static void setup(void)
{
    test_dir_init();
    segment = new_segment("vm");
    source = add_source(segment, &part_schema, NULL, "a");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    older = new_snapshot();
    newer = new_snapshot();
    cr_assert_eq(vmt_delta_new(&delta), 0);
}

static void teardown(void)
{
    vmt_delta_free(delta);
    vmt_snapshot_free(older);
    vmt_snapshot_free(newer);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(delta, .init = setup, .fini = teardown);

static void compute(void) { cr_assert_eq(vmt_delta_compute(delta, older, newer), 0); }

/* The change of the source with this id in the newer snapshot. */
static const struct vmt_change *change_of(const char *id)
{
    const struct vmt_sample *sample = sample_of(newer, id);
    const struct vmt_change *change = vmt_delta_source(delta, (size_t)(sample - vmt_snapshot_source(newer, 0)));

    cr_assert_not_null(change);
    cr_assert_eq(change->schema, sample->schema);
    return change;
}

static const struct vmt_change *change_of_total(const char *id, const char *schema)
{
    const struct vmt_sample *sample = sample_of(newer, id);
    const struct vmt_change *change = vmt_delta_total(delta, (size_t)(sample - vmt_snapshot_source(newer, 0)),
                                                      (size_t)(total_named(sample, schema) - sample->totals));

    cr_assert_not_null(change);
    cr_assert_str_eq(change->schema->name, schema);
    return change;
}

Test(delta, of_what_counts_is_the_difference_and_of_the_rest_0)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);
    const struct vmt_change *change;

    vmt_add(shard, P_EVENTS, UINT64_C(1) << 60);
    vmt_set(shard, P_LEVEL, 50);
    vmt_peak(shard, P_PEAK, 50);
    vmt_record(shard, P_LINEAR, 15);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 5);
    take(older, reader);
    vmt_add(shard, P_EVENTS, 7);
    vmt_set(shard, P_LEVEL, 60);
    vmt_peak(shard, P_PEAK, 60);
    vmt_minimum(shard, P_MINIMUM, 1);
    vmt_record(shard, P_LINEAR, 15);
    vmt_record(shard, P_LINEAR, 15);
    vmt_record(shard, P_LOG, 3);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 100);
    take(newer, reader);
    compute();
    change = change_of("a");
    cr_assert_eq(change->flags, 0);
    for (uint32_t i = 0; i < P_SLOTS; i++) {
        uint64_t want = i == P_EVENTS     ? 7
                      : i == P_LINEAR + 1 ? 2
                      : i == P_LOG + 2    ? 1
                      : i == P_TIME       ? 1
                      : i == P_TIME + 1   ? 100
                      : i == P_TIME + 11  ? 1
                                          : 0; /* 100 is in [64, 128): bucket 7 */

        cr_expect_eq(change->values[i], want, "slot %u: %lu", i, change->values[i]);
    }
    cr_assert_eq(change_of_total("", "part")->values[P_EVENTS], 7);
    cr_assert_null(vmt_delta_source(delta, vmt_snapshot_count(newer)));
    cr_assert_null(vmt_delta_total(delta, 0, vmt_snapshot_source(newer, 0)->total_count));
    cr_assert_null(vmt_delta_total(delta, vmt_snapshot_count(newer), 0));
}

Test(delta, rates_are_per_second_of_the_time_between)
{
    double seconds;

    take(older, reader);
    vmt_count(source, P_EVENTS, 1000);
    nap_us(50000);
    take(newer, reader);
    compute();
    seconds = vmt_delta_seconds(delta);
    cr_assert_geq(seconds, 0.05);
    cr_assert_lt(seconds, 20);
    cr_assert_float_eq(
        seconds, (double)(vmt_snapshot_segment(newer)->begin_ns - vmt_snapshot_segment(older)->begin_ns) / 1e9, 1e-12);
    cr_assert_float_eq(vmt_change_rate(delta, change_of("a"), P_EVENTS), 1000 / seconds, 1e-6);
    cr_assert_eq(vmt_change_rate(delta, change_of("a"), P_BYTES), 0);
    cr_assert_eq(vmt_change_rate(delta, change_of("a"), P_SLOTS), 0, "no such slot");
    cr_assert_eq(vmt_change_rate(delta, NULL, 0), 0);
}

Test(delta, without_an_older_one_all_is_reset)
{
    vmt_count(source, P_EVENTS, 1000);
    take(newer, reader);
    cr_assert_eq(vmt_delta_compute(delta, NULL, newer), 0);
    cr_assert_eq(vmt_delta_seconds(delta), 0);
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_RESET);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 0);
    cr_assert_eq(change_of_total("", "part")->flags, VMT_CHANGE_RESET);
    cr_assert_eq(vmt_change_rate(delta, change_of("a"), P_EVENTS), 0);
}

Test(delta, with_an_empty_older_one_all_is_reset)
{
    vmt_count(source, P_EVENTS, 1000);
    take(newer, reader);
    compute(); /* nothing was ever taken into older */
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_RESET);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 0);
}

Test(delta, of_two_segments_is_reset)
{
    struct vmt_segment *other = new_segment("other");
    struct vmt_reader *its_reader = attach(vmt_segment_path(other), VMT_READ_COPY);

    vmt_count(source, P_EVENTS, 10);
    vmt_count(add_source(other, &part_schema, NULL, "a"), P_EVENTS, 1000);
    take(older, reader);
    take(newer, its_reader);
    compute();
    cr_assert_eq(vmt_delta_seconds(delta), 0);
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_RESET);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 0);
    cr_assert_eq(change_of("")->flags, VMT_CHANGE_RESET);
    vmt_reader_close(its_reader);
    vmt_segment_close(other);
}

Test(delta, in_the_wrong_order_is_reset)
{
    take(newer, reader);
    vmt_count(source, P_EVENTS, 10);
    take(older, reader);
    compute();
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_RESET);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 0);
}

Test(delta, of_a_new_source_is_all_that_it_has_counted)
{
    take(older, reader);
    vmt_count(add_source(segment, &part_schema, NULL, "b"), P_EVENTS, 10);
    vmt_count(source, P_EVENTS, 1);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("b")->flags, VMT_CHANGE_NEW);
    cr_assert_eq(change_of("b")->values[P_EVENTS], 10);
    cr_assert_eq(change_of("a")->flags, 0);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 1);
    cr_assert_eq(change_of_total("", "part")->flags, 0);
    cr_assert_eq(change_of_total("", "part")->values[P_EVENTS], 11);
}

Test(delta, of_a_source_added_again_starts_anew_and_its_parents_total_goes_on)
{
    vmt_count(source, P_EVENTS, 100);
    take(older, reader);
    vmt_count(source, P_EVENTS, 1);
    vmt_source_remove(source);
    vmt_count(add_source(segment, &part_schema, NULL, "a"), P_EVENTS, 10);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_NEW);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 10);
    cr_assert_eq(change_of_total("", "part")->flags, 0);
    cr_assert_eq(change_of_total("", "part")->values[P_EVENTS], 11);
}

Test(delta, of_a_source_in_the_memory_of_one_that_went_starts_anew)
{
    uint32_t entry;
    int i = 0;

    vmt_count(source, P_EVENTS, 100);
    take(older, reader);
    entry = sample_of(older, "a")->entry;
    do { /* until its entry is used again */
        cr_assert_lt(++i, 1000);
        vmt_source_remove(source);
        source = add_source(segment, &part_schema, NULL, "a");
        take(newer, reader);
    } while (sample_of(newer, "a")->entry != entry);
    vmt_count(source, P_EVENTS, 110);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_NEW);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 110);
}

Test(delta, of_a_source_added_again_with_another_schema_starts_anew)
{
    vmt_count(source, P_EVENTS, 100);
    take(older, reader);
    vmt_source_remove(source);
    vmt_count(add_source(segment, &small_schema, NULL, "a"), S_EVENTS, 10);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_NEW);
    cr_assert_eq(change_of("a")->values[S_EVENTS], 10);
    cr_assert_eq(change_of_total("", "small")->flags, VMT_CHANGE_NEW);
    cr_assert_eq(change_of_total("", "part")->values[P_EVENTS], 0);
}

Test(delta, of_a_value_that_fell_is_reset)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);

    vmt_add(shard, P_EVENTS, 100);
    take(older, reader);
    vmt_add(shard, P_EVENTS, (uint64_t)-1);
    vmt_add(shard, P_BYTES, 5);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("a")->flags, VMT_CHANGE_RESET);
    for (uint32_t i = 0; i < P_SLOTS; i++)
        cr_assert_eq(change_of("a")->values[i], 0);
}

#define COUNTERS 23

/* Counters, then one that is no counter, then counters: whichever falls is noticed, and the others' differences are
 * right, up to those of 64 bits. */
Test(delta, of_each_of_many_counters_is_its_own)
{
    static struct vmt_descriptor descriptors[COUNTERS];
    static char names[COUNTERS][8];
    static const struct vmt_schema schema = { "many", "test", "part", descriptors, COUNTERS, COUNTERS };
    const uint32_t instant = 9;
    struct vmt_shard *shard;

    for (uint32_t i = 0; i < COUNTERS; i++) {
        snprintf(names[i], sizeof(names[i]), "c-%u", i);
        descriptors[i] = (struct vmt_descriptor){
            .name = names[i], .flags = i == instant ? VMT_TYPE_INSTANT : VMT_TYPE_CUMULATIVE, .slot = i, .size = 1
        };
    }
    shard = vmt_shard_acquire(add_source(segment, &schema, NULL, "many"));
    for (uint32_t falls = 0; falls <= COUNTERS; falls++) {
        bool reset = falls < COUNTERS && falls != instant;

        for (uint32_t i = 0; i < COUNTERS; i++)
            vmt_set(shard, i, i);
        take(older, reader);
        for (uint32_t i = 0; i < COUNTERS; i++)
            vmt_set(shard, i, i == falls && i ? i - 1 : i % 5 == 4 ? UINT64_MAX - i : 100 + i * i);
        if (falls == 0)
            reset = false; /* there is nothing below 0 */
        take(newer, reader);
        compute();
        cr_assert_eq(change_of("many")->flags, reset ? VMT_CHANGE_RESET : 0, "counter %u", falls);
        for (uint32_t i = 0; i < COUNTERS; i++)
            cr_assert_eq(change_of("many")->values[i],
                         reset || i == instant ? 0 : (i % 5 == 4 ? UINT64_MAX - i : 100 + i * i) - i, "counter %u", i);
    }
}

Test(delta, instants_that_fell_are_no_reset)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);

    vmt_set(shard, P_LEVEL, 100);
    take(older, reader);
    vmt_set(shard, P_LEVEL, 1);
    vmt_add(shard, P_EVENTS, 1);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("a")->flags, 0);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 1);
}

Test(delta, is_the_same_between_snapshots_of_different_readers)
{
    struct vmt_reader *other = attach(vmt_segment_path(segment), VMT_READ_GUARDED);

    vmt_count(source, P_EVENTS, 100);
    take(older, reader);
    vmt_count(source, P_EVENTS, 10);
    take(newer, other);
    compute();
    cr_assert_eq(change_of("a")->flags, 0);
    cr_assert_eq(change_of("a")->values[P_EVENTS], 10);
    cr_assert_eq(change_of_total("", "part")->values[P_EVENTS], 10);
    vmt_reader_close(other);
}

/* A schema that came in between stands before those that were there. */
Test(delta, of_totals_finds_each_schemas_own)
{
    for (int same = 0; same < 2; same++) {
        struct vmt_reader *other = attach(vmt_segment_path(segment), VMT_READ_COPY);
        static struct vmt_schema schemas[2];
        static const char *const names[2] = { "late-0", "late-1" };
        struct vmt_source *late;

        vmt_count(source, P_EVENTS, 100);
        take(older, reader);
        vmt_count(source, P_EVENTS, 10);
        schemas[same] = small_schema;
        schemas[same].name = names[same];
        late = add_source(segment, &schemas[same], NULL, names[same]);
        vmt_count(late, S_EVENTS, 7);
        take(newer, same ? reader : other);
        compute();
        cr_assert_eq(change_of_total("", "part")->flags, 0);
        cr_assert_eq(change_of_total("", "part")->values[P_EVENTS], 10);
        cr_assert_eq(change_of_total("", names[same])->flags, VMT_CHANGE_NEW);
        cr_assert_eq(change_of_total("", names[same])->values[S_EVENTS], 7);
        vmt_reader_close(other);
    }
}

Test(delta, reading_does_not_change_what_others_see)
{
    struct vmt_reader *other = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *in_between = new_snapshot();

    take(older, reader);
    vmt_count(source, P_EVENTS, 10);
    take(in_between, other);
    vmt_count(source, P_EVENTS, 1);
    take(in_between, other);
    take(newer, reader);
    compute();
    cr_assert_eq(change_of("a")->values[P_EVENTS], 11);
    vmt_snapshot_free(in_between);
    vmt_reader_close(other);
}

Test(delta, may_be_computed_again_and_again)
{
    for (uint64_t i = 0; i < 20; i++) {
        struct vmt_snapshot *swap = older;
        struct vmt_source *more = NULL;

        take(newer, reader);
        if (i) {
            compute();
            cr_assert_eq(change_of("a")->values[P_EVENTS], i);
            cr_assert_eq(vmt_delta_source(delta, vmt_snapshot_count(newer) - 1)->flags, VMT_CHANGE_NEW);
        }
        older = newer;
        newer = swap;
        vmt_count(source, P_EVENTS, i + 1);
        cr_assert_eq(vmt_source_addf(segment, i & 1 ? &small_schema : &part_schema, NULL, &more, "s-%lu", i), 0);
    }
}
