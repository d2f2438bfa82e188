/* SPDX-License-Identifier: MIT */
/* The verdict on a writer in another PID namespace than its reader's, whatever /proc shows; and on a dead one whose PID
 * somebody else has got since. */
#include "tests/race/race.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "lib/writer.h"

TestSuite(namespace, .init = test_dir_init, .fini = test_dir_fini);

#define EXIT_NOT_PERMITTED 77
#define STALL_US 600000

enum { BEGIN_A_CHANGE = 1, CLOSE }; /* orders */

struct world {
    int ready;
    int order; /* to the writer */
    int obeyed;
    int asked; /* of the reader */
    int answered;
    enum vmt_state says[3]; /* vmt_reader_state(), a snapshot's, and vmt_check()'s */
    uint64_t events;
    pid_t writer; /* as seen from outside */
    pid_t reader;
};

static struct world *world;

/* ---- who lives where ---- */

/* In a namespace of its own; with its own /proc, or with that of outside. */
static void enter_namespace(bool own_proc)
{
    int flags = CLONE_NEWPID | (own_proc ? CLONE_NEWNS : 0);

    if (unshare(flags) == 0)
        return;
    if (unshare(flags | CLONE_NEWUSER) < 0)
        _exit(EXIT_NOT_PERMITTED);
}

struct inhabitant {
    child_fn *live;
    pid_t *pid;
    bool inside;
    bool own_proc;
};

/* The outer process of one in a namespace: ends as it ends. */
static void inhabit(void *arg)
{
    const struct inhabitant *who = arg;
    pid_t pid;
    int end;

    if (!who->inside) {
        say(who->pid, getpid());
        who->live(NULL);
        _exit(0);
    }
    enter_namespace(who->own_proc);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (who->own_proc &&
            (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0))
            _exit(EXIT_NOT_PERMITTED);
        REQUIRE(getpid() == 1);
        who->live(NULL);
        _exit(0);
    }
    say(who->pid, pid);
    end = end_of(pid);
    if (end == 128 + SIGKILL)
        raise(SIGKILL);
    _exit(end);
}

static pid_t settle(child_fn *live, pid_t *pid, bool inside, bool own_proc)
{
    static struct inhabitant who; /* the child has its own copy */

    who = (struct inhabitant){ live, pid, inside, own_proc };
    return start_child(inhabit, &who);
}

/* ---- the writer and the reader ---- */

static void write_on(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "vm", .keep = 1 };
    struct vmt_segment *segment = NULL;
    struct vmt_source *source = NULL;

    (void)arg;
    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, NULL, "a", &source) == 0);
    vmt_count(source, P_EVENTS, 5);
    say(&world->ready, 1);
    REQUIRE(reached(&world->order, BEGIN_A_CHANGE));
    if (__atomic_load_n(&world->order, __ATOMIC_ACQUIRE) == CLOSE)
        vmt_segment_close(segment);
    else
        structure_begin(segment);
    say(&world->obeyed, 1);
    pause();
}

static void read_on(void *arg)
{
    struct vmt_reader *reader = NULL;
    struct vmt_snapshot *s = NULL;

    (void)arg;
    REQUIRE(vmt_reader_open(test_path("vm.vmt"), NULL, &reader) == 0 && vmt_snapshot_new(&s) == 0);
    for (int i = 1;; i++) {
        char why[256];

        REQUIRE(reached(&world->asked, i));
        world->says[0] = vmt_reader_state(reader);
        REQUIRE(vmt_snapshot_take(s, reader) == 0);
        world->says[1] = vmt_snapshot_segment(s)->state;
        world->events = vmt_snapshot_find(s, "a")->values[P_EVENTS];
        world->says[2] = (enum vmt_state)vmt_check(test_path("vm.vmt"), why, sizeof(why));
        say(&world->answered, i);
    }
}

static void assert_says(enum vmt_state state, bool check_too)
{
    int n = world->asked + 1;

    say(&world->asked, n);
    cr_assert(reached(&world->answered, n));
    for (int i = 0; i < 2 + check_too; i++)
        cr_assert_eq(world->says[i], state, "%d says '%s', not '%s'", i, vmt_state_name(world->says[i]),
                     vmt_state_name(state));
    cr_assert_eq(world->events, 5);
}

/* Until the flag is said; skips the test where the process could not be settled. */
static void await(pid_t pid, const int *flag)
{
    int status;

    while (!said(flag)) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_PERMITTED)
                cr_skip_test("no PID namespace may be made here");
            cr_assert_fail("it ended with status %x", (unsigned)status);
        }
        nap_us(100);
    }
}

enum end { DIES, DIES_MID_CHANGE, CLOSES };

/* One life, looked at from its beginning past its end. */
static void one_life(bool writer_inside, bool reader_inside, bool own_proc, enum end end)
{
    pid_t writer;
    pid_t reader;

    world = shared_memory(sizeof(*world));
    writer = settle(write_on, &world->writer, writer_inside, own_proc);
    await(writer, &world->ready);
    reader = settle(read_on, &world->reader, reader_inside, own_proc);
    say(&world->asked, 1); /* a first look, so that it is there */
    await(reader, &world->answered);
    cr_assert(reached(&world->writer, 1) && reached(&world->reader, 1));
    assert_says(VMT_STATE_LIVE, true);
    if (end == DIES) {
        kill(world->writer, SIGSTOP);
        assert_says(VMT_STATE_LIVE, true);
    } else if (end == CLOSES) {
        say(&world->order, CLOSE);
        cr_assert(reached(&world->obeyed, 1));
        assert_says(VMT_STATE_CLOSED, true);
    } else {
        say(&world->order, BEGIN_A_CHANGE);
        cr_assert(reached(&world->obeyed, 1));
        assert_says(VMT_STATE_LIVE, false);
        nap_us(STALL_US);
        assert_says(VMT_STATE_STALLED, true);
    }
    cr_assert_eq(kill(world->writer, SIGKILL), 0);
    cr_assert_eq(end_of(writer), 128 + SIGKILL);
    assert_says(end == CLOSES ? VMT_STATE_CLOSED : end == DIES ? VMT_STATE_DIED : VMT_STATE_DIED_MID_CHANGE, true);
    kill(world->reader, SIGKILL);
    end_of(reader);
    cr_assert_eq(unlink(test_path("vm.vmt")), 0);
}

static void all_ends(bool writer_inside, bool reader_inside, bool own_proc)
{
    for (enum end end = DIES; end <= CLOSES; end++)
        one_life(writer_inside, reader_inside, own_proc, end);
}

Test(namespace, reader_inside_with_the_proc_of_outside) { all_ends(false, true, false); }

Test(namespace, reader_inside_with_its_own_proc) { all_ends(false, true, true); }

Test(namespace, writer_inside_with_the_proc_of_outside) { all_ends(true, false, false); } /* "PID 1" lives for ever */

Test(namespace, writer_inside_with_its_own_proc) { all_ends(true, false, true); }

Test(namespace, both_inside_of_different_ones) { all_ends(true, true, true); }

/* ---- PID reuse ---- */

static pid_t fork_as(pid_t pid)
{
    struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
    long child = syscall(SYS_clone3, &args, sizeof(args));

    if (child == 0) {
        for (;;)
            pause();
    }
    if (child < 0 && (errno == EPERM || errno == ENOSYS))
        _exit(EXIT_NOT_PERMITTED);
    REQUIRE(child == pid);
    return (pid_t)child;
}

/* In a namespace, where everyone may choose his children's PIDs. */
static void see_a_pid_come_again(void *arg)
{
    struct vmt_reader *readers[2] = { NULL };
    struct vmt_snapshot *s = NULL;
    char why[256];
    pid_t writer = fork();

    (void)arg;
    REQUIRE(writer >= 0);
    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        write_on(NULL);
    }
    REQUIRE(reached(&world->ready, 1) && vmt_snapshot_new(&s) == 0);
    REQUIRE(vmt_reader_open(test_path("vm.vmt"), NULL, &readers[0]) == 0);
    REQUIRE(vmt_reader_state(readers[0]) == VMT_STATE_LIVE);
    kill(writer, SIGKILL);
    REQUIRE(end_of(writer) == 128 + SIGKILL);
    REQUIRE(fork_as(writer) == writer && kill(writer, 0) == 0);
    REQUIRE(vmt_reader_open(test_path("vm.vmt"), NULL, &readers[1]) == 0);
    for (int i = 0; i < 2; i++) {
        REQUIRE(vmt_reader_state(readers[i]) == VMT_STATE_DIED);
        REQUIRE(vmt_snapshot_take(s, readers[i]) == 0);
        REQUIRE(vmt_snapshot_segment(s)->state == VMT_STATE_DIED);
        REQUIRE(vmt_snapshot_segment(s)->pid == (uint32_t)writer);
        vmt_reader_close(readers[i]);
    }
    REQUIRE(vmt_check(test_path("vm.vmt"), why, sizeof(why)) == VMT_STATE_DIED);
    REQUIRE(vmt_remove_dead(test_path("vm.vmt"), 0) == 0);
    vmt_snapshot_free(s);
    say(&world->obeyed, 1);
}

Test(namespace, a_dead_writer_stays_dead_when_its_pid_comes_again)
{
    pid_t pid;

    world = shared_memory(sizeof(*world));
    pid = settle(see_a_pid_come_again, &world->reader, true, false);
    await(pid, &world->obeyed);
    cr_assert_eq(end_of(pid), 0);
}
