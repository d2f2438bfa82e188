/* SPDX-License-Identifier: MIT */
/* Snapshots made of what was recorded, and copies: nobody can tell them from those that were taken. */
#include "parts.h"

#include <vmtally/export.h>
#include <vmtally/recorded.h>

#define SAMPLES_MAX 64

static struct vmt_segment *segment;
static struct vmt_source *vm, *part;
static struct vmt_shard *shard;
static struct vmt_reader *reader;
static struct vmt_snapshot *taken, *made;
static struct vmt_recorded *recorded;
static struct vmt_sample samples[SAMPLES_MAX];
static struct vmt_total totals[SAMPLES_MAX * 8];

static void setup(void)
{
    const char *labels[] = { "rack=7", "note=a \"b\" \\ ü", NULL };
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "web-1", .labels = labels };
    struct vmt_source *gone;

    test_dir_init();
    cr_assert_eq(vmt_segment_create(&options, &segment), 0);
    vm = add_source(segment, &small_schema, NULL, "vm");
    part = add_source(segment, &part_schema, vm, "part");
    add_source(segment, &part_schema, part, "empty");
    gone = add_source(segment, &part_schema, vm, "gone");
    vmt_count(gone, P_EVENTS, 1000);
    vmt_source_remove(gone);
    shard = vmt_shard_acquire(part);
    vmt_add(shard, P_EVENTS, 7);
    vmt_record(shard, P_LOG, 1000);
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    taken = new_snapshot();
    made = new_snapshot();
    vmt_snapshot_want_shards(taken, 1);
    take(taken, reader);
    cr_assert_eq(vmt_recorded_new(&recorded), 0);
}

static void teardown(void)
{
    vmt_snapshot_free(taken);
    vmt_snapshot_free(made);
    vmt_recorded_free(recorded);
    vmt_reader_close(reader);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(recorded, .init = setup, .fini = teardown);

/* ---- helpers ---- */

/* All that a snapshot says, as JSON; and what that leaves out. */
static void assert_same(const struct vmt_snapshot *a, const struct vmt_snapshot *b)
{
    const struct vmt_segment_info *i = vmt_snapshot_segment(a), *k = vmt_snapshot_segment(b);
    struct vmt_buffer x = { 0 }, y = { 0 };

    cr_assert_eq(vmt_json_encode(a, 0, &x), 0);
    cr_assert_eq(vmt_json_encode(b, 0, &y), 0);
    cr_assert(x.size == y.size && memcmp(x.data, y.data, x.size) == 0, "%.*s\n%.*s", (int)x.size, x.data, (int)y.size,
              y.data);
    vmt_buffer_free(&x);
    vmt_buffer_free(&y);
    cr_assert(i->from == k->from && i->flags == k->flags && i->heartbeat_ns == k->heartbeat_ns &&
              i->pid_start == k->pid_start && i->file_bytes == k->file_bytes && i->closed_ns == k->closed_ns &&
              i->major == k->major && i->minor == k->minor);
    for (size_t n = 0; n < vmt_snapshot_count(a); n++) {
        const struct vmt_sample *s = vmt_snapshot_source(a, n), *t = vmt_snapshot_source(b, n);

        cr_assert_str_eq(s->name, t->name);
        cr_assert(s->depth == t->depth && s->flags == t->flags && s->shard_count == t->shard_count);
        for (uint32_t u = 0; u < s->total_count; u++)
            cr_assert_arr_eq(s->totals[u].departed, t->totals[u].departed, s->totals[u].schema->slots * 8);
        for (uint32_t u = 0; u < s->shard_count; u++)
            cr_assert_eq(s->shards[u].id, t->shards[u].id);
    }
}

static const struct vmt_schema *remember(const struct vmt_schema *schema)
{
    const struct vmt_schema *own = NULL;
    int r = vmt_recorded_schema(recorded, schema, &own);

    cr_assert_eq(r, 0, "%s: %s", schema->name, strerror(-r));
    return own;
}

/* As a recording would have it: what from says, with schemas of recorded. */
static size_t record(const struct vmt_snapshot *from)
{
    size_t count = vmt_snapshot_count(from), used = 0;

    cr_assert_leq(count, SAMPLES_MAX);
    for (size_t i = 0; i < count; i++) {
        samples[i] = *vmt_snapshot_source(from, i);
        samples[i].schema = remember(samples[i].schema);
        samples[i].name = NULL;
        samples[i].depth = 99;
        for (uint32_t t = 0; t < samples[i].total_count; t++) {
            totals[used + t] = samples[i].totals[t];
            totals[used + t].schema = remember(totals[used + t].schema);
        }
        samples[i].totals = &totals[used];
        used += samples[i].total_count;
        cr_assert_leq(used, LENGTH(totals));
    }
    return count;
}

static int rebuild(size_t count)
{
    return vmt_snapshot_rebuild(made, recorded, vmt_snapshot_segment(taken), samples, count);
}

/* ---- made of what was recorded ---- */

Test(recorded, rebuilt_snapshot_says_what_was_recorded)
{
    cr_assert_eq(rebuild(record(taken)), 0);
    assert_same(made, taken);
    vmt_recorded_free(recorded); /* what it points to stays */
    recorded = NULL;
    assert_same(made, taken);
    vmt_recorded_free(NULL);
}

Test(recorded, memory_of_a_snapshot_that_is_rebuilt_again_is_used_again)
{
    size_t count = record(taken);
    const uint64_t *values;

    cr_assert_eq(rebuild(count), 0);
    values = vmt_snapshot_source(made, 0)->values;
    cr_assert_eq(rebuild(count), 0);
    cr_assert_eq(vmt_snapshot_source(made, 0)->values, values);
    assert_same(made, taken);
    take(made, reader); /* and one that is taken into it is as any other */
    cr_assert_eq(value_of(made, "vm/part", P_EVENTS), 7);
}

Test(recorded, deltas_of_rebuilt_snapshots_are_those_of_live_ones)
{
    struct vmt_snapshot *older = new_snapshot(), *newer = new_snapshot(), *old_made = new_snapshot();
    struct vmt_delta *live, *remade;
    unsigned compared = 0;

    cr_assert(vmt_delta_new(&live) == 0 && vmt_delta_new(&remade) == 0);
    take(older, reader);
    cr_assert_eq(vmt_snapshot_rebuild(old_made, recorded, vmt_snapshot_segment(older), samples, record(older)), 0);
    vmt_add(shard, P_EVENTS, 5);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 300);
    add_source(segment, &small_schema, vm, "new");
    take(newer, reader);
    cr_assert_eq(vmt_snapshot_rebuild(made, recorded, vmt_snapshot_segment(newer), samples, record(newer)), 0);
    cr_assert_eq(vmt_delta_compute(live, older, newer), 0);
    cr_assert_eq(vmt_delta_compute(remade, old_made, made), 0);
    cr_assert_gt(vmt_delta_seconds(live), 0);
    cr_assert_float_eq(vmt_delta_seconds(live), vmt_delta_seconds(remade), 1e-9);
    for (size_t i = 0; i < vmt_snapshot_count(newer); i++) {
        for (size_t t = 0; t <= vmt_snapshot_source(newer, i)->total_count; t++) {
            const struct vmt_change *a = t ? vmt_delta_total(live, i, t - 1) : vmt_delta_source(live, i);
            const struct vmt_change *b = t ? vmt_delta_total(remade, i, t - 1) : vmt_delta_source(remade, i);

            cr_assert_eq(a->flags, b->flags);
            cr_assert_arr_eq(a->values, b->values, a->schema->slots * sizeof(uint64_t));
            compared++;
        }
    }
    cr_assert_gt(compared, 8);
    vmt_delta_free(live);
    vmt_delta_free(remade);
    vmt_snapshot_free(older);
    vmt_snapshot_free(newer);
    vmt_snapshot_free(old_made);
}

Test(recorded, values_that_are_not_there_are_absent)
{
    size_t count = record(taken);
    struct vmt_segment_info info = { .path = "/p", .name = "n", .labels = NULL };

    for (size_t i = 0; i < count; i++) {
        samples[i].values = NULL;
        for (uint32_t t = 0; t < samples[i].total_count; t++)
            ((struct vmt_total *)(uintptr_t)samples[i].totals)[t].departed = NULL;
    }
    cr_assert_eq(vmt_snapshot_rebuild(made, recorded, &info, samples, count), 0);
    cr_assert_null(vmt_snapshot_segment(made)->labels[0]);
    for (size_t i = 0; i < count; i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(made, i);

        cr_assert(sample->flags & VMT_SAMPLE_ABSENT);
        cr_assert_not_null(sample->values); /* who looks all the same finds memory */
        for (uint32_t t = 0; t < sample->total_count; t++)
            cr_assert(!(sample->totals[t].flags & VMT_SAMPLE_ABSENT) && sample->totals[t].departed[0] == 0);
    }
}

Test(recorded, text_is_made_fit_to_show)
{
    const char *labels[] = { "a=\x1b[31m", "\xff", NULL };
    struct vmt_segment_info info = { .path = "/p\n\x9b", .name = "n\x7f\xc3\xbc", .labels = labels };
    char name[200];

    samples[0] = (struct vmt_sample){ .id = "", .schema = remember(&small_schema), .parent = UINT32_MAX };
    samples[1] = (struct vmt_sample){ .id = "a\tb/c d\xc3\xbc", .schema = samples[0].schema };
    cr_assert_eq(vmt_snapshot_rebuild(made, recorded, &info, samples, 2), 0);
    cr_assert_str_eq(vmt_snapshot_segment(made)->path, "/p??");
    cr_assert_str_eq(vmt_snapshot_segment(made)->name, "n?\xc3\xbc");
    cr_assert_str_eq(vmt_snapshot_segment(made)->labels[0], "a=?[31m");
    cr_assert_str_eq(vmt_snapshot_segment(made)->labels[1], "?");
    cr_assert_str_eq(vmt_snapshot_source(made, 1)->id, "a?b/c?d??");
    cr_assert_str_eq(vmt_snapshot_source(made, 1)->name, "c?d??");
    cr_assert_str_eq(vmt_snapshot_source(made, 0)->name, "n?\xc3\xbc");

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    info.name = name;
    cr_assert_eq(vmt_snapshot_rebuild(made, recorded, &info, samples, 2), 0);
    cr_assert_eq(strlen(vmt_snapshot_segment(made)->name), 63);
}

Test(recorded, what_is_no_tree_is_refused)
{
    struct vmt_recorded *others;
    const struct vmt_schema *schema = remember(&small_schema), *foreign;
    struct vmt_total total = { .sources = 1 };

    cr_assert_eq(vmt_recorded_new(&others), 0);
    cr_assert_eq(vmt_recorded_schema(others, &part_schema, &foreign), 0);
    for (uint32_t i = 0; i < VMT_DEPTH_MAX + 2; i++)
        samples[i] = (struct vmt_sample){ .id = "a", .schema = schema, .parent = i - 1 };
    cr_assert_eq(rebuild(VMT_DEPTH_MAX + 1), 0);
    cr_assert_eq(vmt_snapshot_source(made, VMT_DEPTH_MAX)->depth, VMT_DEPTH_MAX);
    cr_assert_eq(rebuild(VMT_DEPTH_MAX + 2), -EINVAL, "too deep");
    cr_assert_eq(vmt_snapshot_count(made), 0);
    cr_assert_eq(rebuild(0), -EINVAL);
    samples[0].parent = 0;
    cr_assert_eq(rebuild(2), -EINVAL, "source 0 has a parent");
    samples[0].parent = UINT32_MAX;
    samples[1].parent = 1;
    cr_assert_eq(rebuild(2), -EINVAL, "its own parent");
    samples[1].parent = UINT32_MAX;
    cr_assert_eq(rebuild(2), -EINVAL, "no parent");
    samples[1].parent = 0;
    samples[1].schema = foreign;
    cr_assert_eq(rebuild(2), -EINVAL, "another recording's schema");
    samples[1].schema = schema;
    total.schema = foreign;
    samples[1].totals = &total;
    samples[1].total_count = 1;
    cr_assert_eq(rebuild(2), -EINVAL, "another recording's schema in a total");
    total.schema = schema;
    cr_assert_eq(rebuild(2), 0);
    vmt_recorded_free(others);
}

/* ---- schemas ---- */

#define LONG_24 "123456789012345678901234"

Test(recorded, schemas_are_checked_as_a_segments_are)
{
    static char long_help[VMT_HELP_MAX + 1];
    const struct vmt_descriptor good = { .name = "a", .help = "", .size = 1 };
    const struct {
        const char *what;
        const char *name;
        struct vmt_descriptor first, second;
        uint32_t slots;
        int want;
    } rows[] = {
        { "sound", "s", good, { .name = "b", .help = NULL, .slot = 1, .size = 1 }, 2, 0 },
        { "a gap", "s", good, { .name = "b", .help = "", .slot = 4, .size = 1 }, 5, 0 },
        { "overlapping", "s", good, { .name = "b", .help = "", .slot = 0, .size = 1 }, 2, -EBADMSG },
        { "outside", "s", good, { .name = "b", .help = "", .slot = 2, .size = 1 }, 2, -EBADMSG },
        { "far outside", "s", good, { .name = "b", .help = "", .slot = 1U << 29, .size = 1 }, 2, -EBADMSG },
        { "no values", "s", good, { .name = "b", .help = "", .slot = 1, .size = 0 }, 2, -EBADMSG },
        { "too many slots", "s", good, { .name = "b", .help = "", .slot = 1, .size = 1 }, 4097, -EBADMSG },
        { "long name", LONG_24, good, { .name = "b", .help = "", .slot = 1, .size = 1 }, 2, -EBADMSG },
        { "no name", "s", good, { .name = NULL, .help = "", .slot = 1, .size = 1 }, 2, -EBADMSG },
        { "long statistic", "s", good, { .name = LONG_24 LONG_24, .help = "", .slot = 1, .size = 1 }, 2, -EBADMSG },
        { "long help", "s", good, { .name = "b", .help = long_help, .slot = 1, .size = 1 }, 2, -EBADMSG },
    };

    memset(long_help, 'h', VMT_HELP_MAX);
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const struct vmt_descriptor both[] = { rows[i].first, rows[i].second };
        const struct vmt_schema schema = { rows[i].name, "p", "t", both, 2, rows[i].slots };
        const struct vmt_schema *own = NULL;

        cr_expect_eq(vmt_recorded_schema(recorded, &schema, &own), rows[i].want, "%s", rows[i].what);
        cr_expect_eq(own != NULL, rows[i].want == 0, "%s", rows[i].what);
    }
}

Test(recorded, schema_without_a_kind_that_is_known_has_no_statistics)
{
    const struct vmt_descriptor odd = { .name = "odd", .help = "", .flags = VMT_TYPE_MASK, .size = 3 };
    const struct vmt_schema later = { "later", "p", "t", &odd, 1, 3 }, none = { "none", "p", "t", NULL, 0, 0 };
    uint64_t values[3] = { 1, 2, 3 };

    samples[0] = (struct vmt_sample){ .id = "", .schema = remember(&later), .values = values, .parent = UINT32_MAX };
    samples[1] = (struct vmt_sample){ .id = "a", .schema = remember(&none), .values = values };
    cr_assert_eq(rebuild(2), 0);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(vmt_snapshot_source(made, i)->schema->count, 0);
        cr_assert_eq(vmt_snapshot_source(made, i)->flags, 0);
    }
}

Test(recorded, there_are_no_more_schemas_than_a_segment_has)
{
    struct vmt_descriptor d = { .name = "a", .help = "", .size = 1 };
    struct vmt_schema schema = { "s", "p", "t", &d, 1, 1 };
    const struct vmt_schema *own = NULL, *first = remember(&schema);
    size_t bytes = vmt_recorded_bytes(recorded);
    char name[16];

    schema.name = name;
    for (int i = 1; i < (int)VMT_SCHEMAS_MAX; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        remember(&schema);
    }
    strcpy(name, "more");
    cr_assert_eq(vmt_recorded_schema(recorded, &schema, &own), -ENOSPC);
    cr_assert_null(own);
    strcpy(name, "s");
    cr_assert_eq(remember(&schema), first, "the same schema, and yet another one");
    cr_assert_gt(vmt_recorded_bytes(recorded), bytes + 255 * sizeof(d));
}

/* ---- copied ---- */

Test(recorded, copy_is_the_same_and_stays_so)
{
    struct vmt_snapshot *again = new_snapshot();

    cr_assert_eq(vmt_snapshot_copy(made, taken), 0);
    assert_same(made, taken);
    cr_assert_eq(vmt_snapshot_copy(again, made), 0);
    vmt_add(shard, P_EVENTS, 100);
    vmt_snapshot_want_shards(taken, 0);
    take(taken, reader); /* into the memory of what was copied */
    vmt_snapshot_free(taken);
    vmt_reader_close(reader);
    reader = NULL;
    taken = NULL;
    cr_assert_eq(value_of(made, "vm/part", P_EVENTS), 7);
    cr_assert_eq(sample_of(made, "vm/part")->shard_count, 1);
    cr_assert_eq(sample_of(made, "vm/part")->shards[0].values[P_EVENTS], 7);
    assert_same(made, again);
    cr_assert_eq(vmt_snapshot_copy(made, made), 0);
    assert_same(made, again);
    vmt_snapshot_free(again);
}

Test(recorded, deltas_with_a_copy_are_those_with_what_was_copied)
{
    struct vmt_delta *delta;

    cr_assert_eq(vmt_delta_new(&delta), 0);
    cr_assert_eq(vmt_snapshot_copy(made, taken), 0);
    vmt_add(shard, P_EVENTS, 11);
    take(taken, reader);
    cr_assert_eq(vmt_delta_compute(delta, made, taken), 0);
    for (size_t i = 0; i < vmt_snapshot_count(taken); i++) {
        cr_assert_eq(vmt_delta_source(delta, i)->flags, 0);
        if (strcmp(vmt_snapshot_source(taken, i)->id, "vm/part") == 0)
            cr_assert_eq(vmt_delta_source(delta, i)->values[P_EVENTS], 11);
    }
    vmt_delta_free(delta);
}

Test(recorded, copy_of_nothing_is_empty)
{
    struct vmt_snapshot *never = new_snapshot();

    cr_assert_eq(vmt_snapshot_copy(made, taken), 0);
    cr_assert_eq(vmt_snapshot_copy(made, never), 0);
    cr_assert_eq(vmt_snapshot_count(made), 0);
    cr_assert_str_eq(vmt_snapshot_segment(made)->name, "");
    vmt_snapshot_free(never);
}
