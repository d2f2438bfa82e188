/* SPDX-License-Identifier: MIT */
/* What becomes of a source that is removed: of what it counted, of its id and its children, and of its memory. */
#include "watched.h"

#include <pthread.h>
#include <sys/stat.h>

TestSuite(source_removal, .init = setup, .fini = teardown);

Test(source_removal, what_a_removed_one_counted_stays_in_its_parents_total)
{
    struct vmt_source *parent = add_source(segment, &small_schema, NULL, "parent");
    struct vmt_source *child = add_source(segment, &part_schema, parent, "child");
    struct vmt_source *stays = add_source(segment, &part_schema, parent, "stays");
    struct vmt_shard *shard = vmt_shard_acquire(child);
    const struct vmt_total *total;

    vmt_add(shard, P_EVENTS, 10);
    vmt_count(child, P_EVENTS, 5);
    vmt_set(shard, P_LEVEL, 77);
    vmt_peak(shard, P_PEAK, 40);
    vmt_minimum(shard, P_MINIMUM, 4);
    vmt_peak_signed(shard, P_HIGH, -4);
    vmt_minimum_signed(shard, P_LOW, -40);
    vmt_record(shard, P_LINEAR, 15);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 9);
    vmt_shard_release(shard);
    count_events(stays, 100);
    look();
    cr_assert_eq(total_of(snapshot, "parent", P_EVENTS), 115);
    cr_assert_eq(total_named(sample_of(snapshot, "parent"), "part")->sources, 2);
    vmt_source_remove(child);
    look();
    cr_assert_null(vmt_snapshot_find(snapshot, "parent/child"));
    for (int above = 0; above < 2; above++) {
        total = total_named(sample_of(snapshot, above ? "" : "parent"), "part");
        cr_assert_eq(total->flags, 0);
        cr_assert_eq(total->sources, 1);
        cr_assert_eq(total->values[P_EVENTS], 115);
        cr_assert_eq(total->departed[P_EVENTS], 15);
        cr_assert_eq(total->values[P_LEVEL], 0, "an instant of what is no more");
        cr_assert_eq(total->values[P_PEAK], 40);
        cr_assert_eq(total->values[P_MINIMUM], 4);
        cr_assert_eq((int64_t)total->values[P_HIGH], -4);
        cr_assert_eq((int64_t)total->values[P_LOW], -40);
        cr_assert_eq(total->values[P_LINEAR + 1], 1);
        cr_assert_eq(total->values[P_TIME], 1);
        cr_assert_eq(total->values[P_TIME + 2], 9);
        cr_assert_eq(total->values[P_TIME + 4 + 4], 1);
    }
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SOURCES_REMOVED), 1);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SOURCES_ADDED), 3);
}

Test(source_removal, what_grandchildren_counted_folds_upwards)
{
    struct vmt_source *a = add_source(segment, &small_schema, NULL, "a");
    struct vmt_source *b = add_source(segment, &part_schema, a, "b");
    struct vmt_source *c = add_source(segment, &part_schema, b, "c");
    struct vmt_source *d = add_source(segment, &part_schema, c, "d");

    count_events(b, 3);
    count_events(c, 20);
    count_events(d, 100);
    vmt_source_remove(d);
    look();
    cr_assert_eq(total_of(snapshot, "a/b/c", P_EVENTS), 100);
    cr_assert_eq(total_of(snapshot, "a/b", P_EVENTS), 120);
    vmt_source_remove(c);
    look();
    cr_assert_eq(total_of(snapshot, "a/b", P_EVENTS), 120);
    vmt_source_remove(b);
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), 2);
    cr_assert_eq(total_of(snapshot, "a", P_EVENTS), 123);
    vmt_source_remove(a);
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), 1);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 123);
}

Test(source_removal, removed_with_a_held_shard_is_leaving_and_its_id_is_free_at_once)
{
    struct vmt_source *old = add_source(segment, &part_schema, NULL, "a"), *new, *found = NULL;
    struct vmt_shard *shard = vmt_shard_acquire(old);
    size_t leaving = 0;

    vmt_add(shard, P_EVENTS, 10);
    vmt_source_remove(old);
    cr_assert_eq(vmt_source_find(segment, "a", &found), -ENOENT);
    look();
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_LEAVING);
    new = add_source(segment, &part_schema, NULL, "a");
    cr_assert_eq(vmt_source_find(segment, "a", &found), 0);
    cr_assert_eq(found, new);
    count_events(new, 1);
    vmt_add(shard, P_EVENTS, 10);
    look();
    for (size_t i = 0; i < vmt_snapshot_count(snapshot); i++)
        leaving += vmt_snapshot_source(snapshot, i)->flags == VMT_SAMPLE_LEAVING &&
                   vmt_snapshot_source(snapshot, i)->values[P_EVENTS] == 20;
    cr_assert_eq(leaving, 1);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 1);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 21);
    vmt_shard_release(shard);
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), 2);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 21);
}

Test(source_removal, removed_with_children_is_leaving_until_the_last_of_them_goes)
{
    struct vmt_source *parent = add_source(segment, &part_schema, NULL, "parent"), *untouched = (void *)0x1;
    struct vmt_source *a = add_source(segment, &part_schema, parent, "a");
    struct vmt_source *b = add_source(segment, &part_schema, parent, "b");

    count_events(parent, 1);
    count_events(a, 10);
    vmt_source_remove(parent);
    cr_assert_eq(vmt_source_add(segment, &part_schema, parent, "c", &untouched), -ESTALE);
    count_events(b, 100);
    look();
    cr_assert_eq(sample_of(snapshot, "parent")->flags, VMT_SAMPLE_LEAVING);
    cr_assert_eq(sample_of(snapshot, "parent/a")->flags, 0);
    cr_assert_eq(total_of(snapshot, "parent", P_EVENTS), 110);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 111);
    vmt_source_remove(a);
    look();
    cr_assert_eq(total_of(snapshot, "parent", P_EVENTS), 110);
    vmt_source_remove(b);
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), 1);
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), 111);
}

Test(source_removal, source_0_is_never_removed)
{
    vmt_source_remove(vmt_segment_root(segment));
    add_source(segment, &part_schema, NULL, "a");
    look();
    cr_assert_eq(vmt_snapshot_source(snapshot, 0)->flags, 0);
    cr_assert_eq(vmt_snapshot_count(snapshot), 2);
}

Test(source_removal, added_again_starts_from_0_in_a_new_incarnation_and_the_total_keeps)
{
    struct vmt_source *parent = add_source(segment, &small_schema, NULL, "parent");
    uint64_t generations[100];
    uint32_t most = 0;

    for (uint64_t i = 0; i < LENGTH(generations); i++) {
        struct vmt_source *child = add_source(segment, &part_schema, parent, "child");
        const struct vmt_sample *sample;

        look();
        sample = sample_of(snapshot, "parent/child");
        cr_assert_eq(sample->values[P_EVENTS], 0);
        cr_assert_eq(sample->values[P_MINIMUM], UINT64_MAX);
        cr_assert_eq((int64_t)sample->values[P_HIGH], INT64_MIN);
        cr_assert_eq(total_of(snapshot, "parent", P_EVENTS), 10 * i);
        generations[i] = sample->generation | (uint64_t)sample->entry << 32;
        for (uint64_t k = 0; k < i; k++)
            cr_assert_neq(generations[k], generations[i], "two incarnations look the same");
        most = sample->entry > most ? sample->entry : most;
        count_events(child, 10);
        look();
        cr_assert_eq(total_of(snapshot, "parent", P_EVENTS), 10 * (i + 1));
        vmt_source_remove(child);
    }
    cr_assert_lt(most, 10, "entries are not used again");
}

Test(source_removal, a_total_survives_the_change_to_another_schema)
{
    static const struct vmt_descriptor events = { .name = "events", .size = 1 };
    struct vmt_source *old = add_source(segment, &part_schema, NULL, "a");
    struct vmt_shard *shard;
    uint64_t value = 0;

    count_events(old, 100);
    vmt_source_remove(old);
    shard = vmt_shard_acquire(add_source(segment, &small_schema, NULL, "a"));
    vmt_add(shard, S_EVENTS, 11);
    look();
    cr_assert_eq(vmt_sample_total(sample_of(snapshot, ""), &events, &value), 0);
    cr_assert_eq(value, 111);
}

/* ---- memory ---- */

static int stop;

static off_t file_size(void)
{
    struct stat st;

    cr_assert_eq(stat(vmt_segment_path(segment), &st), 0);
    return st.st_size;
}

static void churn(int from, int to)
{
    static const struct vmt_schema *const schemas[] = { &part_schema, &small_schema, &vmt_schema_vcpu };

    for (int i = from; i < to; i++) {
        struct vmt_source *parent = NULL, *child = NULL;
        struct vmt_shard *shard;

        cr_assert_eq(vmt_source_addf(segment, schemas[i % 3], NULL, &parent, "a-%d", i), 0);
        cr_assert_eq(vmt_source_add(segment, &small_schema, parent, "child", &child), 0);
        shard = vmt_shard_acquire(child);
        vmt_add(shard, S_EVENTS, 1);
        vmt_shard_release(shard);
        vmt_source_remove(child);
        vmt_source_remove(parent);
    }
}

static void *read_on(void *arg)
{
    struct vmt_reader *here = NULL;
    struct vmt_snapshot *s = NULL;
    int *taken = arg;

    REQUIRE(vmt_reader_open_segment(segment, &here) == 0);
    REQUIRE(vmt_snapshot_new(&s) == 0);
    while (!said(&stop)) {
        int r = vmt_snapshot_take(s, here);

        REQUIRE(r == 0 || r == 1);
        say(taken, *taken + 1);
    }
    vmt_snapshot_free(s);
    vmt_reader_close(here);
    return NULL;
}

#define CYCLES (SANITIZED ? 10000 : 50000) /* two sources each */

Test(source_removal, memory_is_used_again_and_the_file_does_not_grow)
{
    off_t before;
    uint64_t entries = 0;

    churn(0, 100);
    before = file_size();
    churn(100, CYCLES);
    cr_assert_eq(file_size(), before);
    look();
    cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->values[S_EVENTS], CYCLES);
    add_source(segment, &part_schema, NULL, "last");
    look();
    entries = sample_of(snapshot, "last")->entry;
    cr_assert_lt(entries, 100, "the table grew to %lu entries", entries);
}

Test(source_removal, memory_is_used_again_beside_a_reader_in_this_process)
{
    pthread_t thread;
    off_t before;
    int taken = 0;

    cr_assert_eq(pthread_create(&thread, NULL, read_on, &taken), 0);
    cr_assert(reached(&taken, 10));
    churn(0, 1000);
    before = file_size();
    churn(1000, CYCLES);
    say(&stop, 1);
    pthread_join(thread, NULL);
    cr_assert_eq(file_size(), before);
    look();
    cr_assert_eq(total_named(sample_of(snapshot, ""), "small")->values[S_EVENTS], CYCLES);
}
