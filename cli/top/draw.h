/* SPDX-License-Identifier: MIT */
/* draw.h: the view, drawn into a grid: draw.c what is around, draw_overview.c, draw_detail.c, draw_histogram.c what is in
 * the middle, draw_lists.c help and choosers. */
#ifndef CLI_TOP_DRAW_H
#define CLI_TOP_DRAW_H

#include "cli/top/detail.h"
#include "cli/top/grid.h"
#include "cli/top/histogram.h"
#include "cli/top/model.h"
#include "cli/top/view.h"

#define DRAW_ROWS_MIN 6
#define DRAW_COLUMNS_MIN 40
#define DRAW_HEAD 2 /* rows at the top that all views have; one more at the bottom */

/* All that is drawn. */
struct scene {
    const struct sample_set *set;
    const struct history *history;
    const struct model *model;
    const struct detail *detail;   /* of the view's detail_key; may be without lines: it is gone */
    const struct detail *compared; /* of the view's compared_key; NULL: none */
    const struct view *view;
    const char *where; /* where VMs are looked for, said when there are none */
};

/* Rows of VMs, lines of a detail and so on, that a grid of that size has room for in the view's mode. */
size_t draw_page(const struct view *view, int rows, int columns);

/* Before drawing: how many lines the view's list has, how many are shown, and view_settle() with both. view is the
 * scene's. */
void draw_settle(struct view *view, const struct scene *scene, int rows, int columns);

/* Into grid, which is empty. */
void draw_view(struct grid *grid, const struct scene *scene);

/* The parts. Each draws rows DRAW_HEAD to grid->rows - 2. */
void draw_overview(struct grid *grid, const struct scene *scene);
void draw_detail(struct grid *grid, const struct scene *scene);
void draw_histogram(struct grid *grid, const struct scene *scene);
void draw_help(struct grid *grid, const struct scene *scene);
void draw_chooser(struct grid *grid, const struct scene *scene);
size_t draw_detail_page(const struct view *view, int rows, int columns);
size_t draw_histogram_page(const struct view *view, int rows, int columns);
size_t draw_histogram_lines(const struct scene *scene); /* buckets as bars; 0: there is nothing to scroll */

/* Lines of the help, on that many columns. */
size_t draw_help_lines(const struct view *view, const struct model *model, int columns);

/* Text that may be cut, and then shows it. Its end is not. draw.c */
void draw_cut(struct grid *grid, int row, int column, int width, enum style style, const char *text, const char *end);

/* The two lines at the top as text of DRAW_TEXT bytes, also for batch text. draw.c */
#define DRAW_TEXT 512
void draw_head_text(char *buf, const struct beat *beat);
void draw_totals_text(char *buf, const struct model *model);

/* A beat as a table of text, line by line into *grid, which gets one row: line 0 is the titles, then come the model's rows.
 * layout is of layout_table(). draw_overview.c. 0 or -ENOMEM. */
struct layout;
int draw_table_line(struct grid *grid, const struct layout *layout, const struct model *model, size_t line, int ascii);

/* The sign behind the title of the column that rows are sorted by: which way. draw_overview.c */
const char *draw_order(const struct view *view);

#endif
