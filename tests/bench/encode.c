/* SPDX-License-Identifier: MIT */
/* One snapshot in all formats. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmtally/export.h>
#include <vmtally/recorded.h>
#include <vmtally/schemas.h>

#define SOURCES 1000

struct encoded {
    struct vmt_snapshot *snapshot;
    struct vmt_msgpack *stream;
    struct vmt_metrics *metrics;
    struct vmt_records *records;
    enum vmt_metrics_format format;
    struct vmt_buffer out;
    size_t entries;
    size_t entry_bytes;
};

static void done(int r, const char *name)
{
    if (r < 0)
        stop("%s: %s", name, strerror(-r));
}

static void msgpack(void *arg, uint64_t n)
{
    struct encoded *e = arg;

    for (uint64_t i = 0; i < n; i++) {
        vmt_buffer_clear(&e->out);
        done(vmt_msgpack_encode(e->stream, e->snapshot, &e->out), "vmt_msgpack_encode");
    }
}

static void msgpack_full(void *arg, uint64_t n)
{
    struct encoded *e = arg;

    for (uint64_t i = 0; i < n; i++) {
        vmt_buffer_clear(&e->out);
        done(vmt_msgpack_encode_full(e->snapshot, &e->out), "vmt_msgpack_encode_full");
    }
}

static void json(void *arg, uint64_t n)
{
    struct encoded *e = arg;

    for (uint64_t i = 0; i < n; i++) {
        vmt_buffer_clear(&e->out);
        done(vmt_json_encode(e->snapshot, 0, &e->out), "vmt_json_encode");
    }
}

static void metrics(void *arg, uint64_t n)
{
    struct encoded *e = arg;

    for (uint64_t i = 0; i < n; i++) {
        vmt_buffer_clear(&e->out);
        vmt_metrics_clear(e->metrics);
        done(vmt_metrics_add(e->metrics, e->snapshot, NULL, NULL), "vmt_metrics_add");
        done(vmt_metrics_write(e->metrics, e->format, &e->out), "vmt_metrics_write");
    }
}

static int entry(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                 const void *data, size_t size)
{
    struct encoded *e = arg;

    (void)snapshot;
    (void)i;
    (void)schema;
    (void)data;
    e->entry_bytes += size;
    e->entries++;
    return 0;
}

static void records(void *arg, uint64_t n)
{
    struct encoded *e = arg;

    for (uint64_t i = 0; i < n; i++) {
        e->entry_bytes = e->entries = 0;
        done(vmt_records_encode(e->records, e->snapshot, NULL, NULL, i, NULL, entry, e), "vmt_records_encode");
    }
}

/* "vm" and below it 1,000 of 64 counters. */
static struct vmt_snapshot *rebuilt(void)
{
    static struct vmt_sample samples[SOURCES + 2];
    static char ids[SOURCES][24];
    const struct vmt_schema *of[3] = { &vmt_schema_segment, &vmt_schema_vm, counters() };
    const char *above[] = { "", "vm" }, *labels[] = { NULL };
    struct vmt_segment_info info = { .path = "/run/vmtally/vm.vmt", .name = "vm", .labels = labels, .pid = 1 };
    uint64_t *values = calloc((SOURCES + 2) * 64, sizeof(*values)), *at = values;
    struct vmt_recorded *recorded;
    struct vmt_snapshot *snapshot;

    if (!values)
        stop("no memory");
    done(vmt_recorded_new(&recorded), "vmt_recorded_new");
    done(vmt_snapshot_new(&snapshot), "vmt_snapshot_new");
    for (int i = 0; i < 3; i++)
        done(vmt_recorded_schema(recorded, of[i], &of[i]), "vmt_recorded_schema");
    for (uint32_t i = 0; i < SOURCES + 2; i++) {
        uint32_t vcpu = i - 2;

        if (i >= 2)
            snprintf(ids[vcpu], sizeof(ids[vcpu]), "vm/vcpu-%u", vcpu);
        samples[i] = (struct vmt_sample){ .schema = of[i < 2 ? i : 2], .values = at, .generation = 2, .entry = i };
        samples[i].id = i < 2 ? above[i] : ids[vcpu];
        samples[i].parent = i < 2 ? i - 1 : 1;
        for (uint32_t slot = 0; slot < samples[i].schema->slots; slot++)
            *at++ = i < 2 ? slot : (uint64_t)vcpu * 1000003 + slot;
    }
    done(vmt_snapshot_rebuild(snapshot, recorded, &info, samples, SOURCES + 2), "vmt_snapshot_rebuild");
    vmt_recorded_free(recorded);
    free(values);
    return snapshot;
}

void bench_encode(void)
{
    struct vmt_records_options options = { .struct_size = sizeof(options), .host = "host", .sender = "bench" };
    struct encoded same = { .snapshot = rebuilt() };
    struct encoded e[6];
    struct way ways[] = {
        { .name = "msgpack, frames", .run = msgpack },
        { .name = "msgpack, self-contained", .run = msgpack_full },
        { .name = "JSON", .run = json },
        { .name = "OpenMetrics, add and write", .run = metrics },
        { .name = "Prometheus' text, add and write", .run = metrics },
        { .name = "records for Fluent Forward", .run = records },
    };
    const double most_ns[] = { 1e6, 0, 5e6, 5e6, 5e6, 0 };

    done(vmt_msgpack_new(&same.stream), "vmt_msgpack_new");
    done(vmt_metrics_new(&same.metrics), "vmt_metrics_new");
    done(vmt_records_new(&options, &same.records), "vmt_records_new");
    for (int i = 0; i < 6; i++) {
        e[i] = same;
        e[i].format = i == 4 ? VMT_PROMETHEUS : VMT_OPENMETRICS;
        ways[i].arg = &e[i];
    }
    measure(ways, 6);
    heading("Encoding 1,000 sources of 64 counters");
    for (int i = 0; i < 6; i++) {
        if (most_ns[i] > 0)
            row_at_most_ns(&ways[i], most_ns[i]);
        else
            row(&ways[i]);
    }
    note("bytes: %zu, %zu, %zu, %zu, %zu; %zu in %zu records", e[0].out.size, e[1].out.size, e[2].out.size,
         e[3].out.size, e[4].out.size, e[5].entry_bytes, e[5].entries);
    for (int i = 0; i < 5; i++)
        vmt_buffer_free(&e[i].out);
    vmt_records_free(same.records);
    vmt_metrics_free(same.metrics);
    vmt_msgpack_free(same.stream);
    vmt_snapshot_free(same.snapshot);
}
