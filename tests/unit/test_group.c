/* SPDX-License-Identifier: MIT */
/* What changes as a group is seen all or not at all, or is flagged. */
#include "one_source.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>

static struct vmt_shard *shard;

static void setup_shard(void)
{
    setup();
    shard = vmt_shard_acquire(source);
}

TestSuite(group, .init = setup_shard, .fini = teardown);

struct shared {
    int attached;
    int stop;
    int changing;  /* the writer is at it */
    int confirmed; /* samples taken while it was, and not flagged */
    enum vmt_read_mode mode;
    char path[4096];
};

/* What vmt_latency(..., 8) keeps true: count, sum, minimum, maximum and histogram say the same. */
static bool agree(const uint64_t *v)
{
    uint64_t buckets = 0;

    for (uint32_t i = 0; i < P_TIME_BUCKETS; i++)
        buckets += v[P_TIME + 4 + i];
    if (v[P_TIME] == 0)
        return v[P_TIME + 1] == 0 && v[P_TIME + 2] == UINT64_MAX && v[P_TIME + 3] == 0 && buckets == 0;
    return v[P_TIME + 1] == 8 * v[P_TIME] && v[P_TIME + 2] == 8 && v[P_TIME + 3] == 8 && buckets == v[P_TIME] &&
           v[P_TIME + 4 + 4] == buckets;
}

static void watch(struct vmt_reader *reader, struct shared *shared)
{
    struct vmt_snapshot *snapshot = NULL;
    uint64_t last = 0;

    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    say(&shared->attached, 1);
    while (!said(&shared->stop)) {
        int changing = said(&shared->changing);
        const struct vmt_sample *sample;

        REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
        sample = vmt_snapshot_find(snapshot, "a");
        REQUIRE(sample);
        REQUIRE(sample->values[P_TIME] >= last);
        last = sample->values[P_TIME];
        if (sample->flags & VMT_SAMPLE_UNCONFIRMED)
            continue;
        REQUIRE(sample->flags == 0);
        REQUIRE(agree(sample->values));
        __atomic_fetch_add(&shared->confirmed, changing, __ATOMIC_RELAXED);
    }
    vmt_snapshot_free(snapshot);
}

static void other_process(void *arg)
{
    struct shared *shared = arg;
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = shared->mode };
    struct vmt_reader *reader = NULL;

    REQUIRE(vmt_reader_open(shared->path, &options, &reader) == 0);
    watch(reader, shared);
    vmt_reader_close(reader);
}

static void *this_process(void *arg)
{
    struct vmt_reader *reader = NULL;

    REQUIRE(vmt_reader_open_segment(segment, &reader) == 0);
    watch(reader, arg);
    vmt_reader_close(reader);
    return NULL;
}

static bool enough(const struct shared *shared) { return __atomic_load_n(&shared->confirmed, __ATOMIC_RELAXED) >= 100; }

/* Groups in bursts, with pauses in which a reader can be lucky. */
static void change(const struct shared *shared)
{
    struct timespec start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 200; i++)
            vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 8);
        for (int i = 0; i < 20000 && !said(&shared->stop); i++)
            __asm__ __volatile__("" ::: "memory");
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < 10 && (now.tv_sec == start.tv_sec || !enough(shared)));
}

static struct shared *new_shared(enum vmt_read_mode mode)
{
    struct shared *shared = shared_memory(sizeof(*shared));

    shared->mode = mode;
    snprintf(shared->path, sizeof(shared->path), "%s", vmt_segment_path(segment));
    return shared;
}

static void assert_agree_in_another_process(enum vmt_read_mode mode)
{
    struct shared *shared = new_shared(mode);
    pid_t child = start_child(other_process, shared);

    cr_assert(reached(&shared->attached, 1));
    say(&shared->changing, 1);
    change(shared);
    say(&shared->stop, 1);
    cr_assert_eq(end_of(child), 0, "a group was seen half-changed");
    cr_assert_gt(shared->confirmed, 10, "the reader was never lucky: nothing was shown");
}

Test(group, is_never_seen_half_changed_by_copying) { assert_agree_in_another_process(VMT_READ_COPY); }

Test(group, is_never_seen_half_changed_through_a_mapping) { assert_agree_in_another_process(VMT_READ_GUARDED); }

Test(group, is_never_seen_half_changed_in_this_process)
{
    struct shared *shared = new_shared(VMT_READ_COPY);
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, this_process, shared), 0);
    cr_assert(reached(&shared->attached, 1));
    say(&shared->changing, 1);
    change(shared);
    say(&shared->stop, 1);
    pthread_join(thread, NULL);
    cr_assert_gt(shared->confirmed, 10, "the reader was never lucky: nothing was shown");
}

static void on_signal(int sig)
{
    (void)sig;
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 8);
}

Test(group, in_a_signal_handler_nests_in_the_one_that_it_interrupts)
{
    struct shared *shared = new_shared(VMT_READ_GUARDED);
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct itimerval often = { .it_interval = { .tv_usec = 50 }, .it_value = { .tv_usec = 50 } };
    struct itimerval never = { 0 };
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot = new_snapshot();
    pid_t child = start_child(other_process, shared);

    cr_assert(reached(&shared->attached, 1));
    say(&shared->changing, 1);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    change(shared);
    setitimer(ITIMER_REAL, &never, NULL);
    say(&shared->stop, 1);
    cr_assert_eq(end_of(child), 0, "a group was seen half-changed");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, 0, "a group stayed open");
    cr_assert(agree(sample_of(snapshot, "a")->values));
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- open groups ---- */

Test(group, that_is_open_is_flagged_in_every_mode)
{
    struct vmt_reader *readers[] = { attach(vmt_segment_path(segment), VMT_READ_COPY),
                                     attach(vmt_segment_path(segment), VMT_READ_GUARDED), attach_here(segment) };
    struct vmt_snapshot *snapshot = new_snapshot();
    uint64_t values[P_SLOTS];

    for (size_t i = 0; i < LENGTH(readers); i++) {
        vmt_begin(shard);
        vmt_add(shard, P_TIME, 1);
        take(snapshot, readers[i]);
        cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED);
        cr_assert_eq(vmt_reader_sample(readers[i], sample_of(snapshot, "a"), values), 1);
        vmt_begin(shard); /* as a handler would */
        vmt_end(shard);
        take(snapshot, readers[i]);
        cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED);
        vmt_end(shard);
        take(snapshot, readers[i]);
        cr_assert_eq(sample_of(snapshot, "a")->flags, 0);
        cr_assert_eq(vmt_reader_sample(readers[i], sample_of(snapshot, "a"), values), 0);
        cr_assert_eq(values[P_TIME], i + 1);
        vmt_reader_close(readers[i]);
    }
    vmt_snapshot_free(snapshot);
}

Test(group, only_the_open_shard_and_its_source_are_flagged)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_shard *other = vmt_shard_acquire(source);
    struct vmt_shard *plain = vmt_shard_acquire(add_source(segment, &small_schema, NULL, "no-groups"));
    uint32_t flagged = 0;

    add_source(segment, &part_schema, NULL, "b");
    vmt_begin(shard);
    vmt_begin(plain);
    vmt_latency(other, P_TIME, P_TIME_BUCKETS, 8);
    vmt_snapshot_want_shards(snapshot, 1);
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED);
    cr_assert_eq(sample_of(snapshot, "b")->flags, 0);
    cr_assert_eq(sample_of(snapshot, "no-groups")->flags, 0, "what has no groups can't be half-changed");
    cr_assert_eq(sample_of(snapshot, "a")->shard_count, 2);
    for (int i = 0; i < 2; i++)
        flagged += sample_of(snapshot, "a")->shards[i].flags == VMT_SAMPLE_UNCONFIRMED;
    cr_assert_eq(flagged, 1);
    vmt_end(shard);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- the timer ---- */

static jmp_buf out;

static int leave(int how)
{
    VMT_TIME(shard, P_TIME);
    if (how == 1)
        return 1;
    if (how == 2)
        longjmp(out, 1);
    {
        VMT_TIME(shard, P_TIME);
        nap_us(1000);
    }
    return 0;
}

Test(group, a_timer_counts_the_scope_however_it_is_left_and_leaves_no_group_open)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    const struct vmt_sample *sample;

    leave(0);
    leave(1);
    if (setjmp(out) == 0)
        leave(2);
    take(snapshot, reader);
    sample = sample_of(snapshot, "a");
    cr_assert_eq(sample->flags, 0);
    cr_assert_eq(sample->values[P_TIME], 3, "count");
    cr_assert_geq(sample->values[P_TIME + 1], 2000000, "sum: two of them slept");
    cr_assert_lt(sample->values[P_TIME + 2], 1000000, "minimum: one did not");
    cr_assert_geq(sample->values[P_TIME + 3], 1000000, "maximum");
    cr_assert_geq(sample->values[P_TIME + 1], sample->values[P_TIME + 2] + 2 * 1000000);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- groups that nobody ends ---- */

enum end { BY_RETURN, BY_PTHREAD_EXIT, BY_CANCEL, BY_CANCEL_AT_ONCE, ENDS };

static struct {
    enum end end;
    bool timed;     /* in VMT_TIME, else between vmt_begin and vmt_end */
    bool by_thread; /* who acquired its shard, with the kernel as witness */
    int inside;
    struct vmt_shard *shard;
} leaver;

/* Never comes back from the body, but for BY_RETURN. */
static void leave_body(void)
{
    say(&leaver.inside, 1);
    if (leaver.end == BY_PTHREAD_EXIT)
        pthread_exit(NULL);
    while (leaver.end == BY_CANCEL)
        nap_us(1000000); /* where it is cancelled */
    while (leaver.end == BY_CANCEL_AT_ONCE)
        __asm__ __volatile__("" ::: "memory");
}

static void leave_a_timer(void)
{
    VMT_TIME(leaver.shard, P_TIME);
    leave_body();
}

static void leave_a_group(void)
{
    vmt_begin(leaver.shard);
    vmt_add(leaver.shard, P_TIME, 1);
    leave_body();
}

static void *leave_thread(void *arg)
{
    (void)arg;
    leaver.shard = leaver.by_thread ? vmt_shard_acquire_thread(source) : vmt_shard_acquire(source);
    vmt_latency(leaver.shard, P_TIME, P_TIME_BUCKETS, 8);
    vmt_add(leaver.shard, P_EVENTS, 1);
    if (leaver.end == BY_CANCEL_AT_ONCE)
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    if (leaver.timed)
        leave_a_timer();
    else
        leave_a_group();
    return NULL;
}

static void end_a_thread(enum end end, bool timed, bool by_thread)
{
    pthread_t thread;

    leaver.end = end;
    leaver.timed = timed;
    leaver.by_thread = by_thread;
    say(&leaver.inside, 0);
    cr_assert_eq(pthread_create(&thread, NULL, leave_thread, NULL), 0);
    cr_assert(reached(&leaver.inside, 1));
    if (end == BY_CANCEL || end == BY_CANCEL_AT_ONCE)
        cr_assert_eq(pthread_cancel(thread), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(group, a_timer_whose_thread_ends_inside_leaves_none_open)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    uint64_t last = 0;

    for (int end = 0; end < ENDS; end++) {
        end_a_thread((enum end)end, true, true);
        take(snapshot, reader);
        cr_assert_eq(sample_of(snapshot, "a")->flags, 0, "%d", end);
        cr_assert_geq(value_of(snapshot, "a", P_TIME), last + 1); /* what was timed counts where clean-ups run */
        cr_assert_leq(value_of(snapshot, "a", P_TIME), last + 2);
        last = value_of(snapshot, "a", P_TIME);
        cr_assert_eq(vmt_shard_acquire_thread(source), leaver.shard, "%d: the kernel has not said that it is gone",
                     end);
        vmt_shard_release(leaver.shard);
    }
    take(snapshot, reader);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), ENDS);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_TORN), 0);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* One whose thread has ended inside is flagged, and mended by whoever comes next: the one that takes the shard over, or
 * the one that gives it back in its name. */
static void assert_mended(enum end end, bool by_thread)
{
    enum vmt_read_mode modes[] = { VMT_READ_COPY, VMT_READ_GUARDED };
    struct vmt_snapshot *snapshot = new_snapshot();

    end_a_thread(end, false, by_thread);
    for (size_t i = 0; i < LENGTH(modes); i++) {
        struct vmt_reader *reader = attach(vmt_segment_path(segment), modes[i]);

        take(snapshot, reader);
        cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED, "%d", end);
        vmt_reader_close(reader);
    }
    if (!by_thread)
        vmt_shard_release(leaver.shard);
    for (size_t i = 0; i < 2 * LENGTH(modes); i++) {
        struct vmt_reader *reader = attach(vmt_segment_path(segment), modes[i % 2]);
        uint64_t values[P_SLOTS];

        if (i == 0 && by_thread) {
            cr_assert_eq(vmt_shard_acquire(source), leaver.shard);
        } else if (i == 2) {
            if (!by_thread)
                cr_assert_eq(vmt_shard_acquire(source), leaver.shard);
            vmt_latency(leaver.shard, P_TIME, P_TIME_BUCKETS, 8);
        }
        take(snapshot, reader);
        cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_TORN, "%d", end);
        cr_assert_eq(vmt_reader_sample(reader, sample_of(snapshot, "a"), values), 0, "it is not confirmed again");
        cr_assert_eq(values[P_TIME], i < 2 ? 2 : 3);
        cr_assert_eq(value_of(snapshot, "a", P_TIME + 1), i < 2 ? 8 : 16,
                     "the sum, without the group that was cut short");
        cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_TORN), 1);
        vmt_reader_close(reader);
    }
    vmt_shard_release(leaver.shard);
    vmt_snapshot_free(snapshot);
}

Test(group, left_open_by_a_thread_that_returned_is_mended_by_the_next_owner) { assert_mended(BY_RETURN, true); }

Test(group, left_open_by_pthread_exit_is_mended_by_the_next_owner) { assert_mended(BY_PTHREAD_EXIT, true); }

Test(group, left_open_by_a_cancelled_thread_is_mended_by_the_next_owner) { assert_mended(BY_CANCEL, true); }

Test(group, left_open_by_a_thread_cancelled_at_once_is_mended_by_the_next_owner)
{
    assert_mended(BY_CANCEL_AT_ONCE, true);
}

Test(group, left_open_by_a_thread_that_returned_is_mended_by_release) { assert_mended(BY_RETURN, false); }

Test(group, left_open_by_a_cancelled_thread_is_mended_by_release) { assert_mended(BY_CANCEL, false); }

Test(group, left_open_by_a_thread_cancelled_at_once_is_mended_by_release) { assert_mended(BY_CANCEL_AT_ONCE, false); }

Test(group, torn_in_one_shard_does_not_hide_that_another_is_open)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();

    assert_mended(BY_CANCEL, true);
    vmt_begin(shard);
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_TORN | VMT_SAMPLE_UNCONFIRMED);
    vmt_end(shard);
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_TORN);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

static void begin_and_jump(void)
{
    for (int i = 0; i < 3; i++) /* one in the other */
        vmt_begin(shard);
    longjmp(out, 1);
}

Test(group, that_was_jumped_out_of_is_flagged_until_it_is_mended_once)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();

    if (setjmp(out) == 0)
        begin_and_jump();
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 8); /* its owner does not know */
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_UNCONFIRMED);
    vmt_shard_release(shard);
    cr_assert_eq(vmt_shard_acquire(source), shard);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 8);
    take(snapshot, reader);
    cr_assert_eq(sample_of(snapshot, "a")->flags, VMT_SAMPLE_TORN);
    cr_assert_eq(value_of(snapshot, "a", P_TIME), 2);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_SHARDS_TORN), 1);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* ---- and processes that end in one ---- */

struct exiting {
    bool timed;
    bool closes;
};

static struct vmt_segment *own;

static void close_own(void) { vmt_segment_close(own); }

static void exit_inside(void *arg)
{
    const struct exiting *exiting = arg;
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "own", .keep = 1 };
    struct vmt_source *its = NULL;
    struct vmt_shard *mine;

    REQUIRE(vmt_segment_create(&options, &own) == 0);
    REQUIRE(vmt_source_add(own, &part_schema, NULL, "a", &its) == 0);
    if (exiting->closes)
        atexit(close_own);
    mine = vmt_shard_acquire(its);
    vmt_latency(mine, P_TIME, P_TIME_BUCKETS, 8);
    if (exiting->timed) {
        VMT_TIME(mine, P_TIME);
        exit(0);
    }
    vmt_begin(mine);
    vmt_add(mine, P_TIME, 1);
    exit(0);
}

Test(group, of_a_process_that_exits_inside_is_flagged_post_mortem_and_a_timer_is_not)
{
    for (int i = 0; i < 4; i++) {
        struct exiting exiting = { .timed = i & 1, .closes = i & 2 };
        struct vmt_snapshot *snapshot = new_snapshot();
        struct vmt_reader *reader;

        assert_child(exit_inside, &exiting);
        reader = attach(test_path("own.vmt"), VMT_READ_COPY);
        take(snapshot, reader);
        cr_assert_eq(sample_of(snapshot, "a")->flags, exiting.timed ? 0 : VMT_SAMPLE_UNCONFIRMED);
        cr_assert_eq(value_of(snapshot, "a", P_TIME), exiting.timed ? 1 : 2);
        cr_assert_eq(vmt_snapshot_segment(snapshot)->state, exiting.closes ? VMT_STATE_CLOSED : VMT_STATE_DIED);
        vmt_snapshot_free(snapshot);
        vmt_reader_close(reader);
    }
}
