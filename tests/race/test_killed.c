/* SPDX-License-Identifier: MIT */
/* A writer that is killed, or stopped, at any instruction: each snapshot ends soon, withholds nothing, and says what the
 * writer does. */
#include "tests/race/race.h"

#include "shm/layout.h"

TestSuite(killed, .init = test_dir_init, .fini = test_dir_fini);

#define LIVES 200
#define STOPS 60
#define SNAPSHOT_SECONDS (SANITIZED ? 10 : 2) /* a bound, on a machine with other things to do */

struct shared {
    int ready;
    struct truth part;
    struct truth small;
};

static struct shared *shared;

/* ---- the victim ---- */

struct victim {
    struct vmt_segment *segment;
    struct vmt_source *vm;
    uint64_t random;
};

/* Adds, counts, removes; at full speed, as death is to meet it anywhere. */
static void live(struct victim *v)
{
    for (;;) {
        struct vmt_source *unit = NULL;
        struct vmt_source *queue = NULL;
        struct vmt_shard *shard;
        bool part = roll(&v->random, 2);

        REQUIRE(vmt_source_addf(v->segment, &small_schema, v->vm, &unit, "unit-%u", roll(&v->random, 3)) == 0);
        REQUIRE(vmt_source_add(v->segment, part ? &part_schema : &small_schema, unit, "queue", &queue) == 0);
        shard = vmt_shard_acquire(queue);
        for (uint32_t n = part ? roll(&v->random, 400) : 0; n; n--)
            vmt_latency(shard, P_TIME, P_TIME_BUCKETS, LATENCY_NS); /* most deaths then are within a group */
        for (uint32_t n = roll(&v->random, 20); n; n--) {
            if (part) {
                count_one(shard, &shared->part);
                continue;
            }
            truth_begin(&shared->small, 1);
            vmt_count(unit, S_EVENTS, 1);
            truth_end(&shared->small, 1);
        }
        if (roll(&v->random, 2)) {
            vmt_shard_release(shard);
            shard = NULL;
        }
        vmt_source_remove(unit);
        vmt_source_remove(queue);
        vmt_shard_release(shard);
    }
}

static void victim(void *arg)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = "victim" };
    struct victim v = { .random = *(uint64_t *)arg };

    REQUIRE(vmt_segment_create(&options, &v.segment) == 0);
    REQUIRE(vmt_source_add(v.segment, &part_schema, NULL, "vm", &v.vm) == 0);
    say(&shared->ready, 1);
    live(&v);
}

/* ---- who watches ---- */

struct watch {
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    uint64_t part;
    uint64_t small;
    unsigned taken, partial, unconfirmed;
    double longest;
    struct memory memory[MEMORIES];
};

static void check_total(const struct vmt_total *total, bool resting, uint32_t slot, uint64_t least, uint64_t most,
                        uint64_t *last)
{
    uint64_t value = total ? total->values[slot] : 0;

    if (total && total->flags & VMT_SAMPLE_ABSENT) {
        cr_assert_not(resting, "a total is withheld of a writer that stands still");
        return;
    }
    cr_assert(least <= value && value <= most && *last <= value, "%llu <= %llu <= %llu, before %llu",
              (unsigned long long)least, (unsigned long long)value, (unsigned long long)most,
              (unsigned long long)*last);
    *last = value;
}

/* One snapshot; resting: the writer does nothing. */
static enum vmt_state look(struct watch *w, bool resting)
{
    uint64_t least[2] = { truth_least(&shared->part), truth_least(&shared->small) };
    double begin = seconds_now();
    int r = vmt_snapshot_take(w->snapshot, w->reader);
    double took = seconds_now() - begin;
    const struct vmt_sample *root;

    cr_assert_geq(r, 0, "%s", strerror(-r));
    cr_assert_lt(took, SNAPSHOT_SECONDS, "a snapshot took %.1f s", took);
    cr_assert(!resting || r == 0, "partial, though nothing changes");
    w->longest = took > w->longest ? took : w->longest;
    w->taken++;
    w->partial += r == 1;
    for (size_t i = 0; i < vmt_snapshot_count(w->snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(w->snapshot, i);

        if (i)
            remember(w->memory, sample);
        w->unconfirmed += sample->flags & VMT_SAMPLE_UNCONFIRMED ? 1 : 0;
        if (strcmp(sample->schema->name, "part") == 0)
            cr_assert(sample->flags & VMT_SAMPLE_UNCONFIRMED || group_agrees(sample->values));
    }
    root = vmt_snapshot_source(w->snapshot, 0);
    check_total(race_total(root, "part"), resting, P_EVENTS, least[0], truth_most(&shared->part), &w->part);
    check_total(race_total(root, "small"), resting, S_EVENTS, least[1], truth_most(&shared->small), &w->small);
    return vmt_snapshot_segment(w->snapshot)->state;
}

static void watch_life(struct watch *w, enum vmt_read_mode mode)
{
    w->part = w->small = 0;
    memset(w->memory, 0, sizeof(w->memory));
    w->reader = attach(test_path("victim.vmt"), mode);
}

static pid_t start_victim(uint64_t seed)
{
    static uint64_t seeds; /* the child has its own copy */
    pid_t pid;

    seeds = seed;
    memset(shared, 0, sizeof(*shared));
    pid = start_child(victim, &seeds);
    cr_assert(reached(&shared->ready, 1), "the writer did not start");
    return pid;
}

/* Is a structural change unfinished? */
static bool mid_change(void)
{
    struct shm_header h;
    FILE *f = fopen(test_path("victim.vmt"), "r");

    cr_assert_not_null(f);
    cr_assert_eq(fread(&h, sizeof(h), 1, f), 1);
    fclose(f);
    return h.structure & 1;
}

Test(killed, at_any_point_all_is_readable_and_the_verdict_right)
{
    struct watch w = { .snapshot = new_snapshot() };
    unsigned mid_changes = 0;
    uint64_t random = 1;

    shared = shared_memory(sizeof(*shared));
    for (unsigned life = 1; life <= (SANITIZED ? LIVES / 10 : LIVES); life++) {
        pid_t pid = start_victim(life);
        double death = seconds_now() + roll(&random, 8000) / 1e6;
        enum vmt_state state;

        watch_life(&w, life % 2 ? VMT_READ_COPY : VMT_READ_GUARDED);
        while (seconds_now() < death) {
            state = look(&w, false);
            cr_assert_eq(state, VMT_STATE_LIVE, "%s while it lives", vmt_state_name(state));
        }
        kill_child(pid);
        for (int i = 0; i < 2; i++) {
            state = look(&w, true);
            cr_assert_eq(state, mid_change() ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED, "%s after its death",
                         vmt_state_name(state));
        }
        mid_changes += state == VMT_STATE_DIED_MID_CHANGE;
        vmt_reader_close(w.reader);
        /* And who comes only now. */
        watch_life(&w, life % 2 ? VMT_READ_GUARDED : VMT_READ_COPY);
        look(&w, true);
        vmt_reader_close(w.reader);
    }
    fprintf(
        stderr,
        "# killed: %u snapshots, %u partial, %u unconfirmed sources, the longest took %.1f ms; %u died mid-change\n",
        w.taken, w.partial, w.unconfirmed, w.longest * 1e3, mid_changes);
    vmt_snapshot_free(w.snapshot);
}

Test(killed, a_stopped_writer_withholds_nothing)
{
    struct watch w = { .snapshot = new_snapshot() };
    uint64_t random = 2;
    unsigned mid_changes = 0;
    bool stalled = false;
    pid_t pid;

    shared = shared_memory(sizeof(*shared));
    pid = start_victim(1);
    watch_life(&w, VMT_READ_COPY);
    for (int i = 0; i < STOPS; i++) {
        int status;

        nap_us((long)roll(&random, 3000));
        cr_assert_eq(kill(pid, SIGSTOP), 0);
        cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
        cr_assert(WIFSTOPPED(status));
        look(&w, true);
        if (mid_change()) {
            mid_changes++;
            if (!stalled) { /* two looks, half a second apart, say so; one of them will do */
                nap_us(600000);
                cr_assert_eq(look(&w, true), VMT_STATE_STALLED);
                stalled = true;
            }
        } else {
            cr_assert_eq(look(&w, true), VMT_STATE_LIVE);
        }
        cr_assert_eq(kill(pid, SIGCONT), 0);
        look(&w, false);
    }
    kill_child(pid);
    fprintf(stderr, "# stopped: %u snapshots, %u partial, %u of %d stops in a change, the longest took %.1f ms\n",
            w.taken, w.partial, mid_changes, STOPS, w.longest * 1e3);
    vmt_reader_close(w.reader);
    vmt_snapshot_free(w.snapshot);
}
