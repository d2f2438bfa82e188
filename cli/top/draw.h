/* SPDX-License-Identifier: MIT */
/* draw.h: the view, drawn into a grid. Also the lines of the batch text, which have the same columns. */
#ifndef CLI_TOP_DRAW_H
#define CLI_TOP_DRAW_H

#include <stdio.h>

#include "cli/top/grid.h"
#include "cli/top/detail.h"
#include "cli/top/keys.h"
#include "cli/top/model.h"

#define DRAW_ROWS_MIN 6
#define DRAW_COLUMNS_MIN 40

/* Rows of VMs, or lines of a detail, that a grid of that many rows has room for. */
size_t draw_page(int rows);

/* Draw what view shows into grid, which is empty. detail is drawn in its mode, and may be without lines: it is gone.
 * where: where VMs are looked for, said when there are none. */
void draw_view(struct grid *grid, const struct sample_set *set, const struct model *model, const struct detail *detail,
               const struct view *view, const char *where);

/* How many lines the help has. */
size_t draw_help_lines(void);

/* One sample as a table of text, with a line of totals and an empty line at the end. */
void draw_text(FILE *out, const struct sample_set *set, const struct model *model, int ascii);

#endif
