/* SPDX-License-Identifier: MIT */
/* What a line of Firecracker's metrics tells. What was told is remembered by source, in whole units: so what is cut off
 * below a microsecond now is told later, and the sum of all devices is the sum of what they say. */
#include "firecracker.h"

#include <stdio.h>

#include "whole.h"

#define MICROSECONDS 1000000U

/* ---- which statistics are metrics ---- */

/* NULL: there is none, or it is of another kind. */
static const struct vmt_descriptor *find(const struct vmt_schema *schema, const struct group *group, const char *name,
                                         const char *suffix, bool counts)
{
    char full[VMT_NAME_SIZE];
    const struct vmt_descriptor *d;
    uint32_t type;

    snprintf(full, sizeof(full), "%s%s%s", group->prefix, name, suffix);
    d = vmt_schema_find(schema, full);
    if (!d || d->size != 1)
        return NULL;
    type = d->flags & VMT_TYPE_MASK;
    if (counts)
        return type == VMT_TYPE_CUMULATIVE ? d : NULL;
    return type == VMT_TYPE_CUMULATIVE || type == VMT_TYPE_INSTANT || type == VMT_TYPE_PEAK ? d : NULL;
}

static int add_link(struct vmt_firecracker *lines, const struct vmt_schema *schema, const struct group *group,
                    unsigned metric)
{
    const char *name = metrics[metric].name;
    bool latency = metrics[metric].kind == LATENCY;
    struct link link = { .metric = metric };
    size_t at;

    link.counted = find(schema, group, name, latency ? "_sum" : "", metrics[metric].kind != STORE);
    if (!link.counted)
        return 0;
    if (latency) {
        link.least = find(schema, group, name, "_min", false);
        link.most = find(schema, group, name, "_max", false);
    }
    at = pool_add(&lines->links, 1, sizeof(link));
    if (at == SIZE_MAX)
        return -ENOMEM;
    ((struct link *)lines->links.data)[at] = link;
    return 0;
}

static int bind_schema(void *arg, const struct vmt_schema *schema)
{
    struct vmt_firecracker *lines = arg;
    struct bound bound = { .first = lines->links.used, .each = GROUP_COUNT };
    size_t at = pool_add(&lines->bounds, 1, sizeof(bound));
    unsigned first = 0;

    if (at == SIZE_MAX)
        return -ENOMEM;
    for (unsigned g = 0; g < GROUP_COUNT; first += groups[g++].count) {
        size_t before = lines->links.used;

        if (strcmp(groups[g].target, schema->target) != 0)
            continue;
        for (unsigned m = first; m < first + groups[g].count; m++) {
            if (add_link(lines, schema, &groups[g], m) < 0)
                return -ENOMEM;
        }
        if (lines->links.used == before)
            continue;
        lines->there[g] = true;
        if (groups[g].flags & EACH)
            bound.each = g;
    }
    bound.count = lines->links.used - bound.first;
    ((struct bound *)lines->bounds.data)[at] = bound;
    return 0;
}

static const struct bound *bound_of(struct vmt_firecracker *lines, const struct vmt_schema *schema)
{
    static const struct bound nothing = { .each = GROUP_COUNT }; /* a handle's */
    size_t at = vmt_schema_index_find(&lines->schemas, schema);

    return at == VMT_SCHEMA_NONE ? &nothing : (const struct bound *)lines->bounds.data + at;
}

static const struct link *links_of(const struct vmt_firecracker *lines, const struct bound *bound)
{
    return bound->count ? (const struct link *)lines->links.data + bound->first : NULL;
}

/* ---- what was told ---- */

static uint64_t *counted_at(const struct told *told, size_t at) { return (uint64_t *)told->counted.data + at; }

static int compare_told(const void *one, const void *other)
{
    const struct told_source *a = one, *b = other;

    if (a->entry != b->entry)
        return a->entry < b->entry ? -1 : 1;
    return a->generation < b->generation ? -1 : a->generation > b->generation;
}

static const struct told_source *find_told(const struct told *told, const struct told_source *source, size_t sorted)
{
    return sorted ? bsearch(source, told->sources.data, sorted, sizeof(*source), compare_told) : NULL;
}

/* Room for what a source has counted, which *source then says. */
static int add_told(struct told *told, struct told_source *source)
{
    size_t at = pool_add(&told->sources, 1, sizeof(*source));

    source->first = pool_add(&told->counted, source->count, sizeof(uint64_t));
    if (at == SIZE_MAX || source->first == SIZE_MAX)
        return -ENOMEM;
    ((struct told_source *)told->sources.data)[at] = *source;
    return 0;
}

static void sort_told(struct told *told)
{
    if (told->sources.used)
        qsort(told->sources.data, told->sources.used, sizeof(struct told_source), compare_told);
}

/* What is not in a partial snapshot may be in the next one, and was told. More than a hostile one's is not remembered. */
#define CARRIED_MAX 4096

static int carry_over(const struct told *kept, struct told *next)
{
    size_t sorted = next->sources.used, carried = 0;

    for (size_t i = 0; i < kept->sources.used && carried < CARRIED_MAX; i++) {
        struct told_source source = ((const struct told_source *)kept->sources.data)[i];
        size_t from = source.first;

        if (find_told(next, &source, sorted))
            continue;
        if (add_told(next, &source) < 0)
            return -ENOMEM;
        memcpy(counted_at(next, source.first), counted_at(kept, from), source.count * sizeof(uint64_t));
        carried++;
    }
    sort_told(next);
    return 0;
}

/* ---- what is counted now ---- */

static uint64_t least(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

static void add_extremes(struct reading *to, const struct link *link, const uint64_t *values)
{
    if (link->least)
        to->least = least(to->least, vmt_export_whole(link->least, values[link->least->slot], MICROSECONDS));
    if (link->most) {
        uint64_t most = vmt_export_whole(link->most, values[link->most->slot], MICROSECONDS);

        to->most = most > to->most ? most : to->most;
    }
}

static void add_value(struct reading *to, const struct link *link, uint64_t value)
{
    to->value = metrics[link->metric].kind == STORE ? shm_combine(link->counted->flags & ~VMT_SIGNED, to->value, value)
                                                    : to->value + value;
}

/* What it had counted at least, where its values can't be read. Nothing is told twice where one fell, which happens in
 * damaged ones only. */
static uint64_t value_now(const struct link *link, const struct vmt_sample *sample, const uint64_t *before)
{
    uint64_t value;

    if (sample->flags & VMT_SAMPLE_ABSENT)
        return before ? *before : 0;
    value = vmt_export_whole(link->counted, sample->values[link->counted->slot], MICROSECONDS);
    return before && *before > value && metrics[link->metric].kind != STORE ? *before : value;
}

/* What comes behind "block_": without the target in front where that is a part of its name. */
static const char *device_key(const struct vmt_sample *sample)
{
    size_t n = strlen(sample->schema->target);
    const char *name = sample->name;

    if (strncmp(name, sample->schema->target, n) == 0 && (name[n] == '-' || name[n] == '_') && name[n + 1] != '\0')
        return name + n + 1;
    return name;
}

static int add_device(struct vmt_firecracker *lines, const struct device *device)
{
    size_t at = pool_add(&lines->devices, 1, sizeof(*device));

    if (at == SIZE_MAX)
        return -ENOMEM;
    ((struct device *)lines->devices.data)[at] = *device;
    return 0;
}

static int add_source(struct vmt_firecracker *lines, const struct told *kept, const struct vmt_sample *sample)
{
    const struct bound *bound = bound_of(lines, sample->schema);
    const struct link *links = links_of(lines, bound);
    struct told_source now = { .generation = sample->generation, .entry = sample->entry, .count = bound->count };
    const struct told_source *before = find_told(kept, &now, kept->sources.used);

    if (bound->count == 0)
        return 0;
    if (before && before->count != now.count)
        before = NULL;
    if (add_told(lines->next, &now) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < bound->count; i++) {
        uint64_t value = value_now(&links[i], sample, before ? counted_at(kept, before->first + i) : NULL);

        *counted_at(lines->next, now.first + i) = value;
        add_value(&lines->sums[links[i].metric], &links[i], value);
        if (!(sample->flags & VMT_SAMPLE_ABSENT))
            add_extremes(&lines->sums[links[i].metric], &links[i], sample->values);
    }
    if (bound->each == GROUP_COUNT)
        return 0;
    return add_device(lines, &(struct device){ .key = device_key(sample),
                                               .sample = sample,
                                               .bound = bound,
                                               .now = now.first,
                                               .before = before ? before->first : SIZE_MAX });
}

/* What departed of what source 0 has below it, which is all. */
static void add_departed(struct vmt_firecracker *lines, const struct vmt_sample *top)
{
    for (uint32_t t = 0; t < top->total_count; t++) {
        const struct bound *bound = bound_of(lines, top->totals[t].schema);
        const struct link *links = links_of(lines, bound);
        const uint64_t *departed = top->totals[t].departed;

        for (size_t i = 0; i < bound->count; i++) {
            const struct vmt_descriptor *d = links[i].counted;

            if (metrics[links[i].metric].kind != STORE)
                lines->sums[links[i].metric].value += vmt_export_whole(d, departed[d->slot], MICROSECONDS);
            add_extremes(&lines->sums[links[i].metric], &links[i], departed);
        }
    }
}

/* From sums to what is new of them. */
static void tell_sums(const struct told *kept, struct told *next, struct reading *sums)
{
    for (size_t m = 0; m < METRICS; m++) {
        uint64_t now = sums[m].value, before = kept->values[m];

        if (metrics[m].kind == STORE)
            continue;
        next->values[m] = now > before ? now : before;
        sums[m].value = next->values[m] - before;
    }
}

void vmt_firecracker_read_device(const struct vmt_firecracker *lines, const struct device *device, unsigned first,
                                 struct reading *readings)
{
    const struct link *links = links_of(lines, device->bound);

    for (size_t i = 0; i < device->bound->count; i++) {
        struct reading *to = &readings[links[i].metric - first];
        uint64_t value = *counted_at(lines->next, device->now + i);

        if (metrics[links[i].metric].kind != STORE && device->before != SIZE_MAX)
            value -= *counted_at(lines->kept, device->before + i);
        add_value(to, &links[i], value);
        if (!(device->sample->flags & VMT_SAMPLE_ABSENT))
            add_extremes(to, &links[i], device->sample->values);
    }
}

int vmt_firecracker_compare(const void *one, const void *other)
{
    const struct device *a = one, *b = other;

    if (a->bound->each != b->bound->each)
        return a->bound->each < b->bound->each ? -1 : 1;
    return strcmp(a->key, b->key);
}

int vmt_firecracker_read(struct vmt_firecracker *lines, const struct vmt_snapshot *snapshot)
{
    static const struct told nothing;
    const struct vmt_segment_info *info = vmt_snapshot_segment(snapshot);
    size_t count = vmt_snapshot_count(snapshot);
    /* A snapshot that could not be taken is of the same VM. */
    bool same = lines->kept->any && (!count || memcmp(lines->kept->identity, info->identity, 16) == 0);
    const struct told *kept = same ? lines->kept : &nothing;
    struct told *next = lines->next;
    int r;

    memcpy(next->identity, same ? kept->identity : info->identity, sizeof(next->identity));
    next->any = same || count != 0;
    next->sources.used = next->counted.used = 0;
    lines->bounds.used = lines->links.used = lines->devices.used = 0;
    memset(lines->sums, 0, sizeof(lines->sums));
    memset(lines->there, 0, sizeof(lines->there));
    r = vmt_schema_index_fill(&lines->schemas, snapshot, bind_schema, lines);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add_source(lines, kept, vmt_snapshot_source(snapshot, i));
    if (r < 0)
        return r;
    if (count)
        add_departed(lines, vmt_snapshot_source(snapshot, 0));
    tell_sums(kept, next, lines->sums);
    sort_told(next);
    if (lines->devices.used)
        qsort(lines->devices.data, lines->devices.used, sizeof(struct device), vmt_firecracker_compare);
    return !count || info->flags & VMT_SNAPSHOT_PARTIAL ? carry_over(kept, next) : 0;
}
