/* SPDX-License-Identifier: MIT */
/* The hot path, against a plain increment of private memory: the same loop, the same addressing, the same place within
 * a page. */
#include "bench.h"

#include <stdlib.h>

#define BENCH_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, BENCH_0, "count_0", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_1, "count_1", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_2, "count_2", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_3, "count_3", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_4, "count_4", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_5, "count_5", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_6, "count_6", NONE, 1, 0, "")                                                                  \
    X(CUMULATIVE, BENCH_7, "count_7", NONE, 1, 0, "")                                                                  \
    X(LOG, BENCH_LOG, "sizes", BYTES, 32, 0, "")                                                                       \
    X(LINEAR, BENCH_LINEAR, "depths", NONE, 32, 16, "")                                                                \
    X(LATENCY, BENCH_LATENCY, "io", NANOSECONDS, 32, 0, "")
VMT_SCHEMA_ENUM(BENCH, BENCH_STATISTICS)
VMT_SCHEMA_DEFINE(bench_schema, "bench", "test", "vcpu", BENCH, BENCH_STATISTICS)

#define VALUES 256

/* As a VMM's own struct would hold it. */
struct worker {
    uint64_t other[3];
    struct vmt_shard *shard;
    uint64_t *plain; /* private memory, laid out as the shard */
    struct vmt_source *source;
    uint64_t values[VALUES]; /* latencies, in nanoseconds */
    uint64_t slots[VALUES];  /* their buckets */
};

/* Code that is compared starts on its own line of the instruction cache. */
#define LOOP(name, before, body)                                                                                       \
    __attribute__((noinline, aligned(64))) static void name(void *arg, uint64_t n)                                     \
    {                                                                                                                  \
        struct worker *w = arg;                                                                                        \
        before;                                                                                                        \
        for (uint64_t i = 0; i < n; i += 8) {                                                                          \
            body                                                                                                       \
        }                                                                                                              \
    }
#define ONE(statement)                                                                                                 \
    statement;                                                                                                         \
    BARRIER();
#define EIGHT_TIMES(s) ONE(s) ONE(s) ONE(s) ONE(s) ONE(s) ONE(s) ONE(s) ONE(s)
#define SHARD struct vmt_shard *sh = w->shard
#define PLAIN uint64_t *p = w->plain + 16

LOOP(add_same, SHARD, EIGHT_TIMES(vmt_add(sh, BENCH_0, 1)))
LOOP(plain_same, PLAIN, EIGHT_TIMES(p[BENCH_0]++))
LOOP(add_eight, SHARD,
     ONE(vmt_add(sh, BENCH_0, 1)) ONE(vmt_add(sh, BENCH_1, 1)) ONE(vmt_add(sh, BENCH_2, 1)) ONE(vmt_add(sh, BENCH_3, 1))
         ONE(vmt_add(sh, BENCH_4, 1)) ONE(vmt_add(sh, BENCH_5, 1)) ONE(vmt_add(sh, BENCH_6, 1))
             ONE(vmt_add(sh, BENCH_7, 1)))
LOOP(plain_eight, PLAIN,
     ONE(p[BENCH_0]++) ONE(p[BENCH_1]++) ONE(p[BENCH_2]++) ONE(p[BENCH_3]++) ONE(p[BENCH_4]++) ONE(p[BENCH_5]++)
         ONE(p[BENCH_6]++) ONE(p[BENCH_7]++))

LOOP(by_struct, (void)0, EIGHT_TIMES(vmt_add(w->shard, BENCH_0, 1)))
LOOP(by_twin, (void)0, EIGHT_TIMES(vmt_add_ext(w->shard, BENCH_0, 1)))
LOOP(by_count, (void)0, EIGHT_TIMES(vmt_count(w->source, BENCH_0, 1)))
LOOP(locked_private, PLAIN, EIGHT_TIMES((void)__atomic_fetch_add(&p[BENCH_0], 1, __ATOMIC_RELAXED)))

/* Groups: begin and end are adds to two words of their own, so a group of k adds is held against k + 2 plain ones. */
#define FIVE(add) ONE(add(0)) ONE(add(1)) ONE(add(2)) ONE(add(3)) ONE(add(4))
#define ADD_SHARD(k) vmt_add(sh, BENCH_##k, 1)
#define ADD_PLAIN(k) p[BENCH_##k]++
#define EIGHT_GROUPS(g) g g g g g g g g
LOOP(group_one, SHARD, EIGHT_GROUPS(ONE(vmt_begin(sh)) ONE(ADD_SHARD(0)) ONE(vmt_end(sh))))
LOOP(bare_one, SHARD, EIGHT_GROUPS(ONE(ADD_SHARD(0))))
LOOP(plain_three, PLAIN, EIGHT_GROUPS(ONE(ADD_PLAIN(6)) ONE(ADD_PLAIN(0)) ONE(ADD_PLAIN(7))))
LOOP(group_five, SHARD, EIGHT_GROUPS(ONE(vmt_begin(sh)) FIVE(ADD_SHARD) ONE(vmt_end(sh))))
LOOP(bare_five, SHARD, EIGHT_GROUPS(FIVE(ADD_SHARD)))
LOOP(plain_seven, PLAIN, EIGHT_GROUPS(ONE(ADD_PLAIN(6)) FIVE(ADD_PLAIN) ONE(ADD_PLAIN(7))))

/* Histograms: the value comes from memory, as latencies come from a clock; BARRIER has the compiler load it again. */
#define VALUE(k) w->values[(i + (k)) % VALUES]
#define EIGHT_VALUES(s) ONE(s(0)) ONE(s(1)) ONE(s(2)) ONE(s(3)) ONE(s(4)) ONE(s(5)) ONE(s(6)) ONE(s(7))
#define NAMED(k) p[BENCH_LOG + w->slots[(i + (k)) % VALUES]]++
#define RECORD_LOG(k) vmt_record(sh, BENCH_LOG, VALUE(k))
#define RECORD_LINEAR(k) vmt_record(sh, BENCH_LINEAR, VALUE(k) / 64 % 512)
#define LATENCY(k) vmt_latency(sh, BENCH_LATENCY, BENCH_LATENCY_BUCKETS, VALUE(k))
LOOP(named_slot, PLAIN, EIGHT_VALUES(NAMED))
LOOP(record_same, SHARD, EIGHT_TIMES(vmt_record(sh, BENCH_LOG, w->values[0])))
LOOP(record_log, SHARD, EIGHT_VALUES(RECORD_LOG))
LOOP(record_linear, SHARD, EIGHT_VALUES(RECORD_LINEAR))
LOOP(latency, SHARD, EIGHT_VALUES(LATENCY))

static void timed_scope(struct vmt_shard *sh)
{
    VMT_TIME(sh, BENCH_LATENCY);
    BARRIER();
}
LOOP(time_scope, SHARD, EIGHT_TIMES(timed_scope(sh)))
LOOP(two_clocks, (void)0, EIGHT_TIMES((void)(w->other[0] = vmt_clock_ns()); w->other[1] = vmt_clock_ns()))

#define COUNT(ways) (sizeof(ways) / sizeof((ways)[0]))

void bench_count(void)
{
    struct vmt_segment *segment = segment_new("count", 0);
    struct worker *w = calloc(1, sizeof(*w));
    char *memory = NULL;
    uint64_t random = 1;

    if (!w || posix_memalign((void **)&memory, 4096, 3 * 4096) != 0)
        stop("no memory");
    w->source = source_new(segment, &bench_schema, NULL, "vcpu", 0);
    w->shard = vmt_shard_acquire(w->source);
    w->plain = (uint64_t *)(void *)(memory + (uintptr_t)w->shard % 4096);
    for (size_t i = 0; i < 16 + BENCH_SLOTS; i++)
        w->plain[i] = 0;
    for (size_t i = 0; i < VALUES; i++) { /* most between 1 and 32 microseconds */
        random = random * 6364136223846793005U + 1442695040888963407U;
        w->values[i] = (1000 + (random >> 33) % 1000) << ((random >> 60) % 6);
        w->slots[i] = vmt_bucket_log(w->values[i], BENCH_LOG_BUCKETS);
    }

    struct way add[] = {
        { .name = "vmt_add, same slot", .run = add_same, .arg = w },
        { .name = "plain increment", .run = plain_same, .arg = w },
        { .name = "vmt_add, eight slots in turn", .run = add_eight, .arg = w },
        { .name = "plain increment", .run = plain_eight, .arg = w },
    };
    struct way by[] = {
        { .name = "vmt_add, pointer in caller's struct", .run = by_struct, .arg = w },
        { .name = "vmt_add_ext, the out-of-line twin", .run = by_twin, .arg = w },
        { .name = "vmt_count, one locked add", .run = by_count, .arg = w },
        { .name = "locked add, private memory", .run = locked_private, .arg = w },
        { .name = "plain increment", .run = plain_same, .arg = w },
    };
    struct way group[] = {
        { .name = "group of 1 add", .run = group_one, .arg = w },
        { .name = "1 + 2 plain increments", .run = plain_three, .arg = w },
        { .name = "1 add without group", .run = bare_one, .arg = w },
        { .name = "group of 5 adds", .run = group_five, .arg = w },
        { .name = "5 + 2 plain increments", .run = plain_seven, .arg = w },
        { .name = "5 adds without group", .run = bare_five, .arg = w },
    };
    struct way histogram[] = {
        { .name = "vmt_record, logarithmic", .run = record_log, .arg = w },
        { .name = "vmt_record, the same value", .run = record_same, .arg = w },
        { .name = "vmt_record, linear", .run = record_linear, .arg = w },
        { .name = "plain increment", .run = plain_same, .arg = w },
        { .name = "of a slot that memory names", .run = named_slot, .arg = w },
        { .name = "vmt_latency, all five", .run = latency, .arg = w },
        { .name = "VMT_TIME, empty scope", .run = time_scope, .arg = w },
        { .name = "the clock, twice", .run = two_clocks, .arg = w },
    };

    measure(add, COUNT(add));
    heading("Counting");
    row_ratio(&add[0], &add[1], 1.05);
    row_ratio(&add[2], &add[3], 1.05);
    measure(by, COUNT(by));
    heading("Ways to an add");
    for (size_t i = 0; i < 4; i++)
        row_ratio(&by[i], &by[4], 0);
    measure(group, COUNT(group));
    heading("Groups: begin and end are two plain increments");
    row_ratio(&group[0], &group[1], 1.05);
    row_ratio(&group[0], &group[2], 0);
    row_ratio(&group[3], &group[4], 1.05);
    row_ratio(&group[3], &group[5], 0);
    measure(histogram, COUNT(histogram));
    heading("Histograms");
    for (size_t i = 0; i < 3; i++)
        row_ratio(&histogram[i], &histogram[3], 3.0 / 1.8);
    row_ratio(&histogram[0], &histogram[4], 0);
    row_at_most_ns(&histogram[0], 3);
    row_at_most_ns(&histogram[2], 3);
    note(
        "(Some CPUs keep a word that is added to again and again in a register: there the time tells, not the ratio.)");
    row(&histogram[5]);
    row_ratio(&histogram[6], &histogram[7], 0);

    vmt_shard_release(w->shard);
    vmt_segment_close(segment);
    free(memory);
    free(w);
}
