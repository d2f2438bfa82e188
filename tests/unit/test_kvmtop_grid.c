/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include <locale.h>

#include "cli/top/grid.h"

static char text[4096];

static void in_utf8(void) { cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8")); }

TestSuite(grid, .init = in_utf8);

static const char *row(const struct grid *g, int y) { return grid_row_text(g, y, text, sizeof(text)); }

static void empty(struct grid *g, int rows, int columns) { cr_assert_eq(grid_reset(g, rows, columns), 0); }

static const struct cell *cell(const struct grid *g, int y, int x)
{
    return &g->cells[(size_t)y * (size_t)g->columns + (size_t)x];
}

Test(grid, cuts_at_its_edges_and_keeps_wide_characters_whole)
{
    struct grid g = { 0 };

    empty(&g, 2, 8);
    cr_expect_eq(grid_text(&g, 0, 6, 100, STYLE_NORMAL, "abc"), 2);
    cr_expect_str_eq(row(&g, 0), "      ab");
    cr_expect_eq(grid_text(&g, 1, 0, 4, STYLE_NORMAL, "a\u6f22\u5b57"), 3, "the second one does not fit");
    cr_expect_str_eq(row(&g, 1), "a\u6f22");
    cr_expect_eq(grid_text(&g, 1, 7, 4, STYLE_NORMAL, "\u6f22"), 0, "half a character is none");
    cr_expect_eq(cell(&g, 1, 7)->glyph, ' ');
    grid_free(&g);
}

Test(grid, outside_of_it_nothing_is_drawn)
{
    static const int outside[][2] = {
        { 2, 0 }, { -1, 0 }, { 0, -1 }, { 0, 8 }, { 1000000, 1000000 }, { -2147483647, 3 }
    };
    struct grid g = { 0 };

    empty(&g, 2, 8);
    for (size_t i = 0; i < LENGTH(outside); i++) {
        cr_expect_eq(grid_text(&g, outside[i][0], outside[i][1], 4, STYLE_TITLE, "x"), 0);
        grid_number(&g, outside[i][0], outside[i][1], 4, STYLE_TITLE, "x");
        grid_style_row(&g, outside[i][0] ? outside[i][0] : -1, STYLE_TITLE);
    }
    cr_expect_eq(grid_text(&g, 0, 0, -5, STYLE_TITLE, "x"), 0);
    cr_expect_eq(grid_text(&g, 0, 0, 0, STYLE_TITLE, "x"), 0);
    for (int i = 0; i < 16; i++)
        cr_expect(g.cells[i].glyph == ' ' && g.cells[i].style == STYLE_NORMAL);
    cr_expect_str_eq(row(&g, 7), "");
    cr_expect_str_eq(row(&g, -1), "");
    empty(&g, 0, 0);
    cr_expect_eq(grid_text(&g, 0, 0, 4, STYLE_NORMAL, "x"), 0);
    grid_free(&g);
    cr_expect_eq(grid_text(&g, 0, 0, 4, STYLE_NORMAL, "x"), 0, "nor where there is none");
}

Test(grid, what_is_no_character_is_a_question_mark)
{
    static const struct {
        const char *bytes;
        const char *shown;
    } cases[] = {
        { "a\033\xff\xc3z\xe2\x82", "a???z?" },
        { "\t\n\r\x7f", "????" },
        { "\xc0\x80", "??" },        /* overlong */
        { "\xed\xa0\x80", "?" },     /* half of a pair */
        { "\xf4\x90\x80\x80", "?" }, /* beyond the last */
        { "\xf0\x9f\x98", "?" },     /* ends too early */
        { "\x80\xbf", "??" },        /* begins in the middle */
        { "\xc2\x85x", "?x" },       /* C1: a terminal would obey */
    };
    struct grid g = { 0 };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        empty(&g, 1, 12);
        grid_text(&g, 0, 0, 12, STYLE_NORMAL, cases[i].bytes);
        cr_expect_str_eq(row(&g, 0), cases[i].shown);
        cr_expect_eq(grid_width(cases[i].bytes), (int)strlen(cases[i].shown));
    }
    grid_free(&g);
}

Test(grid, what_combines_with_the_character_before_is_left_out_and_takes_no_cell)
{
    struct grid g = { 0 };

    empty(&g, 1, 6);
    cr_expect_eq(grid_text(&g, 0, 0, 6, STYLE_NORMAL, "e\u0301a\u200bb"), 3);
    cr_expect_str_eq(row(&g, 0), "eab");
    cr_expect_eq(grid_text(&g, 0, 0, 6, STYLE_NORMAL, "\u0301\u0301\u0301x"), 1, "nor where there is none before");
    cr_expect_eq(cell(&g, 0, 0)->glyph, 'x');
    cr_expect_eq(grid_width("e\u0301a\u6f22"), 4);
    grid_free(&g);
}

Test(grid, a_wide_character_is_two_cells_of_one_style)
{
    struct grid g = { 0 };

    empty(&g, 1, 6);
    cr_expect_eq(grid_text(&g, 0, 1, 5, STYLE_WARNING, "\u6f22x"), 3);
    cr_expect_eq(cell(&g, 0, 1)->glyph, 0x6f22);
    cr_expect_eq(cell(&g, 0, 2)->glyph, GRID_CONTINUED);
    cr_expect_eq(cell(&g, 0, 2)->style, STYLE_WARNING);
    cr_expect_eq(cell(&g, 0, 3)->glyph, 'x');
    grid_free(&g);
}

/* Where one half of a wide character is drawn over, the other would be drawn beside it by the terminal. */
Test(grid, half_a_wide_character_never_stays)
{
    struct grid g = { 0 };

    empty(&g, 1, 6);
    grid_text(&g, 0, 0, 6, STYLE_NORMAL, "\u6f22\u5b57");
    grid_text(&g, 0, 1, 1, STYLE_NORMAL, "x");
    cr_expect_str_eq(row(&g, 0), " x\u5b57");
    grid_text(&g, 0, 2, 1, STYLE_NORMAL, "y");
    cr_expect_str_eq(row(&g, 0), " xy");
    cr_expect_eq(cell(&g, 0, 3)->glyph, ' ');
    grid_text(&g, 0, 0, 6, STYLE_NORMAL, "\u6f22\u5b57\u6f22");
    grid_text(&g, 0, 1, 4, STYLE_NORMAL, "\u5b57\u6f22");
    cr_expect_str_eq(row(&g, 0), " \u5b57\u6f22");
    cr_expect_eq(cell(&g, 0, 5)->glyph, ' ');
    grid_free(&g);
}

Test(grid, a_number_is_whole_or_none)
{
    struct grid g = { 0 };

    empty(&g, 1, 8);
    grid_number(&g, 0, 0, 5, STYLE_NORMAL, "123");
    cr_expect_str_eq(row(&g, 0), "  123");
    grid_number(&g, 0, 0, 5, STYLE_NORMAL, "123456");
    cr_expect_str_eq(row(&g, 0), "#####");
    empty(&g, 1, 8);
    grid_number(&g, 0, 6, 5, STYLE_NORMAL, "12345");
    cr_expect_str_eq(row(&g, 0), "      ##", "nor is it cut by the edge");
    empty(&g, 1, 8);
    grid_number(&g, 0, 6, 2147483647, STYLE_NORMAL, "7");
    cr_expect_str_eq(row(&g, 0), "       7");
    grid_free(&g);
}

Test(grid, a_row_takes_a_style_without_its_text_changing)
{
    struct grid g = { 0 };

    empty(&g, 3, 5);
    grid_text(&g, 1, 0, 5, STYLE_GOOD, "live");
    grid_style_row(&g, 1, STYLE_SELECTED);
    for (int y = 0; y < 3; y++) {
        for (int x = 0; x < 5; x++)
            cr_expect_eq(cell(&g, y, x)->style, y == 1 ? STYLE_SELECTED : STYLE_NORMAL);
    }
    cr_expect_str_eq(row(&g, 1), "live");
    grid_free(&g);
}

Test(grid, made_anew_it_is_empty_and_of_that_size)
{
    static const int sizes[][4] = { { 3, 5, 3, 5 },   { 3, 5, 3, 5 },         { 1, 1, 1, 1 },        { 0, 80, 0, 80 },
                                    { -4, -4, 0, 0 }, { 20000, 1, 10000, 1 }, { 1, 20000, 1, 10000 } };
    struct grid g = { 0 };

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        empty(&g, sizes[i][0], sizes[i][1]);
        cr_expect_eq(g.rows, sizes[i][2]);
        cr_expect_eq(g.columns, sizes[i][3]);
        for (int k = 0; k < g.rows * g.columns; k++)
            cr_assert(g.cells[k].glyph == ' ' && g.cells[k].style == STYLE_NORMAL);
        for (int y = 0; y < g.rows; y++)
            grid_text(&g, y, 0, 5, STYLE_TITLE, "xxxxx");
    }
    grid_free(&g);
}

Test(grid, a_row_as_text_is_cut_between_characters)
{
    struct grid g = { 0 };
    char small[6];

    empty(&g, 1, 6);
    grid_text(&g, 0, 0, 6, STYLE_NORMAL, "a\u6f22\u5b57");
    cr_expect_str_eq(grid_row_text(&g, 0, small, sizeof(small)), "a\u6f22");
    cr_expect_str_eq(grid_row_text(&g, 0, small, 1), "");
    grid_free(&g);
}

Test(grid, every_character_is_encoded_as_it_is_decoded)
{
    char buf[5];

    for (uint32_t c = 0xa0; c < 0x110000; c++) {
        const char *at = buf;

        if (c == 0xd800)
            c = 0xe000;
        grid_encode(c, buf);
        cr_assert_eq(grid_decode(&at), c);
        cr_assert_eq(*at, '\0');
    }
}
