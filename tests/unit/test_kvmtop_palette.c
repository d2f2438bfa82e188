/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include <math.h>

#include "cli/top/palette.h"

static const int palettes[] = { 0, 8, 16, 256 };

/* ---- what colours are, as xterm has them ---- */

static double linear(int byte)
{
    double c = byte / 255.0;

    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

/* Red, green and blue, as light. */
static void light_of(int color, double rgb[3])
{
    static const int first[16][3] = { { 0, 0, 0 },       { 205, 0, 0 },   { 0, 205, 0 },   { 205, 205, 0 },
                                      { 0, 0, 238 },     { 205, 0, 205 }, { 0, 205, 205 }, { 229, 229, 229 },
                                      { 127, 127, 127 }, { 255, 0, 0 },   { 0, 255, 0 },   { 255, 255, 0 },
                                      { 92, 92, 255 },   { 255, 0, 255 }, { 0, 255, 255 }, { 255, 255, 255 } };
    static const int steps[] = { 0, 95, 135, 175, 215, 255 };
    int n = color - 16;

    for (int i = 0; i < 3; i++) {
        static const int weight[] = { 36, 6, 1 };

        rgb[i] = linear(color < 16 ? first[color][i] : color < 232 ? steps[n / weight[i] % 6] : 8 + 10 * (color - 232));
    }
}

static double luminance(int color)
{
    double rgb[3];

    light_of(color, rgb);
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
}

/* WCAG's: 1 (none) to 21. */
static double contrast(double a, double b) { return (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05); }

/* How far two colours are from each other for those who lack red or green cones (Machado 2009): 0 to about 1. */
static double distance_seen(int a, int b, int without_green)
{
    static const double seen[2][3][3] = {
        { { 0.152286, 1.052583, -0.204868 }, { 0.114503, 0.786281, 0.099216 }, { -0.003882, -0.048116, 1.051998 } },
        { { 0.367322, 0.860646, -0.227968 }, { 0.280085, 0.672501, 0.047413 }, { -0.011820, 0.042940, 0.968881 } },
    };
    double x[3], y[3];
    double sum = 0;

    light_of(a, x);
    light_of(b, y);
    for (int i = 0; i < 3; i++) {
        double p = 0;
        double q = 0;

        for (int k = 0; k < 3; k++) {
            p += seen[without_green][i][k] * x[k];
            q += seen[without_green][i][k] * y[k];
        }
        p = sqrt(fmax(p, 0)); /* about as eyes see it */
        q = sqrt(fmax(q, 0));
        sum += (p - q) * (p - q);
    }
    return sqrt(sum / 3);
}

/* ---- what is promised ---- */

Test(palette, only_colours_that_the_terminal_has_are_used)
{
    for (size_t p = 0; p < LENGTH(palettes); p++) {
        for (uint32_t s = 0; s < STYLE_COUNT; s++) {
            const struct look *look = palette_look(s, palettes[p]);

            cr_expect_lt(look->foreground, palettes[p]);
            cr_expect_lt(look->background, palettes[p]);
        }
    }
    cr_expect_eq(palette_colors(-1), 0);
    cr_expect_eq(palette_colors(2), 0);
    cr_expect_eq(palette_colors(8), 8);
    cr_expect_eq(palette_colors(88), 16);
    cr_expect_eq(palette_colors(256), 256);
    cr_expect_eq(palette_colors(1 << 24), 8, "its other numbers are red, green and blue");
}

Test(palette, text_can_be_read_on_dark_and_on_light_terminals)
{
    /* Of 8 colours none is in the middle but red; bold ones are brighter on many terminals. */
    static const double least[] = { 0, 2.2, 3.0, 3.0 };

    for (size_t p = 1; p < LENGTH(palettes); p++) {
        for (uint32_t s = 0; s < STYLE_HEAT; s++) {
            const struct look *look = palette_look(s, palettes[p]);
            double front = look->foreground == LOOK_DEFAULT ? -1 : luminance(look->foreground);

            if (look->background != LOOK_DEFAULT) {
                cr_assert_neq(look->foreground, LOOK_DEFAULT, "style %u: nobody knows whether it can be read", s);
                cr_expect_geq(contrast(front, luminance(look->background)), 4.5, "style %u of %d", s, palettes[p]);
            } else if (front >= 0) {
                cr_expect_geq(contrast(front, 0), least[p], "style %u of %d on black", s, palettes[p]);
                cr_expect_geq(contrast(front, 1), least[p], "style %u of %d on white", s, palettes[p]);
            }
        }
    }
}

Test(palette, heat_gets_lighter_with_each_step)
{
    for (size_t p = 1; p < LENGTH(palettes); p++) {
        int steps = 1;

        for (uint32_t i = 0; i < STYLE_HEATS; i++) {
            const struct look *look = palette_look(STYLE_HEAT + i, palettes[p]);
            const struct look *before = palette_look(STYLE_HEAT + (i ? i - 1 : 0), palettes[p]);

            cr_expect_gt(luminance(look->foreground), luminance(look->background),
                         "the denser the character the lighter");
            if (look->background != before->background) {
                cr_expect_gt(luminance(look->background), luminance(before->background) * 1.1);
                steps++;
            }
        }
        cr_expect_eq(steps, palettes[p] == 256 ? STYLE_HEATS : palettes[p] == 16 ? 4 : 3);
    }
}

Test(palette, what_differs_in_colour_differs_for_the_colour_blind)
{
    static const enum style pairs[][2] = { { STYLE_WARNING, STYLE_GOOD }, { STYLE_CHART, STYLE_COMPARED } };

    for (size_t p = 1; p < LENGTH(palettes); p++) {
        for (size_t i = 0; i < LENGTH(pairs); i++) {
            int a = palette_look(pairs[i][0], palettes[p])->foreground;
            int b = palette_look(pairs[i][1], palettes[p])->foreground;

            for (int without_green = 0; without_green < 2; without_green++)
                cr_expect_gt(distance_seen(a, b, without_green), 0.25, "%d and %d of %d: %.2f", a, b, palettes[p],
                             distance_seen(a, b, without_green));
        }
    }
}

Test(palette, without_colours_what_matters_differs_by_attributes)
{
    static const enum style matter[] = { STYLE_NORMAL,   STYLE_TITLE, STYLE_HEADER,  STYLE_SORTED,
                                         STYLE_SELECTED, STYLE_DIM,   STYLE_WARNING, STYLE_INPUT };

    for (size_t i = 0; i < LENGTH(matter); i++) {
        for (size_t k = 0; k < i; k++)
            cr_expect_neq(palette_look(matter[i], 0)->attributes, palette_look(matter[k], 0)->attributes, "%d and %d",
                          matter[i], matter[k]);
    }
    cr_expect_neq(palette_look(STYLE_CHART, 0)->attributes, palette_look(STYLE_COMPARED, 0)->attributes);
}

Test(palette, a_style_that_is_none_looks_normal)
{
    cr_expect_eq(palette_look(STYLE_COUNT, 256), palette_look(STYLE_NORMAL, 256));
    cr_expect_eq(palette_look(0xffffffffU, 0), palette_look(STYLE_NORMAL, 0));
}
