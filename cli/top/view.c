/* SPDX-License-Identifier: MIT */
/* What actions do to the view. */
#include "cli/top/view.h"

#include <stdio.h>
#include <string.h>

#include "cli/top/view_internal.h"

/* ---- choosers ---- */

/* One can't sort by the graph, and can't hide the tree. */
static int is_choice(enum view_mode mode, size_t column)
{
    const struct column *c = &kvmtop_columns[column];

    if (!c->title)
        return 0;
    return mode == VIEW_COLUMNS ? column != COLUMN_NAME : column == COLUMN_NAME || c->show;
}

size_t view_choices(enum view_mode mode)
{
    size_t n = 0;

    for (size_t c = 0; c < kvmtop_column_count; c++)
        n += (size_t)is_choice(mode, c);
    return n;
}

size_t view_choice(enum view_mode mode, size_t line)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (is_choice(mode, c) && line-- == 0)
            return c;
    }
    return COLUMN_NAME;
}

/* The line of a column, or the first. */
static size_t choice_of(enum view_mode mode, size_t column)
{
    size_t line = 0;

    for (size_t c = 0; c < column && c < kvmtop_column_count; c++)
        line += (size_t)is_choice(mode, c);
    return column < kvmtop_column_count && is_choice(mode, column) ? line : 0;
}

/* ---- selection ---- */

static const struct model_row *selected_row(const struct view *v, const struct model *m)
{
    return v->selected < m->count ? &m->rows[v->selected] : NULL;
}

static void select_row(struct view *v, const struct model *m, size_t i)
{
    v->reveal = 1;
    if (!m->count)
        return;
    v->selected = i < m->count ? i : m->count - 1;
    v->selected_key = m->rows[v->selected].facts.key;
}

void view_select(struct view *v, const struct model *m, size_t i)
{
    switch (v->mode) {
    case VIEW_OVERVIEW:
        select_row(v, m, i);
        break;
    case VIEW_DETAIL:
        v->upwards = i < v->line;
        v->line = i;
        v->line_key = 0; /* settling says which it is */
        v->reveal = 1;
        break;
    case VIEW_SORT:
    case VIEW_COLUMNS:
        v->chosen = i;
        v->reveal = 1;
        break;
    case VIEW_HISTOGRAM:
    case VIEW_HELP:
        v->scrolled = i;
        break;
    }
}

static size_t position(const struct view *v)
{
    switch (v->mode) {
    case VIEW_OVERVIEW:
        return v->selected;
    case VIEW_DETAIL:
        return v->line;
    case VIEW_SORT:
    case VIEW_COLUMNS:
        return v->chosen;
    default:
        return v->scrolled;
    }
}

/* By n rows or lines; settling bounds it at the end. */
static void move_by(struct view *v, const struct model *m, size_t n, int down)
{
    size_t at = position(v);

    view_select(v, m, down ? at + n : at > n ? at - n : 0);
}

/* Where to go back to. */
static void open_mode(struct view *v, enum view_mode mode)
{
    if (!(v->mode & (VIEW_HELP | VIEW_SORT | VIEW_COLUMNS)))
        v->behind = v->mode;
    v->mode = mode;
    v->scrolled = 0;
    v->reveal = 1;
}

/* ---- rows ---- */

static int fold_row(struct view *v, const struct model_row *row, int folded)
{
    return row && row->children ? keys_set(&v->folded, row->facts.key, folded) : 0;
}

static size_t parent_of(const struct model *m, size_t i)
{
    uint32_t depth = m->rows[i].depth;

    while (i > 0 && m->rows[i].depth >= depth)
        i--;
    return i;
}

/* What has no children folds its parent, as people expect of a tree. */
static int fold(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);

    if (row && row->depth > 0 && (!row->children || row->folded))
        select_row(v, m, parent_of(m, v->selected));
    return fold_row(v, selected_row(v, m), 1);
}

static int toggle(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);

    if (row)
        select_row(v, m, v->selected);
    return fold_row(v, row, row && !row->folded);
}

/* All VMs: folded, unless all are already. */
static int toggle_all(struct view *v, const struct model *m)
{
    int open = 0;

    for (size_t i = 0; i < m->count; i++)
        open |= m->rows[i].depth == 0 && m->rows[i].children && !m->rows[i].folded;
    for (size_t i = 0; i < m->count; i++) {
        int r = m->rows[i].depth == 0 ? fold_row(v, &m->rows[i], open) : 0;

        if (r < 0)
            return r;
        if (open && v->selected_key && m->rows[i].depth == 0 && i <= v->selected) /* what was selected goes with it */
            v->selected_key = m->rows[i].facts.key;
    }
    v->reveal = 1;
    return 0;
}

static int toggle_shards(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);
    int r;

    if (!row)
        return 0;
    if (row->facts.kind == TRACK_VM) {
        snprintf(v->notice, sizeof(v->notice), "Shards are those of a vCPU, a device or a program: select one.");
        return 0;
    }
    if (row->facts.kind == TRACK_SHARD)
        select_row(v, m, parent_of(m, v->selected));
    else
        select_row(v, m, v->selected);
    row = selected_row(v, m);
    r = keys_set(&v->opened, row->facts.key, !keys_has(&v->opened, row->facts.key));
    return r < 0 ? r : keys_set(&v->folded, row->facts.key, 0); /* or they would stay hidden */
}

static void open_row(struct view *v, const struct model *m)
{
    const struct model_row *row = selected_row(v, m);

    if (!row)
        return;
    select_row(v, m, v->selected);
    v->detail_key = row->facts.key;
    open_mode(v, VIEW_DETAIL);
    v->line = VIEW_LINE_ANY;
    v->line_key = 0;
    v->upwards = 0;
}

static int filtered(const struct view_filter *f) { return f->text[0] != '\0'; }

static void back(struct view *v)
{
    switch (v->mode) {
    case VIEW_OVERVIEW:
        if (v->beat)
            v->beat = 0;
        else
            view_filter_clear(&v->rows);
        return;
    case VIEW_DETAIL:
        if (filtered(&v->statistics))
            view_filter_clear(&v->statistics);
        else
            v->mode = VIEW_OVERVIEW;
        break;
    case VIEW_HISTOGRAM:
        v->mode = VIEW_DETAIL;
        break;
    default:
        v->mode = v->behind;
        break;
    }
    v->scrolled = 0;
    v->reveal = 1;
}

/* ---- order ---- */

/* The greatest come first, and that is where one looks. */
static void reordered(struct view *v)
{
    if (!v->settings.follow)
        v->top = 0;
}

void view_sort(struct view *v, size_t column)
{
    v->settings.inverted = column == v->settings.sort && !v->settings.inverted;
    v->settings.sort = column;
    reordered(v);
}

/* Columns that are hidden are skipped. */
static void sort_beside(struct view *v, int right)
{
    size_t choices = view_choices(VIEW_SORT);
    size_t line = choice_of(VIEW_SORT, v->settings.sort);

    for (size_t i = 0; i < choices; i++) {
        size_t column;

        line = (line + (right ? 1 : choices - 1)) % choices;
        column = view_choice(VIEW_SORT, line);
        if (!(v->settings.hidden_columns >> column & 1)) {
            v->settings.sort = column;
            v->settings.inverted = 0;
            reordered(v);
            return;
        }
    }
}

static void choose(struct view *v)
{
    size_t column = view_choice(v->mode, v->chosen);

    if (v->mode == VIEW_COLUMNS) {
        v->settings.hidden_columns ^= (uint64_t)1 << column;
        return;
    }
    if (column != v->settings.sort)
        view_sort(v, column);
    back(v);
}

/* ---- details ---- */

static void compare(struct view *v, const struct model *m)
{
    const struct model_row *row = v->mode == VIEW_OVERVIEW ? selected_row(v, m) : NULL;
    uint64_t key = row ? row->facts.key : v->detail_key;
    long at;

    if (v->mode == VIEW_OVERVIEW && !row)
        return;
    v->compared_key = v->compared_key == key ? 0 : key;
    at = model_find(m, v->compared_key);
    if (!v->compared_key)
        snprintf(v->notice, sizeof(v->notice), "Compared no more.");
    else
        snprintf(v->notice, sizeof(v->notice), "Compared with %.80s from now on: open a histogram of another one.",
                 at >= 0 ? m->rows[at].facts.name : "this one");
}

static void open_line(struct view *v)
{
    if (v->line_histogram)
        open_mode(v, VIEW_HISTOGRAM);
    else
        snprintf(v->notice, sizeof(v->notice), "Only histograms can be opened.");
}

static void next_panel(struct view *v)
{
    if (v->mode == VIEW_HISTOGRAM)
        v->heat = !v->heat;
    else
        v->panel = (enum panel)(((int)v->panel + 1) % PANEL_COUNT);
}

static void set_mark(struct view *v, int mark)
{
    v->mark = mark;
    snprintf(v->notice, sizeof(v->notice), "%s",
             mark > 0 ? "Marked: details show what changes from now on." : "The mark is forgotten.");
}

/* ---- all together ---- */

static int act_overview(struct view *v, const struct model *m, enum action action)
{
    switch (action) {
    case ACTION_FOLD:
        return fold(v, m);
    case ACTION_UNFOLD:
        return fold_row(v, selected_row(v, m), 0);
    case ACTION_TOGGLE_ALL:
        return toggle_all(v, m);
    case ACTION_COLUMNS:
        open_mode(v, VIEW_COLUMNS);
        v->chosen = 0;
        return 0;
    case ACTION_SORT:
        open_mode(v, VIEW_SORT);
        v->chosen = choice_of(VIEW_SORT, v->settings.sort);
        return 0;
    case ACTION_SORT_LEFT:
    case ACTION_SORT_RIGHT:
        sort_beside(v, action == ACTION_SORT_RIGHT);
        return 0;
    case ACTION_INVERT:
        v->settings.inverted = !v->settings.inverted;
        reordered(v);
        return 0;
    case ACTION_FOLLOW:
        v->settings.follow = !v->settings.follow;
        snprintf(v->notice, sizeof(v->notice), "%s",
                 v->settings.follow ? "The screen follows the selected row." : "The screen stays where it is.");
        v->reveal = 1;
        return 0;
    default:
        return 0;
    }
}

static int act_detail(struct view *v, enum action action)
{
    static const char *const levels[] = { "info", "diagnostic", "debug" };

    switch (action) {
    case ACTION_PANEL:
        next_panel(v);
        v->reveal = 1;
        break;
    case ACTION_SHARDS:
        v->panel = v->panel == PANEL_SHARDS ? PANEL_GRAPH : PANEL_SHARDS;
        v->reveal = 1;
        break;
    case ACTION_SPAN:
        v->span = (enum span)(((int)v->span + 1) % SPAN_COUNT);
        break;
    case ACTION_LEVEL:
        v->settings.level = (v->settings.level + 1) % (VMT_LEVEL_DEBUG + 1);
        snprintf(v->notice, sizeof(v->notice), "Statistics up to level %s are shown.", levels[v->settings.level]);
        v->reveal = 1;
        break;
    case ACTION_HIDE_ZERO:
        v->settings.hide_zero = !v->settings.hide_zero;
        snprintf(v->notice, sizeof(v->notice), "Statistics that never counted anything are %s.",
                 v->settings.hide_zero ? "hidden" : "shown");
        v->reveal = 1;
        break;
    default:
        break;
    }
    return 0;
}

/* What is the same thing done to different lists. */
static int act_by_mode(struct view *v, const struct model *m, enum action action)
{
    int overview = v->mode == VIEW_OVERVIEW;

    switch (action) {
    case ACTION_ENTER:
    case ACTION_TOGGLE:
        if (v->mode & (VIEW_SORT | VIEW_COLUMNS))
            choose(v);
        else if (action == ACTION_TOGGLE)
            return toggle(v, m);
        else if (overview)
            open_row(v, m);
        else
            open_line(v);
        return 0;
    case ACTION_SHARDS:
        return overview ? toggle_shards(v, m) : act_detail(v, action);
    case ACTION_HELP:
        if (v->mode == VIEW_HELP)
            back(v);
        else
            open_mode(v, VIEW_HELP);
        return 0;
    default:
        return 0;
    }
}

int view_act(struct view *v, const struct model *m, enum action action)
{
    size_t page = v->page > 1 ? v->page - 1 : 1;

    switch (action) {
    case ACTION_QUIT:
        v->quit = 1;
        return 0;
    case ACTION_BACK:
        back(v);
        return 0;
    case ACTION_FILTER:
        view_type(v);
        return 0;
    case ACTION_ENTER:
    case ACTION_TOGGLE:
    case ACTION_SHARDS:
    case ACTION_HELP:
        return act_by_mode(v, m, action);
    case ACTION_FOLD:
    case ACTION_UNFOLD:
    case ACTION_TOGGLE_ALL:
    case ACTION_COLUMNS:
    case ACTION_SORT:
    case ACTION_SORT_LEFT:
    case ACTION_SORT_RIGHT:
    case ACTION_INVERT:
    case ACTION_FOLLOW:
        return act_overview(v, m, action);
    case ACTION_PAUSE:
    case ACTION_EARLIER:
    case ACTION_LATER:
    case ACTION_EARLIER_MORE:
    case ACTION_LATER_MORE:
    case ACTION_NEWEST:
    case ACTION_SHORTER:
    case ACTION_LONGER:
        view_act_time(v, m, action);
        return 0;
    case ACTION_PANEL:
    case ACTION_SPAN:
    case ACTION_LEVEL:
    case ACTION_HIDE_ZERO:
        return act_detail(v, action);
    case ACTION_MARK:
    case ACTION_UNMARK:
        set_mark(v, action == ACTION_MARK ? 1 : -1);
        return 0;
    case ACTION_COMPARE:
        compare(v, m);
        return 0;
    case ACTION_SAVE:
        v->save = 1;
        return 0;
    case ACTION_UP:
    case ACTION_DOWN:
        move_by(v, m, 1, action == ACTION_DOWN);
        return 0;
    case ACTION_PAGE_UP:
    case ACTION_PAGE_DOWN:
        move_by(v, m, page, action == ACTION_PAGE_DOWN);
        return 0;
    case ACTION_HOME:
    case ACTION_END:
        move_by(v, m, SIZE_MAX / 2, action == ACTION_END);
        return 0;
    case ACTION_COUNT:
        break;
    }
    return 0;
}

void view_free(struct view *v)
{
    keys_free(&v->folded);
    keys_free(&v->opened);
    view_filter_clear(&v->rows);
    view_filter_clear(&v->statistics);
}
