/* SPDX-License-Identifier: MIT */
#include "cli/top/detail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/model.h"
#include "cli/message.h"
#include "cli/segment.h"

/* A new line of this kind, its texts empty; NULL without memory, which the detail then remembers. */
static struct detail_line *line_new(struct detail *d, enum detail_kind kind, const char *name)
{
    struct detail_line *line;

    if (d->failed)
        return NULL;
    if (d->count == d->capacity) {
        size_t capacity = d->capacity ? d->capacity * 2 : 64;
        struct detail_line *more = reallocarray(d->lines, capacity, sizeof(*more));

        if (!more) {
            d->failed = 1;
            return NULL;
        }
        d->lines = more;
        d->capacity = capacity;
    }
    line = &d->lines[d->count++];
    memset(line, 0, sizeof(*line));
    line->kind = kind;
    line->unit = line->help = "";
    snprintf(line->name, sizeof(line->name), "%s", name);
    return line;
}

static void add_fact(struct detail *d, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_fact(struct detail *d, const char *name, const char *format, ...)
{
    struct detail_line *line = line_new(d, DETAIL_FACT, name);
    va_list ap;

    if (!line)
        return;
    va_start(ap, format);
    vsnprintf(line->value, sizeof(line->value), format, ap);
    va_end(ap);
}

static void format_quantile(char *buf, size_t size, const struct vmt_descriptor *d, const uint64_t *buckets, double q)
{
    char text[UNIT_TEXT];
    struct quantile bounds;

    if (vmt_quantile(d, buckets, q, &bounds.low, &bounds.high) < 0)
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%s", quantile_format(text, sizeof(text), d, &bounds));
}

static void add_histogram(struct detail *detail, const struct vmt_descriptor *d, const uint64_t *values,
                          const uint64_t *change, double seconds)
{
    static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };
    static const struct {
        double q;
        const char *name;
    } quantiles[] = { { 0.5, "  p50" }, { 0.99, "  p99" }, { 0.999, "  p99.9" } };
    struct detail_line *line = line_new(detail, DETAIL_STATISTIC, d->name);
    uint64_t count = 0;
    uint64_t changed = 0;

    for (uint32_t i = 0; i < d->size; i++) {
        count += values[d->slot + i];
        changed += change ? change[d->slot + i] : 0;
    }
    if (line) {
        unit_format(line->value, sizeof(line->value), &events, count);
        if (change)
            unit_format_rate(line->rate, sizeof(line->rate), &events, (double)changed / seconds);
        line->help = d->help;
    }
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]) && count; i++) {
        line = line_new(detail, DETAIL_STATISTIC, quantiles[i].name);
        if (!line)
            return;
        format_quantile(line->value, sizeof(line->value), d, values + d->slot, quantiles[i].q);
        if (change)
            format_quantile(line->rate, sizeof(line->rate), d, change + d->slot, quantiles[i].q);
        line->unit = unit_name(d);
        line->help = "over all; under RATE: of the last interval alone";
    }
}

/* The statistics of one schema; values NULL: they are absent. */
static void add_statistics(struct detail *detail, const struct vmt_schema *schema, const uint64_t *values,
                           const struct vmt_delta *delta, const struct vmt_change *change)
{
    double seconds = vmt_delta_seconds(delta);
    int comparable = seconds > 0 && !(change->flags & VMT_CHANGE_RESET);

    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        uint32_t type = d->flags & VMT_TYPE_MASK;
        struct detail_line *line;

        if (values && (type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST)) {
            add_histogram(detail, d, values, comparable ? change->values : NULL, seconds);
            continue;
        }
        line = line_new(detail, DETAIL_STATISTIC, d->name);
        if (!line)
            return;
        line->unit = (d->flags & VMT_UNIT_MASK) == VMT_UNIT_NONE ? "" : unit_name(d);
        line->help = d->help;
        if (!values) {
            snprintf(line->value, sizeof(line->value), "-");
            continue;
        }
        unit_format(line->value, sizeof(line->value), d, values[d->slot]);
        if (type == VMT_TYPE_CUMULATIVE && comparable)
            unit_format_rate(line->rate, sizeof(line->rate), d, vmt_change_rate(delta, change, d->slot));
    }
}

static void add_segment(struct detail *d, const struct sample_vm *vm)
{
    const struct vmt_segment_info *info = vm->snapshot ? vmt_snapshot_segment(vm->snapshot) : NULL;
    const struct segment_losses lost = info ? segment_losses(vm->snapshot) : (struct segment_losses){ 0, 0, 0 };
    char losses[SEGMENT_LOSSES];
    char reason[256];

    add_fact(d, "state", "%s", sample_state(vm));
    add_fact(d, "file", "%s", vm->path);
    if (vm->error)
        add_fact(d, "reason", "%s", message_reason(vm->error, reason, sizeof(reason)));
    if (vm->owner[0])
        add_fact(d, "owner", "uid %" PRIu32 ", nobody to trust: this may pose as any VM", info->uid);
    if (!info || !info->created_ns) /* what is not known need not be true */
        return;
    add_fact(d, "pid", "%" PRIu32, info->pid);
    add_fact(d, "format", "%u.%u", (unsigned)info->major, (unsigned)info->minor);
    add_fact(d, "writers so far", "%" PRIu64, info->incarnation);
    if (segment_losses_text(losses, sizeof(losses), &lost)[0])
        add_fact(d, "dropped", "%s: see dropped_sources, dropped_shards and shards_torn below", losses);
    for (const char *const *label = info->labels; label && *label; label++)
        add_fact(d, "label", "%s", *label);
    if (info->flags & VMT_SNAPSHOT_PARTIAL)
        add_fact(d, "partial", "something in the file could not be read; what is shown is right");
}

static void add_source(struct detail *d, const struct sample_set *set, const struct sample_vm *vm, size_t source)
{
    const struct vmt_sample *sample =
        vm->snapshot && source < vmt_snapshot_count(vm->snapshot) ? vmt_snapshot_source(vm->snapshot, source) : NULL;
    char text[UNIT_TEXT];

    line_new(d, DETAIL_HEADING, vm->title);
    if (sample && source) {
        add_fact(d, "source", "%s", sample->id);
        add_fact(d, "age", "%s",
                 unit_format_age(text, sizeof(text), model_age_ns(sample->created_ns, set->realtime_ns)));
        if (model_source_state(sample)[0])
            add_fact(d, "state", "%s", model_source_state(sample));
    } else {
        add_segment(d, vm);
    }
    if (!sample)
        return;
    add_fact(d, "schema", "%s: a %s, counted by %s", sample->schema->name, sample->schema->target,
             sample->schema->provider);
    line_new(d, DETAIL_HEADING, "its own");
    add_statistics(d, sample->schema, sample->flags & VMT_SAMPLE_ABSENT ? NULL : sample->values, vm->delta,
                   vmt_delta_source(vm->delta, source));
    for (uint32_t t = 0; t < sample->total_count; t++) {
        const struct vmt_total *total = &sample->totals[t];
        char title[128];

        snprintf(title, sizeof(title), "all %s below: %" PRIu32 " live, and those that departed", total->schema->name,
                 total->sources);
        line_new(d, DETAIL_HEADING, title);
        add_statistics(d, total->schema, total->flags & VMT_SAMPLE_ABSENT ? NULL : total->values, vm->delta,
                       vmt_delta_total(vm->delta, source, t));
    }
}

int detail_build(struct detail *d, const struct sample_set *set, uint64_t key)
{
    d->count = 0;
    d->failed = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct sample_vm *vm = &set->vms[i];
        size_t count = vm->snapshot ? vmt_snapshot_count(vm->snapshot) : 0;

        for (size_t s = 0; s < (count ? count : 1); s++) {
            if (model_key(vm, count ? vmt_snapshot_source(vm->snapshot, s) : NULL) != key)
                continue;
            add_source(d, set, vm, s);
            return d->failed ? -ENOMEM : 0;
        }
    }
    return -ENOENT;
}

void detail_free(struct detail *d)
{
    free(d->lines);
    memset(d, 0, sizeof(*d));
}
