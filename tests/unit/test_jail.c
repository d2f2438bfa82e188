/* SPDX-License-Identifier: MIT */
/* Jail mode: a segment made in an empty root, then used under a filter that lets nothing through but waiting for and
 * waking threads of this process, a last word on standard error, and the end. */
#include "parts.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/writer.h"

TestSuite(jail, .init = test_dir_init, .fini = test_dir_fini);

#define FIXED_BYTES (1U << 20)
#define ROUNDS 5000
#define WORKERS 2

/* ---- the filter ---- */

/* Said, and then the end: killed by the filter itself, a test could not tell by which call. */
static void on_forbidden(int sig, siginfo_t *info, void *context)
{
    char text[] = "system call 0000 is forbidden here\n";

    (void)sig;
    (void)context;
    for (int i = 0, n = info->si_syscall; i < 4; i++, n /= 10)
        text[15 - i] = (char)('0' + n % 10);
    (void)!write(2, text, sizeof(text) - 1);
    _exit(99);
}

#define LOW(field) offsetof(struct seccomp_data, field) + (__BYTE_ORDER == __LITTLE_ENDIAN ? 0 : 4)
#define LOAD(where) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (where))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define IF(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (skip), 0)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, (action))

/* On all threads of this process. What a call waits for in liburcu, it waits for without the private flag: vmtally(3)
 * says when. */
static void lock_up(bool with_grace_periods)
{
    uint32_t wait = with_grace_periods ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE;
    uint32_t wake = with_grace_periods ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE;
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, nr)),
        IF(SYS_exit_group, 10),
        UNLESS(SYS_write, 2),
        LOAD(LOW(args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 7, 6),
        UNLESS(SYS_futex, 5),
        LOAD(LOW(args[1])),
        IF(FUTEX_WAIT_PRIVATE, 4),
        IF(FUTEX_WAKE_PRIVATE, 3),
        IF(wait, 2),
        IF(wake, 1),
        ANSWER(SECCOMP_RET_TRAP),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = LENGTH(code), .filter = code };
    struct sigaction action = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };

    REQUIRE(sigaction(SIGSYS, &action, NULL) == 0);
    REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

/* ---- the VMM ---- */

static struct vmt_segment *segment;
static bool finding;
static int go, ready, done;

static void wait_for(int *flag, int value)
{
    int now;

    while ((now = __atomic_load_n(flag, __ATOMIC_ACQUIRE)) < value)
        syscall(SYS_futex, flag, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void raise_flag(int *flag)
{
    __atomic_fetch_add(flag, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
}

/* All cold calls, in a tree of its own. */
static void work(char own)
{
    char parent_id[] = { 'p', own, '\0' }, child_id[] = { 'p', own, '/', 'c', '\0' };

    for (int i = 0; i < ROUNDS; i++) {
        struct vmt_source *parent = NULL, *child = NULL, *found = NULL;
        struct vmt_shard *shards[3], *by_thread;

        REQUIRE(vmt_source_add(segment, &small_schema, NULL, parent_id, &parent) == 0);
        REQUIRE(vmt_source_add(segment, &part_schema, parent, child_id + 3, &child) == 0);
        vmt_shards_acquire(child, 3, shards);
        by_thread = vmt_shard_acquire_thread(child);
        for (int k = 0; k < 3; k++)
            vmt_add(shards[k], P_EVENTS, 1);
        vmt_add(by_thread, P_EVENTS, 1);
        vmt_latency(by_thread, P_TIME, P_TIME_BUCKETS, vmt_clock_ns() % 1000);
        vmt_count(child, P_EVENTS, 1);
        if (finding) {
            REQUIRE(vmt_source_find(segment, child_id, &found) == 0);
            REQUIRE(found == child);
            REQUIRE(vmt_source_find(segment, "none/at/all", &found) == -ENOENT);
        }
        vmt_segment_heartbeat(segment);
        vmt_shards_release(2, shards);
        vmt_shard_release(by_thread);
        vmt_source_remove(child); /* leaving, for a moment */
        REQUIRE(vmt_source_addf(segment, &small_schema, NULL, &child, "late-%c-%d", own, i) == 0);
        vmt_source_remove(child);
        vmt_shard_release(shards[2]);
        vmt_source_remove(parent);
    }
}

static void *worker(void *arg)
{
    raise_flag(&ready);
    wait_for(&go, 1);
    work(*(const char *)arg);
    raise_flag(&done);
    wait_for(&go, 1000); /* its end would be a system call */
    return NULL;
}

/* Out of room is an errno and scratch, and no system call either. */
static void run_out(void)
{
    struct vmt_source *source = NULL, *more = NULL;
    struct vmt_shard *shard;
    int n = 0, r;

    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "greedy", &source) == 0);
    while (segment_of(shard = vmt_shard_acquire(source))) {
        vmt_add(shard, P_EVENTS, 1);
        REQUIRE(++n < 100000);
    }
    REQUIRE(n > 100);
    vmt_add(shard, P_EVENTS, 1000);
    vmt_shard_release(shard);
    while ((r = vmt_source_addf(segment, &part_schema, NULL, &more, "more-%d", n)) == 0)
        REQUIRE(++n < 100000);
    REQUIRE(r == -ENOSPC || r == -ENFILE);
}

struct jail {
    char root[4096];
    bool by_fd;
    bool chrooted;
    bool filtered;
    bool finding;
};

static void live(void *arg)
{
    struct jail *jail = arg;
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm", .fixed_bytes = FIXED_BYTES };
    pthread_t threads[WORKERS];
    char file[5000];

    snprintf(file, sizeof(file), "%s/segment", jail->root);
    if (jail->by_fd)
        REQUIRE((options.fd = open(file, O_RDWR)) > 0);
    if (jail->chrooted) {
        REQUIRE(chroot(jail->root) == 0 && chdir("/") == 0);
        REQUIRE(clearenv() == 0);
        REQUIRE(access("/proc", F_OK) < 0);
        snprintf(file, sizeof(file), "/segment");
    }
    if (!jail->by_fd)
        options.path = file;
    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    if (jail->by_fd)
        close(options.fd);
    for (int i = 0; i < WORKERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, worker, i ? "b" : "a") == 0);
    wait_for(&ready, WORKERS);
    finding = jail->finding;
    if (jail->filtered)
        lock_up(false);
    raise_flag(&go);
    wait_for(&done, WORKERS);
    work('c');
    run_out();
}

static void assert_lives(struct jail jail)
{
    struct vmt_snapshot *snapshot;
    struct vmt_reader *reader;
    const struct vmt_total *total;
    struct stat before, after;
    char file[5000];
    int fd, end;

    if (SANITIZED && jail.filtered)
        cr_skip_test("sanitizers make system calls of their own");
    if (jail.chrooted && getuid() != 0)
        cr_skip_test("chroot is for root");
    snprintf(jail.root, sizeof(jail.root), "%s", test_path("root"));
    cr_assert_eq(mkdir(jail.root, 0755), 0);
    snprintf(file, sizeof(file), "%s/segment", jail.root);
    fd = open(file, O_RDWR | O_CREAT | O_EXCL, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &before), 0);
    end = end_of(start_child(live, &jail));
    cr_assert_neq(end, 99, "a forbidden system call was made");
    cr_assert_eq(end, 0, "%d", end);
    cr_assert_eq(fstat(fd, &after), 0);
    cr_assert_eq(after.st_nlink, 1, "used in place");
    cr_assert_eq(after.st_size, FIXED_BYTES);
    cr_assert_geq(after.st_blocks * 512, FIXED_BYTES, "all of it is allocated");
    close(fd);

    reader = attach(file, VMT_READ_COPY);
    snapshot = new_snapshot();
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->state, VMT_STATE_DIED);
    cr_assert_neq(vmt_snapshot_segment(snapshot)->heartbeat_ns, 0);
    if (jail.chrooted)
        cr_assert_eq(vmt_snapshot_segment(snapshot)->pid_start, 0, "not known without /proc");
    total = total_named(sample_of(snapshot, ""), "part");
    cr_assert_eq(total->flags, 0);
    cr_assert_eq(total->departed[P_EVENTS], (uint64_t)(WORKERS + 1) * ROUNDS * 5);
    cr_assert_eq(total->departed[P_TIME], (uint64_t)(WORKERS + 1) * ROUNDS);
    cr_assert_eq(total->values[P_EVENTS], total->departed[P_EVENTS] + value_of(snapshot, "greedy", P_EVENTS));
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_DROPPED_SOURCES), 1);
    cr_assert_eq(value_of(snapshot, "", VMT_SEGMENT_DROPPED_SHARDS), 1);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
}

Test(jail, makes_a_segment_in_an_empty_root_without_environment)
{
    assert_lives((struct jail){ .chrooted = true, .finding = true });
}

Test(jail, adds_removes_acquires_and_releases_with_no_system_call_but_private_futexes)
{
    assert_lives((struct jail){ .filtered = true });
}

Test(jail, finds_with_no_system_call_but_private_futexes)
{
    assert_lives((struct jail){ .filtered = true, .finding = true });
}

Test(jail, lives_on_a_descriptor_in_an_empty_root_under_a_filter)
{
    assert_lives((struct jail){ .by_fd = true, .chrooted = true, .filtered = true });
}

/* The longest of read sections: the reclaimer has to wait for snapshots of the same process. */
static void *read_on(void *arg)
{
    struct vmt_snapshot *snapshot = NULL;
    struct vmt_reader *reader = NULL;

    REQUIRE(vmt_reader_open_segment(segment, &reader) == 0);
    REQUIRE(vmt_snapshot_new(&snapshot) == 0);
    for (int i = 0; i < 100; i++) /* its memory is had before the filter */
        REQUIRE(vmt_snapshot_take(snapshot, reader) >= 0);
    raise_flag(&ready);
    wait_for(&go, 1);
    while (!said(&done)) {
        REQUIRE(vmt_snapshot_take(snapshot, reader) >= 0);
        __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELEASE);
    }
    wait_for(&go, 1000);
    return NULL;
}

static void wait_for_readers(void *arg)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .path = arg, .fixed_bytes = FIXED_BYTES
    };
    struct vmt_source *source = NULL;
    struct vmt_source *more[4];
    pthread_t thread;
    int taken = 0;

    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    for (int i = 0; i < 300; i++)
        REQUIRE(vmt_source_addf(segment, &part_schema, NULL, &source, "s-%d", i) == 0);
    for (int i = 0; i < 20; i++) { /* some that go: their memory waits to be used again */
        REQUIRE(vmt_source_addf(segment, &small_schema, NULL, &source, "g-%d", i) == 0);
        vmt_source_remove(source);
    }
    for (int i = 0; i < 4; i++) /* the reader's memory is had with more of them than there will be */
        REQUIRE(vmt_source_addf(segment, &small_schema, NULL, &more[i], "more-%d", i) == 0);
    REQUIRE(pthread_create(&thread, NULL, read_on, &taken) == 0);
    wait_for(&ready, 1);
    for (int i = 0; i < 4; i++)
        vmt_source_remove(more[i]);
    lock_up(true);
    raise_flag(&go);
    while (__atomic_load_n(&taken, __ATOMIC_ACQUIRE) < 500) {
        REQUIRE(vmt_source_add(segment, &small_schema, NULL, "again", &source) == 0);
        vmt_source_remove(source);
    }
    raise_flag(&done);
}

Test(jail, waits_for_readers_in_the_same_process_with_no_system_call_but_futexes)
{
    int end;

    if (SANITIZED)
        cr_skip_test("sanitizers make system calls of their own");
    close(open(test_path("segment"), O_RDWR | O_CREAT, 0600));
    end = end_of(start_child(wait_for_readers, (void *)(uintptr_t)test_path("segment")));
    cr_assert_neq(end, 99, "a forbidden system call was made");
    cr_assert_eq(end, 0, "%d", end);
}
