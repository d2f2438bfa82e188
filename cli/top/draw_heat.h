/* SPDX-License-Identifier: MIT */
/* draw_heat.h: the buckets of a histogram over time, as a part of draw_histogram.c. */
#ifndef CLI_TOP_DRAW_HEAT_H
#define CLI_TOP_DRAW_HEAT_H

#include "cli/top/draw.h"

#define BOUND_WIDTH 8                      /* cells of a bucket's bound */
#define BOUNDS_WIDTH (2 * BOUND_WIDTH + 3) /* of both of its bounds */
#define HEAT_AXIS 2                        /* rows of the axis of time */

/* Of scene->detail, the buckets of line: from row top on, rows of the map and then its axis if that is wanted, in row
 * legend (-1: nowhere) what the shades mean. */
void draw_heat(struct grid *grid, const struct scene *scene, const struct detail_line *line, int top, int rows,
               int axis, int legend);

/* The bounds of buckets first to last at the left end of row y, in BOUNDS_WIDTH cells, or (narrow) BOUND_WIDTH: the lower
 * one alone. draw_histogram.c */
void draw_bounds(struct grid *grid, int y, const struct vmt_descriptor *d, uint32_t first, uint32_t last, int narrow);

#endif
