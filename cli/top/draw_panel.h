/* SPDX-License-Identifier: MIT */
/* draw_panel.h: below the lines of a detail, all about the selected one. And how its numbers are written there and in
 * the table. */
#ifndef CLI_TOP_DRAW_PANEL_H
#define CLI_TOP_DRAW_PANEL_H

#include "cli/top/draw.h"
#include "cli/units.h"

/* line NULL: none is selected. Rows from row on are the panel's, count of them. */
void draw_panel(struct grid *grid, const struct scene *scene, const struct detail_line *line, int row, int count);

/* A line's numbers for people; "-" where there is none. buf has UNIT_TEXT bytes; returned. */
char *detail_value_text(char *buf, const struct detail_line *line);                /* its total */
char *detail_rate_text(char *buf, const struct detail_line *line, double rate);    /* or average, or bound */
char *detail_change_text(char *buf, const struct detail_line *line, double value); /* with its sign */
char *detail_estimate_text(char *buf, const struct detail_line *line, const struct estimate *e);

#endif
