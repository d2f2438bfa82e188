/* SPDX-License-Identifier: MIT */
#include "cli/top/chart.h"

#include <math.h>

#define EIGHTHS 8 /* of a cell, that blocks divide it into */
#define SPARKS 7  /* above 0 */

#define GLYPH_LOWER 0x2580U  /* + 1 to 8: that many eighths from below */
#define GLYPH_LEFT 0x2590U   /* - 1 to 8: that many eighths from the left */
#define GLYPH_SHADES 0x2590U /* + 1 to 3: from light to dark */
#define GLYPH_FULL 0x2588U
#define GLYPH_COMPARED 0x2592U
#define GLYPH_COMPARED_LITTLE 0x2591U

static void put(struct grid *g, int row, int column, enum style style, uint32_t glyph)
{
    char text[5];

    grid_encode(glyph, text);
    grid_text(g, row, column, 1, style, text);
}

/* 0 to 1; the latter also for what is beyond. */
static double share_of(double value, double low, double high)
{
    double share = value >= high ? 1 : (value - low) / (high - low);

    return share > 0 ? share : 0; /* NAN, where both are huge, is 0 too */
}

void chart_spark(struct grid *g, int row, int column, enum style style, const double *values, size_t count,
                 double least_top, int ascii)
{
    double top = least_top > 0 ? least_top : 0;

    for (size_t i = 0; i < count; i++)
        top = isfinite(values[i]) && values[i] > top ? values[i] : top;
    for (size_t i = 0; i < count && (int)i < g->columns; i++) {
        int level = 0;

        if (isnan(values[i]))
            continue;
        if (values[i] > 0) {
            level = (int)ceil(share_of(values[i], 0, top) * SPARKS);
            level = level < 1 ? 1 : level;
        }
        put(g, row, column + (int)i, style, ascii ? (uint32_t) "_.:-=+*#"[level] : GLYPH_LOWER + 1 + (uint32_t)level);
    }
}

void chart_bar(struct grid *g, int row, int column, int width, enum style style, double share, int ascii)
{
    int other = style == STYLE_COMPARED;
    int steps = ascii || other ? 1 : EIGHTHS; /* that a cell has */
    uint32_t full = ascii ? (other ? '=' : '#') : other ? GLYPH_COMPARED : GLYPH_FULL;
    uint32_t little = ascii ? (other ? '-' : '.') : GLYPH_COMPARED_LITTLE;
    int n;

    if (!(share > 0) || width < 1)
        return;
    n = (int)lround((share < 1 ? share : 1) * width * steps);
    for (int i = 0; i < n / steps; i++)
        put(g, row, column + i, style, full);
    if (n % steps)
        put(g, row, column + n / steps, style, GLYPH_LEFT - (uint32_t)(n % steps));
    else if (n == 0)
        put(g, row, column, style, steps == 1 ? little : GLYPH_LEFT - 1);
}

/* A column of level eighths, from its bottom up. */
static void draw_column(struct grid *g, int bottom, int column, int rows, enum style style, int level, int ascii)
{
    for (int i = 0; i < rows && level > i * EIGHTHS; i++) {
        int fill = level - i * EIGHTHS < EIGHTHS ? level - i * EIGHTHS : EIGHTHS;

        if (!ascii)
            put(g, bottom - i, column, style, GLYPH_LOWER + (uint32_t)fill);
        else
            put(g, bottom - i, column, style, level == 1 ? '_' : fill > EIGHTHS / 2 ? '|' : '.');
    }
}

void chart_graph(struct grid *g, int row, int column, int rows, int columns, enum style style, const double *values,
                 size_t count, double top, int ascii)
{
    double low = 0;

    if (rows < 1 || columns < 1 || rows > g->rows) /* more can't be seen, nor counted in eighths for ever */
        return;
    if (count > (size_t)columns) {
        values += count - (size_t)columns;
        count = (size_t)columns;
    }
    for (size_t i = 0; i < count; i++)
        low = isfinite(values[i]) && values[i] < low ? values[i] : low;
    for (size_t i = 0; i < count; i++) {
        double share = top > low ? share_of(values[i], low, top) : 0;
        int level = 1; /* 0, or the lowest */

        if (isnan(values[i]))
            continue;
        if (share > 0) {
            level = (int)lround(share * rows * EIGHTHS);
            level = level < 2 ? 2 : level;
        }
        draw_column(g, row + rows - 1, column + columns - (int)count + (int)i, rows, style, level, ascii);
    }
}

void chart_heat(struct grid *g, int row, int column, double intensity, int ascii)
{
    int level = (int)ceil((intensity < 1 ? intensity : 1) * STYLE_HEATS);
    uint32_t shade;

    if (!(intensity > 0))
        return;
    level = level < 1 ? 1 : level;
    shade = (uint32_t)(level + 1) / 2; /* 1 to 4 */
    if (ascii)
        shade = (uint32_t) ".:-=+*%#"[level - 1];
    else
        shade = shade < 4 ? GLYPH_SHADES + shade : GLYPH_FULL;
    put(g, row, column, (enum style)(STYLE_HEAT + level - 1), shade);
}
