/* SPDX-License-Identifier: MIT */
/* parts.h: what the tests of the core are put together from: a schema with a statistic of every kind, segments,
 * snapshots, and children that can't use Criterion's own assertions. */
#ifndef TESTS_UNIT_PARTS_H
#define TESTS_UNIT_PARTS_H

#include "helper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmtally.h>
#include <vmtally/delta.h>
#include <vmtally/reader.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define PART_STATISTICS(X)                                                                                             \
    X(CUMULATIVE, P_EVENTS, "events", NONE, 1, 0, "Events")                                                            \
    X(CUMULATIVE, P_BYTES, "bytes", BYTES, 1, 0, "Bytes")                                                              \
    X(INSTANT, P_LEVEL, "level", NONE, 1, 0, "Level, a sum over shards")                                               \
    X(PEAK, P_PEAK, "peak", NONE, 1, 0, "Peak")                                                                        \
    X(MINIMUM, P_MINIMUM, "minimum", NONE, 1, 0, "Minimum")                                                            \
    X(BOOLEAN, P_ON, "on", BOOL, 1, 0, "On")                                                                           \
    X(SIGNED_INSTANT, P_DRIFT, "drift", NONE, 1, 0, "Drift")                                                           \
    X(SIGNED_PEAK, P_HIGH, "high", NONE, 1, 0, "Highest")                                                              \
    X(SIGNED_MINIMUM, P_LOW, "low", NONE, 1, 0, "Lowest")                                                              \
    X(INSTANT_MAX, P_TOP, "top", NONE, 1, 0, "The largest of the sources'")                                            \
    X(INSTANT_AVERAGE, P_MEAN, "mean", NONE, 1, 0, "The mean of the sources'")                                         \
    X(INSTANT_COUNT_ZERO, P_ZEROS, "zeros", NONE, 1, 0, "How many sources are at 0")                                   \
    X(LINEAR, P_LINEAR, "linear", NONE, 4, 10, "Linear histogram")                                                     \
    X(LOG, P_LOG, "log", BYTES, 8, 0, "Logarithmic histogram")                                                         \
    X(LATENCY, P_TIME, "io", NANOSECONDS, 16, 0, "Latency")
VMT_SCHEMA_ENUM(P, PART_STATISTICS)
VMT_SCHEMA_DEFINE(part_schema, "part", "test", "part", P, PART_STATISTICS)

/* Another schema, in which "events" is the same statistic at another slot. */
#define SMALL_STATISTICS(X)                                                                                            \
    X(CUMULATIVE, S_OTHER, "other", NONE, 1, 0, "Other")                                                               \
    X(CUMULATIVE, S_EVENTS, "events", NONE, 1, 0, "Events")
VMT_SCHEMA_ENUM(S, SMALL_STATISTICS)
VMT_SCHEMA_DEFINE(small_schema, "small", "test", "part", S, SMALL_STATISTICS)

/* ---- segments and what they say ---- */

static inline struct vmt_segment *new_segment(const char *name)
{
    struct vmt_segment_options options = { .struct_size = sizeof(options), .name = name };
    struct vmt_segment *segment = NULL;
    int r = vmt_segment_create(&options, &segment);

    cr_assert_eq(r, 0, "%s: %s", name, strerror(-r));
    return segment;
}

static inline struct vmt_source *add_source(struct vmt_segment *segment, const struct vmt_schema *schema,
                                            struct vmt_source *parent, const char *id)
{
    struct vmt_source *source = NULL;
    int r = vmt_source_add(segment, schema, parent, id, &source);

    cr_assert_eq(r, 0, "%s: %s", id, strerror(-r));
    return source;
}

static inline struct vmt_reader *attach(const char *path, enum vmt_read_mode mode)
{
    struct vmt_reader_options options = { .struct_size = sizeof(options), .mode = mode };
    struct vmt_reader *reader = NULL;
    int r = vmt_reader_open(path, &options, &reader);

    cr_assert_eq(r, 0, "%s: %s", path, strerror(-r));
    return reader;
}

static inline struct vmt_reader *attach_here(struct vmt_segment *segment)
{
    struct vmt_reader *reader = NULL;

    cr_assert_eq(vmt_reader_open_segment(segment, &reader), 0);
    return reader;
}

static inline struct vmt_snapshot *new_snapshot(void)
{
    struct vmt_snapshot *snapshot = NULL;

    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    return snapshot;
}

static inline void take(struct vmt_snapshot *snapshot, struct vmt_reader *reader)
{
    int r = vmt_snapshot_take(snapshot, reader);

    cr_assert_eq(r, 0, "%s", r == 1 ? "partial" : strerror(-r));
}

static inline const struct vmt_sample *sample_of(const struct vmt_snapshot *snapshot, const char *id)
{
    const struct vmt_sample *sample = vmt_snapshot_find(snapshot, id);

    cr_assert_not_null(sample, "no source '%s'", id);
    return sample;
}

static inline uint64_t value_of(const struct vmt_snapshot *snapshot, const char *id, uint32_t slot)
{
    return sample_of(snapshot, id)->values[slot];
}

/* The total of sample with this schema, by name. */
static inline const struct vmt_total *total_named(const struct vmt_sample *sample, const char *schema)
{
    for (uint32_t t = 0; t < sample->total_count; t++)
        if (strcmp(sample->totals[t].schema->name, schema) == 0)
            return &sample->totals[t];
    cr_assert_fail("'%s' has no total of %s", sample->id, schema);
    return NULL;
}

static inline uint64_t total_of(const struct vmt_snapshot *snapshot, const char *id, uint32_t slot)
{
    const struct vmt_total *total = total_named(sample_of(snapshot, id), "part");

    cr_assert_eq(total->flags, 0);
    return total->values[slot];
}

/* What the segment says of one source right now, by a reader and snapshot of its own. */
static inline uint64_t value_now(struct vmt_segment *segment, const char *id, uint32_t slot)
{
    struct vmt_reader *reader = attach(vmt_segment_path(segment), VMT_READ_COPY);
    struct vmt_snapshot *snapshot = new_snapshot();
    uint64_t value;

    take(snapshot, reader);
    value = value_of(snapshot, id, slot);
    vmt_snapshot_free(snapshot);
    vmt_reader_close(reader);
    return value;
}

/* ---- children and threads ---- */

/* In children and threads, where Criterion's own can't be used. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s %s\n", __FILE__, __LINE__, #condition, test_at);                        \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

typedef void child_fn(void *arg);

static inline pid_t start_child(child_fn *fn, void *arg)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fn(arg);
        _exit(0);
    }
    return pid;
}

/* Its exit status, or 128 + signal. */
static inline int end_of(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define assert_child(fn, arg) cr_assert_eq(end_of(start_child((fn), (arg))), 0, "the child failed")

static inline void kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    cr_assert_eq(end_of(pid), 128 + SIGKILL, "it had ended already");
}

/* Zeroed memory that children share. */
static inline void *shared_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(p, MAP_FAILED);
    return p;
}

static inline void nap_us(long us)
{
    struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

    while (nanosleep(&t, &t) < 0 && errno == EINTR) {
    }
}

/* True once *flag is at least value; false after a minute. */
static inline bool reached(const int *flag, int value)
{
    for (int i = 0; i < 600000; i++) {
        if (__atomic_load_n(flag, __ATOMIC_ACQUIRE) >= value)
            return true;
        nap_us(100);
    }
    return false;
}

static inline void say(int *flag, int value) { __atomic_store_n(flag, value, __ATOMIC_RELEASE); }

static inline bool said(const int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0; }

#endif
