/* SPDX-License-Identifier: MIT */
#include "cli/top/keys.h"

#include <string.h>

static const double intervals[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600 };
#define INTERVALS (sizeof(intervals) / sizeof(intervals[0]))

/* ---- what keys do ---- */

static int quit(struct view *v, const struct model *m)
{
    (void)m;
    v->quit = 1;
    return 0;
}

static int pause_view(struct view *v, const struct model *m)
{
    (void)m;
    v->paused = !v->paused;
    return 0;
}

static int shorter(struct view *v, const struct model *m)
{
    (void)m;
    for (size_t i = INTERVALS; i-- > 0;) {
        if (intervals[i] < v->interval_s) {
            v->interval_s = intervals[i];
            break;
        }
    }
    return 0;
}

static int longer(struct view *v, const struct model *m)
{
    (void)m;
    for (size_t i = 0; i < INTERVALS; i++) {
        if (intervals[i] > v->interval_s) {
            v->interval_s = intervals[i];
            break;
        }
    }
    return 0;
}

static void select_row(struct view *v, const struct model *m, size_t i)
{
    if (!m->count)
        return;
    v->selected = i < m->count ? i : m->count - 1;
    v->selected_key = m->rows[v->selected].key;
}

/* By n rows or lines; settling bounds it at the end. */
static int move_by(struct view *v, const struct model *m, size_t n, int down)
{
    size_t *at = v->mode == VIEW_OVERVIEW ? &v->selected : &v->scrolled;
    size_t to = down ? *at + n : *at > n ? *at - n : 0;

    if (v->mode == VIEW_OVERVIEW)
        select_row(v, m, to);
    else
        v->scrolled = to;
    return 0;
}

static size_t page_of(const struct view *v) { return v->page > 1 ? v->page - 1 : 1; }
static int up(struct view *v, const struct model *m) { return move_by(v, m, 1, 0); }
static int down(struct view *v, const struct model *m) { return move_by(v, m, 1, 1); }
static int page_up(struct view *v, const struct model *m) { return move_by(v, m, page_of(v), 0); }
static int page_down(struct view *v, const struct model *m) { return move_by(v, m, page_of(v), 1); }
static int home(struct view *v, const struct model *m) { return move_by(v, m, SIZE_MAX / 2, 0); }
static int end(struct view *v, const struct model *m) { return move_by(v, m, SIZE_MAX / 2, 1); }

static const struct model_row *selected_row(const struct view *v, const struct model *m)
{
    return v->selected < m->count ? &m->rows[v->selected] : NULL;
}

static int set_fold(struct view *v, const struct model *m, int folded)
{
    const struct model_row *row = selected_row(v, m);

    return row && row->children ? folds_set(&v->folds, row->key, folded) : 0;
}

/* What has no children folds its parent, as people expect of a tree. */
static int fold(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);
    size_t i = v->selected;

    if (!row || (row->children && !row->folded) || row->depth == 0)
        return set_fold(v, m, 1);
    while (i > 0 && m->rows[i].depth >= row->depth)
        i--;
    select_row(v, m, i);
    return set_fold(v, m, 1);
}

static int unfold(struct view *v, const struct model *m) { return set_fold(v, m, 0); }

static int toggle(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);

    return row && row->folded ? unfold(v, m) : fold(v, m);
}

/* All VMs: folded, unless all are already. */
static int toggle_all(struct view *v, const struct model *m)
{
    int open = 0;

    for (size_t i = 0; i < m->count; i++)
        open |= m->rows[i].depth == 0 && m->rows[i].children && !m->rows[i].folded;
    for (size_t i = 0; i < m->count; i++) {
        int r = m->rows[i].depth == 0 && m->rows[i].children ? folds_set(&v->folds, m->rows[i].key, open) : 0;

        if (r < 0)
            return r;
        if (open && m->rows[i].depth == 0 && i <= v->selected) /* what was selected goes out of sight with it */
            v->selected_key = m->rows[i].key;
    }
    return 0;
}

static int detail(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);

    if (row) {
        v->detail_key = row->key;
        v->mode = VIEW_DETAIL;
        v->scrolled = 0;
    }
    return 0;
}

static int help(struct view *v, const struct model *m)
{
    (void)m;
    v->behind = v->mode;
    v->mode = VIEW_HELP;
    v->scrolled = 0;
    return 0;
}

static int back(struct view *v, const struct model *m)
{
    (void)m;
    v->mode = v->mode == VIEW_HELP ? v->behind : VIEW_OVERVIEW;
    v->scrolled = 0;
    return 0;
}

/* ---- the table ---- */

#define ALL (VIEW_OVERVIEW | VIEW_DETAIL | VIEW_HELP)
#define INSIDE (VIEW_DETAIL | VIEW_HELP)

const struct key_binding key_bindings[] = {
    { 'q', 0, "q", "quit", "Quit", VIEW_OVERVIEW, quit },
    { 'q', KEY_ESCAPE_, "q, Esc", "back", "Back to where you came from", INSIDE, back },
    { 'h', '?', "h, ?", "help", "This help", VIEW_OVERVIEW | VIEW_DETAIL, help },
    { KEY_ENTER_, '\r', "Enter", "detail", "All statistics of the selected VM or source", VIEW_OVERVIEW, detail },
    { ' ', 0, "Space", "fold", "Fold or unfold what is below the selected row", VIEW_OVERVIEW, toggle },
    { '+', '=', "+", NULL, "Unfold", VIEW_OVERVIEW, unfold },
    { '-', 0, "-", NULL, "Fold", VIEW_OVERVIEW, fold },
    { '*', 0, "*", NULL, "Fold all VMs; unfold them if all are folded", VIEW_OVERVIEW, toggle_all },
    { 'p', 0, "p", "pause", "Stop taking samples, or go on", VIEW_OVERVIEW | VIEW_DETAIL, pause_view },
    { '[', 0, "[", NULL, "A shorter interval between samples", VIEW_OVERVIEW | VIEW_DETAIL, shorter },
    { ']', 0, "]", NULL, "A longer interval between samples", VIEW_OVERVIEW | VIEW_DETAIL, longer },
    { KEY_UP_, 'k', "Up, k", NULL, "One row up", ALL, up },
    { KEY_DOWN_, 'j', "Down, j", NULL, "One row down", ALL, down },
    { KEY_PAGE_UP_, 0, "PageUp", NULL, "One page up", ALL, page_up },
    { KEY_PAGE_DOWN_, 0, "PageDown", NULL, "One page down", ALL, page_down },
    { KEY_HOME_, 'g', "Home, g", NULL, "The first row", ALL, home },
    { KEY_END_, 'G', "End, G", NULL, "The last row", ALL, end },
};
const size_t key_binding_count = sizeof(key_bindings) / sizeof(key_bindings[0]);

int view_key(struct view *v, const struct model *m, int key)
{
    for (size_t i = 0; i < key_binding_count && key != KEY_NONE_; i++) {
        const struct key_binding *b = &key_bindings[i];

        if (b->modes & (unsigned)v->mode && (b->key == key || b->other == key))
            return b->act(v, m);
    }
    return 0;
}

void view_settle(struct view *v, const struct model *m, size_t page)
{
    long at = model_find(m, v->selected_key);
    size_t last = v->lines > page ? v->lines - page : 0;

    v->page = page;
    if (at >= 0)
        v->selected = (size_t)at;
    else
        select_row(v, m, v->selected);
    if (v->top > v->selected)
        v->top = v->selected;
    if (page && v->selected >= v->top + page)
        v->top = v->selected - page + 1;
    if (m->count <= page)
        v->top = 0;
    else if (v->top > m->count - page)
        v->top = m->count - page;
    if (v->mode != VIEW_OVERVIEW && v->scrolled > last)
        v->scrolled = last;
}
