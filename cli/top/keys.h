/* SPDX-License-Identifier: MIT */
/* keys.h: what the person in front wants to see, and the one table of the keys that change it. The help and the
 * line at the bottom are made from that table.
 */
#ifndef CLI_TOP_KEYS_H
#define CLI_TOP_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/model.h"

#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600.0

/* Keys as the screen hands them over: a character is itself, others are these. */
enum key {
    KEY_NONE_ = 0,
    KEY_ENTER_ = '\n',
    KEY_ESCAPE_ = 27,
    KEY_OTHER_ = 0x110000, /* beyond all characters */
    KEY_UP_,
    KEY_DOWN_,
    KEY_PAGE_UP_,
    KEY_PAGE_DOWN_,
    KEY_HOME_,
    KEY_END_,
    KEY_RESIZED_,
};

enum view_mode { VIEW_OVERVIEW = 1, VIEW_DETAIL = 2, VIEW_HELP = 4 };

/* Settings and place of the view. Starts as { .mode = VIEW_OVERVIEW, .interval_s = ..., .sandbox = ... }. */
struct view {
    enum view_mode mode;
    enum view_mode behind; /* the help: where it goes back to */
    struct folds folds;
    uint64_t selected_key; /* of the row selected */
    size_t selected;       /* its index in the model */
    size_t top;            /* first row shown */
    size_t scrolled;       /* detail, help: first line shown */
    size_t lines;          /* detail, help: how many there are */
    uint64_t detail_key;
    size_t page; /* rows that are shown at once */
    double interval_s;
    const char *sandbox; /* what is in force, for the help */
    int ascii;           /* draw lines with ASCII only */
    int paused;
    int quit;
};

/* One key, or two that do the same. */
struct key_binding {
    int key;
    int other;         /* 0: none */
    const char *name;  /* as the help calls it */
    const char *brief; /* for the line at the bottom; NULL: not there */
    const char *help;
    unsigned modes; /* enum view_mode in which it works, together */
    int (*act)(struct view *, const struct model *);
};

extern const struct key_binding key_bindings[];
extern const size_t key_binding_count;

/* Do what key is for; those without a meaning do nothing. 0, or -ENOMEM. */
int view_key(struct view *view, const struct model *model, int key);

/* After each sample, fold and resize: find the selected item again (where it has gone, what took its place) and scroll
 * so that it is seen. page rows are shown at once. */
void view_settle(struct view *view, const struct model *model, size_t page);

#endif
