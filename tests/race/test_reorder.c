/* SPDX-License-Identifier: MIT */
/* That threads here see each other's steps out of order where that is allowed (store buffering, also on x86), and not
 * where a fence forbids it: what test_litmus.c asserts is not so by itself. */
#include "tests/race/race.h"

#include <sched.h>

#include "lib/writer.h"

#define PATIENCE_S 60

static struct {
    _Alignas(128) uint64_t x;
    _Alignas(128) uint64_t y;
    _Alignas(128) uint64_t at[2][16]; /* steps: each thread waits for the other */
    _Alignas(128) uint64_t saw[2];
    uint64_t neither; /* saw what the other had stored before */
    bool fenced;
    int stop;
} sb;

static bool meet(int me, uint64_t step)
{
    __atomic_store_n(&sb.at[me][0], step, __ATOMIC_SEQ_CST);
    for (uint32_t i = 1; __atomic_load_n(&sb.at[1 - me][0], __ATOMIC_SEQ_CST) < step; i++) {
        if (GET(sb.stop))
            return false;
        if (i % 1000 == 0)
            sched_yield();
    }
    return true;
}

static void *store_and_load(void *arg)
{
    int me = arg != NULL;
    uint64_t *mine = me ? &sb.y : &sb.x;
    uint64_t *other = me ? &sb.x : &sb.y;

    for (uint64_t n = 1; meet(me, 3 * n); n++) {
        PUT(*mine, n);
        if (sb.fenced)
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
        PUT(sb.saw[me], GET(*other));
        if (!meet(me, 3 * n + 1))
            break;
        if (me && GET(sb.saw[0]) < n && GET(sb.saw[1]) < n)
            __atomic_fetch_add(&sb.neither, 1, __ATOMIC_RELAXED);
        if (!meet(me, 3 * n + 2))
            break;
    }
    return NULL;
}

static uint64_t store_buffering(bool fenced, double seconds)
{
    double end = seconds_now() + seconds;
    pthread_t threads[2];

    memset(&sb, 0, sizeof(sb));
    sb.fenced = fenced;
    for (int i = 0; i < 2; i++)
        cr_assert(pthread_create(&threads[i], NULL, store_and_load, i ? &sb : NULL) == 0);
    while (seconds_now() < end && !GET(sb.neither))
        usleep(1000);
    PUT(sb.stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return GET(sb.neither);
}

Test(reorder, steps_are_seen_out_of_order_where_that_is_allowed)
{
    cpu_set_t cpus;

    cr_expect(store_buffering(true, 0.3) == 0, "not where a full fence forbids it");
#ifdef VMT_TSAN_
    cr_skip_test("ThreadSanitizer's own steps come in between");
#endif
    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) < 2)
        cr_skip_test("one CPU sees its own steps in order");
    cr_expect(store_buffering(false, PATIENCE_S) > 0, "this harness would not notice");
}
