/* SPDX-License-Identifier: MIT */
/* picture.h: what draw_histogram() has to show: the histogram that was chosen and the one that it is compared with, each
 * of the span that was chosen. No grid. */
#ifndef CLI_TOP_PICTURE_H
#define CLI_TOP_PICTURE_H

#include "cli/top/draw.h"

/* One source's part in it. */
struct picture_part {
    const struct detail *detail;
    const struct detail_line *line; /* NULL: it has no such statistic */
    const char *why;                /* it is not in the histogram; NULL: it is */
};

struct picture {
    struct picture_part parts[HISTOGRAM_SIDES];
    int count; /* of parts */
    struct histogram histogram;
};

/* The histogram that was chosen (itself, or one of its quantiles), or NULL. */
const struct detail_line *picture_line(const struct scene *scene);

/* Whether there is another source to compare with, there or not. */
int picture_compares(const struct view *view);

/* Of line, which is what picture_line() gave. */
void picture_take(struct picture *picture, const struct scene *scene, const struct detail_line *line);
void picture_free(struct picture *picture);

/* Where all buckets that ever counted fit into page rows, show those: so nothing jumps from beat to beat. */
void picture_widen(struct picture *picture, size_t page);

/* Buckets from the first that has anything to the last. */
size_t picture_lines(const struct histogram *histogram);

#endif
