/* SPDX-License-Identifier: MIT */
/* detail_numbers.h: the numbers of one statistic at one beat, and since the mark. Only the detail knows of it. */
#ifndef CLI_TOP_DETAIL_NUMBERS_H
#define CLI_TOP_DETAIL_NUMBERS_H

#include "cli/top/detail.h"

/* What one snapshot has of one part: the source's own values, one of its totals, or one shard. */
struct part_values {
    const struct vmt_schema *schema;
    const uint64_t *values; /* NULL: not known */
};

/* One part, and what its numbers are made of. */
struct detail_part {
    const struct history *history;
    size_t track;
    size_t beat;
    size_t newest;
    enum detail_whose whose;
    uint32_t part;
    int there;                 /* at the beat */
    int other;                 /* what was there at the beat had not counted what is there now */
    struct part_values now;    /* at the newest beat */
    struct part_values marked; /* at the mark, where that is not after the beat */
    struct part_values before; /* at the beat before the newest one, where change is not known */
    const uint64_t *change;    /* since then, of each slot */
    double seconds;            /* since then; 0: nothing can be compared */
    size_t *lookups;           /* in the history, that may still be made */
};

/* Whether it is a sum over shards: then each has its share. */
int part_is_sum(const struct vmt_descriptor *d);

/* Whether it never counted anything, as far as one knows. */
int part_is_zero(const struct detail_part *part, const struct vmt_descriptor *d);

/* A shard's part in a statistic: of a sum over shards even what is not signed may be below 0, as one may take away what
 * another added. Of a histogram how many. */
double part_of_shard(const struct vmt_descriptor *d, const uint64_t *values);

/* The numbers of line->d, of a statistic that is no histogram, into line. */
void part_statistic(const struct detail_part *part, struct detail_line *line);

/* Those of a histogram: lines[0] is its own, then come those of its quantiles q. counts: room for its buckets. */
void part_histogram(const struct detail_part *part, struct detail_line *lines, const double *q, size_t quantiles,
                    double *counts);

/* The quantile q of d's counts, each of which may be NAN: then so is the value. */
struct estimate part_estimate(const struct vmt_descriptor *d, double *counts, double q);

/* The same source in another snapshot of that segment, or NULL. */
const struct vmt_sample *part_same_source(const struct vmt_snapshot *snapshot, const struct vmt_sample *sample,
                                          const struct vmt_snapshot *other);

/* Shard k of sample in another sample of that source, or NULL. */
const struct vmt_shard_sample *part_same_shard(const struct vmt_sample *sample, uint32_t k,
                                               const struct vmt_sample *other);

#endif
