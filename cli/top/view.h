/* SPDX-License-Identifier: MIT */
/* view.h: what the person in front wants to see, and how keys and the mouse change that. */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/actions.h"
#include "cli/top/filter.h"
#include "cli/top/keynames.h"
#include "cli/top/model.h"
#include "cli/top/settings.h"

#define FILTER_TEXT 128
#define NOTICE_TEXT 160

#define VIEW_LINE_ANY SIZE_MAX

enum panel { PANEL_GRAPH, PANEL_SHARDS, PANEL_COUNT };
enum span { SPAN_INTERVAL, SPAN_MARK, SPAN_ALL, SPAN_COUNT };

/* What is left out of a list. */
struct view_filter {
    char text[FILTER_TEXT]; /* as it is typed */
    struct filter *filter;  /* the last that was right; NULL: all are shown */
    char why[NOTICE_TEXT];  /* what is wrong with the text, "" if nothing */
};

/* Starts with zeros, settings and mode. */
struct view {
    struct settings settings;
    enum view_mode mode;
    enum view_mode behind; /* help and choosers: where they go back to */
    uint64_t beat;         /* number of the beat that is looked at; 0: the newest */

    /* overview */
    struct keys folded;
    struct keys opened;    /* sources whose shards are shown */
    uint64_t selected_key; /* of the row selected; 0: nobody chose one yet, it is the first */
    size_t selected;       /* its index in the model */
    size_t top;            /* first row shown */
    uint64_t counted;      /* columns in which a row ever had something: bit n for kvmtop_columns[n] */

    /* detail and histogram */
    uint64_t detail_key;
    uint64_t compared_key; /* of the source that others are compared with; 0: none */
    uint64_t line_key;     /* of the line selected (detail_line.key) */
    size_t line;           /* its index; VIEW_LINE_ANY: the first statistic */
    int line_histogram;    /* it is a histogram */
    int upwards;           /* the last movement was: over headings, too */
    enum panel panel;
    enum span span;
    int heat; /* the histogram as a heat map */

    /* whatever is a list: detail, histogram, help, choosers */
    size_t scrolled; /* first line shown */
    size_t lines;    /* how many there are */
    size_t chosen;   /* choosers: line selected */
    size_t page;     /* rows that are shown at once */

    int reveal; /* the selection was moved: settling scrolls to where it is */

    struct view_filter rows;       /* of the overview */
    struct view_filter statistics; /* of the detail */
    int typing;                    /* the line of input is open, all characters go there */
    char typed_over[FILTER_TEXT];  /* what the filter was when it was opened */

    /* wishes, which whoever runs the view fulfills and clears */
    int mark; /* 1: set it, -1: forget it */
    int save; /* settings */
    int quit;

    uint64_t marked_ns;       /* CLOCK_REALTIME of the mark, 0: there is none */
    char notice[NOTICE_TEXT]; /* shown in the bottom line until the next key */
    const char *sandbox;      /* what is in force, for the help */
    const char *kernel;       /* what of the kernel's counters can't be read, and what to do; NULL: all can */
};

/* Do what key is for; those without a meaning do nothing. 0, or -ENOMEM. */
int view_key(struct view *view, const struct model *model, int key);
/* The same for the mouse, on a screen of that size. */
int view_mouse(struct view *view, const struct model *model, const struct mouse *mouse, int rows, int columns);

/* Set the filter of rows, as the command line does. 0, -ENOMEM, -EINVAL (the filter's why says what is wrong). */
int view_filter_rows(struct view *view, const char *text);

/* After each sample, fold and resize: find the selected item again (where it has gone, what took its place) and scroll,
 * with following only or where a key moved the selection. page rows of view->lines are shown at once; draw_settle()
 * knows both. */
void view_settle(struct view *view, const struct model *model, size_t page);

/* Before that, in the detail and below it: the same for its lines. */
struct detail;
void view_settle_detail(struct view *view, const struct detail *detail);

/* The lines of the chooser in that mode: how many, and which of kvmtop_columns one is. */
size_t view_choices(enum view_mode mode);
size_t view_choice(enum view_mode mode, size_t line);

/* The index of the beat that is looked at: the one of that number, or the nearest that is still there. */
size_t view_beat(const struct view *view, const struct history *history);

void view_free(struct view *view);

#endif
