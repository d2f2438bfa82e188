/* SPDX-License-Identifier: MIT */
/* grid.h: a rectangle of characters with styles, which views draw into and screens show. Needs no terminal. */
#ifndef CLI_TOP_GRID_H
#define CLI_TOP_GRID_H

#include <stddef.h>
#include <stdint.h>

/* What a cell is, not how it looks: that is the screen's business. No meaning is carried by style alone. */
enum style {
    STYLE_NORMAL,
    STYLE_TITLE,
    STYLE_HEADER,
    STYLE_SORTED, /* the title of the column that rows are sorted by */
    STYLE_SELECTED,
    STYLE_DIM,
    STYLE_WARNING,
    STYLE_GOOD,     /* live */
    STYLE_CHART,    /* sparklines, bars, graphs */
    STYLE_COMPARED, /* the other side of a comparison */
    STYLE_INPUT,
    STYLE_HEAT, /* to STYLE_HEAT + STYLE_HEATS - 1: from little to much */
    STYLE_HEATS = 8,
    STYLE_COUNT = STYLE_HEAT + STYLE_HEATS,
};

#define GRID_CONTINUED 0 /* glyph of the second cell of a wide character */

struct cell {
    uint32_t glyph; /* Unicode; a space where nothing was drawn */
    uint32_t style; /* enum style */
};

/* Starts as { 0 }. */
struct grid {
    struct cell *cells; /* rows * columns, row after row */
    int rows;
    int columns;
};

/* Make it that large and empty. At most 10,000 each way are made. 0 or -ENOMEM (it is as it was). */
int grid_reset(struct grid *grid, int rows, int columns);
void grid_free(struct grid *grid);

/* Draw UTF-8 text from (row, column) on, cut after width cells and at the edge; what is not UTF-8, or a control
 * character, is '?'; what combines with the character before is left out. Returns the cells drawn. Outside the grid
 * nothing is drawn. */
int grid_text(struct grid *grid, int row, int column, int width, enum style style, const char *text);

/* The same, at the right end of width cells, or of the grid. What does not fit is shown as '#': half a number is a lie. */
void grid_number(struct grid *grid, int row, int column, int width, enum style style, const char *text);

/* Give all cells of a row this style. */
void grid_style_row(struct grid *grid, int row, enum style style);

/* How many cells text takes. */
int grid_width(const char *text);

/* Row as UTF-8 without the spaces at its end, into buf. Returns buf. */
char *grid_row_text(const struct grid *grid, int row, char *buf, size_t size);

/* glyph as UTF-8 with a NUL into buf; returns its length. */
size_t grid_encode(uint32_t glyph, char buf[5]);

/* The character at *text (which is not at its end); *text moves behind it. '?' for what is not UTF-8, or a control. */
uint32_t grid_decode(const char **text);

#endif
