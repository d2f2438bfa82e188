/* SPDX-License-Identifier: MIT */
/* Room runs out at every allocation in turn. Whoever asks gets an errno, or scratch; whoever counts notices nothing; the
 * segment stays sound and says what was dropped; and with room again the same calls succeed.
 *
 * The same steps, with blocks of several pages, are done in a file system, under a limit on file size, and in a segment
 * that are too small at first by every number of pages.
 */
#include "world.h"

#include <fcntl.h>
#include <pthread.h>

TestSuite(full, .init = test_dir_init, .fini = test_dir_fini);

#define PAGES_ENOUGH 120U
#define STRIDE (SANITIZED ? 3U : 1U)
#define SIZE_MIN 16U /* pages of the smallest max_bytes and fixed_bytes */

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

/* ---- and its writer dies ---- */

static void die_in_need(void *arg)
{
    struct world *w = arg;

    REQUIRE(create(w, 40) == 0);
    for (int i = 0; i < STEPS; i++)
        attempt(w, i);
    count(w);
    fill_up(test_path("filler"));
}

static void go_on_in_need(void *arg)
{
    struct world *w = shared_memory(sizeof(*w));
    bool could[STEPS];

    *w = *(struct world *)arg;
    if (!test_dir_mount(40))
        _exit(TEST_NO_MOUNT);
    prepare();
    REQUIRE(end_of(start_child(die_in_need, w)) == 0);
    for (int i = 0; i < STEPS; i++)
        could[i] = done(w, i);
    memset(w->sources, 0, sizeof(w->sources)); /* they were its own */
    memset(w->shards, 0, sizeof(w->shards));
    w->resume = true;
    REQUIRE(create(w, 40) == 0);
    for (int i = 0; i < STEPS; i++)
        REQUIRE(attempt(w, i) == could[i]);
    vmt_segment_ready(w->segment);
    touch_all(w);
    check(w);
    REQUIRE(w->total > 0 && w->dropped_sources > 0);
    REQUIRE(unlink(test_path("filler")) == 0);
    give_room(w, PAGES_ENOUGH);
    for (int i = 0; i < STEPS; i++)
        REQUIRE(done(w, i) || attempt(w, i));
    check(w);
    finish(w);
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

Test(full, to_the_last_page_the_next_writer_goes_on_with_what_is_there)
{
    assert_done(go_on_in_need, FILE_SYSTEM, -ENOSPC);
}
