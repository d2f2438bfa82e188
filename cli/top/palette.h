/* SPDX-License-Identifier: MIT */
/* palette.h: how styles look, by how many colours there are. No terminal. */
#ifndef CLI_TOP_PALETTE_H
#define CLI_TOP_PALETTE_H

#include "cli/top/grid.h"

enum look_attribute { LOOK_BOLD = 1, LOOK_DIM = 2, LOOK_UNDERLINE = 4, LOOK_REVERSE = 8 };

#define LOOK_DEFAULT (-1) /* the terminal's own colour */

struct look {
    unsigned attributes; /* enum look_attribute, together */
    short foreground;    /* number of a colour, or LOOK_DEFAULT */
    short background;
};

/* The palette's size for a terminal that says it has so many: 0, 8, 16 or 256. What has more than 256 takes other
 * numbers for them (red, green and blue), but the first 8 are the same everywhere. */
int palette_colors(int terminal_colors);

/* colors: as palette_colors() gives. */
const struct look *palette_look(uint32_t style, int colors);

#endif
