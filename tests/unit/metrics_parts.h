/* SPDX-License-Identifier: MIT */
/* metrics_parts.h: VMs of which scrapes are made, and the lines of these. */
#ifndef TESTS_UNIT_METRICS_PARTS_H
#define TESTS_UNIT_METRICS_PARTS_H

#include "fixed_snapshot.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <math.h>

#include <vmtally/export.h>

#include "lib/export/decimal.h"
#include "lib/export/metrics.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct vmt_metrics *metrics;
static struct vmt_buffer out;

static inline void init(void) { cr_assert_eq(vmt_metrics_new(&metrics), 0); }

static inline void fini(void)
{
    vmt_metrics_free(metrics);
    vmt_buffer_free(&out);
    fixed_forget();
}

/* ---- VMs ---- */

#define SOURCES_MAX 128

/* A VM to be made: source 0 counts nothing that matters. */
struct vm {
    const char *name;
    const char *const *labels;
    enum vmt_state state;
    struct {
        const char *id;
        const struct vmt_schema *schema;
        const uint64_t *values;
        uint32_t flags;
        uint32_t entry;
    } sources[SOURCES_MAX];
};

static const struct vmt_descriptor nothing_counted = { "events", "", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, 0, { 0 } };
static const struct vmt_schema root_schema = { "root", "test", "segment", &nothing_counted, 1, 1 };

static inline struct vmt_snapshot *make(const struct vm *vm)
{
    static const char *const none[] = { NULL };
    static const uint64_t zeros[VMT_SLOTS_MAX];
    struct vmt_segment_info info = { .path = "/run/vmtally/x.vmt", .name = vm->name, .state = vm->state };
    struct vmt_sample samples[SOURCES_MAX + 1] = { { .id = "", .values = zeros, .parent = UINT32_MAX } };
    struct vmt_recorded *recorded;
    struct vmt_snapshot *snapshot;
    size_t count = 1;

    info.labels = vm->labels ? vm->labels : none;
    cr_assert_eq(vmt_recorded_new(&recorded), 0);
    cr_assert_eq(vmt_snapshot_new(&snapshot), 0);
    cr_assert_eq(vmt_recorded_schema(recorded, &root_schema, &samples[0].schema), 0);
    for (; count <= SOURCES_MAX && vm->sources[count - 1].id; count++) {
        const char *id = vm->sources[count - 1].id, *slash = strrchr(id, '/');
        struct vmt_sample *sample = &samples[count];

        sample->id = id;
        sample->values = vm->sources[count - 1].values;
        sample->flags = vm->sources[count - 1].flags;
        sample->entry = vm->sources[count - 1].entry;
        sample->generation = 2 * count;
        cr_assert_eq(vmt_recorded_schema(recorded, vm->sources[count - 1].schema, &sample->schema), 0, "%s", id);
        for (uint32_t i = 1; slash && i < count; i++)
            if (strlen(samples[i].id) == (size_t)(slash - id) && strncmp(samples[i].id, id, (size_t)(slash - id)) == 0)
                sample->parent = i;
    }
    cr_assert_eq(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, count), 0);
    vmt_recorded_free(recorded);
    return snapshot;
}

static inline void add(const struct vm *vm)
{
    struct vmt_snapshot *snapshot = make(vm);

    cr_assert_eq(vmt_metrics_add(metrics, snapshot, NULL, NULL), 0);
    vmt_snapshot_free(snapshot);
}

/* ---- text ---- */

static inline const char *text(enum vmt_metrics_format format)
{
    vmt_buffer_clear(&out);
    cr_assert_eq(vmt_metrics_write(metrics, format, &out), 0);
    cr_assert(memchr(out.data, '\0', out.size) == NULL);
    cr_assert_leq(out.size, metrics->text_bytes + 4096, "more than was counted before: %zu, %zu", out.size,
                  metrics->text_bytes);
    out.data = realloc(out.data, out.size + 1);
    out.capacity = out.size + 1;
    out.data[out.size] = '\0';
    return out.data;
}

/* Not strchr(): where it is checked strictly, each call goes through all of the text. */
static inline const char *next_line(const char *at)
{
    while (*at++ != '\n')
        ;
    return at;
}

/* How many lines are this one. */
static inline int lines(const char *all, const char *line)
{
    size_t size = strlen(line);
    int count = 0;

    for (const char *at = all; *at; at = next_line(at))
        count += strncmp(at, line, size) == 0 && at[size] == '\n';
    return count;
}

/* How many begin so. */
static inline int begin(const char *all, const char *with)
{
    int count = 0;

    for (const char *at = all; *at; at = next_line(at))
        count += strncmp(at, with, strlen(with)) == 0;
    return count;
}

#define assert_line(all, line) cr_assert_eq(lines(all, line), 1, "%d times %s in\n%s", lines(all, line), line, all)
#define assert_none(all, with) cr_assert_eq(begin(all, with), 0, "%s in\n%s", with, all)

/* ---- what they count ---- */

static inline struct vmt_descriptor counter(const char *name, uint32_t slot)
{
    return (struct vmt_descriptor){ .name = name, .help = "", .flags = VMT_TYPE_CUMULATIVE, .slot = slot, .size = 1 };
}

static const struct vmt_descriptor d_events = { "events", "Events", VMT_TYPE_CUMULATIVE, 0, 0, 0, 1, 0, 0, 0, { 0 } };
static const struct vmt_schema s_vm = { "a", "vmm", "vm", &d_events, 1, 1 };
static const struct vmt_schema s_vcpu = { "a", "vmm", "vcpu", &d_events, 1, 1 };
static const struct vmt_schema s_kvm_vcpu = { "a", "kvm", "vcpu", &d_events, 1, 1 };
static const struct vmt_schema s_block = { "a", "vmm", "block", &d_events, 1, 1 };
static const struct vmt_schema s_request = { "a", "vmm", "request", &d_events, 1, 1 };
static const uint64_t one = 1, two = 2, three = 3, four = 4;

#define LATENCY_STATISTICS(X)                                                                                          \
    X(LATENCY, L_IO, "io", NANOSECONDS, 4, 0, "Time")                                                                  \
    X(LOG, L_WAIT, "wait_hist", NANOSECONDS, 3, 0, "Waits")                                                            \
    X(CUMULATIVE, L_WAIT_NS, "wait_ns", NANOSECONDS, 1, 0, "Waiting")
VMT_SCHEMA_ENUM(L, LATENCY_STATISTICS)
VMT_SCHEMA_DEFINE(latency_schema, "latency", "vmm", "vm", L, LATENCY_STATISTICS)
static const uint64_t latency_values[] = { 7, 1500000000, 1, 1499999990, 1, 2, 0, 4, 5, 0, 6, 99 };

#endif
