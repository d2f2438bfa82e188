/* SPDX-License-Identifier: MIT */
/* race.h: what a writer and readers in other processes share beside the segment: the truth, and when to stop. */
#ifndef TESTS_RACE_RACE_H
#define TESTS_RACE_RACE_H

#include "tests/unit/parts.h"

#include <pthread.h>
#include <stdint.h>

#include "shm/layout.h"

#define LATENCY_NS 5U /* all that the writers here record: sum and histogram follow from the count */
#define LATENCY_BUCKET 3U

/* How often something has been counted at least, and at most. */
struct truth {
    uint64_t begun;
    uint64_t ended;
};

static inline double seconds_now(void) { return (double)vmt_clock_ns() / 1e9; }

/* Seconds a test runs: VMT_RACE_SECONDS, else 4. */
static inline double race_seconds(void)
{
    const char *given = getenv("VMT_RACE_SECONDS");

    return given && atof(given) > 0 ? atof(given) : 4;
}

static inline uint32_t roll(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)((*state >> 33) % below);
}

/* Around the counting of n. Several threads may do so for one truth. */
static inline void truth_begin(struct truth *t, uint64_t n)
{
    __atomic_fetch_add(&t->begun, n, __ATOMIC_SEQ_CST); /* before it is counted, for who looks after a snapshot */
}

static inline void truth_end(struct truth *t, uint64_t n)
{
    __atomic_fetch_add(&t->ended, n, __ATOMIC_SEQ_CST); /* after it was counted, for who looks before one */
}

static inline uint64_t truth_least(const struct truth *t) { return __atomic_load_n(&t->ended, __ATOMIC_SEQ_CST); }

static inline uint64_t truth_most(const struct truth *t) { return __atomic_load_n(&t->begun, __ATOMIC_SEQ_CST); }

/* One event with its latency, through a shard of part_schema. */
static inline void count_one(struct vmt_shard *shard, struct truth *t)
{
    truth_begin(t, 1);
    vmt_add(shard, P_EVENTS, 1);
    vmt_latency(shard, P_TIME, P_TIME_BUCKETS, LATENCY_NS);
    truth_end(t, 1);
}

/* Count, sum, extremes and histogram of the latencies are those of one moment. */
static inline bool group_agrees(const uint64_t *values)
{
    uint64_t n = values[P_TIME];

    return values[P_TIME + 1] == n * LATENCY_NS && values[P_TIME + 4 + LATENCY_BUCKET] == n &&
           (n ? values[P_TIME + 2] == LATENCY_NS && values[P_TIME + 3] == LATENCY_NS
              : values[P_TIME + 2] == UINT64_MAX && values[P_TIME + 3] == 0);
}

/* "events" of all that is below a source: with part_schema, and by the statistic's name over all schemas. */
struct events {
    uint64_t part;
    uint64_t all;
    bool absent;
};

static inline struct events events_below(const struct vmt_sample *sample)
{
    struct events e = { 0 };
    int r = vmt_sample_total(sample, vmt_schema_find(&part_schema, "events"), &e.all);

    e.absent = r == -ENODATA;
    for (uint32_t i = 0; r == 0 && i < sample->total_count; i++)
        if (strcmp(sample->totals[i].schema->name, "part") == 0)
            e.part += sample->totals[i].values[P_EVENTS];
    return e;
}

/* What a reader remembers of each source, to see that nothing falls. */
struct memory {
    uint64_t generation;
    uint64_t events;
    uint64_t latencies;
    struct events below;
};
#define MEMORIES 4096

static inline void remember(struct memory memory[MEMORIES], const struct vmt_sample *sample)
{
    struct memory *m = &memory[sample->entry % MEMORIES];
    bool part = strcmp(sample->schema->name, "part") == 0;
    struct memory now = { sample->generation, sample->values[part ? P_EVENTS : S_EVENTS],
                          part ? sample->values[P_TIME] : 0, events_below(sample) };

    if (now.below.absent)
        now.below = m->generation == now.generation ? m->below : (struct events){ 0 };
    if (m->generation == now.generation) {
        REQUIRE(now.events >= m->events);
        REQUIRE(now.latencies >= m->latencies);
        REQUIRE(now.below.part >= m->below.part);
        REQUIRE(now.below.all >= m->below.all);
    }
    *m = now;
}

static inline const struct vmt_total *race_total(const struct vmt_sample *sample, const char *schema)
{
    for (uint32_t i = 0; i < sample->total_count; i++)
        if (strcmp(sample->totals[i].schema->name, schema) == 0)
            return &sample->totals[i];
    return NULL;
}

/* Is a structural change unfinished? Asked of the file, as whoever wrote it may be gone. */
static inline bool mid_change(const char *path)
{
    struct shm_header h;
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f, "%s: %m", path);
    cr_assert_eq(fread(&h, sizeof(h), 1, f), 1);
    fclose(f);
    return h.structure & 1;
}

#endif
