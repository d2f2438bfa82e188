/* SPDX-License-Identifier: MIT */
#include "cli/top/histogram.h"

#include <assert.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const histogram_quantile_names[HISTOGRAM_QUANTILES] = { "p50", "p90", "p99", "p99.9" };
const double histogram_quantiles[HISTOGRAM_QUANTILES] = { 0.5, 0.9, 0.99, 0.999 };

int histogram_is(const struct vmt_descriptor *d)
{
    uint32_t type = d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_LINEAR_HIST || type == VMT_TYPE_LOG_HIST;
}

void histogram_start(struct histogram *h, const struct vmt_descriptor *d)
{
    h->d = d;
    h->size = d->size;
    h->first = h->size;
    h->last = 0;
    h->side_count = 0;
}

void histogram_free(struct histogram *h)
{
    for (int i = 0; i < HISTOGRAM_SIDES; i++)
        free(h->sides[i].counts);
    memset(h, 0, sizeof(*h));
}

void histogram_bounds(const struct vmt_descriptor *d, uint32_t i, double *low, double *high)
{
    uint64_t from, to;

    vmt_bucket_bounds(d, i, &from, &to);
    *low = (double)from;
    *high = i + 1 >= d->size ? INFINITY : (double)to;
}

struct estimate histogram_estimate(const struct vmt_descriptor *d, const double *counts, double q)
{
    struct estimate e = { NAN, NAN, NAN, 0 };
    uint32_t found = d->size;
    double total = 0, below = 0, rank, width;

    for (uint32_t i = 0; i < d->size; i++)
        total += counts[i];
    if (!(total > 0))
        return e;
    rank = (q < 1 ? q > 0 ? q : 0 : 1) * total;
    rank -= rank * (2 * DBL_EPSILON); /* 0.07 is a double a little above it, which must not make 7 of 100 the 8th */
    for (uint32_t i = 0; i < d->size; i++) {
        if (!(counts[i] > 0))
            continue;
        if (found < d->size)
            below += counts[found];
        found = i;
        if (below + counts[i] >= rank)
            break;
    }
    histogram_bounds(d, found, &e.low, &e.high);
    e.value = e.low;
    e.open = isinf(e.high);
    width = e.high - e.low - 1; /* values are whole numbers */
    if (!e.open && width > 0)
        e.value += width * fmin(fmax((rank - below) / counts[found], 0), 1);
    return e;
}

/* The next side, with memory for its counts; it counts only once it is ended. NULL without memory. */
static struct histogram_side *side_begin(struct histogram *h)
{
    struct histogram_side *side = &h->sides[h->side_count];
    double *counts;

    assert(h->side_count < HISTOGRAM_SIDES);
    counts = reallocarray(side->counts, (size_t)h->size + 1, sizeof(*counts));
    if (!counts)
        return NULL;
    side->counts = counts;
    return side;
}

static void side_end(struct histogram *h)
{
    struct histogram_side *side = &h->sides[h->side_count++];
    double most = 0;

    side->total = 0;
    for (uint32_t i = 0; i < h->size; i++) {
        if (!(side->counts[i] > 0))
            continue;
        side->total += side->counts[i];
        most = side->counts[i] > most ? side->counts[i] : most;
        h->first = i < h->first ? i : h->first;
        h->last = i > h->last ? i : h->last;
    }
    side->share = most > 0 ? most / side->total : 0;
    for (int q = 0; q < HISTOGRAM_QUANTILES; q++)
        side->quantiles[q] = histogram_estimate(h->d, side->counts, histogram_quantiles[q]);
}

int histogram_add(struct histogram *h, const uint64_t *values, const uint64_t *before)
{
    struct histogram_side *side = side_begin(h);

    if (!side)
        return -ENOMEM;
    for (uint32_t i = 0; i < h->size; i++) {
        uint64_t had = before ? before[i] : 0;

        side->counts[i] = values[i] > had ? (double)(values[i] - had) : 0;
    }
    side_end(h);
    return 0;
}

int histogram_add_beat(struct histogram *h, const struct history *history, size_t track, size_t beat, uint32_t part)
{
    double seconds = beat < history_count(history) ? history_beat(history, beat)->seconds : 0;
    struct histogram_side *side = side_begin(h);
    int known = 0;

    if (!side)
        return -ENOMEM;
    for (uint32_t i = 0; i < h->size && seconds > 0; i++) {
        double rate = history_slot(history, track, beat, part, h->d->slot + i);
        double count = round(rate * seconds); /* whole, up to what packing lost */

        known |= !isnan(rate);
        side->counts[i] = isfinite(count) && count > 0 ? count : 0;
    }
    if (!known)
        return -ENODATA;
    side_end(h);
    return 0;
}
