/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "cli/top/grid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define SIDE_MAX 10000

int grid_reset(struct grid *g, int rows, int columns)
{
    rows = rows < 0 ? 0 : rows < SIDE_MAX ? rows : SIDE_MAX;
    columns = columns < 0 ? 0 : columns < SIDE_MAX ? columns : SIDE_MAX;
    if (rows != g->rows || columns != g->columns) {
        struct cell *cells = malloc(((size_t)rows * (size_t)columns + 1) * sizeof(*cells));

        if (!cells)
            return -ENOMEM;
        free(g->cells);
        g->cells = cells;
        g->rows = rows;
        g->columns = columns;
    }
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++)
        g->cells[i] = (struct cell){ ' ', STYLE_NORMAL };
    return 0;
}

void grid_free(struct grid *g)
{
    free(g->cells);
    memset(g, 0, sizeof(*g));
}

uint32_t grid_decode(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    int more = s[0] < 0x80 ? 0 : s[0] >= 0xc2 && s[0] < 0xe0 ? 1 : s[0] >= 0xe0 && s[0] < 0xf0 ? 2 : 3;
    uint32_t c = more ? s[0] & (0x3fU >> more) : s[0];

    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4)) {
        *text += 1;
        return '?';
    }
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *text += i;
            return '?';
        }
        c = c << 6 | (s[i] & 0x3fU);
    }
    *text += more + 1;
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return '?';
    return c;
}

/* Cells of a character; where the locale does not know it, one. */
static int width_of(uint32_t c)
{
    int n = c < 0x80 ? 1 : wcwidth((wchar_t)c);

    return n < 0 ? 1 : n;
}

int grid_width(const char *text)
{
    int n = 0;

    while (*text)
        n += width_of(grid_decode(&text));
    return n;
}

/* Make n cells from this one on free: of a wide character that loses one half the other goes too. */
static void clear(struct grid *g, int row, int column, int n)
{
    struct cell *cells = &g->cells[(size_t)row * (size_t)g->columns];

    if (column > 0 && cells[column].glyph == GRID_CONTINUED)
        cells[column - 1].glyph = ' ';
    if (column + n < g->columns && cells[column + n].glyph == GRID_CONTINUED)
        cells[column + n].glyph = ' ';
}

int grid_text(struct grid *g, int row, int column, int width, enum style style, const char *text)
{
    int drawn = 0;

    if (row < 0 || row >= g->rows || column < 0 || column >= g->columns)
        return 0;
    if (width > g->columns - column)
        width = g->columns - column;
    while (*text) {
        struct cell *cell = &g->cells[(size_t)row * (size_t)g->columns + (size_t)(column + drawn)];
        uint32_t c = grid_decode(&text);
        int n = width_of(c);

        if (n == 0) /* combines with the one before: left out */
            continue;
        if (drawn + n > width)
            break;
        clear(g, row, column + drawn, n);
        cell[0] = (struct cell){ c, style };
        if (n == 2)
            cell[1] = (struct cell){ GRID_CONTINUED, style };
        drawn += n;
    }
    return drawn;
}

void grid_number(struct grid *g, int row, int column, int width, enum style style, const char *text)
{
    int n = grid_width(text);

    if (column < 0 || column >= g->columns)
        return;
    if (width > g->columns - column)
        width = g->columns - column;
    if (n <= width) {
        grid_text(g, row, column + width - n, n, style, text);
        return;
    }
    for (int i = 0; i < width; i++)
        grid_text(g, row, column + i, 1, style, "#");
}

void grid_style_row(struct grid *g, int row, enum style style)
{
    if (row < 0 || row >= g->rows)
        return;
    for (int i = 0; i < g->columns; i++)
        g->cells[(size_t)row * (size_t)g->columns + (size_t)i].style = style;
}

size_t grid_encode(uint32_t c, char buf[5])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        buf[i] = (char)(0x80 | (c & 0x3f));
    buf[0] = (char)(first[n] | c);
    buf[n] = '\0';
    return n;
}

char *grid_row_text(const struct grid *g, int row, char *buf, size_t size)
{
    size_t at = 0;
    size_t end = 0;

    for (int i = 0; row >= 0 && row < g->rows && i < g->columns; i++) {
        uint32_t glyph = g->cells[(size_t)row * (size_t)g->columns + (size_t)i].glyph;
        char utf8[5];
        size_t n = glyph == GRID_CONTINUED ? 0 : grid_encode(glyph, utf8);

        if (at + n >= size)
            break;
        memcpy(buf + at, utf8, n);
        at += n;
        if (glyph != ' ')
            end = at;
    }
    if (size)
        buf[end] = '\0';
    return buf;
}
