/* SPDX-License-Identifier: MIT */
/* The hot path counts exactly, whoever counts and whoever reads. */
#include "parts.h"

#include <pthread.h>
#include <sys/time.h>

TestSuite(count, .init = test_dir_init, .fini = test_dir_fini);

#define THREADS 8
#define EACH 1000000

/* ---- many threads, and a reader in another process ---- */

struct shared {
    int attached;
    int done;
    char path[4096];
};

/* The value never falls, and ends at all that was counted. */
static void watch(struct vmt_reader *reader, struct vmt_snapshot *snapshot, const int *done)
{
    uint64_t last = 0;
    bool end;

    do {
        const struct vmt_sample *sample;

        end = said(done);
        REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
        sample = vmt_snapshot_find(snapshot, "busy");
        REQUIRE(sample);
        REQUIRE(sample->values[P_EVENTS] >= last);
        last = sample->values[P_EVENTS];
        nap_us(100); /* the cores are for those who count, side by side */
    } while (!end);
    REQUIRE(last == (uint64_t)THREADS * EACH);
}

static void other_process(void *arg)
{
    struct shared *shared = arg;
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *snapshot = NULL;

    REQUIRE(vmt_reader_open(shared->path, NULL, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    say(&shared->attached, 1);
    watch(reader, snapshot, &shared->done);
}

static struct vmt_source *busy;
static int running;
static pthread_barrier_t barrier;

static void *count_into_own_shard(void *arg)
{
    struct vmt_shard *shard = vmt_shard_acquire(busy);

    (void)arg;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < EACH; i++)
        vmt_add(shard, P_EVENTS, 1);
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
    return shard;
}

static void *count_into_shared_shard(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < EACH; i++)
        vmt_count(busy, P_EVENTS, 1);
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void assert_exact(void *(*fn)(void *))
{
    struct vmt_segment *segment = new_segment("vm");
    struct shared *shared = shared_memory(sizeof(*shared));
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *here;
    pthread_t threads[THREADS];
    int done = 0;
    pid_t child;

    busy = add_source(segment, &part_schema, NULL, "busy");
    here = attach_here(segment);
    snprintf(shared->path, sizeof(shared->path), "%s", vmt_segment_path(segment));
    child = start_child(other_process, shared);
    cr_assert(reached(&shared->attached, 1));
    running = THREADS;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, fn, NULL), 0);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0) {
        take(snapshot, here);
        nap_us(100);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    say(&done, 1);
    watch(here, snapshot, &done);
    say(&shared->done, 1);
    cr_assert_eq(end_of(child), 0, "the reader in the other process saw something else");
    vmt_snapshot_free(snapshot);
    vmt_reader_close(here);
    vmt_segment_close(segment);
}

Test(count, eight_threads_with_a_shard_each_are_exact_here_and_in_another_process)
{
    assert_exact(count_into_own_shard);
}

Test(count, eight_threads_through_vmt_count_are_exact_here_and_in_another_process)
{
    assert_exact(count_into_shared_shard);
}

Test(count, rare_events_and_shards_of_one_source_sum_up)
{
    struct vmt_segment *segment = new_segment("vm");
    struct vmt_source *source = add_source(segment, &part_schema, NULL, "both");
    struct vmt_shard *shard = vmt_shard_acquire(source);

    cr_assert_eq(value_now(segment, "both", P_EVENTS), 0);
    vmt_count(source, P_EVENTS, 3);
    cr_assert_eq(value_now(segment, "both", P_EVENTS), 3);
    vmt_add(shard, P_EVENTS, 4);
    vmt_count(source, P_BYTES, UINT64_C(1) << 60);
    cr_assert_eq(value_now(segment, "both", P_EVENTS), 7);
    cr_assert_eq(value_now(segment, "both", P_BYTES), UINT64_C(1) << 60);
    vmt_segment_close(segment);
}

/* ---- signal handlers ---- */

static struct vmt_shard *interrupted;
static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
    (void)sig;
    vmt_add(interrupted, P_EVENTS, 1);
    vmt_peak(interrupted, P_PEAK, (uint64_t)handled);
    vmt_minimum_signed(interrupted, P_LOW, -(int64_t)handled);
    vmt_count(busy, P_BYTES, 1);
    handled = handled + 1;
}

Test(count, a_signal_handler_counts_through_the_interrupted_threads_shard)
{
    struct vmt_segment *segment = new_segment("vm");
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct itimerval often = { .it_interval = { .tv_usec = 20 }, .it_value = { .tv_usec = 20 } };
    struct itimerval never = { 0 };
    uint64_t counted = 0;

    busy = add_source(segment, &part_schema, NULL, "busy");
    interrupted = vmt_shard_acquire(busy);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    while (handled < 2000) {
        for (int i = 0; i < 1000; i++) {
            vmt_add(interrupted, P_EVENTS, 1);
            vmt_peak(interrupted, P_PEAK, 7);
            vmt_minimum_signed(interrupted, P_LOW, 7);
            vmt_count(busy, P_BYTES, 1);
        }
        counted += 1000;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    cr_assert_eq(value_now(segment, "busy", P_EVENTS), counted + (uint64_t)handled);
    cr_assert_eq(value_now(segment, "busy", P_BYTES), counted + (uint64_t)handled);
    cr_assert_eq(value_now(segment, "busy", P_PEAK), (uint64_t)handled - 1);
    cr_assert_eq((int64_t)value_now(segment, "busy", P_LOW), 1 - (int64_t)handled);
    vmt_segment_close(segment);
}

/* ---- one value at a time ---- */

Test(count, peaks_and_minima_keep_the_extreme_of_signed_and_unsigned_values)
{
    struct vmt_segment *segment = new_segment("vm");
    struct vmt_shard *shard = vmt_shard_acquire(add_source(segment, &part_schema, NULL, "extremes"));

    vmt_peak(shard, P_PEAK, 5);
    vmt_peak(shard, P_PEAK, UINT64_MAX);
    vmt_peak(shard, P_PEAK, 6);
    vmt_minimum(shard, P_MINIMUM, UINT64_MAX - 1);
    vmt_minimum(shard, P_MINIMUM, 3);
    vmt_minimum(shard, P_MINIMUM, 4);
    vmt_peak_signed(shard, P_HIGH, -9);
    vmt_peak_signed(shard, P_HIGH, -7);
    vmt_peak_signed(shard, P_HIGH, INT64_MIN);
    vmt_minimum_signed(shard, P_LOW, 9);
    vmt_minimum_signed(shard, P_LOW, -7);
    vmt_minimum_signed(shard, P_LOW, INT64_MAX);
    cr_assert_eq(value_now(segment, "extremes", P_PEAK), UINT64_MAX);
    cr_assert_eq(value_now(segment, "extremes", P_MINIMUM), 3);
    cr_assert_eq((int64_t)value_now(segment, "extremes", P_HIGH), -7);
    cr_assert_eq((int64_t)value_now(segment, "extremes", P_LOW), -7);
    vmt_segment_close(segment);
}

Test(count, instants_are_set_raised_and_lowered)
{
    struct vmt_segment *segment = new_segment("vm");
    struct vmt_shard *shard = vmt_shard_acquire(add_source(segment, &part_schema, NULL, "gauges"));

    vmt_set(shard, P_LEVEL, 100);
    vmt_add(shard, P_LEVEL, (uint64_t)-30);
    vmt_set(shard, P_DRIFT, (uint64_t)-5);
    vmt_add(shard, P_DRIFT, 3);
    cr_assert_eq(value_now(segment, "gauges", P_LEVEL), 70);
    cr_assert_eq((int64_t)value_now(segment, "gauges", P_DRIFT), -2);
    vmt_segment_close(segment);
}

Test(count, the_twins_count_as_their_inline_functions_do)
{
    static const uint64_t values[] = { 0, 1, 2, 9, 10, 39, 40, 255, 256, UINT64_MAX >> 1, UINT64_MAX - 1, UINT64_MAX };
    static _Alignas(128) uint64_t memory[2][16 + P_SLOTS];
    struct vmt_shard *a = (void *)memory[0], *b = (void *)memory[1];

    memory[0][16 + P_MINIMUM] = memory[1][16 + P_MINIMUM] = UINT64_MAX;
    for (size_t i = 0; i < LENGTH(values); i++) {
        uint64_t v = values[i];

        vmt_begin(a), vmt_begin_ext(b);
        vmt_add(a, P_EVENTS, v), vmt_add_ext(b, P_EVENTS, v);
        vmt_end(a), vmt_end_ext(b);
        vmt_set(a, P_LEVEL, v), vmt_set_ext(b, P_LEVEL, v);
        vmt_peak(a, P_PEAK, v ^ 3), vmt_peak_ext(b, P_PEAK, v ^ 3);
        vmt_minimum(a, P_MINIMUM, ~v), vmt_minimum_ext(b, P_MINIMUM, ~v);
        vmt_peak_signed(a, P_HIGH, (int64_t)v), vmt_peak_signed_ext(b, P_HIGH, (int64_t)v);
        vmt_minimum_signed(a, P_LOW, (int64_t)v), vmt_minimum_signed_ext(b, P_LOW, (int64_t)v);
        vmt_record_log(a, P_LOG, 8, v), vmt_record_log_ext(b, P_LOG, 8, v);
        vmt_record_linear(a, P_LINEAR, 4, 10, v), vmt_record_linear_ext(b, P_LINEAR, 4, 10, v);
        vmt_latency(a, P_TIME, P_TIME_BUCKETS, v), vmt_latency_ext(b, P_TIME, P_TIME_BUCKETS, v);
        cr_assert_arr_eq(memory[0], memory[1], sizeof(memory[0]), "after %zu values", i + 1);
    }
    cr_assert_eq(memory[1][14], 2 * LENGTH(values));
    cr_assert_eq(memory[1][15], 2 * LENGTH(values));
}

Test(count, record_takes_the_kind_of_histogram_from_the_schema)
{
    struct vmt_segment *segment = new_segment("vm");
    struct vmt_shard *shard = vmt_shard_acquire(add_source(segment, &part_schema, NULL, "hist"));

    vmt_record(shard, P_LINEAR, 25);
    vmt_record(shard, P_LINEAR, 1000);
    vmt_record(shard, P_LOG, 5);
    cr_assert_eq(value_now(segment, "hist", P_LINEAR + 2), 1);
    cr_assert_eq(value_now(segment, "hist", P_LINEAR + 3), 1);
    cr_assert_eq(value_now(segment, "hist", P_LOG + 3), 1);
    vmt_segment_close(segment);
}

/* ---- before there is anything ---- */

static struct vmt_shard *early = VMT_SCRATCH;

static void *count_into_scratch(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        vmt_add(early, VMT_SLOTS_MAX - 1, 1);
        vmt_latency(early, VMT_SLOTS_MAX - 80, 64, (uint64_t)i);
        vmt_peak(early, 0, UINT64_MAX);
    }
    return NULL;
}

Test(count, scratch_takes_every_slot_of_every_schema_from_any_thread)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_into_scratch, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

Test(count, null_handles_need_no_branch)
{
    struct vmt_source *source = (void *)0x1;
    struct vmt_shard *shards[3] = { NULL, NULL, NULL };

    cr_assert_eq(vmt_source_add(NULL, &part_schema, NULL, "a", &source), -ENODEV);
    cr_assert_eq(vmt_source_addf(NULL, &part_schema, NULL, &source, "a-%d", 1), -ENODEV);
    cr_assert_eq(vmt_source_find(NULL, "a", &source), -ENODEV);
    cr_assert_eq(source, (void *)0x1, "an out-parameter was touched");
    cr_assert_eq(vmt_shard_acquire(NULL), VMT_SCRATCH);
    cr_assert_eq(vmt_shard_acquire_thread(NULL), VMT_SCRATCH);
    vmt_shards_acquire(NULL, 3, shards);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(shards[i], VMT_SCRATCH);
    vmt_shards_release(3, shards);
    vmt_shard_release(NULL);
    vmt_shard_release(VMT_SCRATCH);
    vmt_count(NULL, 7, 1);
    vmt_source_remove(NULL);
    vmt_segment_heartbeat(NULL);
    vmt_segment_close(NULL);
    cr_assert_null(vmt_segment_root(NULL));
    cr_assert_str_eq(vmt_segment_path(NULL), "");
    cr_assert_str_eq(vmt_segment_name(NULL), "");
    vmt_reader_close(NULL);
    vmt_snapshot_free(NULL);
    vmt_delta_free(NULL);
}
