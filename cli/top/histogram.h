/* SPDX-License-Identifier: MIT */
/* histogram.h: one histogram as bars and quantiles, or two against each other, or its buckets over time. No terminal. */
#ifndef CLI_TOP_HISTOGRAM_H
#define CLI_TOP_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/history.h"

#define HISTOGRAM_QUANTILES 4 /* p50, p90, p99, p99.9 */
#define HISTOGRAM_SIDES 2

/* Estimated from buckets: linearly inside of the one in which it lies, from its least to its largest whole number. That
 * bucket is also how far it may be off. */
struct estimate {
    double value; /* NAN: nothing was recorded. INFINITY never: of the open bucket its lower bound, and open is set */
    double low;   /* bounds [low, high) in the descriptor's own scale */
    double high;  /* INFINITY in the open bucket */
    int open;
};

/* What one source counted. counts are its own memory. */
struct histogram_side {
    double *counts; /* size of them */
    double total;
    double share; /* of the fullest bucket */
    struct estimate quantiles[HISTOGRAM_QUANTILES];
};

/* Reusable memory; starts as { 0 }. */
struct histogram {
    const struct vmt_descriptor *d;
    uint32_t size;  /* buckets */
    uint32_t first; /* of those that have anything in any side; size: none has */
    uint32_t last;
    struct histogram_side sides[HISTOGRAM_SIDES];
    int side_count;
};

extern const char *const histogram_quantile_names[HISTOGRAM_QUANTILES];
extern const double histogram_quantiles[HISTOGRAM_QUANTILES];

/* 1 where d is one. */
int histogram_is(const struct vmt_descriptor *d);

/* Start one of d, without sides. d must stay. */
void histogram_start(struct histogram *histogram, const struct vmt_descriptor *d);

/* Add a side: what the d->size buckets at values counted, less what those at before counted (NULL: nothing); a bucket
 * that fell counted 0. 0 or -ENOMEM. */
int histogram_add(struct histogram *histogram, const uint64_t *values, const uint64_t *before);

/* The same from the history: what the beat's interval counted. 0, -ENOMEM, or -ENODATA: that is not known of any bucket
 * (of single ones: 0), and no side is added. */
int histogram_add_beat(struct histogram *histogram, const struct history *history, size_t track, size_t beat,
                       uint32_t part);
void histogram_free(struct histogram *histogram);

/* Bounds of bucket i: [low, high), of the last one INFINITY. */
void histogram_bounds(const struct vmt_descriptor *d, uint32_t i, double *low, double *high);

/* The quantile q of the d->size counts, none of which is below 0 or infinite. */
struct estimate histogram_estimate(const struct vmt_descriptor *d, const double *counts, double q);

#endif
