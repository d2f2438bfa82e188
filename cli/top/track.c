/* SPDX-License-Identifier: MIT */
#include "cli/top/track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/packed.h"
#include "lib/hash.h"

#define AVERAGES_STEP 4 /* of memory for them */
#define GAP 60          /* beats that may be missing before slots begin anew; of columns, so many more than there are */

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
    t->places = NULL;
    t->averages = NULL;
    t->average_count = 0;
    t->part_count = t->slot_count = 0;
}

void track_free(struct track *t)
{
    parts_free(t);
    series_clear(&t->columns);
    series_clear(&t->slots);
    free(t->now.active);
    free(t->text);
}

size_t track_bytes(const struct track *t) { return series_bytes(&t->columns) + series_bytes(&t->slots); }

void track_deepen(struct track *t, int deep)
{
    if (t->deep == (deep != 0))
        return;
    series_clear(&t->slots);
    t->slots.width = deep ? t->slot_count : 0;
    t->deep = deep != 0;
}

static int is_histogram(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;
}

/* Equal for schemas that mean the same; others hardly ever are, and then only their own averages are wrong. */
static uint64_t content_of(const struct vmt_schema *schema)
{
    uint64_t content = hash_add(HASH_START, schema->name, strlen(schema->name) + 1);

    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];
        const uint32_t numbers[] = { d->flags, d->slot, d->size, d->bucket_size, (uint32_t)d->exponent };

        content = hash_add(content, d->name, strlen(d->name) + 1);
        content = hash_add(content, numbers, sizeof(numbers));
    }
    return content;
}

int track_has_parts(struct track *t, const struct vmt_schema *const *schemas, uint32_t count, uint64_t epoch)
{
    int same = t->epoch == epoch;

    if (t->part_count != count)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (same && t->parts[i].schema == schemas[i])
            continue;
        if (t->parts[i].slots != schemas[i]->slots || t->parts[i].content != content_of(schemas[i]))
            return 0;
    }
    for (uint32_t i = 0; i < count; i++)
        t->parts[i].schema = schemas[i];
    t->epoch = epoch;
    return 1;
}

static int compare_slots(const void *a, const void *b) { return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b; }

static int is_scalar(const struct vmt_descriptor *d) { return d->size == 1 && !is_histogram(d); }

static int is_level(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_INSTANT || type == VMT_TYPE_PEAK;
}

static void part_set(struct track_part *p, const struct vmt_schema *schema, uint16_t *scalar, uint8_t *levels)
{
    memset(p, 0, sizeof(*p));
    p->schema = schema;
    p->content = content_of(schema);
    p->slots = schema->slots;
    p->scalar = scalar;
    p->levels = levels;
    memset(levels, 0, schema->slots / 8 + 1);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct vmt_descriptor *d = &schema->descriptors[i];

        if (is_scalar(d))
            p->scalar[p->scalars++] = (uint16_t)d->slot;
        for (uint32_t s = d->slot; is_level(d) && s < d->slot + d->size && s < schema->slots; s++)
            levels[s / 8] |= (uint8_t)(1U << s % 8);
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

int track_set_parts(struct track *t, const struct vmt_schema *const *schemas, uint32_t count, uint64_t epoch)
{
    size_t level_bytes = 0;
    uint32_t scalars = 0;
    uint16_t *scalar;
    uint8_t *levels;

    track_deepen(t, 0);
    parts_free(t);
    t->age_s = 0;
    for (uint32_t i = 0; i < count; i++) {
        scalars += scalars_of(schemas[i]);
        level_bytes += schemas[i]->slots / 8 + 1;
    }
    t->parts = malloc(count * sizeof(*t->parts) + scalars * (sizeof(*scalar) + sizeof(*t->places)) + level_bytes);
    if (!t->parts)
        return -ENOMEM;
    scalar = (uint16_t *)(t->parts + count);
    t->places = scalar + scalars;
    levels = (uint8_t *)(t->places + scalars);
    for (uint32_t i = 0; i < scalars; i++)
        t->places[i] = TRACK_UNSEEN;
    for (uint32_t i = 0, at = 0; i < count; i++) {
        part_set(&t->parts[i], schemas[i], scalar + at, levels);
        t->parts[i].slot_at = t->slot_count;
        t->parts[i].scalar_at = at;
        t->slot_count += t->parts[i].slots;
        at += t->parts[i].scalars;
        levels += schemas[i]->slots / 8 + 1;
    }
    t->part_count = count;
    t->epoch = epoch;
    return 0;
}

long track_scalar(const struct track *t, uint32_t part, uint32_t slot)
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
    return part < t->part_count && low < p->scalars && p->scalar[low] == slot ? (long)(p->scalar_at + low) : -1;
}

const struct average *track_average(const struct track *t, size_t scalar)
{
    static const struct average unseen = { { NAN, NAN, NAN }, NAN, NAN };
    static const struct average zero = { { 0, 0, 0 }, 0, 0 };
    uint16_t place = t->places[scalar];

    return place == TRACK_UNSEEN ? &unseen : place == TRACK_ZERO ? &zero : &t->averages[place - TRACK_OWN];
}

/* A file could have more statistics than places tell apart: who is late is not averaged. */
struct average *track_own_average(struct track *t, size_t scalar)
{
    const struct average now = *track_average(t, scalar);

    if (t->places[scalar] >= TRACK_OWN)
        return &t->averages[t->places[scalar] - TRACK_OWN];
    if (t->average_count % AVERAGES_STEP == 0) {
        size_t capacity = (size_t)t->average_count + AVERAGES_STEP;
        struct average *more =
            capacity + TRACK_OWN <= UINT16_MAX ? reallocarray(t->averages, capacity, sizeof(*more)) : NULL;

        if (!more)
            return NULL;
        t->averages = more;
    }
    t->averages[t->average_count] = now;
    t->places[scalar] = (uint16_t)(TRACK_OWN + t->average_count);
    return &t->averages[t->average_count++];
}

/* Rows that have these columns too; where they were not, nothing was. */
static int add_columns(struct track *t, uint16_t mask)
{
    struct series wider = { .width = columns_of(mask) };
    uint16_t none[TRACK_COLUMNS] = { 0 };

    for (size_t i = 0; i < t->columns.count; i++) {
        const uint16_t *from = series_row(&t->columns, t->columns.start + i);
        uint16_t *to = series_append(&wider, t->columns.start + i, none);

        if (!to) {
            series_clear(&wider);
            return -ENOMEM;
        }
        for (int c = 0; c < TRACK_COLUMNS; c++) {
            if (mask & 1U << c)
                *to++ = t->mask & 1U << c ? from[place_of(t->mask, (enum track_column)c)]
                                          : track_nothing((enum track_column)c);
        }
    }
    series_clear(&t->columns);
    t->columns = wider;
    t->mask = mask;
    return 0;
}

/* What is put in for beats at which it was not there. */
static void fill_gone(const struct track *t, uint16_t *row)
{
    for (int c = 0; c < TRACK_COLUMNS; c++) {
        if (t->mask & 1U << c)
            *row++ = c == TRACK_STATE ? TRACK_GONE : track_nothing((enum track_column)c);
    }
}

/* Beats between its last row and that one. */
static size_t gap(const struct series *s, size_t beat) { return s->count ? beat - s->start - s->count : 0; }

static int append_slots(struct track *t, size_t beat, const uint16_t *slots)
{
    size_t missing = gap(&t->slots, beat);
    uint16_t *unknown = missing && missing <= GAP ? malloc(t->slot_count * sizeof(*unknown) + 1) : NULL;
    uint16_t *row;

    for (uint32_t i = 0; unknown && i < t->slot_count; i++)
        unknown[i] = PACKED_NAN;
    if (missing && !unknown) /* begin anew */
        series_clear(&t->slots);
    row = series_append(&t->slots, beat, unknown);
    free(unknown);
    if (!row)
        return -ENOMEM;
    memcpy(row, slots, t->slot_count * sizeof(*slots));
    return 0;
}

int track_append(struct track *t, size_t beat, const uint16_t columns[TRACK_COLUMNS], const uint16_t *slots)
{
    uint16_t mask = t->mask;
    uint16_t gone[TRACK_COLUMNS];
    size_t missing = gap(&t->columns, beat);
    uint16_t *row;

    if (missing > t->columns.count + GAP)
        series_clear(&t->columns);
    else if (missing)
        mask |= 1U << TRACK_STATE;
    for (int c = 0; c < TRACK_COLUMNS; c++) {
        if (columns[c] != track_nothing((enum track_column)c))
            mask |= (uint16_t)(1U << c);
    }
    if (mask != t->mask && add_columns(t, mask) < 0)
        return -ENOMEM;
    fill_gone(t, gone);
    row = series_append(&t->columns, beat, gone);
    if (!row)
        return -ENOMEM;
    for (int c = 0; c < TRACK_COLUMNS; c++) {
        if (t->mask & 1U << c)
            *row++ = columns[c];
    }
    return t->deep ? append_slots(t, beat, slots) : 0;
}

int track_there(const struct track *t, size_t beat)
{
    const uint16_t *row = series_row(&t->columns, beat);

    return row && !(t->mask & 1U << TRACK_STATE && row[place_of(t->mask, TRACK_STATE)] & TRACK_GONE);
}

uint16_t track_column(const struct track *t, size_t beat, enum track_column column)
{
    const uint16_t *row = series_row(&t->columns, beat);

    return row && t->mask & 1U << column ? row[place_of(t->mask, column)] : track_nothing(column);
}

uint16_t track_slot(const struct track *t, size_t beat, uint32_t part, uint32_t slot)
{
    const uint16_t *row = part < t->part_count && slot < t->parts[part].slots ? series_row(&t->slots, beat) : NULL;

    return row ? row[t->parts[part].slot_at + slot] : PACKED_NAN;
}

/* ---- two beats as one ---- */

/* A rate over both: what is not known was nothing. */
static uint16_t merge_rate(uint16_t a, uint16_t b, double share_a, double share_b)
{
    if (a == PACKED_NAN && b == PACKED_NAN)
        return PACKED_NAN;
    if (a == b)
        return a;
    return packed_make((a == PACKED_NAN ? 0 : packed_value(a) * share_a) +
                       (b == PACKED_NAN ? 0 : packed_value(b) * share_b));
}

/* A level: as it was at the end. */
static uint16_t merge_level(uint16_t a, uint16_t b) { return b == PACKED_NAN ? a : b; }

/* Rates are those over both; all else is the later one's, or the earlier one's where it was not there any more. */
static void merge_columns(void *track, uint16_t *to, const uint16_t *a, const uint16_t *b, double share_a,
                          double share_b)
{
    const struct track *t = track;
    uint32_t rates = columns_of(t->mask & ((1U << TRACK_P50) - 1));
    uint32_t state = place_of(t->mask, TRACK_STATE);
    int has_state = (t->mask & 1U << TRACK_STATE) != 0;
    int b_there = b && !(has_state && b[state] & TRACK_GONE);

    for (uint32_t i = 0; i < t->columns.width; i++) {
        if (i < rates)
            to[i] = merge_rate(a ? a[i] : PACKED_NAN, b ? b[i] : PACKED_NAN, share_a, share_b);
        else
            to[i] = b_there || !a ? b[i] : a[i];
    }
}

static void merge_slots(void *track, uint16_t *to, const uint16_t *a, const uint16_t *b, double share_a, double share_b)
{
    const struct track *t = track;

    for (uint32_t p = 0; p < t->part_count; p++) {
        for (uint32_t s = 0; s < t->parts[p].slots; s++) {
            uint32_t i = t->parts[p].slot_at + s;
            uint16_t x = a ? a[i] : PACKED_NAN;
            uint16_t y = b ? b[i] : PACKED_NAN;

            to[i] = t->parts[p].levels[s / 8] >> s % 8 & 1 ? merge_level(x, y) : merge_rate(x, y, share_a, share_b);
        }
    }
}

void track_compact(struct track *t, const uint8_t *keep, const double *seconds, size_t beats, int merge)
{
    series_compact(&t->columns, keep, seconds, beats, merge ? merge_columns : NULL, t);
    series_compact(&t->slots, keep, seconds, beats, merge ? merge_slots : NULL, t);
}
