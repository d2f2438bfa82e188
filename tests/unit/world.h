/* SPDX-License-Identifier: MIT */
/* world.h: a segment that is too small, the steps that are tried in it, and what it must say after each of them: what is
 * counted is exact, what was dropped is said, and what fails uses nothing up.
 */
#ifndef TESTS_UNIT_WORLD_H
#define TESTS_UNIT_WORLD_H

#include "parts.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/writer.h"

#define STEPS 44
#define SOURCES 64U /* two pages of the table */

/* ---- the steps ---- */

/* Schemas of which the block, a shard and a departed block take pages of their own. */
static struct vmt_descriptor wide_statistics[40];
static char wide_names[40][8];
static struct vmt_schema wide[2];

static void widen(void)
{
    for (uint32_t i = 0; i < LENGTH(wide_statistics); i++) {
        snprintf(wide_names[i], sizeof(wide_names[i]), "h%u", i);
        wide_statistics[i] = (struct vmt_descriptor){ .name = i ? wide_names[i] : "events",
                                                      .flags = i ? VMT_TYPE_LOG_HIST : VMT_TYPE_CUMULATIVE,
                                                      .slot = i ? i * 20 - 19 : 0,
                                                      .size = i ? 20 : 1 };
    }
    for (int i = 0; i < 2; i++)
        wide[i] = (struct vmt_schema){ .name = i ? "wide-b" : "wide-a",
                                       .provider = "test",
                                       .target = "part",
                                       .descriptors = wide_statistics,
                                       .count = LENGTH(wide_statistics),
                                       .slots = 1 + (LENGTH(wide_statistics) - 1) * 20 };
}

/* A source, called after its number, to be added below another step's (-1: source 0); or (no schema) a shard of one. */
static struct step {
    int of;
    const struct vmt_schema *schema;
} steps[STEPS] = {
    { -1, &part_schema }, { 0, &small_schema }, { 1, &wide[0] }, { 2, NULL }, { 2, NULL },     { 0, &wide[1] },
    { 5, NULL },          { 2, &part_schema },  { 7, NULL },     { 1, NULL }, { 5, &wide[0] },
    /* and as many small ones as need another page of the table */
};

static void prepare(void)
{
    widen();
    for (int i = 11; i < STEPS - 1; i++)
        steps[i] = (struct step){ -1, &small_schema };
    steps[STEPS - 1] = (struct step){ STEPS - 2, NULL };
}

static uint32_t events_of(const struct vmt_schema *schema) { return schema == &small_schema ? S_EVENTS : 0; }

/* ---- what there is, and what it must say ---- */

enum limit { FILE_SYSTEM, FILE_SIZE, MAX_BYTES, FIXED_BYTES };

struct world {
    enum limit limit;
    int error; /* what having no room gives */
    bool resume;
    struct vmt_segment *segment;
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    struct vmt_source *sources[STEPS];
    struct vmt_shard *shards[STEPS];
    uint64_t counted[STEPS]; /* by the source itself */
    uint64_t below[STEPS];   /* by its descendants, those that went included */
    uint64_t total;          /* by all */
    uint64_t dropped_sources;
    uint64_t dropped_shards;
};

static void limit_files_to(rlim_t bytes)
{
    struct rlimit limit;

    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* A hole of one page, in the table, is no page of a file system. */
static void give_room(const struct world *w, unsigned pages)
{
    snprintf(test_at, sizeof(test_at), "(limit %d, %u pages)", (int)w->limit, pages);
    if (w->limit == FILE_SYSTEM)
        REQUIRE(test_dir_resize(pages));
    else if (w->limit == FILE_SIZE)
        limit_files_to((rlim_t)pages * 4096);
}

static int create(struct world *w, unsigned pages)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm", .max_sources = SOURCES };
    int r;

    if (w->limit == FIXED_BYTES)
        options.fixed_bytes = pages * 4096;
    else
        options.max_bytes = w->limit == MAX_BYTES ? pages * 4096 : 8 << 20;
    options.resume = w->resume;
    give_room(w, pages);
    r = vmt_segment_create(&options, &w->segment);
    if (r < 0)
        return r;
    REQUIRE(vmt_reader_open(vmt_segment_path(w->segment), NULL, &w->reader) == 0);
    REQUIRE(vmt_snapshot_new(&w->snapshot) == 0);
    return 0;
}

static void finish(struct world *w)
{
    for (int i = 0; i < STEPS; i++)
        vmt_shard_release(w->shards[i]);
    vmt_segment_close(w->segment);
    vmt_snapshot_free(w->snapshot);
    vmt_reader_close(w->reader);
    REQUIRE(test_dir_files() == 0);
    *w = (struct world){ .limit = w->limit, .error = w->error };
}

static bool done(const struct world *w, int i) { return w->sources[i] || w->shards[i]; }

/* Whether it could be done: what it hangs on may be missing, or room. */
static bool attempt(struct world *w, int i)
{
    const struct step *step = &steps[i];
    struct vmt_source *untouched = (void *)0x1, *source = untouched;
    int r;

    if (step->of >= 0 && !w->sources[step->of])
        return false;
    if (!step->schema) {
        struct vmt_shard *shard = vmt_shard_acquire(w->sources[step->of]);

        if (segment_of(shard)) {
            w->shards[i] = shard;
            return true;
        }
        for (int k = 0; k < 100; k++)
            vmt_add(shard, 0, 1); /* into nothing */
        vmt_shard_release(shard);
        w->dropped_shards++;
        return false;
    }
    r = vmt_source_addf(w->segment, step->schema, step->of < 0 ? NULL : w->sources[step->of], &source, "%d", i);
    REQUIRE(r == 0 || (r == w->error && source == untouched));
    if (r == 0)
        w->sources[i] = source;
    w->dropped_sources += r < 0;
    return r == 0;
}

static void counted(struct world *w, int i)
{
    w->counted[i]++;
    w->total++;
    for (int a = steps[i].of; a >= 0; a = steps[a].of)
        w->below[a]++;
}

/* Through every handle there is. */
static void count(struct world *w)
{
    for (int i = 0; i < STEPS; i++) {
        if (w->sources[i]) {
            vmt_count(w->sources[i], events_of(steps[i].schema), 1);
            counted(w, i);
        }
        if (w->shards[i]) {
            vmt_add(w->shards[i], events_of(steps[steps[i].of].schema), 1);
            counted(w, steps[i].of);
        }
    }
}

static uint64_t total_events(const struct vmt_sample *sample)
{
    uint64_t value = 0;
    int r = vmt_sample_total(sample, &part_schema.descriptors[0], &value);

    REQUIRE(r == 0 || r == -ENOENT);
    return value;
}

/* The segment is sound, and all numbers in it are exact. */
static void check(struct world *w)
{
    const struct vmt_sample *root;
    size_t live = 0;
    char why[256];

    count(w);
    REQUIRE(vmt_check(vmt_segment_path(w->segment), why, sizeof(why)) == VMT_STATE_LIVE);
    REQUIRE(why[0] == '\0');
    REQUIRE(vmt_snapshot_take(w->snapshot, w->reader) == 0);
    for (int i = 0; i < STEPS; i++)
        live += w->sources[i] != NULL;
    REQUIRE(vmt_snapshot_count(w->snapshot) == live + 1);
    for (size_t n = 1; n <= live; n++) {
        const struct vmt_sample *sample = vmt_snapshot_source(w->snapshot, n);
        int i = atoi(sample->name);

        REQUIRE(sample->flags == 0);
        REQUIRE(w->sources[i]);
        REQUIRE(sample->values[events_of(steps[i].schema)] == w->counted[i]);
        REQUIRE(total_events(sample) == w->below[i]);
    }
    root = vmt_snapshot_source(w->snapshot, 0);
    REQUIRE(total_events(root) == w->total);
    REQUIRE(root->values[VMT_SEGMENT_DROPPED_SOURCES] == w->dropped_sources);
    REQUIRE(root->values[VMT_SEGMENT_DROPPED_SHARDS] == w->dropped_shards);
}

/* What a call that fails, and fails again, must not use up. */
struct usage {
    uint64_t file_bytes;
    uint64_t packed;
    uint64_t blocks;
    uint64_t records;
    uint64_t schemas;
    uint64_t sources;
};

static struct usage usage(const struct world *w)
{
    struct usage u = { .file_bytes = w->segment->space.file_bytes,
                       .packed = w->segment->space.packed,
                       .records = w->segment->record_count,
                       .schemas = w->segment->schema_count,
                       .sources = w->segment->source_used };
    struct stat st;

    REQUIRE(stat(vmt_segment_path(w->segment), &st) == 0);
    u.blocks = (uint64_t)st.st_blocks;
    for (const struct record *record = w->segment->free_records; record; record = record->next)
        u.records--;
    for (const struct vmt_source *source = w->segment->free_sources; source; source = source->next_leaving)
        u.sources--;
    return u;
}

static void fail_again(struct world *w, int i)
{
    struct usage before = usage(w), after;

    for (int k = 0; k < 3; k++)
        REQUIRE(!attempt(w, i));
    after = usage(w);
    REQUIRE(memcmp(&before, &after, sizeof(before)) == 0);
}

#endif
