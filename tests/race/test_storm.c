/* SPDX-License-Identifier: MIT */
/* Threads that acquire and release shards of one source as fast as they can, others that die with theirs: nothing is
 * lost, and readers in the same process see nothing fall. */
#include "tests/race/race.h"

TestSuite(storm, .init = test_dir_init, .fini = test_dir_fini);

#define THREADS 4
#define ROUNDS (SANITIZED ? 30000 : 300000)

static struct vmt_segment *segment;
static struct vmt_source *source;
static struct vmt_source *parent;
static struct truth truth;
static int stop;

static void *acquire_and_release(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        bool by_thread = roll(&random, 2);
        struct vmt_shard *shard = by_thread ? vmt_shard_acquire_thread(source) : vmt_shard_acquire(source);

        count_one(shard, &truth);
        vmt_shard_release(shard);
    }
    return NULL;
}

static void *die_with_it(void *arg)
{
    (void)arg;
    count_one(vmt_shard_acquire_thread(source), &truth);
    return NULL;
}

static void *make_threads_that_die(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 60; i++) {
        pthread_t thread;

        REQUIRE(pthread_create(&thread, NULL, die_with_it, NULL) == 0);
        REQUIRE(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

static void *watch(void *arg)
{
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *s = NULL;
    uint64_t last = 0;

    (void)arg;
    REQUIRE(vmt_reader_open_segment(segment, &reader) == 0 && vmt_snapshot_new(&s) == 0);
    while (!said(&stop)) {
        uint64_t least = truth_least(&truth);
        int r = vmt_snapshot_take(s, reader);
        uint64_t most = truth_most(&truth);
        const struct vmt_sample *sample = vmt_snapshot_find(s, "vm/storm");

        REQUIRE(r == 0 && sample);
        REQUIRE(sample->values[P_EVENTS] >= least && sample->values[P_EVENTS] <= most);
        REQUIRE(sample->values[P_EVENTS] >= last);
        REQUIRE(sample->flags & VMT_SAMPLE_UNCONFIRMED || group_agrees(sample->values));
        last = sample->values[P_EVENTS];
    }
    vmt_snapshot_free(s);
    vmt_reader_close(reader);
    return NULL;
}

Test(storm, acquire_and_release_lose_nothing)
{
    pthread_t threads[THREADS + 2];

    segment = new_segment("storm");
    parent = add_source(segment, &small_schema, NULL, "vm");
    source = add_source(segment, &part_schema, parent, "storm");
    cr_assert_eq(pthread_create(&threads[THREADS + 1], NULL, watch, NULL), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, acquire_and_release, (void *)(i + 1)), 0);
    cr_assert_eq(pthread_create(&threads[THREADS], NULL, make_threads_that_die, NULL), 0);
    for (int i = 0; i <= THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    say(&stop, 1);
    cr_assert_eq(pthread_join(threads[THREADS + 1], NULL), 0);

    cr_assert_eq(truth.ended, (uint64_t)THREADS * ROUNDS + ROUNDS / 60);
    cr_assert_eq(value_now(segment, "vm/storm", P_EVENTS), truth.ended);
    cr_assert_eq(value_now(segment, "vm/storm", P_TIME), truth.ended);
    cr_assert_leq(value_now(segment, "", VMT_SEGMENT_SHARDS_CREATED), THREADS + 2, "shards are not handed on");
    cr_assert_eq(value_now(segment, "", VMT_SEGMENT_DROPPED_SHARDS), 0);
    vmt_source_remove(source);
    {
        struct vmt_reader *reader = attach_here(segment);
        struct vmt_snapshot *s = new_snapshot();

        take(s, reader);
        cr_assert_eq(total_of(s, "vm", P_EVENTS), truth.ended, "what departed");
        vmt_snapshot_free(s);
        vmt_reader_close(reader);
    }
    vmt_segment_close(segment);
}
