/* SPDX-License-Identifier: MIT */
/* Lines of Firecracker's metrics; FIRECRACKER.md says what is where. */
#include "firecracker.h"

#include "json_writer.h"

int vmt_firecracker_new(struct vmt_firecracker **ret)
{
    struct vmt_firecracker *lines = calloc(1, sizeof(*lines));

    if (!lines)
        return -ENOMEM;
    lines->kept = &lines->told[0];
    lines->next = &lines->told[1];
    *ret = lines;
    return 0;
}

void vmt_firecracker_free(struct vmt_firecracker *lines)
{
    if (!lines)
        return;
    for (int i = 0; i < 2; i++) {
        pool_free(&lines->told[i].sources);
        pool_free(&lines->told[i].counted);
    }
    free(lines->schemas.schemas);
    pool_free(&lines->bounds);
    pool_free(&lines->links);
    pool_free(&lines->devices);
    vmt_buffer_free(&lines->key);
    free(lines);
}

void vmt_firecracker_keep(struct vmt_firecracker *lines)
{
    struct told *next = lines->next;

    if (!lines->pending)
        return;
    lines->next = lines->kept;
    lines->kept = next;
    lines->pending = false;
    lines->missed = 0;
}

void vmt_firecracker_miss(struct vmt_firecracker *lines)
{
    lines->pending = false;
    lines->missed++;
}

/* ---- the line ---- */

static void put_metric(struct vmt_writer *w, const struct metric *metric, const struct reading *reading, bool extremes)
{
    vmt_put_key(w, metric->name);
    if (metric->kind != LATENCY) {
        w->ops->unsigned_integer(w, reading->value);
        return;
    }
    w->ops->open_map(w, 3);
    vmt_put_number(w, "min_us", extremes ? reading->least : 0);
    vmt_put_number(w, "max_us", extremes ? reading->most : 0);
    vmt_put_number(w, "sum_us", reading->value);
    w->ops->close_map(w);
}

static void put_group(struct vmt_writer *w, const struct group *group, unsigned first, const struct reading *readings,
                      bool extremes)
{
    w->ops->open_map(w, group->count);
    for (unsigned m = 0; m < group->count; m++)
        put_metric(w, &metrics[first + m], &readings[m], extremes);
    w->ops->close_map(w);
}

/* The groups of its devices, sorted: those at *at and behind. Devices of one name are one, as they are there. */
static void put_devices(struct vmt_firecracker *lines, struct vmt_writer *w, unsigned g, unsigned first, size_t *at)
{
    const struct device *devices = lines->devices.data;

    while (*at < lines->devices.used && devices[*at].bound->each == g && w->error == 0) {
        const struct device *device = &devices[*at];
        struct reading readings[METRICS] = { 0 };

        for (; *at < lines->devices.used && vmt_firecracker_compare(device, &devices[*at]) == 0; ++*at)
            vmt_firecracker_read_device(lines, &devices[*at], first, readings);
        vmt_buffer_clear(&lines->key);
        w->error = vmt_buffer_append(&lines->key, groups[g].name, strlen(groups[g].name));
        if (w->error == 0)
            w->error = vmt_buffer_append(&lines->key, "_", 1);
        if (w->error == 0)
            w->error = vmt_buffer_append(&lines->key, device->key, strlen(device->key));
        if (w->error < 0)
            return;
        w->ops->key(w, lines->key.data, lines->key.size);
        put_group(w, &groups[g], first, readings, true);
    }
}

static void put_line(struct vmt_firecracker *lines, struct vmt_writer *w, uint64_t realtime_ns, const char *vm)
{
    unsigned first = 0;
    size_t at = 0;

    w->ops->start(w);
    w->ops->open_map(w, 0);
    vmt_put_number(w, "utc_timestamp_ms", realtime_ns / 1000000);
    if (vm)
        vmt_put_string(w, "id", vm);
    for (unsigned g = 0; g < GROUP_COUNT; first += groups[g++].count) {
        const struct group *group = &groups[g];

        if (group->flags & EACH)
            put_devices(lines, w, g, first, &at);
        if (group->flags & EACH_ONLY || (group->flags & IF_THERE && !lines->there[g]))
            continue;
        vmt_put_key(w, group->name);
        put_group(w, group, first, &lines->sums[first], !(group->flags & EACH));
    }
    w->ops->close_map(w);
    vmt_writer_put(w, "\n", 1);
}

/* Its own misses, beside those that the VMM may have counted. */
static void add_misses(struct vmt_firecracker *lines)
{
    unsigned m = 0;

    for (unsigned g = 0; strcmp(groups[g].name, "logger") != 0; g++)
        m += groups[g].count;
    lines->sums[m].value += lines->missed; /* missed_metrics_count is its first */
}

int vmt_firecracker_encode(struct vmt_firecracker *lines, const struct vmt_snapshot *snapshot, const char *vm,
                           struct vmt_buffer *out)
{
    struct vmt_json_writer json;
    size_t size = out->size;
    int r;

    lines->pending = false;
    r = vmt_firecracker_read(lines, snapshot);
    if (r < 0)
        return r;
    add_misses(lines);
    vmt_json_writer_init(&json, out, 0);
    put_line(lines, &json.base, vmt_snapshot_segment(snapshot)->realtime_ns, vm);
    r = vmt_writer_finish(&json.base, size);
    lines->pending = r == 0;
    return r;
}
