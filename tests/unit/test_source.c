/* SPDX-License-Identifier: MIT */
/* Sources: their tree and ids, what is refused, and that they are found while others come and go. */
#include "watched.h"

#include <pthread.h>

TestSuite(source, .init = setup, .fini = teardown);

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
