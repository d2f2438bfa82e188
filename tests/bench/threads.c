/* SPDX-License-Identifier: MIT */
/* Adds by several threads at once: each to its shard, each to memory of its own with a lock prefix, all to one word. */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmtally/schemas.h>

#define THREADS_MAX 4
#define ADDS 1000000U
#define TIMES 9

struct shared {
    struct vmt_shard *shards[THREADS_MAX];
    struct vmt_source *source;
    pthread_barrier_t start;
    _Alignas(128) uint64_t words[THREADS_MAX][16]; /* a granule each */
    void (*run)(struct shared *s, int thread);
};

struct thread {
    struct shared *shared;
    int number;
    double ns;
};

#define LOOP(name, before, statement)                                                                                  \
    __attribute__((noinline, aligned(64))) static void name(struct shared *s, int thread)                              \
    {                                                                                                                  \
        before;                                                                                                        \
        (void)thread;                                                                                                  \
        for (uint32_t i = 0; i < ADDS; i++) {                                                                          \
            statement;                                                                                                 \
            BARRIER();                                                                                                 \
        }                                                                                                              \
    }
LOOP(to_shard, struct vmt_shard *sh = s->shards[thread], vmt_add(sh, VMT_VCPU_EXITS, 1))
LOOP(locked_own, uint64_t *p = s->words[thread], (void)__atomic_fetch_add(p, 1, __ATOMIC_RELAXED))
LOOP(locked_one, (void)0, vmt_count(s->source, VMT_VCPU_EXITS, 1))

static void *work(void *arg)
{
    struct thread *t = arg;
    uint64_t start;

    pin(t->number);
    pthread_barrier_wait(&t->shared->start);
    start = thread_cpu_ns();
    t->shared->run(t->shared, t->number);
    t->ns = (double)(thread_cpu_ns() - start) / ADDS;
    return NULL;
}

/* CPU time of one add, mean of the threads. */
static double together(struct shared *s, int count)
{
    struct thread threads[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    double sum = 0;

    pthread_barrier_init(&s->start, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        threads[i] = (struct thread){ .shared = s, .number = i };
        if (pthread_create(&ids[i], NULL, work, &threads[i]) != 0)
            stop("can't start a thread");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(ids[i], NULL);
        sum += threads[i].ns;
    }
    pthread_barrier_destroy(&s->start);
    return sum / count;
}

void bench_threads(void)
{
    static void (*const runs[])(struct shared *, int) = { to_shard, locked_own, locked_one };
    struct vmt_segment *segment = segment_new("threads", 0);
    struct shared *s = NULL;

    if (posix_memalign((void **)&s, 128, sizeof(*s)) != 0)
        stop("no memory");
    s->source = source_new(segment, &vmt_schema_vcpu, NULL, "vcpu", 0);
    vmt_shards_acquire(s->source, THREADS_MAX, s->shards);
    heading("An add, by several threads at once (CPU time each)");
    for (int count = 1; count <= THREADS_MAX; count *= 2) {
        double ns[3][TIMES], middle[3];

        for (int t = 0; t < TIMES; t++) {
            for (int k = 0; k < 3; k++) {
                s->run = runs[k];
                ns[k][t] = together(s, count);
            }
        }
        for (int k = 0; k < 3; k++)
            middle[k] = median(ns[k], TIMES);
        note("%d thread%s vmt_add, a shard each %6.2f ns   locked, a word each %6.2f ns (%.1f)   "
             "locked, one word (vmt_count) %7.2f ns (%.1f)",
             count, count == 1 ? ": " : "s:", middle[0], middle[1], middle[1] / middle[0], middle[2],
             middle[2] / middle[0]);
    }
    vmt_shards_release(THREADS_MAX, s->shards);
    vmt_segment_close(segment);
    free(s);
}
