/* SPDX-License-Identifier: MIT */
/* actions.h: the one table of what keys do. Help, the line at the bottom (as far as it has room, in this order), settings,
 * completions and the manual are made from it. */
#ifndef CLI_TOP_ACTIONS_H
#define CLI_TOP_ACTIONS_H

#include <stddef.h>

enum view_mode {
    VIEW_OVERVIEW = 1,
    VIEW_DETAIL = 2,
    VIEW_HISTOGRAM = 4,
    VIEW_HELP = 8,
    VIEW_SORT = 16,    /* chooser of the column to sort by */
    VIEW_COLUMNS = 32, /* chooser of columns */
};

enum action {
    ACTION_QUIT,
    ACTION_BACK,
    ACTION_HELP,
    ACTION_ENTER, /* overview: detail; detail: histogram; choosers: choose */
    ACTION_FILTER,
    ACTION_SORT,
    ACTION_SORT_LEFT, /* by the column left of the one that is sorted by */
    ACTION_SORT_RIGHT,
    ACTION_INVERT,
    ACTION_COLUMNS,
    ACTION_PANEL, /* detail: the next panel; histogram: bars or heat map */
    ACTION_SPAN,  /* histogram: of the interval, since the mark, of all time */
    ACTION_LEVEL,
    ACTION_HIDE_ZERO,
    ACTION_PAUSE,
    ACTION_EARLIER,
    ACTION_LATER,
    ACTION_EARLIER_MORE,
    ACTION_LATER_MORE,
    ACTION_NEWEST,
    ACTION_SHORTER,
    ACTION_LONGER,
    ACTION_MARK,
    ACTION_UNMARK,
    ACTION_COMPARE,
    ACTION_FOLD,
    ACTION_UNFOLD,
    ACTION_TOGGLE,
    ACTION_TOGGLE_ALL,
    ACTION_SHARDS, /* overview: show or hide the shards of the selected source; detail: the panel of shards */
    ACTION_FOLLOW,
    ACTION_SAVE,
    ACTION_UP,
    ACTION_DOWN,
    ACTION_PAGE_UP,
    ACTION_PAGE_DOWN,
    ACTION_HOME,
    ACTION_END,
    ACTION_COUNT,
};

/* Where two actions have the same key in a mode, the first of the table has it: q quits the overview, and goes back
 * everywhere else. */
struct action_info {
    const char *name;  /* in the settings: "page-up" */
    const char *keys;  /* names of those that it has by default, with spaces between */
    const char *brief; /* for the line at the bottom; NULL: not there */
    const char *help;  /* one sentence */
    unsigned modes;    /* enum view_mode in which it works, together */
};

extern const struct action_info actions[ACTION_COUNT];

#endif
