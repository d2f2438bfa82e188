/* SPDX-License-Identifier: MIT */
/* A VMM replaced while it serves: by exec, and by a new process that gets the descriptor over a socket. Readers see
 * nothing but a live writer all the while, and totals go on, also where the new program's schemas are others. */
#include "tests/race/busy.h"

#include <sys/socket.h>

#include "tests/unit/descriptor.h"

TestSuite(upgrade, .init = test_dir_init, .fini = test_dir_fini);

#define PROGRAMS (SANITIZED ? 6 : 30)
#define EVENTS 200U /* of each of two sources, that each program but the last counts */
#define GAP_US 500  /* between two of them, for readers to see nobody in it */
#define NEXT_PROGRAM "VMT_TEST_NEXT_PROGRAM"

/* In memory that all share. */
struct upgrade {
    struct busy busy;
    int named; /* by the first program */
    int go;
    int done; /* by the last one */
    int close;
};

static struct upgrade *upgrade;

/* ---- what every program does ---- */

static struct vmt_segment *begin(int n, int fd)
{
    char why[256] = "";
    struct vmt_segment_options options = { .struct_size = sizeof(options),
                                           .name = "vm",
                                           .keep = 1,
                                           .resume = 1,
                                           .fd = fd,
                                           .why = why,
                                           .why_size = sizeof(why) };
    struct vmt_segment *segment = NULL;
    int r;

    if (fd)
        nap_us(GAP_US);
    r = vmt_segment_create(&options, &segment);
    if (r < 0 || *why)
        fprintf(stderr, "upgrade: program %d: %s %s\n", n, strerror(-r), why);
    REQUIRE(r == 0 && !*why);
    return segment;
}

/* Counts, and hands over with its shards still in its hands. What is "vm" with one schema is so with another in the
 * next program but one. */
static int serve(struct vmt_segment *segment, int n)
{
    bool part = n / 2 % 2;
    uint64_t random = (uint64_t)n;
    struct vmt_source *vm = NULL;
    struct vmt_source *queue = NULL;
    struct vmt_shard *shards[2];
    int fd;

    REQUIRE(vmt_source_add(segment, part ? &part_schema : &small_schema, NULL, "vm", &vm) == 0);
    REQUIRE(vmt_source_add(segment, &part_schema, vm, "queue", &queue) == 0);
    vmt_segment_ready(segment);
    shards[0] = vmt_shard_acquire(vm);
    shards[1] = vmt_shard_acquire(queue);
    for (unsigned i = 0; i < EVENTS; i++) {
        busy_count(&upgrade->busy, &random, vm, part, shards[0]);
        busy_count(&upgrade->busy, &random, queue, true, shards[1]);
    }
    fd = vmt_segment_hand_over(segment);
    REQUIRE(fd > 0);
    vmt_add(shards[1], P_EVENTS, 1000); /* reaches nobody any more */
    return fd;
}

/* The last of them stays until it may go. */
static void finish(struct vmt_segment *segment)
{
    say(&upgrade->done, 1);
    REQUIRE(reached(&upgrade->close, 1));
    vmt_segment_close(segment);
}

static struct vmt_segment *begin_first(void)
{
    struct vmt_segment *segment = begin(0, 0);

    say(&upgrade->named, 1);
    REQUIRE(reached(&upgrade->go, 1));
    return segment;
}

/* ---- who watches ---- */

static void watch(bool counts_writers)
{
    struct watch *watches = calloc(2, sizeof(*watches));
    bool done = false;

    cr_assert(watches && reached(&upgrade->named, 1));
    for (int i = 0; i < 2; i++) {
        watches[i].busy = &upgrade->busy;
        watches[i].snapshot = new_snapshot();
        watches[i].reader = attach(test_path("vm.vmt"), i ? VMT_READ_GUARDED : VMT_READ_COPY);
    }
    say(&upgrade->go, 1);
    for (double end = seconds_now() + 60; !done && seconds_now() < end;) {
        done = said(&upgrade->done);
        for (int i = 0; i < 2; i++) {
            enum vmt_state state = watch_look(&watches[i], done);

            cr_assert_eq(state, VMT_STATE_LIVE, "'%s' in an upgrade", vmt_state_name(state));
        }
    }
    cr_assert(done, "one of them did not come to its end");
    for (int i = 0; i < 2; i++) {
        cr_assert(!counts_writers || vmt_snapshot_segment(watches[i].snapshot)->incarnation == PROGRAMS);
        cr_assert_eq(watches[i].part + watches[i].others, 2 * EVENTS * (PROGRAMS - 1));
    }
    say(&upgrade->close, 1);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 10000 && vmt_reader_state(watches[i].reader) == VMT_STATE_LIVE; k++)
            nap_us(1000);
        cr_assert_eq(watch_look(&watches[i], true), VMT_STATE_CLOSED);
        vmt_snapshot_free(watches[i].snapshot);
        vmt_reader_close(watches[i].reader);
    }
    fprintf(stderr, "# upgrade: %d programs, %u snapshots\n", PROGRAMS, watches[0].taken + watches[1].taken);
    free(watches);
}

/* ---- by exec ---- */

/* The same file with a new program in it: all that it has is two descriptors. */
static void exec_next(int n, int fd, int memory)
{
    char text[64];

    snprintf(text, sizeof(text), "%d %d %d", n, fd, memory);
    REQUIRE(setenv(NEXT_PROGRAM, text, 1) == 0);
    REQUIRE(execl("/proc/self/exe", "next-program", (char *)NULL) == 0);
}

static void map_upgrade(int memory)
{
    upgrade = mmap(NULL, sizeof(*upgrade), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    REQUIRE(upgrade != MAP_FAILED);
}

/* Before main(): in a program that exec_next() has started this is all of it. */
__attribute__((constructor)) static void next_program(void)
{
    const char *what = getenv(NEXT_PROGRAM);
    struct vmt_segment *segment;
    int n;
    int fd;
    int memory;

    if (!what || sscanf(what, "%d %d %d", &n, &fd, &memory) != 3)
        return;
    map_upgrade(memory);
    segment = begin(n, fd);
    if (n < PROGRAMS - 1) {
        int next = serve(segment, n);

        close(fd);
        exec_next(n + 1, next, memory);
    }
    finish(segment);
    _exit(0);
}

static void first_program(void *arg)
{
    struct vmt_segment *segment = begin_first();

    exec_next(1, serve(segment, 0), *(int *)arg);
}

Test(upgrade, by_exec)
{
    int memory = memfd_create("upgrade", 0);
    pid_t pid;

    cr_assert(memory >= 0 && ftruncate(memory, sizeof(*upgrade)) == 0, "%m");
    map_upgrade(memory);
    pid = start_child(first_program, &memory);
    watch(true);
    cr_assert_eq(end_of(pid), 0);
    close(memory);
}

/* ---- by a socket ---- */

struct place {
    int n;
    int before; /* sockets */
    int after;
};

/* A process of its own, which was there before; the one before it stays for a while. */
static void one_of_a_chain(void *arg)
{
    const struct place *place = arg;
    struct vmt_segment *segment;
    int fd = 0;
    int next;

    if (place->n)
        fd = receive_descriptor(place->before);
    segment = place->n ? begin(place->n, fd) : begin_first();
    if (place->n == PROGRAMS - 1) {
        finish(segment);
        _exit(0);
    }
    next = serve(segment, place->n);
    if (fd > 0)
        close(fd);
    send_descriptor(place->after, next);
    close(next);
    REQUIRE(place->n % 2 || reached(&upgrade->done, 1));
}

Test(upgrade, by_a_socket)
{
    pid_t pids[PROGRAMS];
    struct place place = { 0 };
    int sockets[2] = { -1, -1 };

    upgrade = shared_memory(sizeof(*upgrade));
    for (place.n = 0; place.n < PROGRAMS; place.n++) {
        place.before = sockets[0];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
        place.after = sockets[1];
        pids[place.n] = start_child(one_of_a_chain, &place);
        close(sockets[1]);
        if (place.before >= 0)
            close(place.before);
    }
    close(sockets[0]);
    watch(true);
    for (int i = 0; i < PROGRAMS; i++)
        cr_assert_eq(end_of(pids[i]), 0, "program %d failed", i);
}

/* ---- in vain ---- */

/* Gets the descriptor, and is to be killed. */
static void try_to_go_on(int n, int fd)
{
    struct vmt_segment *segment = begin(n, fd);

    for (;;) {
        struct vmt_source *vm = NULL;
        struct vmt_source *queue = NULL;

        REQUIRE(vmt_source_add(segment, &small_schema, NULL, "vm", &vm) == 0);
        REQUIRE(vmt_source_add(segment, &small_schema, vm, "queue", &queue) == 0);
        vmt_segment_ready(segment);
        vmt_source_remove(vm);
        vmt_source_remove(queue);
    }
}

/* The next program fails to come up: the old one still has the descriptor, and goes on itself. */
static void take_back(void *arg)
{
    struct vmt_segment *segment = begin_first();
    uint64_t random = 1;
    int before = 0;

    (void)arg;
    for (int n = 0; n < PROGRAMS - 1; n++) {
        int fd = serve(segment, n);
        pid_t next;

        if (before)
            close(before);
        before = fd;
        next = fork();
        REQUIRE(next >= 0);
        if (next == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            try_to_go_on(n + 1, fd);
        }
        nap_us(GAP_US + (long)roll(&random, 4 * GAP_US));
        kill(next, SIGKILL);
        REQUIRE(end_of(next) == 128 + SIGKILL);
        segment = begin(n + 1, fd);
    }
    finish(segment);
    close(before);
}

Test(upgrade, that_fails_is_taken_back)
{
    pid_t pid;

    upgrade = shared_memory(sizeof(*upgrade));
    pid = start_child(take_back, NULL);
    watch(false);
    cr_assert_eq(end_of(pid), 0);
}
