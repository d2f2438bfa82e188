/* SPDX-License-Identifier: MIT */
/* columns.h: the one table of the overview's columns. Live view, chooser, sorting, batch text, CSV and the manual are
 * all made from it. */
#ifndef CLI_TOP_COLUMNS_H
#define CLI_TOP_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/history.h"
#include "cli/units.h"

#define CELL_TEXT 512 /* bytes that hold one cell, for people or machines: full ids too */

/* For people: "<4.10 us", below the end of its bucket, which is all that a histogram tells; ">4.29 s" where that is the
 * last, open one. Returns buf. */
char *quantile_format(char *buf, size_t size, const struct quantile *q);

/* One column. A function writes "" where there is nothing to show; cells have CELL_TEXT bytes. */
struct column {
    const char *name;                                 /* in settings and on the command line, lower case: "exits" */
    const char *title;                                /* for people; NULL: for machines only, and not to be chosen */
    const char *csv;                                  /* for machines, stable; NULL: not in CSV */
    const char *help;                                 /* one sentence or two, for the chooser and the manual */
    int width;                                        /* in cells; 0: as wide as its contents */
    int priority;                                     /* the highest goes first where there is no room; 0 never goes */
    int left;                                         /* text, at the left */
    int measure;                                      /* made of the measures; left out where no row has any */
    int (*telling)(const struct track_facts *);       /* left out where this is not so of any VM; NULL: it stays */
    void (*show)(char *, const struct track_facts *); /* for people; NULL: the tree or the sparkline, which are drawn */
    void (*write)(char *, const struct track_facts *); /* for machines */
    double (*value)(const struct track_facts *);       /* to sort by, and for the sparkline; NAN: none. NULL: by what
                                                          write writes */
};

extern const struct column kvmtop_columns[];
extern const size_t kvmtop_column_count; /* at most 64 */

#define COLUMN_NAME 0 /* of kvmtop_columns: the tree */

/* By name: its index, or -1. Those without a title are not found. */
long column_find(const char *name);

#endif
