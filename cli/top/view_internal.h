/* SPDX-License-Identifier: MIT */
/* view_internal.h: what view.c, view_time.c, view_filter.c and view_input.c share. */
#ifndef CLI_TOP_VIEW_INTERNAL_H
#define CLI_TOP_VIEW_INTERNAL_H

#include "cli/top/view.h"

/* Do what an action is for. 0 or -ENOMEM. */
int view_act(struct view *view, const struct model *model, enum action action);

/* The part of view_act() that is about time. */
void view_act_time(struct view *view, const struct model *model, enum action action);

/* Select that row (or the last), or that line of whatever list there is; it will be scrolled to. */
void view_select(struct view *view, const struct model *model, size_t i);

/* Sort by that column, or by the same the other way round. */
void view_sort(struct view *view, size_t column);

/* Open the line of input. */
void view_type(struct view *view);

/* A key while it is open: 1 if it took the key, 0, or -ENOMEM. */
int view_typed(struct view *view, int key);

/* Show all again. */
void view_filter_clear(struct view_filter *filter);

/* The filter of the mode that is seen: of rows or of statistics. */
struct view_filter *view_filter_here(struct view *view);

#endif
