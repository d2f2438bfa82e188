/* SPDX-License-Identifier: MIT */
/* Numbers as pictures in a grid: sparklines, bars, graphs over time, cells of a heat map. */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "cli/top/chart.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void init(void) { setlocale(LC_ALL, "C.UTF-8"); }

TestSuite(chart, .init = init);

static struct grid new_grid(int rows, int columns)
{
    struct grid g = { 0 };

    cr_assert_eq(grid_reset(&g, rows, columns), 0);
    return g;
}

static void assert_row(const struct grid *g, int row, const char *expected)
{
    char text[1024];

    cr_expect_str_eq(grid_row_text(g, row, text, sizeof(text)), expected, "row %d is '%s', not '%s'", row, text,
                     expected);
}

static const struct cell *cell_at(const struct grid *g, int row, int column)
{
    return &g->cells[(size_t)row * (size_t)g->columns + (size_t)column];
}

/* Every cell outside of rows x columns at (row, column) is as it was. */
static void assert_untouched_around(const struct grid *g, int row, int column, int rows, int columns)
{
    for (int y = 0; y < g->rows; y++)
        for (int x = 0; x < g->columns; x++) {
            int inside = y >= row && y < row + rows && x >= column && x < column + columns;

            cr_expect(inside || (cell_at(g, y, x)->glyph == ' ' && cell_at(g, y, x)->style == STYLE_NORMAL),
                      "drawn at %d, %d", y, x);
        }
}

/* ---- sparklines ---- */

Test(chart, a_sparkline_scales_to_its_highest)
{
    static const double values[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct grid g = new_grid(2, 10);

    chart_spark(&g, 0, 0, STYLE_CHART, values, LENGTH(values), 0, 0);
    chart_spark(&g, 1, 0, STYLE_CHART, values, LENGTH(values), 0, 1);
    assert_row(&g, 0, "▁▂▃▄▅▆▇█");
    assert_row(&g, 1, "_.:-=+*#");
    cr_expect_eq(cell_at(&g, 0, 3)->style, STYLE_CHART);
    grid_free(&g);
}

Test(chart, a_sparkline_of_little_is_not_blown_up)
{
    static const double values[] = { 0, 1, 7 };
    struct grid g = new_grid(1, 10);

    chart_spark(&g, 0, 0, STYLE_CHART, values, LENGTH(values), 100, 1);
    assert_row(&g, 0, "_..");
    grid_free(&g);
}

Test(chart, a_gap_is_not_zero_and_little_is_not_zero)
{
    static const double values[] = { NAN, 0, 1e-300, NAN, 1e300, INFINITY, -5, -INFINITY, NAN };
    struct grid g = new_grid(2, 12);

    chart_spark(&g, 0, 1, STYLE_CHART, values, LENGTH(values), 0, 1);
    chart_spark(&g, 1, 1, STYLE_CHART, values, LENGTH(values), 0, 0);
    assert_row(&g, 0, "  _. ##__");
    assert_row(&g, 1, "  ▁▂ ██▁▁");
    grid_free(&g);
}

Test(chart, a_sparkline_ends_at_the_edge)
{
    static const double values[] = { 1, 1, 1, 1, 1, 1 };
    struct grid g = new_grid(2, 4);

    chart_spark(&g, 0, 2, STYLE_CHART, values, LENGTH(values), 0, 1);
    chart_spark(&g, 7, 0, STYLE_CHART, values, LENGTH(values), 0, 1);
    assert_row(&g, 0, "  ##");
    assert_row(&g, 1, "");
    grid_free(&g);
}

/* ---- bars ---- */

Test(chart, bars_in_eighths_of_a_cell)
{
    static const struct {
        double share;
        const char *blocks;
        const char *ascii;
    } cases[] = {
        { 0, "", "" },
        { 1e-9, "▏", "." },
        { 1.0 / 32, "▏", "." },
        { 0.125, "▌", "#" },
        { 0.25, "█", "#" },
        { 0.4, "█▋", "##" },
        { 15.0 / 32, "█▉", "##" },
        { 1, "████", "####" },
        { 7, "████", "####" },
        { NAN, "", "" },
        { -1, "", "" },
        { INFINITY, "████", "####" },
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct grid g = new_grid(2, 8);

        chart_bar(&g, 0, 0, 4, STYLE_CHART, cases[i].share, 0);
        chart_bar(&g, 1, 0, 4, STYLE_CHART, cases[i].share, 1);
        assert_row(&g, 0, cases[i].blocks);
        assert_row(&g, 1, cases[i].ascii);
        assert_untouched_around(&g, 0, 0, 2, 4);
        grid_free(&g);
    }
}

Test(chart, the_compared_side_has_other_glyphs)
{
    static const double shares[] = { 1e-9, 0.5, 1 };

    for (size_t i = 0; i < LENGTH(shares); i++)
        for (int ascii = 0; ascii < 2; ascii++) {
            struct grid g = new_grid(2, 4);

            chart_bar(&g, 0, 0, 4, STYLE_CHART, shares[i], ascii);
            chart_bar(&g, 1, 0, 4, STYLE_COMPARED, shares[i], ascii);
            cr_expect_neq(cell_at(&g, 1, 0)->glyph, ' ');
            cr_expect_neq(cell_at(&g, 0, 0)->glyph, cell_at(&g, 1, 0)->glyph, "share %g", shares[i]);
            grid_free(&g);
        }
}

Test(chart, a_bar_without_room_draws_nothing)
{
    struct grid g = new_grid(1, 4);

    chart_bar(&g, 0, 0, 0, STYLE_CHART, 1, 0);
    chart_bar(&g, 0, 0, -3, STYLE_CHART, 1, 0);
    chart_bar(&g, 0, 9, 3, STYLE_CHART, 1, 0);
    chart_bar(&g, 5, 0, 3, STYLE_CHART, 1, 0);
    assert_row(&g, 0, "");
    grid_free(&g);
}

/* ---- graphs ---- */

Test(chart, a_graph_over_time)
{
    static const double values[] = { 0, 1, 2, 4, NAN, 8, 16, 12, 0.1 };
    struct grid g = new_grid(8, 12);

    chart_graph(&g, 0, 1, 4, 10, STYLE_CHART, values, LENGTH(values), 16, 0);
    chart_graph(&g, 4, 1, 4, 10, STYLE_CHART, values, LENGTH(values), 16, 1);
    assert_row(&g, 0, "        █");
    assert_row(&g, 1, "        ██");
    assert_row(&g, 2, "       ███");
    assert_row(&g, 3, "  ▁▂▄█ ███▂");
    assert_row(&g, 4, "        |");
    assert_row(&g, 5, "        ||");
    assert_row(&g, 6, "       |||");
    assert_row(&g, 7, "  _..| |||.");
    assert_untouched_around(&g, 0, 1, 8, 10);
    grid_free(&g);
}

Test(chart, a_graph_has_the_newest_at_the_right_and_drops_the_oldest)
{
    static const double values[] = { 8, 8, 8, 8, 0, 8 };
    struct grid g = new_grid(1, 8);

    chart_graph(&g, 0, 0, 1, 3, STYLE_CHART, values, LENGTH(values), 8, 1);
    chart_graph(&g, 0, 4, 1, 4, STYLE_CHART, values + 4, 2, 8, 1);
    assert_row(&g, 0, "|_|   _|");
    grid_free(&g);
}

Test(chart, a_graph_of_negative_values_starts_at_the_lowest)
{
    static const double values[] = { -8, 0, 8, NAN };
    struct grid g = new_grid(2, 4);

    chart_graph(&g, 0, 0, 2, 4, STYLE_CHART, values, LENGTH(values), 8, 1);
    assert_row(&g, 0, "  |");
    assert_row(&g, 1, "_||");
    grid_free(&g);
}

Test(chart, a_graph_of_anything_stays_inside)
{
    static const double values[] = { INFINITY, -INFINITY, 1e308, -1e308, 5e-324, NAN, -0.0, 3 };
    static const double tops[] = { 0, -1, 1, 1e308, INFINITY, NAN, -INFINITY };

    for (size_t i = 0; i < LENGTH(tops); i++)
        for (int ascii = 0; ascii < 2; ascii++) {
            struct grid g = new_grid(6, 12);

            chart_graph(&g, 1, 2, 3, 8, STYLE_CHART, values, LENGTH(values), tops[i], ascii);
            assert_untouched_around(&g, 1, 2, 3, 8);
            cr_expect_eq(cell_at(&g, 3, 7)->glyph, ' ', "a gap");
            cr_expect_neq(cell_at(&g, 3, 9)->glyph, ' ');
            chart_graph(&g, 1, 2, 0, 8, STYLE_CHART, values, LENGTH(values), tops[i], ascii);
            chart_graph(&g, 1, 2, 3, 0, STYLE_CHART, values, LENGTH(values), tops[i], ascii);
            assert_untouched_around(&g, 1, 2, 3, 8);
            grid_free(&g);
        }
}

/* ---- heat ---- */

Test(chart, heat_gets_denser_and_has_a_style_for_each_step)
{
    struct grid g = new_grid(2, 12);

    for (int i = 0; i <= 8; i++) {
        chart_heat(&g, 0, i, i / 8.0, 0);
        chart_heat(&g, 1, i, i / 8.0, 1);
        if (i)
            cr_expect_eq(cell_at(&g, 1, i)->style, (uint32_t)(STYLE_HEAT + i - 1));
    }
    assert_row(&g, 0, " ░░▒▒▓▓██");
    assert_row(&g, 1, " .:-=+*%#");
    grid_free(&g);
}

Test(chart, heat_beyond_its_range)
{
    struct grid g = new_grid(1, 6);

    chart_heat(&g, 0, 0, NAN, 1);
    chart_heat(&g, 0, 1, -1, 1);
    chart_heat(&g, 0, 2, 1e-300, 1);
    chart_heat(&g, 0, 3, 99, 1);
    chart_heat(&g, 0, 4, INFINITY, 1);
    chart_heat(&g, 0, 6, 1, 1);
    assert_row(&g, 0, "  .##");
    grid_free(&g);
}

Test(chart, ascii_draws_nothing_but_ascii)
{
    static const double values[] = { 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1 };
    struct grid g = new_grid(6, 16);

    chart_spark(&g, 0, 0, STYLE_CHART, values, LENGTH(values), 0, 1);
    chart_graph(&g, 1, 0, 2, 16, STYLE_CHART, values, LENGTH(values), 1, 1);
    for (size_t i = 0; i < LENGTH(values); i++) {
        chart_bar(&g, 3, 0, 16, STYLE_CHART, values[i], 1);
        chart_bar(&g, 4, 0, 16, STYLE_COMPARED, values[i], 1);
        chart_heat(&g, 5, (int)i, values[i], 1);
    }
    for (int i = 0; i < g.rows * g.columns; i++)
        cr_expect(g.cells[i].glyph >= ' ' && g.cells[i].glyph < 0x7f, "cell %d is U+%04X", i, g.cells[i].glyph);
    grid_free(&g);
}
