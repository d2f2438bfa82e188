/* SPDX-License-Identifier: MIT */
/* A writer that is killed, and stopped, at any instruction: each snapshot ends soon, withholds nothing, and says what
 * the writer does. VMT_KILLED_LIVES says how many lives, each with one stop and one death. */
#include "tests/race/busy.h"

TestSuite(killed, .init = test_dir_init, .fini = test_dir_fini);

#define LIVES (SANITIZED ? 100 : 1000)
#define SPAN_US (SANITIZED ? 10000 : 2500) /* in which a blow falls */
#define BIRTH_US (SANITIZED ? 20000 : 1000)
#define BIRTHS_MAX 1000U
#define STALLS 3 /* to be waited for */
#define STALL_US 600000
#define SOON_S 0.4 /* no one may be called stalled yet */
#define PATIENCE_S 20

static struct busy *busy;

static unsigned lives(void)
{
    const char *given = getenv("VMT_KILLED_LIVES");

    return given && atol(given) > 0 ? (unsigned)atol(given) : LIVES;
}

static void victim(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "victim" };
    struct busy_writer w = { .busy = busy, .random = *(uint64_t *)arg };

    REQUIRE(vmt_segment_create(&options, &w.segment) == 0);
    busy_live(&w);
}

static pid_t start_victim(uint64_t seed)
{
    static uint64_t seeds; /* the child has its own copy */

    seeds = seed;
    memset(busy, 0, sizeof(*busy));
    return start_child(victim, &seeds);
}

static void watch_life(struct watch *w, enum vmt_read_mode mode) { w->reader = attach(test_path("victim.vmt"), mode); }

static void assert_state(enum vmt_state is, enum vmt_state is_to_be, const char *when)
{
    cr_assert_eq(is, is_to_be, "'%s' %s", vmt_state_name(is), when);
}

/* Live; or for a while yet stalled, if it was that or has not been given a CPU since. */
static void look_until(struct watch *w, double end)
{
    double patience = seconds_now() + PATIENCE_S;
    enum vmt_state state;

    do {
        state = watch_look(w, false);
        if (state != VMT_STATE_STALLED)
            assert_state(state, VMT_STATE_LIVE, "while it lives");
        cr_assert_lt(seconds_now(), patience, "stalled still, though it runs");
    } while (seconds_now() < end || state == VMT_STATE_STALLED);
}

/* How the blows fell. */
struct tally {
    unsigned stopped, stopped_mid_change, stalled, killed, killed_mid_change;
};

static void stop_and_go_on(struct watch *w, pid_t pid, struct tally *tally)
{
    double begin = seconds_now();
    enum vmt_state state;
    int status;
    bool mid;

    cr_assert_eq(kill(pid, SIGSTOP), 0);
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    cr_assert(WIFSTOPPED(status));
    state = watch_look(w, true);
    mid = mid_change(test_path("victim.vmt"));
    if (!mid || seconds_now() - begin < SOON_S)
        assert_state(state, VMT_STATE_LIVE, "as soon as it stops");
    tally->stopped++;
    tally->stopped_mid_change += mid;
    if (mid && tally->stalled < STALLS) {
        nap_us(STALL_US);
        assert_state(watch_look(w, true), VMT_STATE_STALLED, "stopped for long in a change");
        tally->stalled++;
    }
    cr_assert_eq(kill(pid, SIGCONT), 0);
}

static void kill_and_look(struct watch *w, pid_t pid, enum vmt_read_mode next_mode, struct tally *tally)
{
    enum vmt_state want;

    kill_child(pid);
    want = mid_change(test_path("victim.vmt")) ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED;
    assert_state(watch_look(w, true), want, "after its death");
    vmt_reader_close(w->reader);
    watch_life(w, next_mode); /* and who comes only now */
    assert_state(watch_look(w, true), want, "after its death, to who comes then");
    tally->killed++;
    tally->killed_mid_change += want == VMT_STATE_DIED_MID_CHANGE;
}

Test(killed, at_any_point_all_is_readable_and_the_verdict_right)
{
    struct watch w = { .snapshot = new_snapshot() };
    struct tally tally = { 0 };
    uint64_t random = 1;

    w.busy = busy = shared_memory(sizeof(*busy));
    for (unsigned life = 1; life <= lives(); life++) {
        pid_t pid = start_victim(life);

        cr_assert(reached(&busy->ready, 1), "the writer did not start");
        watch_anew(&w);
        watch_life(&w, life % 2 ? VMT_READ_COPY : VMT_READ_GUARDED);
        look_until(&w, seconds_now() + roll(&random, SPAN_US) / 1e6);
        stop_and_go_on(&w, pid, &tally);
        look_until(&w, seconds_now() + roll(&random, SPAN_US) / 1e6);
        kill_and_look(&w, pid, life % 2 ? VMT_READ_GUARDED : VMT_READ_COPY, &tally);
        vmt_reader_close(w.reader);
    }
    fprintf(stderr,
            "# killed: %u lives, each stopped (%u mid-change, %u waited for to stall) and killed (%u mid-change); "
            "%u snapshots, %u partial, %u unconfirmed sources, the longest took %.1f ms\n",
            tally.killed, tally.stopped_mid_change, tally.stalled, tally.killed_mid_change, w.taken, w.partial,
            w.unconfirmed, w.longest * 1e3);
    cr_assert(tally.killed < 100 || (tally.killed_mid_change && tally.stalled), "no blow fell into a change");
    vmt_snapshot_free(w.snapshot);
}

/* Also while it makes its segment, or puts it in its predecessor's place. */
Test(killed, in_its_creation_leaves_nothing_or_a_segment)
{
    const unsigned births = lives() / 10 + 1;
    unsigned found = 0;
    uint64_t random = 2;

    busy = shared_memory(sizeof(*busy));
    /* A slow machine, or one in which each line is counted, takes longer to be born: go on until one was. */
    for (unsigned life = 0; life < births || (!found && life < BIRTHS_MAX); life++) {
        pid_t pid = start_victim(life);
        char why[256];
        int r;

        nap_us((long)roll(&random, BIRTH_US * (1 + life / births)));
        kill_child(pid);
        r = vmt_check(test_path("victim.vmt"), why, sizeof(why));
        if (r == -ENOENT && !found)
            continue;
        cr_assert_geq(r, 0, "the name has gone: %s", strerror(-r));
        assert_state((enum vmt_state)r,
                     mid_change(test_path("victim.vmt")) ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED, why);
        found++;
    }
    cr_assert(found, "none got as far as a name");
}
