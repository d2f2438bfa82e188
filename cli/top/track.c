/* SPDX-License-Identifier: MIT */
#include "cli/top/track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/packed.h"

#define GROW 32 /* records: what is allocated beyond those that there are counts for nothing in history_bytes() */

uint16_t track_nothing(enum track_column column) { return column < TRACK_TOP ? PACKED_NAN : 0; }

static uint32_t columns_of(uint16_t mask) { return (uint32_t)__builtin_popcount(mask); }

static uint32_t place_of(uint16_t mask, enum track_column column)
{
    return columns_of(mask & (uint16_t)((1U << column) - 1));
}

static void parts_free(struct track *t)
{
    free(t->parts);
    free(t->averages);
    t->parts = NULL;
    t->averages = NULL;
    t->part_count = t->slots = 0;
}

void track_free(struct track *t)
{
    parts_free(t);
    free(t->records);
    free(t->now.active);
    free(t->text);
}

size_t track_record_bytes(const struct track *t) { return t->width * sizeof(uint16_t); }

/* Records with these columns, and with or without slots; what is new is nothing. */
static int relayout(struct track *t, uint16_t mask, int deep)
{
    uint32_t width = columns_of(mask) + (deep ? t->slots : 0);
    uint32_t old_slots = t->width - columns_of(t->mask);
    uint16_t *records = calloc(t->capacity ? t->capacity : 1, width * sizeof(*records) + 1);

    if (!records)
        return -ENOMEM;
    for (size_t i = 0; i < t->count; i++) {
        const uint16_t *from = t->records + i * t->width;
        uint16_t *to = records + i * width;

        for (int c = 0; c < TRACK_COLUMNS; c++) {
            if (mask & 1U << c)
                *to++ = t->mask & 1U << c ? from[place_of(t->mask, (enum track_column)c)]
                                          : track_nothing((enum track_column)c);
        }
        for (uint32_t s = 0; deep && s < t->slots; s++)
            *to++ = old_slots == t->slots ? from[columns_of(t->mask) + s] : PACKED_NAN;
    }
    free(t->records);
    t->records = records;
    t->mask = mask;
    t->width = width;
    t->deep = deep != 0;
    return 0;
}

int track_deepen(struct track *t, int deep) { return t->deep == (deep != 0) ? 0 : relayout(t, t->mask, deep); }

static int is_histogram(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;
}

static int same_parts(const struct track *t, const struct vmt_schema *const *schemas, uint32_t count)
{
    if (t->part_count != count)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (t->parts[i].slots != schemas[i]->slots || strcmp(t->parts[i].schema, schemas[i]->name) != 0)
            return 0;
    }
    return 1;
}

static int compare_slots(const void *a, const void *b) { return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b; }

static int is_scalar(const struct vmt_descriptor *d) { return d->size == 1 && !is_histogram(d); }

static void part_set(struct track_part *p, const struct vmt_schema *schema, uint16_t *scalar)
{
    memset(p, 0, sizeof(*p));
    strncpy(p->schema, schema->name, sizeof(p->schema) - 1);
    p->slots = schema->slots;
    p->scalar = scalar;
    for (uint32_t i = 0; i < schema->count; i++) {
        if (is_scalar(&schema->descriptors[i]))
            p->scalar[p->scalars++] = (uint16_t)schema->descriptors[i].slot;
    }
    qsort(p->scalar, p->scalars, sizeof(*p->scalar), compare_slots);
}

static uint32_t scalars_of(const struct vmt_schema *schema)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < schema->count; i++)
        n += (uint32_t)is_scalar(&schema->descriptors[i]);
    return n;
}

int track_set_parts(struct track *t, const struct vmt_schema *const *schemas, uint32_t count)
{
    int deep = t->deep;
    uint32_t scalars = 0;
    uint16_t *scalar;
    int r;

    if (same_parts(t, schemas, count))
        return 0;
    r = relayout(t, t->mask, 0);
    if (r < 0)
        return r;
    parts_free(t);
    t->age_s = 0;
    for (uint32_t i = 0; i < count; i++)
        scalars += scalars_of(schemas[i]);
    t->parts = malloc(count * sizeof(*t->parts) + scalars * sizeof(*scalar) + 1);
    t->averages = malloc((scalars + 1) * sizeof(*t->averages));
    if (!t->parts || !t->averages)
        return -ENOMEM;
    for (uint32_t i = 0; i < scalars; i++)
        t->averages[i] = (struct average){ { NAN, NAN, NAN }, NAN, NAN };
    scalar = (uint16_t *)(t->parts + count);
    for (uint32_t i = 0, at = 0; i < count; i++) {
        part_set(&t->parts[i], schemas[i], scalar + at);
        t->parts[i].slot_at = t->slots;
        t->parts[i].average_at = at;
        t->slots += t->parts[i].slots;
        at += t->parts[i].scalars;
    }
    t->part_count = count;
    return deep ? relayout(t, t->mask, 1) : 0;
}

long track_average(const struct track *t, uint32_t part, uint32_t slot)
{
    const struct track_part *p = &t->parts[part];
    uint32_t low = 0;
    uint32_t high = part < t->part_count ? p->scalars : 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (p->scalar[middle] < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return part < t->part_count && low < p->scalars && p->scalar[low] == slot ? (long)(p->average_at + low) : -1;
}

static int reserve(struct track *t)
{
    uint16_t *more;

    if (t->count < t->capacity)
        return 0;
    more = realloc(t->records, (t->capacity + GROW) * t->width * sizeof(*more) + 1);
    if (!more)
        return -ENOMEM;
    t->records = more;
    t->capacity += GROW;
    return 0;
}

int track_append(struct track *t, const uint16_t columns[TRACK_COLUMNS], const uint16_t *slots)
{
    uint16_t mask = t->mask;
    uint16_t *to;
    int r = 0;

    for (int c = 0; c < TRACK_COLUMNS; c++) {
        if (columns[c] != track_nothing((enum track_column)c))
            mask |= (uint16_t)(1U << c);
    }
    if (mask != t->mask)
        r = relayout(t, mask, t->deep);
    if (r == 0)
        r = reserve(t);
    if (r < 0)
        return r;
    to = t->records + t->count++ * t->width;
    for (int c = 0; c < TRACK_COLUMNS; c++) {
        if (t->mask & 1U << c)
            *to++ = columns[c];
    }
    for (uint32_t i = 0; t->deep && i < t->slots; i++)
        to[i] = slots ? slots[i] : PACKED_NAN;
    return 0;
}

uint16_t track_column(const struct track *t, size_t i, enum track_column column)
{
    return t->mask & 1U << column ? t->records[i * t->width + place_of(t->mask, column)] : track_nothing(column);
}

uint16_t track_slot(const struct track *t, size_t i, uint32_t part, uint32_t slot)
{
    if (!t->deep || part >= t->part_count || slot >= t->parts[part].slots)
        return PACKED_NAN;
    return t->records[i * t->width + columns_of(t->mask) + t->parts[part].slot_at + slot];
}

void track_merge(struct track *t, size_t a, size_t b, double seconds_a, double seconds_b)
{
    uint16_t *to = t->records + b * t->width;
    const uint16_t *from = t->records + a * t->width;
    uint32_t rates = columns_of(t->mask & ((1U << TRACK_P50) - 1));
    uint32_t columns = columns_of(t->mask);
    double both = seconds_a + seconds_b;

    for (uint32_t i = 0; i < t->width && both > 0; i++) {
        if ((i < rates || i >= columns) && from[i] != to[i] && from[i] != PACKED_NAN && to[i] != PACKED_NAN)
            to[i] = packed_make((packed_value(from[i]) * seconds_a + packed_value(to[i]) * seconds_b) / both);
    }
}

void track_compact(struct track *t, const uint8_t *keep, size_t beats)
{
    size_t to = 0;
    size_t before = 0;

    for (size_t i = 0; i < t->start && i < beats; i++)
        before += keep[i];
    for (size_t i = 0; i < t->count; i++) {
        if (!keep[t->start + i])
            continue;
        if (to != i)
            memmove(t->records + to * t->width, t->records + i * t->width, track_record_bytes(t));
        to++;
    }
    t->start = before;
    t->count = to;
}
