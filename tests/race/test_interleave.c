/* SPDX-License-Identifier: MIT */
/* The reader's algorithm against changes at every point of it. The writer is in this process and changes things inside
 * of the reader's own reads (pread, shm_load): one thread, so a case is a number and goes the same way again.
 * Truth is kept beside it: what each source, and all below it, had counted before the first read and after the last.
 */
#include "tests/unit/parts.h"

#include <stdint.h>

#include "lib/writer.h"
#include "tests/race/between_reads.h"

TestSuite(interleave, .init = test_dir_init, .fini = test_dir_fini);

#define READER_PASSES 6
#define THINGS 96
#define LIVE_MAX 14

enum { EVENTS, BYTES, PEAK, KEPT }; /* what is compared */

struct counted {
    uint64_t of[KEPT];
};

/* One source in one incarnation. */
struct thing {
    struct vmt_source *source;
    struct vmt_shard *shard;
    int parent;
    bool part; /* of part_schema, else of small_schema */
    bool leaving;
    bool gone;
    bool born_since; /* the snapshot began */
    uint32_t entry;
    uint32_t depth;
    uint64_t generation;
    struct counted own, own_before;
    struct counted below[2], below_before[2]; /* by part */
};

static struct vmt_segment *segment;
static struct thing things[THINGS]; /* 0: the root */
static int thing_count;
static uint64_t random_state;
static bool armed;       /* reads are those of the reader under test */
static unsigned moments; /* at which something may change still */
static unsigned reads;   /* of this snapshot */
static unsigned often;   /* one in so many reads */

static uint32_t roll(uint32_t below)
{
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)((random_state >> 33) % below);
}

/* ---- what happens ---- */

static void add_up(struct counted *to, int what, uint64_t n)
{
    if (what != PEAK)
        to->of[what] += n;
    else if (to->of[PEAK] < n)
        to->of[PEAK] = n;
}

static void count(struct thing *t)
{
    int what = t->part ? (int)roll(KEPT) : EVENTS;
    uint64_t n = 1 + roll(5);
    uint32_t slot = !t->part ? S_EVENTS : what == EVENTS ? P_EVENTS : what == BYTES ? P_BYTES : P_PEAK;

    if (t->leaving && !t->shard)
        return;
    if (what == PEAK) {
        if (!t->shard)
            return;
        vmt_peak(t->shard, slot, n += t->own.of[PEAK]);
    } else if (t->shard) {
        vmt_add(t->shard, slot, n);
    } else {
        vmt_count(t->source, slot, n);
    }
    add_up(&t->own, what, n);
    for (struct thing *p = t; p != things;) {
        p = &things[p->parent];
        add_up(&p->below[t->part], what, n);
    }
}

static int live_children(int i)
{
    int n = 0;

    for (int k = 1; k < thing_count; k++)
        n += !things[k].gone && things[k].parent == i;
    return n;
}

static int live_things(void)
{
    int n = 0;

    for (int k = 1; k < thing_count; k++)
        n += !things[k].gone;
    return n;
}

/* It has gone with the last that held it, and then perhaps its parent. */
static void settle(int i)
{
    while (i && things[i].leaving && !things[i].shard && !live_children(i)) {
        things[i].gone = true;
        i = things[i].parent;
    }
}

static void release(int i)
{
    vmt_shard_release(things[i].shard);
    things[i].shard = NULL;
    settle(i);
}

static void remove_one(int i)
{
    if (things[i].leaving)
        return;
    things[i].leaving = true;
    vmt_source_remove(things[i].source);
    settle(i);
}

static void remove_all_of(int i)
{
    for (int k = thing_count - 1; k > i; k--)
        if (!things[k].gone && things[k].parent == i)
            remove_all_of(k);
    if (things[i].shard && roll(4))
        release(i);
    if (!things[i].gone)
        remove_one(i);
}

static void add(int parent)
{
    struct thing *t = &things[thing_count];
    char id[8];

    if (thing_count == THINGS || live_things() >= LIVE_MAX || things[parent].leaving || things[parent].depth >= 4)
        return;
    memset(t, 0, sizeof(*t));
    snprintf(id, sizeof(id), "%u", roll(6)); /* the same ids again and again */
    t->part = roll(3) != 0;
    if (vmt_source_add(segment, t->part ? &part_schema : &small_schema, parent ? things[parent].source : NULL, id,
                       &t->source) < 0)
        return; /* there is one */
    t->parent = parent;
    t->depth = things[parent].depth + 1;
    t->entry = t->source->index;
    t->generation = t->source->entry->generation;
    t->born_since = armed;
    thing_count++;
}

static int some(void)
{
    int i = 1 + (int)roll((uint32_t)thing_count);

    for (; i < thing_count; i++)
        if (!things[i].gone)
            return i;
    return 0;
}

static void change(void)
{
    int i = some();

    switch (roll(8)) {
    case 0:
    case 1:
        add(things[i].gone ? 0 : i);
        break;
    case 2:
        if (i && !things[i].leaving && !things[i].shard)
            things[i].shard = vmt_shard_acquire(things[i].source);
        break;
    case 3:
        if (i && things[i].shard)
            release(i);
        break;
    case 4:
        if (i)
            remove_one(i);
        break;
    case 5:
    case 6:
        if (i)
            remove_all_of(i);
        break;
    default:
        break;
    }
    for (int k = 1; k < thing_count; k++)
        if (!things[k].gone && roll(2))
            count(&things[k]);
}

/* Between any two reads of the reader: perhaps several changes at once. */
static void between_reads(void)
{
    if (!armed)
        return;
    reads++;
    if (!moments || roll(often))
        return;
    armed = false;
    moments--;
    for (uint32_t n = 1 + roll(5); n; n--) {
        int before = thing_count;

        change();
        for (; before < thing_count; before++)
            things[before].born_since = true;
    }
    armed = true;
}

/* ---- what must be seen ---- */

static uint64_t seed; /* of the case */

static void assert_between(const struct counted *before, const struct counted *after, const uint64_t *values, bool part,
                           const char *what, const char *id)
{
    static const uint32_t slots[2][KEPT] = { { S_EVENTS, 0, 0 }, { P_EVENTS, P_BYTES, P_PEAK } };

    for (int k = 0; k < (part ? KEPT : 1); k++) {
        uint64_t seen = values ? values[slots[part][k]] : 0;

        cr_assert(before->of[k] <= seen && seen <= after->of[k], "case %llu: %s of '%s', slot %d: %llu <= %llu <= %llu",
                  (unsigned long long)seed, what, id, k, (unsigned long long)before->of[k], (unsigned long long)seen,
                  (unsigned long long)after->of[k]);
    }
}

static const struct thing *thing_of(const struct vmt_sample *sample)
{
    if (sample->entry == 0)
        return &things[0];
    for (int i = 1; i < thing_count; i++)
        if (things[i].entry == sample->entry && things[i].generation == sample->generation)
            return &things[i];
    return NULL;
}

static unsigned absent_totals;

static void check_sample(const struct vmt_sample *sample)
{
    const struct thing *t = thing_of(sample);
    bool met[2] = { false, false };

    cr_assert_not_null(t, "case %llu: '%s' never was", (unsigned long long)seed, sample->id);
    if (t != things)
        assert_between(&t->own_before, &t->own, sample->values, t->part, "value", sample->id);
    for (uint32_t k = 0; k < sample->total_count; k++) {
        const struct vmt_total *total = &sample->totals[k];
        bool part = strcmp(total->schema->name, "part") == 0;

        met[part] = true;
        if (total->flags & VMT_SAMPLE_ABSENT)
            absent_totals++;
        else
            assert_between(&t->below_before[part], &t->below[part], total->values, part, "total", sample->id);
    }
    for (int part = 0; part < 2; part++)
        if (!met[part])
            assert_between(&t->below_before[part], &t->below[part], NULL, part, "no total", sample->id);
}

/* Who was there all the time must be in it. */
static void check_complete(const struct vmt_snapshot *s)
{
    for (int i = 1; i < thing_count; i++) {
        bool found = false;

        if (things[i].gone || things[i].born_since)
            continue;
        for (size_t k = 0; k < vmt_snapshot_count(s); k++)
            found |= thing_of(vmt_snapshot_source(s, k)) == &things[i];
        cr_assert(found, "case %llu: a source is missing", (unsigned long long)seed);
    }
}

/* ---- cases ---- */

static void forget_the_gone(void)
{
    int map[THINGS] = { 0 };
    int n = 1;

    for (int i = 1; i < thing_count; i++) {
        if (things[i].gone)
            continue;
        map[i] = n;
        things[n] = things[i];
        things[n].parent = map[things[i].parent]; /* parents are older */
        n++;
    }
    thing_count = n;
}

static void begin(void)
{
    forget_the_gone();
    for (int i = 0; i < thing_count; i++) {
        things[i].own_before = things[i].own;
        memcpy(things[i].below_before, things[i].below, sizeof(things[i].below));
        things[i].born_since = false;
    }
}

static void open_segment(void)
{
    segment = new_segment("interleaved");
    memset(things, 0, sizeof(things));
    thing_count = 1;
}

struct tally {
    unsigned taken, partial, absent;
};

static void one(struct vmt_snapshot *s, struct vmt_reader *reader, struct tally *tally)
{
    unsigned planned = roll(2 * READER_PASSES);
    unsigned before = absent_totals;
    int r;

    for (uint32_t n = roll(6); n; n--)
        change();
    begin();
    moments = planned;
    often = (reads ? reads : 100) / (planned + 1) + 1;
    reads = 0;
    armed = true;
    r = vmt_snapshot_take(s, reader);
    armed = false;
    cr_assert(r >= 0, "case %llu: %s", (unsigned long long)seed, strerror(-r));
    tally->taken++;
    tally->partial += r == 1;
    for (size_t i = 0; i < vmt_snapshot_count(s); i++)
        check_sample(vmt_snapshot_source(s, i));
    tally->absent += absent_totals != before;
    /* Fewer changes than passes: one of them was left in peace. */
    if (planned - moments < READER_PASSES) {
        cr_assert_eq(r, 0, "case %llu: partial after %u changes", (unsigned long long)seed, planned - moments);
        cr_assert_eq(absent_totals, before, "case %llu: an absent total", (unsigned long long)seed);
        check_complete(s);
    }
    cr_assert(r == 1 || absent_totals == before, "case %llu: an absent total is partial", (unsigned long long)seed);
}

static void cases(bool here, enum vmt_read_mode mode, const char *name)
{
    const char *seconds = getenv("VMT_RACE_SECONDS");
    const char *chosen = getenv("VMT_RACE_CASE");
    double end = (double)vmt_clock_ns() / 1e9 + (seconds ? atof(seconds) : 4);
    struct tally tally = { 0 };

    for (seed = chosen ? strtoull(chosen, NULL, 10) : 1; (double)vmt_clock_ns() / 1e9 < end; seed++) {
        struct vmt_snapshot *s = new_snapshot();
        struct vmt_reader *reader;

        random_state = seed * 0x9e3779b97f4a7c15U;
        open_segment();
        reader = here ? attach_here(segment) : attach(vmt_segment_path(segment), mode);
        for (int i = 0; i < 40; i++)
            one(s, reader, &tally);
        vmt_reader_close(reader);
        vmt_snapshot_free(s);
        for (int i = 1; i < thing_count; i++)
            if (things[i].shard)
                vmt_shard_release(things[i].shard);
        vmt_segment_close(segment);
        if (chosen)
            break;
    }
    fprintf(stderr, "# interleave %s: %u snapshots, %u partial, %u with absent totals\n", name, tally.taken,
            tally.partial, tally.absent);
    cr_assert_gt(tally.taken, 0);
}

Test(interleave, totals_stay_between_begin_and_end_when_copied) { cases(false, VMT_READ_COPY, "copied"); }

Test(interleave, totals_stay_between_begin_and_end_when_mapped) { cases(false, VMT_READ_GUARDED, "mapped"); }

Test(interleave, totals_stay_between_begin_and_end_in_process) { cases(true, VMT_READ_COPY, "in process"); }
