/* SPDX-License-Identifier: MIT */
#include "cli/top/series.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define GROW 32 /* rows */

static int resize(struct series *s, size_t capacity)
{
    uint16_t *more = realloc(s->rows, capacity * s->width * sizeof(*more) + 1);

    if (!more)
        return 0;
    s->rows = more;
    s->capacity = capacity;
    return 1;
}

static uint16_t *row_at(const struct series *s, size_t i) { return s->rows + i * s->width; }

uint16_t *series_append(struct series *s, size_t beat, const uint16_t *nothing)
{
    size_t missing;

    if (!s->count)
        s->start = beat;
    assert(beat >= s->start + s->count); /* one row a beat */
    missing = beat - s->start - s->count;
    if (s->count + missing >= s->capacity && !resize(s, s->count + missing + GROW))
        return NULL;
    for (; missing; missing--)
        memcpy(row_at(s, s->count++), nothing, s->width * sizeof(*nothing));
    return row_at(s, s->count++);
}

const uint16_t *series_row(const struct series *s, size_t beat)
{
    return beat >= s->start && beat - s->start < s->count ? row_at(s, beat - s->start) : NULL;
}

void series_compact(struct series *s, const uint8_t *keep, const double *seconds, size_t beats, series_merge *merge,
                    void *arg)
{
    size_t end = s->start + s->count;
    size_t start = 0;
    size_t to = 0;

    for (size_t i = 0; i < s->start; i++)
        start += keep[i];
    for (size_t i = s->start; i < end; i++) {
        const uint16_t *row = row_at(s, i - s->start);
        int first_of_two = merge && !keep[i] && i + 1 < beats;
        int second_alone = merge && keep[i] && i == s->start && i > 0 && !keep[i - 1];
        double both = first_of_two ? seconds[i] + seconds[i + 1] : second_alone ? seconds[i - 1] + seconds[i] : 0;

        if (first_of_two && i + 1 < end) {
            merge(arg, row_at(s, to++), row, row_at(s, i + 1 - s->start), both > 0 ? seconds[i] / both : 0.5,
                  both > 0 ? seconds[i + 1] / both : 0.5);
            i++;
        } else if (first_of_two) {
            merge(arg, row_at(s, to++), row, NULL, both > 0 ? seconds[i] / both : 1, 0);
        } else if (second_alone) {
            merge(arg, row_at(s, to++), NULL, row, 0, both > 0 ? seconds[i] / both : 1);
        } else if (keep[i]) {
            memmove(row_at(s, to++), row, s->width * sizeof(*row));
        }
    }
    s->start = start;
    s->count = to;
    if (!to)
        series_clear(s);
    else if (s->capacity > to + GROW)
        resize(s, to + GROW);
}

size_t series_bytes(const struct series *s) { return s->capacity * s->width * sizeof(*s->rows); }

void series_clear(struct series *s)
{
    free(s->rows);
    s->rows = NULL;
    s->start = s->count = s->capacity = 0;
}
