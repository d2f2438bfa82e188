/* SPDX-License-Identifier: MIT */
/* A forked child counts into nothing, holds nothing of its parent's, and may have a segment of its own. */
#include "parts.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static struct vmt_segment *segment;
static struct vmt_source *source;
static struct vmt_shard *shard;

static void setup(void)
{
    test_dir_init();
    segment = new_segment("vm");
    source = add_source(segment, &part_schema, NULL, "a");
    shard = vmt_shard_acquire(source);
    vmt_add(shard, P_EVENTS, 5);
}

static void teardown(void)
{
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(fork, .init = setup, .fini = teardown);

static void use_everything(void *arg)
{
    struct vmt_source *untouched = (void *)0x1;
    struct vmt_reader *reader = (void *)0x1;
    struct vmt_shard *shards[2];

    (void)arg;
    for (int i = 0; i < 100000; i++)
        vmt_add(shard, P_EVENTS, 1);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, 5);
    vmt_count(source, P_EVENTS, 1);
    vmt_segment_heartbeat(segment);
    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "b", &untouched) == -ECHILD);
    REQUIRE(vmt_source_addf(segment, &part_schema, NULL, &untouched, "b-%d", 1) == -ECHILD);
    REQUIRE(vmt_source_find(segment, "a", &untouched) == -ECHILD);
    REQUIRE(untouched == (void *)0x1);
    REQUIRE(vmt_shard_acquire(source) == VMT_SCRATCH);
    REQUIRE(vmt_shard_acquire_thread(source) == VMT_SCRATCH);
    vmt_shards_acquire(source, 2, shards);
    REQUIRE(shards[0] == VMT_SCRATCH && shards[1] == VMT_SCRATCH);
    REQUIRE(vmt_reader_open_segment(segment, &reader) == -ENODEV);
    REQUIRE(reader == (void *)0x1);
    vmt_shard_release(shard);
    vmt_source_remove(source);
    vmt_segment_close(segment);
}

Test(fork, what_a_child_does_is_not_seen_by_its_parent)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();

    assert_child(use_everything, NULL);
    vmt_add(shard, P_EVENTS, 1);
    take(snapshot, reader);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 6);
    cr_assert_eq(value_of(snapshot, "a", P_TIME), 0);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->heartbeat_ns, 0);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, 0, "the child unlinked the file");
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

static void fork_again(void *arg)
{
    use_everything(arg);
    REQUIRE(end_of(start_child(use_everything, NULL)) == 0);
}

Test(fork, what_a_grandchild_does_is_not_seen_either)
{
    assert_child(fork_again, NULL);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 5);
}

static void read_by_path(void *arg)
{
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;

    REQUIRE(vmt_reader_open(arg, NULL, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    REQUIRE(vmt_snapshot_find(snapshot, "a")->values[P_EVENTS] == 5);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

Test(fork, a_child_may_read_its_parents_segment)
{
    assert_child(read_by_path, (void *)(uintptr_t)vmt_segment_path(segment));
}

static void have_its_own(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "child" };
    struct vmt_segment *own = NULL;
    struct vmt_source *its = NULL;
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;
    struct vmt_shard *counted;

    (void)arg;
    options.name = "vm";
    REQUIRE(vmt_segment_create(&options, &own) == -EEXIST);
    options.name = "child";
    REQUIRE(vmt_segment_create(&options, &own) == 0);
    REQUIRE(vmt_source_add(own, &part_schema, NULL, "a", &its) == 0);
    counted = vmt_shard_acquire(its);
    vmt_add(counted, P_EVENTS, 77);
    REQUIRE(vmt_reader_open(vmt_segment_path(own), NULL, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    REQUIRE(vmt_snapshot_find(snapshot, "a")->values[P_EVENTS] == 77);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    vmt_shard_release(counted);
    vmt_segment_close(own);
}

Test(fork, a_child_may_have_a_segment_of_its_own)
{
    assert_child(have_its_own, NULL);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 5);
}

/* ---- the lock ---- */

struct family {
    int stage;
    pid_t grandchild;
    int by; /* enum */
    char path[4096];
};
enum { BY_FORK, BY_RAW_CLONE };

/* Writes a segment, has a child that lives on, and is killed. */
static void write_and_fork(void *arg)
{
    struct family *family = arg;
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "parent" };
    struct vmt_segment *own = NULL;
    struct vmt_source *its = NULL;
    struct vmt_shard *counted;
    pid_t pid;

    REQUIRE(vmt_segment_create(&options, &own) == 0);
    REQUIRE(vmt_source_add(own, &part_schema, NULL, "a", &its) == 0);
    counted = vmt_shard_acquire(its);
    vmt_add(counted, P_EVENTS, 5);
    snprintf(family->path, sizeof(family->path), "%s", vmt_segment_path(own));
    pid = family->by == BY_FORK ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    REQUIRE(pid >= 0);
    if (pid == 0) {
        if (family->by == BY_RAW_CLONE)
            vmt_child_after_fork();
        for (int i = 0; i < 1000; i++)
            vmt_add(counted, P_EVENTS, 1);
        vmt_child_after_fork(); /* once more is harmless */
        vmt_add(counted, P_EVENTS, 1);
        say(&family->stage, 1);
        for (;;)
            pause();
    }
    family->grandchild = pid;
    REQUIRE(reached(&family->stage, 1));
    say(&family->stage, 2);
    for (;;)
        pause();
}

static void assert_lock_dropped(int by)
{
    struct family *family = shared_memory(sizeof(*family));
    struct vmt_snapshot *snapshot = new_snapshot();
    struct vmt_reader *reader;
    pid_t child;

    family->by = by;
    child = start_child(write_and_fork, family);
    cr_assert(reached(&family->stage, 2));
    reader = attach(family->path, VMT_READ_COPY);
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    kill_child(child);
    cr_assert_eq(kill(family->grandchild, 0), 0, "it should live still");
    take(snapshot, reader);
    cr_expect_str_eq(vmt_state_name(vmt_snapshot_segment(snapshot)->state), "died");
    cr_expect_eq(value_of(snapshot, "a", P_EVENTS), 5);
    kill(family->grandchild, SIGKILL);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

Test(fork, a_child_does_not_keep_its_dead_parents_segment_live) { assert_lock_dropped(BY_FORK); }

Test(fork, a_child_made_without_handlers_gives_all_up_by_one_call) { assert_lock_dropped(BY_RAW_CLONE); }

static void look_at_descriptors(void *arg)
{
    struct stat st, own;

    REQUIRE(stat(arg, &st) == 0);
    for (int fd = 3; fd < 1024; fd++)
        REQUIRE(fstat(fd, &own) < 0 || own.st_ino != st.st_ino || own.st_dev != st.st_dev);
}

Test(fork, a_child_has_no_descriptor_of_the_segment)
{
    assert_child(look_at_descriptors, (void *)(uintptr_t)vmt_segment_path(segment));
}

/* ---- beside threads ---- */

static int stop;

static void *churn(void *arg)
{
    const char *id = arg;

    while (!said(&stop)) {
        struct vmt_source *own = NULL;

        REQUIRE(vmt_source_add(segment, &part_schema, NULL, id, &own) == 0);
        vmt_shard_release(vmt_shard_acquire(own));
        vmt_source_remove(own);
    }
    return NULL;
}

Test(fork, at_any_moment_leaves_a_child_that_is_not_stuck, .timeout = 60)
{
    pthread_t threads[2];

    cr_assert_eq(pthread_create(&threads[0], NULL, churn, "x"), 0);
    cr_assert_eq(pthread_create(&threads[1], NULL, churn, "y"), 0);
    for (int i = 0; i < 100; i++)
        assert_child(use_everything, NULL);
    say(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 5);
}
