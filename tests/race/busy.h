/* SPDX-License-Identifier: MIT */
/* busy.h: a writer that does all that changes a segment at once, and at full speed, as death is to meet it anywhere;
 * and who watches it from another process. */
#ifndef TESTS_RACE_BUSY_H
#define TESTS_RACE_BUSY_H

#include "tests/race/race.h"

#include <vmtally/schemas.h>

#define BUSY_THREADS 3U /* that count: as many events at most are begun and not ended when it dies */
#define TWINS 12U       /* schemas that come to be in flight */
#define HOARD 48U       /* shards held at most only so that the file grows */
#define SNAPSHOT_SECONDS (SANITIZED ? 10 : 2) /* a bound, on a machine with other things to do */

/* In memory that all share. */
struct busy {
    int ready;
    struct truth part;   /* events of sources of part_schema */
    struct truth others; /* of small_schema, and of its twins */
};

/* ---- the writer ---- */

struct busy_writer {
    struct busy *busy;
    struct vmt_segment *segment;
    struct vmt_source *vm;
    struct vmt_shard *hoard[HOARD];
    unsigned hoarded;
    unsigned twins;
    bool jail;
    uint64_t seed; /* of its threads */
    uint64_t random;
};

/* The n-th schema like small_schema, by another name. */
static inline const struct vmt_schema *busy_twin(unsigned n)
{
    static struct vmt_schema twins[TWINS];
    static char names[TWINS][24];

    if (!twins[n].name) {
        snprintf(names[n], sizeof(names[n]), "small-%u", n);
        twins[n] = small_schema;
        twins[n].name = names[n];
    }
    return &twins[n];
}

static inline const struct vmt_schema *busy_schema(struct busy_writer *w)
{
    switch (roll(&w->random, 4)) {
    case 0:
        return &small_schema;
    case 1:
        if (w->twins < TWINS && roll(&w->random, 4) == 0)
            w->twins++;
        return busy_twin(roll(&w->random, w->twins + 1) % TWINS);
    default:
        return &part_schema;
    }
}

/* Through its shard or, once in a while, through the source. */
static inline void busy_count(struct busy *busy, uint64_t *random, struct vmt_source *source, bool part,
                              struct vmt_shard *shard)
{
    struct truth *t = part ? &busy->part : &busy->others;
    uint32_t slot = part ? P_EVENTS : S_EVENTS;

    if (part && roll(random, 8)) {
        count_one(shard, t);
        return;
    }
    truth_begin(t, 1);
    if (roll(random, 2))
        vmt_add(shard, slot, 1);
    else
        vmt_count(source, slot, 1);
    truth_end(t, 1);
}

/* Counts through one shard all its life, most of the time inside of a group. */
static inline void *busy_steady(void *arg)
{
    const struct busy_writer *w = arg;
    struct vmt_shard *shard = vmt_shard_acquire_thread(w->vm);
    uint64_t random = w->seed + 1;

    for (;;) {
        for (uint32_t n = roll(&random, 4000); n; n--)
            vmt_latency(shard, P_TIME, P_TIME_BUCKETS, LATENCY_NS);
        busy_count(w->busy, &random, w->vm, true, shard);
        if (roll(&random, 4) == 0)
            nap_us(20); /* there are few CPUs, and changes take some, too */
    }
    return NULL;
}

static inline void *busy_handing_on(void *arg)
{
    const struct busy_writer *w = arg;
    uint64_t random = w->seed + 2;

    for (;;) {
        struct vmt_shard *shard = roll(&random, 2) ? vmt_shard_acquire(w->vm) : vmt_shard_acquire_thread(w->vm);

        for (uint32_t n = roll(&random, 8); n; n--)
            busy_count(w->busy, &random, w->vm, true, shard);
        vmt_shard_release(shard);
        if (roll(&random, 4) == 0)
            nap_us(20);
    }
    return NULL;
}

/* Ends with its shard in its hand. */
static inline void *busy_short_lived(void *arg)
{
    const struct busy_writer *w = arg;

    count_one(vmt_shard_acquire_thread(w->vm), &w->busy->part);
    return NULL;
}

static inline void busy_thread(struct busy_writer *w, void *(*run)(void *), bool join)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, run, w) == 0);
    if (join)
        REQUIRE(pthread_join(thread, NULL) == 0);
}

/* A source below a source, counted in, removed in either order. */
static inline void busy_turn(struct busy_writer *w)
{
    const struct vmt_schema *outer = busy_schema(w);
    const struct vmt_schema *inner = busy_schema(w);
    struct vmt_source *unit = NULL;
    struct vmt_source *queue = NULL;
    struct vmt_shard *shard;

    REQUIRE(vmt_source_addf(w->segment, outer, w->vm, &unit, "unit-%u", roll(&w->random, 3)) == 0);
    REQUIRE(vmt_source_add(w->segment, inner, unit, "queue", &queue) == 0);
    shard = vmt_shard_acquire(queue);
    for (uint32_t n = roll(&w->random, 20); n; n--)
        busy_count(w->busy, &w->random, queue, inner == &part_schema, shard);
    if (roll(&w->random, 2)) {
        vmt_shard_release(shard);
        shard = NULL;
    }
    if (roll(&w->random, 2)) {
        vmt_source_remove(unit);
        vmt_source_remove(queue);
    } else {
        vmt_source_remove(queue);
        vmt_source_remove(unit);
    }
    vmt_shard_release(shard);
    if (w->hoarded < HOARD && roll(&w->random, 4) == 0)
        w->hoard[w->hoarded++] = vmt_shard_acquire(w->vm);
    if (roll(&w->random, 256) == 0)
        vmt_shards_release(w->hoarded, w->hoard), w->hoarded = 0;
    if (!w->jail && roll(&w->random, 128) == 0) /* in a jail nothing tells that its shard is nobody's */
        busy_thread(w, busy_short_lived, true);
}

/* Until it is killed. The segment is the caller's, maybe with what an earlier writer left in it. */
static inline void busy_live(struct busy_writer *w)
{
    uint32_t turns_to_ready = roll(&w->random, 20);

    w->seed = w->random;
    REQUIRE(vmt_source_add(w->segment, &part_schema, NULL, "vm", &w->vm) == 0);
    busy_thread(w, busy_steady, false);
    busy_thread(w, busy_handing_on, false);
    say(&w->busy->ready, 1);
    for (;;) {
        if (turns_to_ready-- == 0)
            vmt_segment_ready(w->segment);
        busy_turn(w);
    }
}

/* ---- who watches ---- */

struct watch {
    const struct busy *busy;
    struct vmt_reader *reader;
    struct vmt_snapshot *snapshot;
    uint64_t part;
    uint64_t others;
    unsigned taken, partial, unconfirmed;
    double longest;
    struct memory memory[MEMORIES];
};

static inline void watch_check(const char *what, bool absent, uint64_t value, uint64_t least, uint64_t most,
                               bool resting, uint64_t *last)
{
    if (absent) {
        cr_assert_not(resting, "the total of %s is withheld of a writer that stands still", what);
        return;
    }
    cr_assert(least <= value && value <= most && *last <= value, "%s: %llu <= %llu <= %llu, before %llu", what,
              (unsigned long long)least, (unsigned long long)value, (unsigned long long)most,
              (unsigned long long)*last);
    cr_assert(!resting || most - least <= BUSY_THREADS);
    *last = value;
}

/* One snapshot; resting: the writer does nothing. */
static inline enum vmt_state watch_look(struct watch *w, bool resting)
{
    uint64_t least[2] = { truth_least(&w->busy->part), truth_least(&w->busy->others) };
    double begin = seconds_now();
    int r = vmt_snapshot_take(w->snapshot, w->reader);
    double took = seconds_now() - begin;
    const struct vmt_sample *root;
    struct events events;

    cr_assert_geq(r, 0, "%s", strerror(-r));
    cr_assert_lt(took, SNAPSHOT_SECONDS, "a snapshot took %.1f s", took);
    cr_assert(!resting || r == 0, "partial, though nothing changes");
    w->longest = took > w->longest ? took : w->longest;
    w->taken++;
    w->partial += r == 1;
    for (size_t i = 0; i < vmt_snapshot_count(w->snapshot); i++) {
        const struct vmt_sample *sample = vmt_snapshot_source(w->snapshot, i);
        uint32_t disagree = sample->flags & (VMT_SAMPLE_UNCONFIRMED | VMT_SAMPLE_TORN);

        remember(w->memory, sample);
        w->unconfirmed += sample->flags & VMT_SAMPLE_UNCONFIRMED ? 1 : 0;
        if (strcmp(sample->schema->name, "part") == 0 && !(sample->flags & VMT_SAMPLE_ABSENT))
            cr_assert(disagree || group_agrees(sample->values), "the group of %s is torn, unflagged", sample->id);
    }
    root = vmt_snapshot_source(w->snapshot, 0);
    cr_assert(!root->values[VMT_SEGMENT_DROPPED_SOURCES] && !root->values[VMT_SEGMENT_DROPPED_SHARDS],
              "there was no room: the truth is not known");
    events = events_below(root);
    watch_check("part", events.absent, events.part, least[0], truth_most(&w->busy->part), resting, &w->part);
    watch_check("the others", events.absent, events.all - events.part, least[1], truth_most(&w->busy->others), resting,
                &w->others);
    return vmt_snapshot_segment(w->snapshot)->state;
}

/* A segment not seen before, from its beginning on. */
static inline void watch_anew(struct watch *w)
{
    w->part = w->others = 0;
    memset(w->memory, 0, sizeof(w->memory));
}

#endif
