/* SPDX-License-Identifier: MIT */
/* A VMM that dies again and again, at any instruction, and each time goes on in the segment that it finds: who was
 * attached from the first life on stays so, sees nothing fall, and in the end all that was counted in any of them.
 * VMT_RESTART_LIVES says how many. */
#include "tests/race/busy.h"

#include <sched.h>
#include <sys/stat.h>

TestSuite(restart, .init = test_dir_init, .fini = test_dir_fini);

#define LIVES (SANITIZED ? 40 : 400)
#define SPAN_US (SANITIZED ? 40000 : 4000) /* of one life, from its fork on */
#define JAIL_BYTES (4U << 20)
#define GROWTH_BYTES (1U << 20) /* the random lives' needs differ, and are put together differently each time */
#define LIKE_LIVES (SANITIZED ? 100 : 1000)
#define SETTLED 20 /* lives after which nothing new is needed */
#define RIVALS 3
#define ROUNDS (SANITIZED ? 20 : 100)

static struct busy *busy;
static bool jail;

static unsigned lives(void)
{
    const char *given = getenv("VMT_RESTART_LIVES");

    return given && atol(given) > 0 ? (unsigned)atol(given) : LIVES;
}

static const char *segment_path(void) { return test_path("vm.vmt"); }

static struct shm_header header(void)
{
    struct shm_header h = { 0 };
    FILE *f = fopen(segment_path(), "r");

    cr_assert(f && fread(&h, sizeof(h), 1, f) == 1, "%m");
    fclose(f);
    return h;
}

static struct vmt_segment_options found_or_new(void)
{
    struct vmt_segment_options options = {
        .struct_size = sizeof(options), .name = "vm", .keep = 1, .resume = 1, .path = jail ? segment_path() : NULL
    };

    options.fixed_bytes = jail ? JAIL_BYTES : 0;
    return options;
}

/* Each life finds what the one before left, or says why not. */
static struct vmt_segment *go_on(void)
{
    struct vmt_segment_options options = found_or_new();
    struct vmt_segment *segment = NULL;
    char why[256] = "";
    int r;

    options.why = why;
    options.why_size = sizeof(why);
    r = vmt_segment_create(&options, &segment);
    if (r < 0 || *why)
        fprintf(stderr, "restart: %s %s\n", strerror(-r), why);
    REQUIRE(r == 0 && !*why);
    return segment;
}

/* ---- many lives ---- */

static void busy_life(void *arg)
{
    struct busy_writer w = { .busy = busy, .random = *(uint64_t *)arg, .jail = jail };

    w.segment = go_on();
    busy_live(&w);
}

/* Adds nothing: what is left goes. */
static void last_life(void *arg)
{
    struct vmt_segment *segment = go_on();

    (void)arg;
    vmt_segment_ready(segment);
    say(&busy->ready, 1);
    REQUIRE(reached(&busy->ready, 2));
    vmt_segment_close(segment);
}

/* The writer is gone: what it had begun to count was counted, or will never be. */
static void settle(struct truth *t, uint64_t counted) { t->begun = t->ended = counted; }

static void one_life(struct watch watches[2], uint64_t seed, uint32_t span_us, unsigned *mid_changes)
{
    static uint64_t seeds; /* the child has its own copy */
    double death = seconds_now() + span_us / 1e6;
    uint64_t writers = header().incarnation;
    enum vmt_state state;
    pid_t pid;

    seeds = seed;
    say(&busy->ready, 0);
    pid = start_child(busy_life, &seeds);
    do {
        for (int i = 0; i < 2; i++) {
            bool ready = said(&busy->ready);

            state = watch_look(&watches[i], false);
            cr_assert(state == VMT_STATE_LIVE || state == VMT_STATE_STALLED ||
                          (!ready && (state == VMT_STATE_DIED || state == VMT_STATE_DIED_MID_CHANGE)),
                      "'%s' while it lives", vmt_state_name(state));
        }
    } while (seconds_now() < death);
    kill_child(pid);
    cr_assert_leq(header().incarnation - writers, 1, "more than one restart is counted for one");
    for (int i = 0; i < 2; i++) {
        state = watch_look(&watches[i], true);
        cr_assert_eq(state, header().structure & 1 ? VMT_STATE_DIED_MID_CHANGE : VMT_STATE_DIED, "'%s' after its death",
                     vmt_state_name(state));
        cr_assert_eq(vmt_snapshot_segment(watches[i].snapshot)->incarnation, header().incarnation);
    }
    *mid_changes += state == VMT_STATE_DIED_MID_CHANGE;
    settle(&busy->part, watches[0].part);
    settle(&busy->others, watches[0].others);
}

/* A first one, which is quiet, so that there is something to attach to. */
static void make_segment(void *arg)
{
    (void)arg;
    go_on();
}

static void many_lives(const char *name)
{
    struct watch *watches = calloc(2, sizeof(*watches));
    uint8_t identity[16];
    uint64_t random = 1;
    uint64_t early_bytes = 0;
    unsigned mid_changes = 0;
    uint64_t restarts;
    pid_t last;

    cr_assert_not_null(watches);
    busy = shared_memory(sizeof(*busy));
    if (jail) {
        FILE *f = fopen(segment_path(), "w");

        cr_assert(f && fclose(f) == 0);
    }
    assert_child(make_segment, NULL);
    for (int i = 0; i < 2; i++) {
        watches[i].busy = busy;
        watches[i].snapshot = new_snapshot();
        watches[i].reader = attach(segment_path(), i ? VMT_READ_GUARDED : VMT_READ_COPY);
    }
    memcpy(identity, header().identity, sizeof(identity));
    for (unsigned life = 1; life <= lives(); life++) {
        one_life(watches, life, roll(&random, SPAN_US), &mid_changes);
        if (life <= SETTLED)
            early_bytes = header().file_bytes;
    }
    restarts = header().incarnation - 1;
    say(&busy->ready, 0);
    last = start_child(last_life, NULL);
    cr_assert(reached(&busy->ready, 1));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(watch_look(&watches[i], true), VMT_STATE_LIVE);
        cr_assert_eq(vmt_snapshot_count(watches[i].snapshot), 1, "something is left");
        cr_assert_arr_eq(vmt_snapshot_segment(watches[i].snapshot)->identity, identity, sizeof(identity));
    }
    cr_assert_eq(watches[0].part, watches[1].part);
    cr_assert_eq(watches[0].others, watches[1].others);
    say(&busy->ready, 2);
    cr_assert_eq(end_of(last), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(watch_look(&watches[i], true), VMT_STATE_CLOSED);
        vmt_reader_close(watches[i].reader);
        vmt_snapshot_free(watches[i].snapshot);
    }
    cr_assert_gt(restarts, 0);
    cr_assert_leq(header().file_bytes - early_bytes, GROWTH_BYTES, "space is lost from life to life");
    fprintf(stderr,
            "# restart %s: %u lives, %llu of them past their restart, %u ended mid-change; %llu and %llu events, "
            "%u snapshots, %u partial, the longest took %.1f ms; %llu KiB after %d lives, %llu at the end\n",
            name, lives(), (unsigned long long)restarts, mid_changes, (unsigned long long)watches[0].part,
            (unsigned long long)watches[0].others, watches[0].taken + watches[1].taken,
            watches[0].partial + watches[1].partial, watches[0].longest * 1e3, (unsigned long long)early_bytes >> 10,
            SETTLED, (unsigned long long)header().file_bytes >> 10);
    free(watches);
}

Test(restart, over_many_lives_nothing_falls_and_nothing_is_lost) { many_lives("by name"); }

Test(restart, in_a_jail_too)
{
    jail = true;
    many_lives("in a jail");
}

/* ---- space ---- */

/* The same in each life: sources, a schema, shards held, a group left open, something on its way out. */
static void like_life(void *arg)
{
    struct vmt_segment *segment = go_on();
    struct vmt_source *vm = NULL, *one = NULL, *deep = NULL, *leaving = NULL;
    struct vmt_shard *shards[4];

    (void)arg;
    REQUIRE(vmt_source_add(segment, &small_schema, NULL, "vm", &vm) == 0);
    REQUIRE(vmt_source_add(segment, busy_twin(0), vm, "leaving", &leaving) == 0);
    for (int i = 0; i < 4; i++) {
        REQUIRE(vmt_source_addf(segment, &part_schema, vm, &one, "one-%d", i) == 0);
        REQUIRE(vmt_source_add(segment, busy_twin(1), one, "deep", &deep) == 0);
        vmt_shards_acquire(one, 4, shards);
        count_one(shards[0], &busy->part);
        vmt_count(deep, S_EVENTS, 1);
        if (i % 2)
            vmt_source_remove(one);
    }
    vmt_begin(vmt_shard_acquire(leaving));
    vmt_source_remove(leaving);
    if (*(int *)arg)
        vmt_segment_ready(segment);
    raise(SIGKILL);
}

static uint64_t file_bytes(void)
{
    struct stat st;

    cr_assert_eq(stat(segment_path(), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

Test(restart, space_is_found_again)
{
    uint64_t bytes = 0;
    static int says_ready; /* the child has its own copy */
    char why[256];

    busy = shared_memory(sizeof(*busy));
    for (int life = 1; life <= LIKE_LIVES; life++) {
        says_ready = life % 3 == 0;
        cr_assert_eq(end_of(start_child(like_life, &says_ready)), 128 + SIGKILL, "life %d failed", life);
        if (life == SETTLED)
            bytes = file_bytes();
        cr_assert(life < SETTLED || file_bytes() == bytes, "life %d: %llu bytes, %llu after life %d", life,
                  (unsigned long long)file_bytes(), (unsigned long long)bytes, SETTLED);
    }
    cr_assert_eq(header().incarnation, LIKE_LIVES);
    cr_assert_eq(vmt_check(segment_path(), why, sizeof(why)), VMT_STATE_DIED, "%s", why);
}

/* ---- two at once ---- */

struct rivals {
    int waiting;
    int go;
    int tried;
    int checked;
    int result[RIVALS];
};

static void rival(void *arg)
{
    struct rivals *r = ((void **)arg)[0];
    int me = *(int *)((void **)arg)[1];
    struct vmt_segment_options options = found_or_new();
    struct vmt_segment *segment = NULL;

    __atomic_fetch_add(&r->waiting, 1, __ATOMIC_ACQ_REL);
    while (!said(&r->go))
        sched_yield();
    r->result[me] = vmt_segment_create(&options, &segment);
    if (segment) {
        struct vmt_source *vm = NULL;

        REQUIRE(vmt_source_add(segment, &part_schema, NULL, "vm", &vm) == 0);
        vmt_count(vm, P_EVENTS, 1);
    }
    __atomic_fetch_add(&r->tried, 1, __ATOMIC_ACQ_REL);
    REQUIRE(reached(&r->checked, 1));
    raise(SIGKILL);
}

/* All at the same moment, when the one before has just died. */
static void rivals_meet(struct rivals *r, struct vmt_reader *reader, struct vmt_snapshot *s, uint64_t round)
{
    pid_t pids[RIVALS];
    int winners = 0;

    memset(r, 0, sizeof(*r));
    for (int i = 0; i < RIVALS; i++) {
        static int number; /* the child has its own copy */

        number = i;
        pids[i] = start_child(rival, (void *[]){ r, &number });
    }
    cr_assert(reached(&r->waiting, RIVALS));
    say(&r->go, 1);
    cr_assert(reached(&r->tried, RIVALS));
    for (int i = 0; i < RIVALS; i++) {
        cr_assert(r->result[i] == 0 || r->result[i] == -EEXIST, "%s", strerror(-r->result[i]));
        winners += r->result[i] == 0;
    }
    cr_assert_eq(winners, 1, "%d are the writer", winners);
    take(s, reader);
    cr_assert_eq(vmt_snapshot_segment(s)->state, VMT_STATE_LIVE);
    cr_assert_eq(vmt_snapshot_segment(s)->incarnation, round + 1);
    cr_assert_eq(value_of(s, "vm", P_EVENTS), round);
    cr_assert_eq(test_dir_files(), 1, "something was set aside, or left half-made");
    say(&r->checked, 1);
    for (int i = 0; i < RIVALS; i++)
        cr_assert_eq(end_of(pids[i]), 128 + SIGKILL);
}

static void all_rounds(void)
{
    struct rivals *r = shared_memory(sizeof(*r));
    struct vmt_snapshot *s = new_snapshot();
    struct vmt_reader *reader;

    if (jail) {
        FILE *f = fopen(segment_path(), "w");

        cr_assert(f && fclose(f) == 0);
    }
    assert_child(make_segment, NULL);
    reader = attach(segment_path(), VMT_READ_COPY);
    for (uint64_t round = 1; round <= ROUNDS; round++)
        rivals_meet(r, reader, s, round);
    vmt_reader_close(reader);
    vmt_snapshot_free(s);
}

Test(restart, of_several_at_once_one_is_the_writer) { all_rounds(); }

Test(restart, of_several_at_once_one_is_the_writer_in_a_jail)
{
    jail = true;
    all_rounds();
}

Test(restart, beside_a_living_writer_is_refused)
{
    struct vmt_segment_options options = found_or_new();
    struct vmt_segment *segment = NULL, *other = NULL;
    struct vmt_source *vm;

    segment = go_on();
    vm = add_source(segment, &part_schema, NULL, "vm");
    for (int i = 0; i < 4; i++) {
        vmt_count(vm, P_EVENTS, 1);
        options.resume = i & 1 ? 1 : 0;
        options.path = i / 2 ? segment_path() : NULL; /* by its name, and as a file in place */
        cr_assert_eq(vmt_segment_create(&options, &other), -EEXIST);
        cr_assert_eq(value_now(segment, "vm", P_EVENTS), (uint64_t)i + 1, "it was disturbed");
        cr_assert_eq(test_dir_files(), 1);
    }
    vmt_segment_close(segment);
}
