/* SPDX-License-Identifier: MIT */
/* Room: what is long ago is thinned out, and what has gone is forgotten. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/history_parts.h"

#define GONE_MAX 4 /* tracks of what is gone: so many times those that are there */
#define GONE_FREE 1024
#define FEW_BEATS 16

static void count_bytes(struct history *h)
{
    h->bytes = 0;
    for (size_t i = 0; i < h->track_count; i++)
        h->bytes += track_bytes(&h->tracks[i]);
}

/* Choose an eighth of the pairs of neighbouring beats, the newest quarter aside, that are to be one: the shortest, the
 * oldest of these first, then longer ones. keep[] of the earlier one is then 0. */
static void choose_pairs(const struct history *h, uint8_t *keep)
{
    const size_t old = h->count - h->count / 4;
    double limit = INFINITY;
    size_t chosen = 0;

    for (size_t i = 0; i + 1 < old; i++)
        limit = fmin(limit, h->beats[i].seconds + h->beats[i + 1].seconds);
    while (chosen <= old / 8) {
        limit = limit > 0 ? 1.25 * limit : 1e-9; /* beats are never quite as long as each other */
        chosen = 0;
        memset(keep, 1, h->count);
        for (size_t i = 0; i + 1 < old && chosen <= old / 8; i++) {
            if (h->beats[i].seconds + h->beats[i + 1].seconds <= limit) {
                keep[i++] = 0;
                chosen++;
            }
        }
    }
}

/* Make the beats that were not kept part of those that follow, or (merge 0) forget them; keep has a byte for each. 0 or
 * -ENOMEM. */
static int compact(struct history *h, const uint8_t *keep, int merge)
{
    double *seconds = malloc(h->count * sizeof(*seconds));
    size_t to = 0;

    if (!seconds)
        return -ENOMEM;
    for (size_t i = 0; i < h->count; i++)
        seconds[i] = h->beats[i].seconds;
    for (size_t k = 0; k < h->track_count; k++)
        track_compact(&h->tracks[k], keep, seconds, h->count, merge);
    for (size_t i = 0; i < h->count; i++) {
        if (keep[i])
            h->beats[to++] = h->beats[i];
        else if (merge)
            h->beats[i + 1].seconds += h->beats[i].seconds;
    }
    h->count = to;
    free(seconds);
    return 0;
}

int history_thin(struct history *h)
{
    size_t eighth = h->count / 8;
    uint8_t *keep = malloc(h->count);
    double left = 0;
    int r;

    if (!keep)
        return -ENOMEM;
    for (size_t i = eighth; i < h->count; i++)
        left += h->beats[i].seconds;
    if (left >= HISTORY_SECONDS) {
        memset(keep, 1, h->count);
        memset(keep, 0, eighth);
        r = compact(h, keep, 0);
    } else {
        choose_pairs(h, keep);
        r = compact(h, keep, 1);
    }
    free(keep);
    return r;
}

/* Forget tracks of what is gone: those without records, and those that ended before that beat. */
static int forget(struct history *h, size_t before)
{
    size_t to = 0;

    for (size_t i = 0; i < h->track_count; i++) {
        struct track *t = &h->tracks[i];

        if (!t->seen && t->columns.start + t->columns.count <= before)
            track_free(t);
        else
            h->tracks[to++] = *t;
    }
    if (to == h->track_count)
        return 0;
    h->track_count = to;
    return history_make_table(h, h->table_size);
}

int history_make_room(struct history *h)
{
    size_t there = 0;
    int r = 0;

    count_bytes(h);
    for (size_t i = 0; i < h->track_count; i++)
        there += h->tracks[i].seen;
    while (r == 0 &&
           (h->count >= (h->keep ? HISTORY_BEATS : FEW_BEATS) || (h->bytes > HISTORY_BYTES && h->count > 8))) {
        r = history_thin(h);
        if (r == 0)
            r = forget(h, 0);
        count_bytes(h);
    }
    for (size_t before = h->count / 2; r == 0 && h->track_count - there > GONE_MAX * there + GONE_FREE;
         before += (h->count - before + 1) / 2)
        r = forget(h, before);
    return r;
}
