/* SPDX-License-Identifier: MIT */
/* Sources: a tree that changes while it is read, and loses nothing that was counted. */
#include "parts.h"

#include <pthread.h>
#include <sys/stat.h>

static struct vmt_segment *segment;
static struct vmt_reader *reader;
static struct vmt_snapshot *snapshot;

static void setup(void)
{
    test_dir_init();
    segment = new_segment("vm");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    snapshot = new_snapshot();
}

static void teardown(void)
{
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(source, .init = setup, .fini = teardown);

static void look(void) { take(snapshot, reader); }

/* n events through a shard, and one through vmt_count. */
static void count_events(struct vmt_source *source, uint64_t n)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);

    vmt_add(shard, P_EVENTS, n - 1);
    vmt_count(source, P_EVENTS, 1);
    vmt_shard_release(shard);
}

/* ---- the tree ---- */

Test(source, stand_in_a_tree_under_their_full_ids)
{
    static const struct {
        const char *id, *name;
        uint32_t depth, parent;
    } want[] = {
        { "", "vm", 0, UINT32_MAX },           { "web", "web", 1, 0 },       { "web/vcpu-0", "vcpu-0", 2, 1 },
        { "web/vcpu-0/timer", "timer", 3, 2 }, { "web/disk", "disk", 2, 1 }, { "host", "host", 1, 0 },
    };
    struct vmt_source *web = add_source(segment, &part_schema, NULL, "web");
    struct vmt_source *vcpu = add_source(segment, &vmt_schema_vcpu, web, "vcpu-0");

    add_source(segment, &vmt_schema_block, web, "disk");
    add_source(segment, &small_schema, vcpu, "timer");
    add_source(segment, &part_schema, vmt_segment_root(segment), "host");
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), LENGTH(want));
    for (size_t i = 0; i < LENGTH(want); i++) {
        const struct vmt_sample *sample = sample_of(snapshot, want[i].id);

        cr_expect_str_eq(sample->id, want[i].id);
        cr_expect_str_eq(sample->name, want[i].name);
        cr_expect_eq(sample->depth, want[i].depth, "%s", want[i].id);
        cr_expect_eq(sample->flags, 0);
        if (sample->parent != UINT32_MAX) {
            cr_expect_lt(sample->parent, (uint32_t)(sample - vmt_snapshot_source(snapshot, 0)));
            cr_expect_str_eq(vmt_snapshot_source(snapshot, sample->parent)->id, want[want[i].parent].id);
        }
    }
    cr_assert_eq(vmt_snapshot_source(snapshot, 0)->parent, UINT32_MAX);
    cr_assert_null(vmt_snapshot_source(snapshot, LENGTH(want)));
    cr_assert_str_eq(sample_of(snapshot, "web/vcpu-0")->schema->name, "vcpu");
    cr_assert_str_eq(sample_of(snapshot, "web/disk")->schema->target, vmt_schema_block.target);
}

Test(source, are_found_by_their_full_ids)
{
    struct vmt_source *web = add_source(segment, &part_schema, NULL, "web");
    struct vmt_source *vcpu = add_source(segment, &part_schema, web, "vcpu-0");
    struct vmt_source *found = NULL, *untouched = (void *)0x1;

    cr_assert_eq(vmt_source_find(segment, "web", &found), 0);
    cr_assert_eq(found, web);
    cr_assert_eq(vmt_source_find(segment, "web/vcpu-0", &found), 0);
    cr_assert_eq(found, vcpu);
    cr_assert_eq(vmt_source_find(segment, "", &found), 0);
    cr_assert_eq(found, vmt_segment_root(segment));
    cr_assert_eq(vmt_source_find(segment, "vcpu-0", &untouched), -ENOENT);
    cr_assert_eq(vmt_source_find(segment, "we", &untouched), -ENOENT);
    cr_assert_eq(vmt_source_find(segment, "webb", &untouched), -ENOENT);
    cr_assert_eq(vmt_source_find(segment, "web//vcpu-0", &untouched), -ENOENT);
    cr_assert_eq(vmt_source_find(segment, "/web", &untouched), -ENOENT);
    cr_assert_eq(vmt_source_find(segment, "web/vcpu-0/none", &untouched), -ENOENT);
    cr_assert_eq(
        vmt_source_find(segment, "web/a-name-that-is-longer-than-any-name-of-a-source-can-ever-be", &untouched),
        -ENOENT);
    cr_assert_eq(untouched, (void *)0x1);
}

Test(source, formatted_ids)
{
    struct vmt_source *source = NULL, *untouched = (void *)0x1;

    cr_assert_eq(vmt_source_addf(segment, &part_schema, NULL, &source, "vcpu-%d", 12), 0);
    cr_assert_eq(vmt_source_addf(segment, &part_schema, NULL, &untouched, "%048d", 12), -ENAMETOOLONG);
    cr_assert_eq(untouched, (void *)0x1);
    look();
    sample_of(snapshot, "vcpu-12");
}

/* ---- what is refused ---- */

Test(source, bad_ids_are_refused)
{
    static const struct {
        const char *id;
        int error;
    } bad[] = {
        { "", -EINVAL },
        { "a/b", -EINVAL },
        { "a b", -EINVAL },
        { "tab\t", -EINVAL },
        { "line\n", -EINVAL },
        { "\x7f", -EINVAL },
        { "caf\xc3\xa9", -EINVAL },
        { NULL, -EINVAL },
        { "taken", -EEXIST },
        { "123456789012345678901234567890123456789012345678", -ENAMETOOLONG },
    };
    struct vmt_source *untouched = (void *)0x1;

    add_source(segment, &part_schema, NULL, "taken");
    for (size_t i = 0; i < LENGTH(bad); i++) {
        int r = vmt_source_add(segment, &part_schema, NULL, bad[i].id, &untouched);

        cr_expect_eq(r, bad[i].error, "'%s': %s", bad[i].id, strerror(-r));
    }
    cr_assert_eq(untouched, (void *)0x1);
    add_source(segment, &part_schema, NULL, "12345678901234567890123456789012345678901234567");
    add_source(segment, &part_schema, NULL, "~!@#$%^&*()_+{}|:\"<>?");
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), 4);
}

Test(source, one_id_may_stand_under_two_parents)
{
    struct vmt_source *a = add_source(segment, &part_schema, NULL, "a");
    struct vmt_source *b = add_source(segment, &part_schema, NULL, "b");

    count_events(add_source(segment, &part_schema, a, "same"), 1);
    count_events(add_source(segment, &part_schema, b, "same"), 2);
    look();
    cr_assert_eq(value_of(snapshot, "a/same", P_EVENTS), 1);
    cr_assert_eq(value_of(snapshot, "b/same", P_EVENTS), 2);
}

Test(source, no_deeper_than_the_limit)
{
    struct vmt_source *parent = NULL, *untouched = (void *)0x1;
    char id[64] = "";

    for (uint32_t i = 1; i <= VMT_DEPTH_MAX; i++) {
        parent = add_source(segment, &small_schema, parent, "d");
        strcat(id, i == 1 ? "d" : "/d");
    }
    cr_assert_eq(vmt_source_add(segment, &small_schema, parent, "d", &untouched), -ELOOP);
    cr_assert_eq(untouched, (void *)0x1);
    look();
    cr_assert_eq(sample_of(snapshot, id)->depth, VMT_DEPTH_MAX);
}

Test(source, of_another_segment_is_no_parent)
{
    struct vmt_segment *other = new_segment("other");
    struct vmt_source *source = add_source(other, &part_schema, NULL, "a"), *untouched = (void *)0x1;

    cr_assert_eq(vmt_source_add(segment, &part_schema, source, "b", &untouched), -EINVAL);
    cr_assert_eq(untouched, (void *)0x1);
    vmt_segment_close(other);
}

/* A schema that is right but for one thing. */
#define WITH(change)                                                                                                   \
    do {                                                                                                               \
        struct vmt_descriptor d[2] = {                                                                                 \
            { .name = "a", .help = "A", .size = 1 },                                                                   \
            { .name = "b", .help = "B", .size = 1, .slot = 1 },                                                        \
        };                                                                                                             \
        struct vmt_schema s = {                                                                                        \
            .name = "n", .provider = "p", .target = "t", .descriptors = d, .count = 2, .slots = 2                      \
        };                                                                                                             \
        struct vmt_source *ret;                                                                                        \
        int r;                                                                                                         \
                                                                                                                       \
        (void)0, change;                                                                                               \
        r = vmt_source_add(segment, &s, NULL, "a", &ret);                                                              \
        cr_expect_eq(r, -EINVAL, #change ": %s", r ? strerror(-r) : "taken");                                          \
    } while (0)

Test(source, schemas_that_contradict_themselves_are_refused)
{
    static char name[VMT_NAME_SIZE + 1], word[25], help[VMT_HELP_MAX + 1];
    struct vmt_source *untouched = (void *)0x1;

    memset(name, 'n', sizeof(name) - 1);
    memset(word, 'n', sizeof(word) - 1);
    memset(help, 'n', sizeof(help) - 1);
    cr_assert_eq(vmt_source_add(segment, NULL, NULL, "a", &untouched), -EINVAL);
    WITH(s.descriptors = NULL);
    WITH(s.count = 0);
    WITH(s.count = VMT_DESCRIPTORS_MAX + 1);
    WITH(s.slots = 1);
    WITH(s.slots = 3);
    WITH(s.name = "");
    WITH(s.name = "a b");
    WITH(s.name = word);
    WITH(s.provider = "");
    WITH(s.provider = word);
    WITH(s.target = "");
    WITH(s.target = word);
    WITH(d[0].name = "");
    WITH(d[0].name = "a b");
    WITH(d[0].name = "caf\xc3\xa9");
    WITH(d[0].name = name);
    WITH(d[0].help = "two\nlines");
    WITH(d[0].help = help);
    WITH(d[1].slot = 0);
    WITH(d[1].slot = 2);
    WITH(d[1].size = 0);
    WITH((d[1].size = 2, s.slots = 3));
    WITH((d[1].flags = VMT_TYPE_LOG_HIST, d[1].size = VMT_SLOTS_MAX, s.slots = VMT_SLOTS_MAX + 1));
    WITH(d[0].flags = VMT_TYPE_MAX + 1);
    WITH(d[0].flags = VMT_UNIT_MAX + 0x10);
    WITH(d[0].flags = VMT_BASE_MAX + 0x100);
    WITH(d[0].flags = VMT_AGGREGATION_LAST + 0x01000000U);
    WITH(d[0].flags = VMT_SIGNED);
    WITH((d[0].flags = VMT_TYPE_LINEAR_HIST | VMT_SIGNED, d[0].bucket_size = 1));
    WITH(d[0].flags = VMT_TYPE_LOG_HIST | VMT_SIGNED);
    WITH((d[0].flags = VMT_UNIT_SECONDS, d[0].exponent = 1));
    WITH((d[0].flags = VMT_UNIT_BYTES, d[0].exponent = -1));
    WITH((d[0].flags = VMT_UNIT_BOOLEAN, d[0].exponent = 1));
    WITH(d[0].flags = VMT_TYPE_LINEAR_HIST);
    WITH(d[0].bucket_size = 10);
    WITH((d[0].flags = VMT_TYPE_LOG_HIST, d[0].bucket_size = 10));
    WITH(d[0].minuend = 3);
    WITH(d[0].level = VMT_LEVEL_DEBUG + 1);
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), 1, "something half-made was left");
}

/* What the writer takes is what readers understand: nothing counted may be invisible. */
Test(source, exponents_that_no_reader_shows_are_refused)
{
    WITH((d[0].flags = VMT_UNIT_SECONDS, d[0].exponent = -31));
    WITH((d[0].flags = VMT_UNIT_BYTES, d[0].exponent = 61));
    WITH(d[0].exponent = INT16_MAX);
}

Test(source, no_more_schemas_than_the_limit)
{
    static struct vmt_schema schemas[VMT_SCHEMAS_MAX];
    static char names[VMT_SCHEMAS_MAX][24]; /* equal ones would be shared */
    struct vmt_source *source = NULL, *untouched = (void *)0x1;
    int r = 0;
    uint32_t n = 0;

    for (; r == 0 && n < VMT_SCHEMAS_MAX; n++) {
        schemas[n] = small_schema;
        snprintf(names[n], sizeof(names[n]), "small-%u", n);
        schemas[n].name = names[n];
        r = vmt_source_addf(segment, &schemas[n], NULL, r ? &untouched : &source, "s-%u", n);
    }
    cr_assert_eq(r, -ENOSPC, "%u: %s", n, strerror(-r));
    cr_assert_eq(n, VMT_SCHEMAS_MAX, "source 0 has one");
    add_source(segment, &schemas[0], NULL, "known");
    look();
    cr_assert_eq(vmt_snapshot_count(snapshot), VMT_SCHEMAS_MAX + 1);
}

/* ---- removal ---- */

Test(source, what_a_removed_one_counted_stays_in_its_parents_total)
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

Test(source, what_grandchildren_counted_folds_upwards)
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

Test(source, removed_with_a_held_shard_is_leaving_and_its_id_is_free_at_once)
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

Test(source, removed_with_children_is_leaving_until_the_last_of_them_goes)
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

Test(source, source_0_is_never_removed)
{
    vmt_source_remove(vmt_segment_root(segment));
    add_source(segment, &part_schema, NULL, "a");
    look();
    cr_assert_eq(vmt_snapshot_source(snapshot, 0)->flags, 0);
    cr_assert_eq(vmt_snapshot_count(snapshot), 2);
}

Test(source, added_again_starts_from_0_in_a_new_incarnation_and_the_total_keeps)
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

Test(source, a_total_survives_the_change_to_another_schema)
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

/* ---- many at once ---- */

static int stop;

static void *add_and_remove(void *arg)
{
    const char *id = arg;

    while (!said(&stop)) {
        struct vmt_source *parent = NULL, *child = NULL;

        REQUIRE(vmt_source_add(segment, &small_schema, NULL, id, &parent) == 0);
        REQUIRE(vmt_source_add(segment, &part_schema, parent, "child", &child) == 0);
        vmt_count(child, P_EVENTS, 1);
        vmt_source_remove(parent);
        vmt_source_remove(child);
    }
    return NULL;
}

static void *find(void *arg)
{
    int *found = arg;

    while (!said(&stop)) {
        struct vmt_source *source = NULL;
        int r = vmt_source_find(segment, "a/child", &source);

        REQUIRE(r == (source ? 0 : -ENOENT));
        say(found, *found + (r == 0));
        REQUIRE(vmt_source_find(segment, "stays/child", &source) == 0);
    }
    return NULL;
}

Test(source, are_found_while_others_come_and_go)
{
    pthread_t threads[4];
    int found[2] = { 0 };

    add_source(segment, &small_schema, add_source(segment, &part_schema, NULL, "stays"), "child");
    cr_assert_eq(pthread_create(&threads[0], NULL, add_and_remove, "a"), 0);
    cr_assert_eq(pthread_create(&threads[1], NULL, add_and_remove, "b"), 0);
    cr_assert_eq(pthread_create(&threads[2], NULL, find, &found[0]), 0);
    cr_assert_eq(pthread_create(&threads[3], NULL, find, &found[1]), 0);
    nap_us(300000);
    cr_assert(reached(&found[0], 1) && reached(&found[1], 1));
    say(&stop, 1);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    look();
    cr_assert_eq(total_of(snapshot, "", P_EVENTS), value_of(snapshot, "", VMT_SEGMENT_SOURCES_REMOVED) / 2);
}

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

Test(source, memory_is_used_again_and_the_file_does_not_grow)
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

Test(source, memory_is_used_again_beside_a_reader_in_this_process)
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
