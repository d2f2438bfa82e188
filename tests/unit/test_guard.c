/* SPDX-License-Identifier: MIT */
/* The process's SIGBUS handler: never taken unasked, and a good neighbour where it is. */
#include "parts.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct vmt_segment *segment;
static struct vmt_snapshot *snapshot;

static void setup(void)
{
    test_dir_init();
    segment = new_segment("vm");
    vmt_add(vmt_shard_acquire(add_source(segment, &part_schema, NULL, "a")), P_EVENTS, 5);
    snapshot = new_snapshot();
}

static void teardown(void)
{
    vmt_snapshot_free(snapshot);
    vmt_segment_close(segment);
    test_dir_fini();
}

TestSuite(guard, .init = setup, .fini = teardown, .timeout = 60);

/* The segment's file as it is now, under that name. */
static void copy_segment(const char *path)
{
    char bytes[4096];
    int from = open(vmt_segment_path(segment), O_RDONLY);
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t n;

    while ((n = read(from, bytes, sizeof(bytes))) > 0)
        REQUIRE(write(to, bytes, (size_t)n) == n);
    close(from);
    close(to);
}

/* An attached and mapped copy of the segment. */
static struct vmt_reader *attach_copy(const char *path)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_reader *reader = NULL;

    copy_segment(path);
    REQUIRE(vmt_reader_open(path, &options, &reader) == 0);
    return reader;
}

static void take_mapped(struct vmt_reader *reader)
{
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_MAPPED);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 5);
}

static void take_copied(struct vmt_reader *reader, const char *why)
{
    take(snapshot, reader);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, 0, "mapped, but %s", why);
    cr_assert_eq(value_of(snapshot, "a", P_EVENTS), 5);
}

/* The file cut off, the next read through its mapping faults: without a system call in between. */
static void read_what_was_cut_off(struct vmt_reader *reader, struct vmt_snapshot *taken, const char *path)
{
    uint64_t values[P_SLOTS];

    REQUIRE(truncate(path, 4096) == 0);
    REQUIRE(vmt_reader_sample(reader, vmt_snapshot_find(taken, "a"), values) == -EBADMSG);
}

/* ---- whose handler it is ---- */

static bool same_action(const struct sigaction *a, const struct sigaction *b)
{
    return a->sa_sigaction == b->sa_sigaction && a->sa_flags == b->sa_flags;
}

static void read_by_copying(void *arg)
{
    const struct vmt_reader_options options = { .struct_size = sizeof(options) };
    struct sigaction before, after;

    (void)arg;
    REQUIRE(sigaction(SIGBUS, NULL, &before) == 0);
    for (int i = 0; i < 2; i++) {
        struct vmt_reader *reader = NULL;
        char why[64];

        REQUIRE(vmt_reader_open(test_path("vm.vmt"), i ? &options : NULL, &reader) == 0);
        REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
        vmt_reader_state(reader);
        vmt_reader_close(reader);
        vmt_check(test_path("vm.vmt"), why, sizeof(why));
        vmt_remove_dead(test_path("vm.vmt"), 1);
        REQUIRE(sigaction(SIGBUS, NULL, &after) == 0);
        REQUIRE(same_action(&before, &after));
    }
}

Test(guard, is_never_taken_unasked) { assert_child(read_by_copying, NULL); }

Test(guard, is_taken_when_asked_for)
{
    struct sigaction before, after;
    struct vmt_reader *reader;

    cr_assert_eq(sigaction(SIGBUS, NULL, &before), 0);
    reader = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    cr_assert_eq(sigaction(SIGBUS, NULL, &after), 0);
    cr_assert_not(same_action(&before, &after));
    vmt_reader_close(reader);
}

/* ---- faults that are none of ours ---- */

static sigjmp_buf back;
static jmp_buf back_with_mask_as_it_is;
static volatile sig_atomic_t hosts;
static volatile sig_atomic_t usr1_was_blocked;
static void *volatile seen;

/* A page behind the end of its file. */
static volatile char *bad_page(void)
{
    int fd = open(test_path("hosts-own"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    REQUIRE(p != MAP_FAILED);
    close(fd);
    return p;
}

static void fault(volatile char *p)
{
    if (sigsetjmp(back, 1) == 0)
        (void)p[7];
}

static void on_sigbus(int sig)
{
    (void)sig;
    hosts = hosts + 1;
    siglongjmp(back, 1);
}

static void on_sigbus_with_info(int sig, siginfo_t *info, void *context)
{
    sigset_t blocked;

    (void)context;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    usr1_was_blocked = sigismember(&blocked, SIGUSR1);
    seen = info->si_code > 0 ? info->si_addr : NULL;
    on_sigbus(sig);
}

/* The host's handler first, ours on top of it, then a fault in each of them, and a signal that was only sent. */
static void assert_passed_on(const struct sigaction *action)
{
    volatile char *p = bad_page();
    struct vmt_reader *reader;

    cr_assert_eq(sigaction(SIGBUS, action, NULL), 0);
    fault(p);
    cr_assert_eq(hosts, 1);
    reader = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    take_mapped(reader);
    seen = NULL;
    usr1_was_blocked = 0;
    fault(p);
    cr_assert_eq(hosts, 2);
    if (action->sa_flags & SA_SIGINFO) {
        cr_assert_eq(seen, (void *)(uintptr_t)&p[7], "another address than that of the fault");
        if (!SANITIZED) /* ThreadSanitizer blocks all in all handlers */
            cr_assert_eq(usr1_was_blocked, sigismember(&action->sa_mask, SIGUSR1), "not the mask that it asked for");
    }
    if (sigsetjmp(back, 1) == 0)
        raise(SIGBUS);
    cr_assert_eq(hosts, 3, "a signal that was sent was swallowed");
    vmt_reader_close(reader);
    fault(p);
    cr_assert_eq(hosts, 4, "not passed on any more when nobody is attached");
    reader = attach_copy(test_path("copy.vmt"));
    take_mapped(reader);
    read_what_was_cut_off(reader, snapshot, test_path("copy.vmt"));
    cr_assert_eq(hosts, 4, "it got a fault of ours");
    vmt_reader_close(reader);
}

Test(guard, passes_on_to_a_simple_handler) { assert_passed_on(&(struct sigaction){ .sa_handler = on_sigbus }); }

Test(guard, passes_on_to_a_handler_with_information)
{
    struct sigaction action = { .sa_sigaction = on_sigbus_with_info, .sa_flags = SA_SIGINFO };

    assert_passed_on(&action);
}

Test(guard, passes_on_with_the_mask_that_was_asked_for)
{
    struct sigaction action = { .sa_sigaction = on_sigbus_with_info, .sa_flags = SA_SIGINFO | SA_NODEFER };

    sigaddset(&action.sa_mask, SIGUSR1);
    assert_passed_on(&action);
}

static void on_sigbus_leaving_the_mask(int sig)
{
    (void)sig;
    hosts = hosts + 1;
    longjmp(back_with_mask_as_it_is, 1);
}

static void fault_often(void *arg)
{
    struct sigaction action = { .sa_handler = on_sigbus_leaving_the_mask, .sa_flags = SA_NODEFER };
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_reader *reader = NULL;
    volatile char *p = bad_page();

    REQUIRE(sigaction(SIGBUS, &action, NULL) == 0);
    REQUIRE(vmt_reader_open(arg, &options, &reader) == 0);
    for (volatile int i = 0; i < 5; i++)
        if (setjmp(back_with_mask_as_it_is) == 0)
            (void)p[0];
    REQUIRE(hosts == 5);
    vmt_reader_close(reader);
}

/* Blocked for ever after the first one, the second would end the process. */
Test(guard, leaves_the_signal_unblocked_for_a_handler_that_asked_for_it)
{
    assert_child(fault_often, (void *)(uintptr_t)test_path("vm.vmt"));
}

static void fault_twice(void *arg)
{
    struct sigaction action = { .sa_handler = on_sigbus, .sa_flags = (int)SA_RESETHAND };
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_reader *reader = NULL;
    volatile char *p = bad_page();

    REQUIRE(sigaction(SIGBUS, &action, NULL) == 0);
    REQUIRE(vmt_reader_open(arg, &options, &reader) == 0);
    fault(p);
    REQUIRE(hosts == 1);
    fault(p);
}

Test(guard, passes_on_once_to_a_handler_for_once)
{
    cr_assert_eq(end_of(start_child(fault_twice, (void *)(uintptr_t)test_path("vm.vmt"))), 128 + SIGBUS);
}

struct without {
    void (*handler)(int);
    bool sent;
};

static void fault_without_a_handler(void *arg)
{
    const struct without *w = arg;
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_reader *reader = NULL;
    volatile char *p = bad_page();

    signal(SIGBUS, w->handler);
    REQUIRE(vmt_reader_open(test_path("vm.vmt"), &options, &reader) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, reader) == 0);
    if (w->sent)
        raise(SIGBUS);
    else
        (void)p[0];
}

Test(guard, without_a_handler_does_as_the_kernel_does)
{
    static const struct {
        struct without without;
        int end;
    } rows[] = {
        { { SIG_DFL, false }, 128 + SIGBUS },
        { { SIG_DFL, true }, 128 + SIGBUS },
        { { SIG_IGN, false }, 128 + SIGBUS },
        { { SIG_IGN, true }, 0 },
    };

    for (size_t i = 0; i < LENGTH(rows); i++)
        cr_expect_eq(end_of(start_child(fault_without_a_handler, (void *)(uintptr_t)&rows[i].without)), rows[i].end,
                     "row %zu", i);
}

/* ---- without it ---- */

Test(guard, that_was_replaced_is_noticed)
{
    struct sigaction theirs = { .sa_sigaction = on_sigbus_with_info, .sa_flags = SA_SIGINFO }, ours;
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_GUARDED);

    take_mapped(reader);
    cr_assert_eq(sigaction(SIGBUS, &theirs, &ours), 0);
    take_copied(reader, "the handler is another's");
    cr_assert_eq(sigaction(SIGBUS, &ours, NULL), 0);
    take_mapped(reader);
    vmt_reader_close(reader);
}

static void *take_with_sigbus_unblocked(void *arg)
{
    sigset_t bus;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    REQUIRE(pthread_sigmask(SIG_UNBLOCK, &bus, NULL) == 0);
    REQUIRE(vmt_snapshot_take(snapshot, arg) == 0);
    return NULL;
}

Test(guard, that_is_blocked_is_noticed_thread_by_thread)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_GUARDED);
    pthread_t thread;
    sigset_t bus;

    take_mapped(reader);
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &bus, NULL), 0);
    take_copied(reader, "SIGBUS is blocked");
    cr_assert_eq(pthread_create(&thread, NULL, take_with_sigbus_unblocked, reader), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(vmt_snapshot_segment(snapshot)->flags, VMT_SNAPSHOT_MAPPED, "not blocked in the other thread");
    take_copied(reader, "SIGBUS is blocked here still");
    cr_assert_eq(pthread_sigmask(SIG_UNBLOCK, &bus, NULL), 0);
    take_mapped(reader);
    vmt_reader_close(reader);
}

/* ---- at work ---- */

Test(guard, disturbs_neither_errno_nor_limits)
{
    struct vmt_reader *reader = attach_copy(test_path("copy.vmt"));
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    take_mapped(reader);
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_eq(fscanf(f, "%lu", &pages), 1);
    fclose(f);
    if (!SANITIZED) { /* no more address space than there is now, or little more */
        limit.rlim_cur = (rlim_t)pages * 4096;
        cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    }
    errno = ERANGE;
    read_what_was_cut_off(reader, snapshot, test_path("copy.vmt"));
    cr_assert_eq(errno, ERANGE);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    vmt_reader_close(reader);
}

static _Alignas(16) char other_stack[65536];
static bool was_there;

static void on_sigbus_there(int sig)
{
    const char *here = __builtin_frame_address(0);

    was_there = here > other_stack && here < other_stack + sizeof(other_stack);
    on_sigbus(sig);
}

Test(guard, runs_on_the_stack_that_the_host_gives)
{
    struct sigaction action = { .sa_handler = on_sigbus_there, .sa_flags = SA_ONSTACK };
    stack_t stack = { .ss_sp = other_stack, .ss_size = sizeof(other_stack) }, usual;
    struct vmt_reader *reader;

    cr_assert_eq(sigaltstack(&stack, &usual), 0);
    cr_assert_eq(sigaction(SIGBUS, &action, NULL), 0);
    reader = attach_copy(test_path("copy.vmt"));
    take_mapped(reader);
    fault(bad_page());
    cr_assert(was_there);
    if (!SANITIZED) /* valgrind does not like what is done to a stack here */
        memset(other_stack, 0x55, sizeof(other_stack));
    read_what_was_cut_off(reader, snapshot, test_path("copy.vmt"));
    cr_assert(SANITIZED || memchr(other_stack, 0, sizeof(other_stack)), "our own fault was handled elsewhere");
    vmt_reader_close(reader);
    cr_assert_eq(sigaltstack(&usual, NULL), 0);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS (SANITIZED ? 30 : 200)

static pthread_barrier_t barrier;
static int stop;

static void *be_cut_off(void *arg)
{
    struct vmt_snapshot *mine = NULL;
    const char *path = arg;

    REQUIRE(vmt_snapshot_new(&mine) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct vmt_reader *reader = attach_copy(path);

        REQUIRE(vmt_snapshot_take(mine, reader) == 0);
        REQUIRE(vmt_snapshot_segment(mine)->flags == VMT_SNAPSHOT_MAPPED);
        pthread_barrier_wait(&barrier); /* all at once */
        read_what_was_cut_off(reader, mine, path);
        REQUIRE(vmt_snapshot_take(mine, reader) == -EBADMSG);
        vmt_reader_close(reader);
        REQUIRE(unlink(path) == 0);
    }
    vmt_snapshot_free(mine);
    return NULL;
}

/* Slots of the handler's list, and addresses, change hands all the time. */
static void *come_and_go(void *arg)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = VMT_READ_GUARDED };
    struct vmt_snapshot *mine = NULL;

    REQUIRE(vmt_snapshot_new(&mine) == 0);
    while (!said(&stop)) {
        struct vmt_reader *readers[3] = { NULL };

        for (int i = 0; i < 3; i++)
            REQUIRE(vmt_reader_open(arg, &options, &readers[i]) == 0);
        for (int i = 0; i < 3; i++) {
            REQUIRE(vmt_snapshot_take(mine, readers[i]) == 0);
            REQUIRE(vmt_snapshot_segment(mine)->flags == VMT_SNAPSHOT_MAPPED);
            vmt_reader_close(readers[i]);
        }
    }
    vmt_snapshot_free(mine);
    return NULL;
}

Test(guard, serves_threads_at_once_while_others_come_and_go, .timeout = 120)
{
    static const char *const names[THREADS] = { "t-0", "t-1", "t-2", "t-3" };
    pthread_t threads[THREADS], other;

    pthread_barrier_init(&barrier, NULL, THREADS);
    cr_assert_eq(pthread_create(&other, NULL, come_and_go, (void *)(uintptr_t)test_path("vm.vmt")), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, be_cut_off, (void *)(uintptr_t)test_path(names[i])), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    say(&stop, 1);
    pthread_join(other, NULL);
    pthread_barrier_destroy(&barrier);
}
