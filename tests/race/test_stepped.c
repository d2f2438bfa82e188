/* SPDX-License-Identifier: MIT */
/* The writer is a process that this one moves on by single instructions (ptrace). So snapshots are taken at each
 * instruction of its changes, and its instructions come between the reads of a snapshot as closely as on two processors.
 */
#include "tests/race/race.h"

#include <sys/ptrace.h>

#include "shm/layout.h"
#include "tests/race/between_reads.h"

TestSuite(stepped, .init = test_dir_init, .fini = test_dir_fini);

struct shared {
    struct truth counted; /* in all of them */
    uint64_t changes;
};

static struct shared *shared;
static pid_t writer;

/* ---- the writer ---- */

#define UNITS 2
#define QUEUES 2

struct unit {
    struct vmt_source *source;
    struct vmt_source *queue[QUEUES];
};

static struct vmt_segment *segment;
static struct unit units[UNITS];
static uint64_t writer_random = 1;

static void count(struct vmt_source *source)
{
    struct vmt_shard *shard = vmt_shard_acquire(source);

    truth_begin(&shared->counted, 1);
    vmt_add(shard, S_EVENTS, 1);
    truth_end(&shared->counted, 1);
    vmt_shard_release(shard);
}

static void remove_queue(struct vmt_source **queue)
{
    vmt_source_remove(*queue);
    *queue = NULL;
}

/* Units and queues share entries and memory: what was one is the other soon. */
static void change(void)
{
    unsigned number = roll(&writer_random, UNITS);
    struct unit *u = &units[number];
    struct vmt_source **queue = &u->queue[roll(&writer_random, QUEUES)];

    if (!u->source) {
        REQUIRE(vmt_source_addf(segment, &small_schema, NULL, &u->source, "unit-%u", number) == 0);
    } else if (roll(&writer_random, 4) == 0) {
        for (unsigned i = 0; i < QUEUES; i++)
            if (u->queue[i])
                remove_queue(&u->queue[i]);
        vmt_source_remove(u->source);
        u->source = NULL;
    } else if (!*queue) {
        REQUIRE(vmt_source_addf(segment, &small_schema, u->source, queue, "queue-%zu", (size_t)(queue - u->queue)) ==
                0);
        count(*queue);
    } else if (roll(&writer_random, 2)) {
        remove_queue(queue);
    } else {
        count(u->source);
        count(*queue);
    }
    shared->changes++;
}

static void stepped_writer(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "stepped", .max_sources = 8 };

    (void)arg;
    REQUIRE(vmt_segment_create(&options, &segment) == 0);
    for (int i = 0; i < 20; i++)
        change();
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP);
    for (;;)
        change();
}

/* ---- who moves it on ---- */

static void step(unsigned n)
{
    for (; n; n--) {
        int status;

        cr_assert_eq(ptrace(PTRACE_SINGLESTEP, writer, NULL, NULL), 0);
        cr_assert_eq(waitpid(writer, &status, 0), writer);
        cr_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "the writer failed");
    }
}

static void start_writer(void)
{
    int status;

    shared = shared_memory(sizeof(*shared));
    writer = start_child(stepped_writer, NULL);
    cr_assert_eq(waitpid(writer, &status, 0), writer);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        cr_skip("ptrace is not allowed here");
    cr_assert(WIFSTOPPED(status));
}

static bool armed;       /* reads are those of the reader under test */
static unsigned moments; /* at which the writer may move still */
static unsigned steps;   /* one in so many reads, and how far at most */
static uint64_t random_state = 1;

static void between_reads(void)
{
    if (!armed || !moments || roll(&random_state, 12))
        return;
    armed = false;
    moments--;
    step(1 + roll(&random_state, roll(&random_state, 3) ? 40 : steps));
    armed = true;
}

/* ---- what must be seen ---- */

struct watch {
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    uint64_t last;
    unsigned taken, absent;
};

static void look(struct watch *w, bool resting)
{
    uint64_t least = truth_least(&shared->counted);
    const struct vmt_total *total;
    int r = vmt_snapshot_take(w->snapshot, w->reader);

    armed = false;
    cr_assert(resting ? r == 0 : r >= 0, "%s", r == 1 ? "partial, though nothing moves" : strerror(-r));
    total = race_total(vmt_snapshot_source(w->snapshot, 0), "small");
    cr_assert_not_null(total);
    w->taken++;
    if (total->flags & VMT_SAMPLE_ABSENT) {
        w->absent++;
        cr_assert_not(resting, "absent, though nothing moves");
        return;
    }
    cr_assert(least <= total->values[S_EVENTS] && total->values[S_EVENTS] <= truth_most(&shared->counted) &&
                  w->last <= total->values[S_EVENTS],
              "%llu <= %llu <= %llu, before %llu", (unsigned long long)least,
              (unsigned long long)total->values[S_EVENTS], (unsigned long long)truth_most(&shared->counted),
              (unsigned long long)w->last);
    w->last = total->values[S_EVENTS];
}

static void watch_steps(enum vmt_read_mode mode, bool between, const char *name)
{
    struct watch w = { .snapshot = new_snapshot() };
    double end;
    uint64_t changes;

    start_writer();
    w.reader = attach(test_path("stepped.vmt"), mode);
    changes = shared->changes;
    for (end = seconds_now() + race_seconds() / 2; seconds_now() < end;) {
        if (between) {
            moments = 1 + roll(&random_state, 8);
            steps = 2000;
            armed = true;
            look(&w, false);
        } else {
            step(1);
            look(&w, true);
        }
    }
    fprintf(stderr, "# stepped %s: %u snapshots, %llu changes, %u absent totals\n", name, w.taken,
            (unsigned long long)(shared->changes - changes), w.absent);
    cr_assert(SANITIZED || shared->changes > changes, "the writer did not get anywhere");
    vmt_reader_close(w.reader);
    vmt_snapshot_free(w.snapshot);
    kill_child(writer);
}

Test(stepped, totals_are_right_at_each_instruction_when_copied) { watch_steps(VMT_READ_COPY, false, "copied"); }

Test(stepped, totals_are_right_at_each_instruction_when_mapped) { watch_steps(VMT_READ_GUARDED, false, "mapped"); }

Test(stepped, totals_are_right_with_instructions_between_reads_when_copied)
{
    watch_steps(VMT_READ_COPY, true, "copied, between reads");
}

Test(stepped, totals_are_right_with_instructions_between_reads_when_mapped)
{
    watch_steps(VMT_READ_GUARDED, true, "mapped, between reads");
}
