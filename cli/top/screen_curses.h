/* SPDX-License-Identifier: MIT */
/* screen_curses.h: a terminal, through ncursesw: shows grids, hands over keys, and leaves the terminal as it was
 * however kvmtop ends. There is one terminal, so there is one screen. One thread.
 */
#ifndef CLI_TOP_SCREEN_CURSES_H
#define CLI_TOP_SCREEN_CURSES_H

#include "cli/top/grid.h"
#include "cli/top/keynames.h"
#include "cli/top/settings.h"

/* Take the terminal over; the locale has been set. 0, or -1 after a message. */
int screen_open(enum color_when color, int mouse);

/* Give it back. Also when it was not open. */
void screen_close(void);

void screen_size(int *rows, int *columns);

/* Show grid; only what changed is sent. Never waits: where the terminal has not taken all before it yet, it is shown by
 * screen_wait() once it has, unless there is a newer one by then. */
void screen_show(const struct grid *grid);

/* The next key (keynames.h), KEY_NONE_ where none was pressed; never waits. */
int screen_key(void);

/* What the mouse did, after KEY_MOUSE_. 1, or 0: nothing that has a meaning. */
int screen_mouse(struct mouse *ret);

/* Wait until a key may have come, the size changed, or a signal asks for something; at most seconds. */
void screen_wait(double seconds);

/* 1 once a signal (SIGINT, SIGTERM, SIGHUP) asked to end, or the terminal is gone. */
int screen_ended(void);

#endif
