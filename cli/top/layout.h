/* SPDX-License-Identifier: MIT */
/* layout.h: which columns of the overview are shown, where, and how wide. */
#ifndef CLI_TOP_LAYOUT_H
#define CLI_TOP_LAYOUT_H

#include "cli/top/model.h"
#include "cli/top/view.h"

#define LAYOUT_COLUMNS 64
#define LAYOUT_TEXT 1024 /* bytes that hold the tree's lines and a name */

struct layout {
    int widths[LAYOUT_COLUMNS]; /* 0: not shown */
    int starts[LAYOUT_COLUMNS];
};

/* For a screen of that many columns. What no row counts and what the view's settings hide is left out, then, where there is
 * no room, the least important first; never what rows are sorted by. */
void layout_make(struct layout *layout, const struct model *model, const struct view *view, int columns);

/* For a table of text: all columns that have anything and are not hidden (bit n: kvmtop_columns[n]), as wide as it is. */
void layout_table(struct layout *layout, const struct model *model, uint64_t hidden_columns, int ascii);

/* Columns in which a row has something: bit n for kvmtop_columns[n]. known: bits that need not be looked for. */
uint64_t layout_counted(const struct model *model, uint64_t known);

/* The column at that cell, or -1. */
long layout_column_at(const struct layout *layout, int cell);

/* The lines of the tree, whether the row is folded, and its name, into buf of LAYOUT_TEXT bytes. */
void layout_tree(char *buf, const struct model_row *row, int ascii);

/* Whether that cell of the tree is on the sign that says whether the row is folded. */
int layout_on_sign(const struct model_row *row, int cell);

/* The tree, which is drawn from the row, and the trend, which is drawn from the history, have no text of their own. */
int layout_is_trend(size_t column);

#endif
