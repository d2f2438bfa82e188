/* SPDX-License-Identifier: MIT */
/* A forked child counts into nothing, holds nothing of its parent's, and may have a segment of its own. */
#include "one_source.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static struct vmt_shard *shard;

static void setup_shard(void)
{
    setup();
    shard = vmt_shard_acquire(source);
    vmt_add(shard, P_EVENTS, 5);
}

TestSuite(fork, .init = setup_shard, .fini = teardown);

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

/* The segment dies with its writer, although what that one started lives on. Returns what "a" has counted then. */
static uint64_t assert_dies_alone(pid_t writer, pid_t started, const char *path)
{
    struct vmt_reader *reader = attach(path, VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    uint64_t value;

    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_LIVE);
    kill_child(writer);
    cr_assert_eq(kill(started, 0), 0, "it should live still");
    take(snapshot, reader);
    cr_expect_str_eq(vmt_state_name(vmt_snapshot_segment(snapshot)->state), "died");
    value = value_of(snapshot, "a", P_EVENTS);
    kill(started, SIGKILL);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return value;
}

static void assert_lock_dropped(int by)
{
    struct family *family = shared_memory(sizeof(*family));
    pid_t child;

    family->by = by;
    child = start_child(write_and_fork, family);
    cr_assert(reached(&family->stage, 2));
    cr_expect_eq(assert_dies_alone(child, family->grandchild, family->path), 5);
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

struct hot {
    struct vmt_shard *shard;
    uint64_t n;
};

static void *count_hot(void *arg)
{
    struct hot *hot = arg;

    while (!said(&stop)) {
        vmt_add(hot->shard, P_EVENTS, 1);
        vmt_latency(hot->shard, P_TIME, P_TIME_BUCKETS, 5);
        vmt_count(source, P_BYTES, 1);
        hot->n++;
    }
    return NULL;
}

static void count_through_all(void *arg)
{
    struct hot *hot = arg;

    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 2; k++)
            vmt_add(hot[k].shard, P_EVENTS, 1);
        vmt_count(source, P_BYTES, 1);
    }
}

static void raw_child(struct hot *hot)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        vmt_child_after_fork();
        count_through_all(hot);
        _exit(0);
    }
    cr_assert_eq(end_of(pid), 0);
}

Test(fork, hundreds_of_children_leave_the_totals_of_hot_threads_exact, .timeout = 60)
{
    struct hot hot[2] = { { .shard = vmt_shard_acquire(source) }, { .shard = vmt_shard_acquire(source) } };
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    pthread_t threads[3];
    char why[256];

    cr_assert_eq(pthread_create(&threads[0], NULL, count_hot, &hot[0]), 0);
    cr_assert_eq(pthread_create(&threads[1], NULL, count_hot, &hot[1]), 0);
    cr_assert_eq(pthread_create(&threads[2], NULL, churn, "x"), 0);
    for (int i = 0; i < (SANITIZED ? 30 : 300); i++) {
        if (i % 3 == 0 && !SANITIZED) /* their runtimes would have to know of such a child */
            raw_child(hot);
        else
            assert_child(count_through_all, hot);
    }
    say(&stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    take(snapshot, reader);
    cr_assert_gt(hot[0].n, 0);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 5 + hot[0].n + hot[1].n);
    cr_assert_eq(value_of(snapshot, "a", P_TIME), hot[0].n + hot[1].n);
    cr_assert_eq(value_of(snapshot, "a", P_BYTES), hot[0].n + hot[1].n);
    cr_assert_eq(sample_of(snapshot, "a")->flags, 0);
    cr_assert_eq(vmt_check(vmt_segment_path(segment), why, sizeof(why)), VMT_STATE_LIVE);
    cr_assert_str_empty(why);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

/* Has that process anything of the file of that name? */
static bool has(pid_t pid, const char *path)
{
    char name[64], line[8192], target[4096];
    bool found = false;
    FILE *maps;

    for (int fd = 0; fd < 256 && !found; fd++) {
        ssize_t n;

        snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)pid, fd);
        n = readlink(name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strstr(target, path) != NULL;
    }
    snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
    maps = fopen(name, "re");
    while (!found && maps && fgets(line, sizeof(line), maps))
        found = strstr(line, path) != NULL;
    if (maps)
        fclose(maps);
    return found || !maps;
}

/* A child that is made while a segment is being created or closed must not keep that one's lock: it shares what was
 * open already. */
static void *create_and_close(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "own", .path = arg };

    while (!said(&stop)) {
        struct vmt_segment *own = NULL;
        int r = vmt_segment_create(&options, &own);

        if (r < 0)
            return (void *)(intptr_t)r;
        vmt_segment_close(own);
        REQUIRE(truncate(arg, 0) == 0);
        nap_us(20);
    }
    return NULL;
}

static void look_for(void *arg) { REQUIRE(!has(getpid(), arg)); }

Test(fork, while_a_segment_is_made_or_closed_takes_nothing_of_it_along, .timeout = 60)
{
    const char *path = test_path("given");
    pthread_t thread;
    void *ret = NULL;

    close(open(path, O_RDWR | O_CREAT, 0600));
    cr_assert_eq(pthread_create(&thread, NULL, create_and_close, (void *)(uintptr_t)path), 0);
    for (int i = 0; i < (SANITIZED ? 100 : 300); i++)
        assert_child(look_for, (void *)(uintptr_t)path);
    say(&stop, 1);
    pthread_join(thread, &ret);
    cr_assert_null(ret, "%s: a child had the lock of a segment before", strerror(-(int)(intptr_t)ret));
}

/* ---- and exec ---- */

enum way { FORK_EXEC, VFORK_EXEC, SPAWN, CLONE_VM_EXEC };

struct writer {
    enum way way;
    int stage;
    pid_t started;
    char path[4096];
};

static char *const sleeper[] = { (char[]){ "sleep" }, (char[]){ "60" }, NULL };

static int sleep_on(void *arg)
{
    (void)arg;
    execvp(sleeper[0], sleeper);
    _exit(127);
}

static pid_t start_program(enum way way)
{
    static char stack[65536] __attribute__((aligned(64)));
    extern char **environ;
    int started[2];
    pid_t pid = -1;
    char byte;

    REQUIRE(pipe2(started, O_CLOEXEC) == 0);
    if (way == FORK_EXEC)
        pid = fork();
    else if (way == VFORK_EXEC)
        pid = vfork();
    else if (way == SPAWN)
        REQUIRE(posix_spawnp(&pid, sleeper[0], NULL, NULL, sleeper, environ) == 0);
    else
        pid = clone(sleep_on, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    if (pid == 0)
        sleep_on(NULL);
    REQUIRE(pid > 0);
    close(started[1]);
    REQUIRE(read(started[0], &byte, 1) == 0); /* closed by its exec */
    return pid;
}

/* A VMM with hot counters that starts another program. */
static void write_and_start(void *arg)
{
    struct writer *writer = arg;
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "parent" };
    static struct hot hot[2];
    pthread_t thread;

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "a", &source) == 0);
    for (int i = 0; i < 2; i++) {
        hot[i].shard = vmt_shard_acquire(source);
        REQUIRE(pthread_create(&thread, NULL, count_hot, &hot[i]) == 0);
    }
    snprintf(writer->path, sizeof(writer->path), "%s", vmt_segment_path(segment));
    writer->started = start_program(writer->way);
    say(&writer->stage, 1);
    for (;;)
        pause();
}

static void assert_program_has_nothing(enum way way)
{
    struct writer *writer = shared_memory(sizeof(*writer));
    pid_t pid;

    writer->way = way;
    pid = start_child(write_and_start, writer);
    cr_assert(reached(&writer->stage, 1));
    cr_assert(has(pid, writer->path), "the writer itself has it");
    cr_expect_not(has(writer->started, writer->path));
    assert_dies_alone(pid, writer->started, writer->path);
}

Test(fork, and_exec_has_nothing_of_the_segment) { assert_program_has_nothing(FORK_EXEC); }

Test(fork, vfork_and_exec_has_nothing_of_the_segment) { assert_program_has_nothing(VFORK_EXEC); }

Test(fork, posix_spawn_has_nothing_of_the_segment) { assert_program_has_nothing(SPAWN); }

Test(fork, clone_with_the_same_memory_and_exec_has_nothing_of_the_segment)
{
    if (SANITIZED)
        cr_skip_test("their runtimes would have to know of such a child");
    assert_program_has_nothing(CLONE_VM_EXEC);
}

static int count_once(void *arg)
{
    (void)arg;
    vmt_add(shard, P_EVENTS, 1);
    return 0;
}

Test(fork, a_child_in_the_same_memory_is_its_parent_and_gives_nothing_up)
{
    static char stack[65536] __attribute__((aligned(64)));
    struct vmt_reader *reader;

    if (SANITIZED)
        cr_skip_test("their runtimes would have to know of such a child");
    reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    for (int i = 0; i < 3; i++) {
        pid_t pid = clone(count_once, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

        cr_assert_gt(pid, 0);
        cr_assert_eq(end_of(pid), 0);
    }
    cr_assert_eq(vmt_reader_state(reader), VMT_STATE_LIVE);
    vmt_shard_release(vmt_shard_acquire(add_source(segment, &part_schema, NULL, "b")));
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 8);
    vmt_reader_close(reader);
}

/* ---- where there is no memory for what the child counts ---- */

static void count_a_little(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        vmt_add(shard, P_EVENTS, 1);
    vmt_count(source, P_EVENTS, 1);
}

static void count_nothing(void *arg) { (void)arg; }

/* What the kernel denies where memory is strictly accounted for, and there is less and less of it. */
static void have_children(void *arg)
{
    static const struct test_denial less[] = {
        { .number = SYS_mmap, .error = ENOMEM, .least_1 = 64 << 20, .bits_2 = PROT_WRITE, .bits_3 = MAP_FIXED },
        { .number = SYS_mmap, .error = ENOMEM, .bits_2 = PROT_WRITE, .bits_3 = MAP_FIXED },
        { .number = SYS_mmap, .error = ENOMEM, .bits_3 = MAP_FIXED },
    };
    (void)arg;
    segment = new_segment("own");
    source = add_source(segment, &part_schema, NULL, "a");
    shard = vmt_shard_acquire(source);
    vmt_add(shard, P_EVENTS, 5);
    for (int i = 0; i < 3; i++) {
        snprintf(test_at, sizeof(test_at), "(%d)", i);
        REQUIRE(test_deny(&less[i]));
        /* Into what is used of it; better dead than its parent, where there is not even that. */
        REQUIRE(end_of(start_child(count_a_little, NULL)) == (i == 0 ? 0 : 128 + SIGSEGV));
        REQUIRE(end_of(start_child(count_nothing, NULL)) == 0);
        REQUIRE(value_now(segment, "a", P_EVENTS) == 5);
    }
    vmt_segment_close(segment);
}

Test(fork, a_child_without_memory_counts_into_what_is_left_or_ends_but_not_for_its_parent)
{
    if (SANITIZED)
        cr_skip_test("sanitizers have a word on SIGSEGV");
    assert_child(have_children, NULL);
    cr_assert_eq(value_now(segment, "a", P_EVENTS), 5);
}
