/* SPDX-License-Identifier: MIT */
/* chart.h: numbers as pictures in a grid. With ascii only ASCII characters are drawn. NAN is a gap, not 0: nothing is
 * drawn there, while 0 is a line at the bottom. Blocks and shades, not Braille, as console fonts have those. */
#ifndef CLI_TOP_CHART_H
#define CLI_TOP_CHART_H

#include <stddef.h>

#include "cli/top/grid.h"

/* count values, oldest first, in one row of count cells: the highest of them (at least least_top) is a whole cell, 0 and
 * less the least: eighths of a block from below, or with ascii, from 0 on, one of "_.:-=+*#". */
void chart_spark(struct grid *grid, int row, int column, enum style style, const double *values, size_t count,
                 double least_top, int ascii);

/* A bar of share (0 to 1) of width cells, in eighths of a cell where that can be drawn; what is not 0 shows something.
 * Other glyphs in STYLE_COMPARED than in others, so that two sides can be told apart without colours. */
void chart_bar(struct grid *grid, int row, int column, int width, enum style style, double share, int ascii);

/* count values, the newest at the right end, as a graph over time of rows x columns cells: from 0 (or the lowest, where
 * that is negative) to top. Columns of blocks in eighths of a cell; with ascii of '|', with '.' for half a cell. */
void chart_graph(struct grid *grid, int row, int column, int rows, int columns, enum style style, const double *values,
                 size_t count, double top, int ascii);

/* One cell of a heat map: intensity 0 to 1, as characters that get denser (four shades; with ascii one of ".:-=+*%#") and,
 * where there are colours, one of STYLE_HEATS styles. Nothing for 0 and NAN. */
void chart_heat(struct grid *grid, int row, int column, double intensity, int ascii);

#endif
