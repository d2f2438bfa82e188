/* SPDX-License-Identifier: MIT */
/* Room runs out at every allocation in turn. Whoever asks gets an errno, or scratch; whoever counts notices nothing; the
 * segment stays sound and says what was dropped; and with room again the same calls succeed.
 *
 * The same steps, with blocks of several pages, are done in a file system, under a limit on file size, and in a segment
 * that are too small at first by every number of pages.
 */
#include "parts.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/writer.h"

TestSuite(full, .init = test_dir_init, .fini = test_dir_fini);

#define STEPS 44
#define PAGES_ENOUGH 120U
#define STRIDE (SANITIZED ? 7U : 1U)
#define SOURCES 64U  /* two pages of the table */
#define SIZE_MIN 16U /* pages of the smallest max_bytes and fixed_bytes */

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

/* ---- a page more each time ---- */

static struct vmt_source *busy;
static struct vmt_shard *busy_scratch;
static int stop, running;

static void *count_on(void *arg)
{
    struct vmt_shard *shard = vmt_shard_acquire(busy);
    uint64_t *n = arg;

    REQUIRE(segment_of(shard));
    __atomic_fetch_add(&running, 1, __ATOMIC_RELEASE);
    while (!said(&stop)) {
        vmt_latency(shard, P_TIME, P_TIME_BUCKETS, *n);
        vmt_count(busy, P_BYTES, 1);
        vmt_count(NULL, P_BYTES, 1);
        ++*n;
    }
    vmt_shard_release(shard);
    return NULL;
}

static void *count_into_nothing(void *arg)
{
    (void)arg;
    while (!said(&stop))
        vmt_latency(busy_scratch, P_TIME, P_TIME_BUCKETS, 5);
    return NULL;
}

/* Each step is tried until it can be done; a page is added after each failure, so that each page that it takes is once
 * the one that is missing. */
static void every_page(struct world *w, unsigned pages)
{
    int failures[STEPS] = { 0 };

    for (int i = 0; i < STEPS; i++) {
        while (!attempt(w, i)) {
            REQUIRE(pages < PAGES_ENOUGH);
            failures[i]++;
            if (failures[i] % (int)STRIDE == 0) {
                fail_again(w, i);
                check(w);
            }
            give_room(w, ++pages);
        }
        check(w);
    }
    /* The pages of: its schema's block, departed blocks in three ancestors, its shared shard; a shard; the same with two
     * ancestors; one of the table. */
    REQUIRE(failures[2] >= 13);
    REQUIRE(failures[3] >= 2);
    REQUIRE(failures[5] >= 10);
    for (int i = 11, of_table = 0; i < STEPS - 1; i++) {
        of_table += failures[i] > 0;
        REQUIRE(i < STEPS - 2 || of_table > 0);
    }
}

static unsigned create_at_last(struct world *w)
{
    int descriptors = test_descriptors();
    uint64_t space = 0;

    for (unsigned pages = 1; pages < 20; pages++) {
        int r = create(w, pages);

        if (r == 0) {
            REQUIRE(pages >= 3); /* header, table, and what else it begins with */
            return pages;
        }
        REQUIRE(r == w->error);
        REQUIRE(test_dir_files() == 0);
        REQUIRE(test_descriptors() == descriptors);
        if (pages == 2)
            space = test_address_space();
        REQUIRE(SANITIZED || pages < 2 || test_address_space() < space + (512 << 10));
    }
    REQUIRE(w->segment); /* 20 pages are enough for one */
    return 0;
}

static void one_page_more_each_time(void *arg)
{
    struct world w = *(struct world *)arg;

    if (w.limit == FILE_SYSTEM && !test_dir_mount(1))
        _exit(TEST_NO_MOUNT);
    prepare();
    every_page(&w, create_at_last(&w));
    finish(&w);
}

static void beside_threads_that_count(void *arg)
{
    struct world w = *(struct world *)arg;
    pthread_t threads[3];
    uint64_t n[2] = { 0 };
    unsigned pages;

    if (!test_dir_mount(1))
        _exit(TEST_NO_MOUNT);
    prepare();
    pages = create_at_last(&w) + 12;
    give_room(&w, pages);
    REQUIRE(vmt_source_add(w.segment, &part_schema, NULL, "0", &busy) == 0); /* takes the place of step 0's */
    REQUIRE((busy_scratch = vmt_shard_acquire(NULL)) == VMT_SCRATCH);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, count_on, &n[i]) == 0);
    REQUIRE(pthread_create(&threads[2], NULL, count_into_nothing, NULL) == 0);
    REQUIRE(reached(&running, 2));
    w.sources[0] = busy;
    for (int i = 1; i < STEPS; i++) {
        while (!attempt(&w, i)) {
            REQUIRE(pages < PAGES_ENOUGH);
            count(&w);
            give_room(&w, ++pages);
        }
    }
    say(&stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    check(&w);
    REQUIRE(w.dropped_sources > 20);
    REQUIRE(vmt_snapshot_find(w.snapshot, "0")->values[P_TIME] == n[0] + n[1]);
    REQUIRE(vmt_snapshot_find(w.snapshot, "0")->values[P_BYTES] == n[0] + n[1]);
    finish(&w);
}

/* ---- removed, and done again ---- */

/* In one order and in the other, shards given back before or after. */
static void remove_all(struct world *w, bool parents_first, bool shards_first)
{
    for (int i = 0; shards_first && i < STEPS; i++)
        vmt_shard_release(w->shards[i]);
    for (int i = 0; i < STEPS; i++)
        vmt_source_remove(w->sources[parents_first ? i : STEPS - 1 - i]);
    for (int i = 0; !shards_first && i < STEPS; i++)
        vmt_shard_release(w->shards[i]);
    for (int i = 0; i < STEPS; i++) {
        w->sources[i] = NULL;
        w->shards[i] = NULL;
        w->counted[i] = w->below[i] = 0;
    }
}

static void with_too_few_pages(struct world *w, unsigned pages)
{
    bool could[STEPS], all = true;

    for (int i = 0; i < STEPS; i++) {
        could[i] = attempt(w, i);
        all &= could[i];
        count(w);
    }
    check(w);
    for (int round = 0; round < 2; round++) {
        remove_all(w, (pages ^ (unsigned)round) & 1, pages & 2);
        check(w);
        /* What was there before is to be had again, even if room was short for what came after it. */
        for (int i = 0; i < STEPS; i++)
            REQUIRE(!could[i] || attempt(w, i));
        check(w);
    }
    if (w->limit == FILE_SYSTEM || w->limit == FILE_SIZE) {
        give_room(w, 2 * PAGES_ENOUGH);
        for (int i = 0; i < STEPS; i++)
            REQUIRE(done(w, i) || attempt(w, i));
        check(w);
    } else {
        REQUIRE(all == (w->dropped_sources == 0 && w->dropped_shards == 0));
    }
}

static void all_sizes(void *arg)
{
    struct world w = *(struct world *)arg;
    unsigned least = w.limit == MAX_BYTES || w.limit == FIXED_BYTES ? SIZE_MIN : 8;
    bool short_of_room = false, enough = false;

    if (w.limit == FILE_SYSTEM && !test_dir_mount(1))
        _exit(TEST_NO_MOUNT);
    prepare();
    for (unsigned pages = least; pages < PAGES_ENOUGH; pages += STRIDE) {
        REQUIRE(create(&w, pages) == 0);
        with_too_few_pages(&w, pages);
        if (w.dropped_sources)
            short_of_room = true;
        else
            enough = true;
        finish(&w);
    }
    REQUIRE(short_of_room && enough);
}

/* ---- the last page is somebody else's ---- */

static void fill_up(const char *path)
{
    static const char page[4096] = { 1 };
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    REQUIRE(fd >= 0);
    while (write(fd, page, sizeof(page)) > 0) {
    }
    REQUIRE(errno == ENOSPC);
    close(fd);
}

/* Every word that a handle leads to is written to. */
static void touch_all(const struct world *w)
{
    for (int i = 0; i < STEPS; i++) {
        const struct vmt_schema *schema = steps[i].schema ? steps[i].schema : steps[steps[i].of].schema;

        for (uint32_t slot = 0; slot < schema->slots; slot++) {
            if (w->shards[i])
                vmt_add(w->shards[i], slot, 0);
            if (w->sources[i])
                vmt_count(w->sources[i], slot, 0);
        }
        if (w->shards[i] && schema == &part_schema)
            vmt_latency(w->shards[i], P_TIME, P_TIME_BUCKETS, 5);
    }
    vmt_segment_heartbeat(w->segment);
}

static void to_the_last_page(void *arg)
{
    struct world w = *(struct world *)arg;
    bool could[STEPS], all = true;

    if (!test_dir_mount(40))
        _exit(TEST_NO_MOUNT);
    prepare();
    REQUIRE(create(&w, 40) == 0);
    for (int i = 0; i < STEPS; i++)
        all &= could[i] = attempt(&w, i);
    REQUIRE(!all);
    fill_up(test_path("filler"));
    touch_all(&w);
    check(&w);
    remove_all(&w, true, false);
    for (int i = 0; i < STEPS; i++)
        REQUIRE(!could[i] || attempt(&w, i));
    touch_all(&w);
    check(&w);
    REQUIRE(unlink(test_path("filler")) == 0);
    give_room(&w, PAGES_ENOUGH);
    for (int i = 0; i < STEPS; i++)
        REQUIRE(done(&w, i) || attempt(&w, i));
    touch_all(&w);
    check(&w);
    finish(&w);
}

static void assert_done(child_fn *fn, enum limit limit, int error)
{
    struct world w = { .limit = limit, .error = error };
    int end = end_of(start_child(fn, &w));

    if (end == TEST_NO_MOUNT)
        cr_skip_test("this needs to mount a file system");
    cr_assert_eq(end, 0, "%s", end == 128 + SIGBUS ? "SIGBUS" : end == 128 + SIGXFSZ ? "SIGXFSZ" : "it failed");
}

Test(full, each_page_in_turn_is_missing_from_the_file_system)
{
    assert_done(one_page_more_each_time, FILE_SYSTEM, -ENOSPC);
}

Test(full, each_page_in_turn_is_past_the_limit_on_file_size)
{
    assert_done(one_page_more_each_time, FILE_SIZE, -EFBIG);
}

Test(full, threads_count_on_while_pages_are_missing) { assert_done(beside_threads_that_count, FILE_SYSTEM, -ENOSPC); }

Test(full, a_file_system_of_each_size_has_again_what_was_removed) { assert_done(all_sizes, FILE_SYSTEM, -ENOSPC); }

Test(full, a_file_of_each_size_has_again_what_was_removed) { assert_done(all_sizes, FILE_SIZE, -EFBIG); }

Test(full, a_segment_of_each_max_bytes_has_again_what_was_removed) { assert_done(all_sizes, MAX_BYTES, -ENOSPC); }

Test(full, a_segment_of_each_fixed_bytes_has_again_what_was_removed) { assert_done(all_sizes, FIXED_BYTES, -ENOSPC); }

Test(full, to_the_last_page_counting_goes_on_without_a_signal) { assert_done(to_the_last_page, FILE_SYSTEM, -ENOSPC); }
