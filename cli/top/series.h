/* SPDX-License-Identifier: MIT */
/* series.h: numbers of one thing at beat after beat, packed. */
#ifndef CLI_TOP_SERIES_H
#define CLI_TOP_SERIES_H

#include <stddef.h>
#include <stdint.h>

/* A row of width numbers for each beat from start on. Starts as { .width = ... }. */
struct series {
    uint16_t *rows;
    uint32_t width;
    size_t start; /* beat index of the first row */
    size_t count;
    size_t capacity;
};

/* What becomes of two rows that are to be one: a's and b's, of which one may be NULL (it was not there), into b's place;
 * they took share_a and share_b of the time, together 1. */
typedef void series_merge(void *arg, uint16_t *to, const uint16_t *a, const uint16_t *b, double share_a,
                          double share_b);

/* Room for the row of that beat, which is the caller's to fill; where beats are missing since the last one, rows filled
 * with nothing are put in. NULL without memory. */
uint16_t *series_append(struct series *series, size_t beat, const uint16_t *nothing);

/* The row of that beat, or NULL. */
const uint16_t *series_row(const struct series *series, size_t beat);

/* Beats whose keep[beat] is 0 go: with merge become part of the one that follows, else for good. seconds(arg, i) is how
 * long beat i was. */
void series_compact(struct series *series, const uint8_t *keep, const double *seconds, size_t beats,
                    series_merge *merge, void *arg);

/* Bytes that it holds. */
size_t series_bytes(const struct series *series);

/* Empty it; its width stays. */
void series_clear(struct series *series);

#endif
