/* SPDX-License-Identifier: MIT */
/* Colours are for those who see all of them and for those who don't: blue against orange, never red against green, and
 * heat that gets lighter from step to step (as viridis does). Nobody knows whether the terminal is dark or light, so
 * what is drawn on its own background is in between, at least 3:1 to black and to white where there are 16 colours or
 * more; all others bring a background of their own. Without colours attributes show what is selected, sorted by, wrong.
 */
#include "cli/top/palette.h"

#define NONE LOOK_DEFAULT
#define BOLD LOOK_BOLD
#define DIM LOOK_DIM
#define UNDERLINE LOOK_UNDERLINE
#define REVERSE LOOK_REVERSE

static const struct look looks_0[STYLE_COUNT] = {
    [STYLE_NORMAL] = { 0, NONE, NONE },
    [STYLE_TITLE] = { BOLD, NONE, NONE },
    [STYLE_HEADER] = { REVERSE, NONE, NONE },
    [STYLE_SORTED] = { REVERSE | BOLD | UNDERLINE, NONE, NONE },
    [STYLE_SELECTED] = { REVERSE | BOLD, NONE, NONE },
    [STYLE_DIM] = { DIM, NONE, NONE },
    [STYLE_WARNING] = { BOLD | UNDERLINE, NONE, NONE },
    [STYLE_GOOD] = { 0, NONE, NONE },
    [STYLE_CHART] = { 0, NONE, NONE },
    [STYLE_COMPARED] = { UNDERLINE, NONE, NONE },
    [STYLE_INPUT] = { UNDERLINE, NONE, NONE },
    [STYLE_HEAT] = { 0, NONE, NONE },
    [STYLE_HEAT + 1] = { 0, NONE, NONE },
    [STYLE_HEAT + 2] = { 0, NONE, NONE },
    [STYLE_HEAT + 3] = { 0, NONE, NONE },
    [STYLE_HEAT + 4] = { BOLD, NONE, NONE },
    [STYLE_HEAT + 5] = { BOLD, NONE, NONE },
    [STYLE_HEAT + 6] = { BOLD, NONE, NONE },
    [STYLE_HEAT + 7] = { BOLD, NONE, NONE },
};

/* Red and blue are what can be read on black and on white; bold makes them brighter on many terminals. In heat the
 * character, which gets denser, has the colour of the next step. */
static const struct look looks_8[STYLE_COUNT] = {
    [STYLE_NORMAL] = { 0, NONE, NONE },
    [STYLE_TITLE] = { BOLD, NONE, NONE },
    [STYLE_HEADER] = { REVERSE, NONE, NONE },
    [STYLE_SORTED] = { UNDERLINE, 0, 3 },
    [STYLE_SELECTED] = { BOLD, 7, 4 },
    [STYLE_DIM] = { DIM, NONE, NONE },
    [STYLE_WARNING] = { BOLD, 1, NONE },
    [STYLE_GOOD] = { BOLD, 4, NONE },
    [STYLE_CHART] = { BOLD, 4, NONE },
    [STYLE_COMPARED] = { 0, 1, NONE },
    [STYLE_INPUT] = { BOLD | UNDERLINE, NONE, NONE },
    [STYLE_HEAT] = { 0, 6, 4 },
    [STYLE_HEAT + 1] = { 0, 6, 4 },
    [STYLE_HEAT + 2] = { 0, 6, 4 },
    [STYLE_HEAT + 3] = { 0, 3, 6 },
    [STYLE_HEAT + 4] = { 0, 3, 6 },
    [STYLE_HEAT + 5] = { 0, 3, 6 },
    [STYLE_HEAT + 6] = { 0, 7, 3 },
    [STYLE_HEAT + 7] = { 0, 7, 3 },
};

static const struct look looks_16[STYLE_COUNT] = {
    [STYLE_NORMAL] = { 0, NONE, NONE },
    [STYLE_TITLE] = { BOLD, 12, NONE },
    [STYLE_HEADER] = { REVERSE, NONE, NONE },
    [STYLE_SORTED] = { UNDERLINE, 0, 3 },
    [STYLE_SELECTED] = { BOLD, 15, 4 },
    [STYLE_DIM] = { DIM, NONE, NONE },
    [STYLE_WARNING] = { BOLD, 9, NONE },
    [STYLE_GOOD] = { 0, 12, NONE },
    [STYLE_CHART] = { 0, 12, NONE },
    [STYLE_COMPARED] = { 0, 9, NONE },
    [STYLE_INPUT] = { BOLD | UNDERLINE, NONE, NONE },
    [STYLE_HEAT] = { 0, 12, 4 },
    [STYLE_HEAT + 1] = { 0, 12, 4 },
    [STYLE_HEAT + 2] = { 0, 6, 12 },
    [STYLE_HEAT + 3] = { 0, 6, 12 },
    [STYLE_HEAT + 4] = { 0, 11, 6 },
    [STYLE_HEAT + 5] = { 0, 11, 6 },
    [STYLE_HEAT + 6] = { 0, 15, 11 },
    [STYLE_HEAT + 7] = { 0, 15, 11 },
};

/* From 16 on: 16 + 36 red + 6 green + blue, each 0 to 5, which no setting of the terminal changes; then 24 greys. */
static const struct look looks_256[STYLE_COUNT] = {
    [STYLE_NORMAL] = { 0, NONE, NONE },
    [STYLE_TITLE] = { BOLD, 32, NONE },
    [STYLE_HEADER] = { REVERSE, NONE, NONE },
    [STYLE_SORTED] = { BOLD, 16, 214 },
    [STYLE_SELECTED] = { BOLD, 231, 25 },
    [STYLE_DIM] = { 0, 243, NONE },
    [STYLE_WARNING] = { BOLD, 166, NONE },
    [STYLE_GOOD] = { 0, 32, NONE },
    [STYLE_CHART] = { 0, 32, NONE },
    [STYLE_COMPARED] = { 0, 136, NONE },
    [STYLE_INPUT] = { BOLD | UNDERLINE, NONE, NONE },
    [STYLE_HEAT] = { 0, 55, 53 },
    [STYLE_HEAT + 1] = { 0, 24, 55 },
    [STYLE_HEAT + 2] = { 0, 30, 24 },
    [STYLE_HEAT + 3] = { 0, 36, 30 },
    [STYLE_HEAT + 4] = { 0, 77, 36 },
    [STYLE_HEAT + 5] = { 0, 184, 77 },
    [STYLE_HEAT + 6] = { 0, 226, 184 },
    [STYLE_HEAT + 7] = { 0, 231, 226 },
};

int palette_colors(int terminal_colors)
{
    if (terminal_colors == 256)
        return 256;
    if (terminal_colors >= 16 && terminal_colors < 256)
        return 16;
    return terminal_colors >= 8 ? 8 : 0;
}

const struct look *palette_look(uint32_t style, int colors)
{
    const struct look *looks = colors == 256 ? looks_256 : colors == 16 ? looks_16 : colors == 8 ? looks_8 : looks_0;

    return &looks[style < STYLE_COUNT ? style : STYLE_NORMAL];
}
