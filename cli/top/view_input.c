/* SPDX-License-Identifier: MIT */
/* Keys and the mouse: which action they mean here. */
#include "cli/top/draw.h"
#include "cli/top/layout.h"
#include "cli/top/view_internal.h"

#define WHEEL_LINES 3

static int has_key(const struct view *v, enum action action, int key)
{
    for (int i = 0; i < ACTION_KEYS; i++) {
        if (v->settings.keys[action][i] == key)
            return 1;
    }
    return 0;
}

/* Terminals have several ways to say the same. */
static int one_of(int key)
{
    if (key == '\r')
        return KEY_ENTER_;
    return key == 0x7f || key == '\b' ? KEY_BACKSPACE_ : key;
}

int view_key(struct view *v, const struct model *m, int key)
{
    key = one_of(key);
    if (key == KEY_NONE_ || key == KEY_RESIZED_ || key == KEY_MOUSE_)
        return 0;
    v->notice[0] = '\0';
    if (v->typing) {
        int r = view_typed(v, key);

        if (r != 0)
            return r < 0 ? r : 0;
    }
    for (int action = v->typing ? ACTION_UP : 0; action < ACTION_COUNT; action++) { /* to move is all one can do then */
        if (actions[action].modes & (unsigned)v->mode && has_key(v, (enum action)action, key))
            return view_act(v, m, (enum action)action);
    }
    return 0;
}

/* ---- mouse ---- */

/* By so many lines: what is selected stays, unless the screen follows it. */
static void wheel(struct view *v, const struct model *m, int down)
{
    int overview = v->mode == VIEW_OVERVIEW;
    size_t *first = overview ? &v->top : &v->scrolled;

    if ((overview && v->settings.follow) || v->mode & (VIEW_SORT | VIEW_COLUMNS)) {
        for (int i = 0; i < WHEEL_LINES; i++)
            view_act(v, m, down ? ACTION_DOWN : ACTION_UP);
        return;
    }
    if (down)
        *first += WHEEL_LINES;
    else
        *first -= *first < WHEEL_LINES ? *first : WHEEL_LINES;
    v->reveal = 0;
}

static int click_row(struct view *v, const struct model *m, const struct mouse *mouse, size_t line)
{
    size_t i = v->top + line;
    const struct model_row *row;
    int open;

    if (i >= m->count)
        return 0;
    row = &m->rows[i];
    open = row->facts.key == v->selected_key; /* a second click: but rows may have moved since the first */
    view_select(v, m, i);
    if (layout_on_sign(row, mouse->column))
        return mouse->act == MOUSE_CLICK ? view_act(v, m, ACTION_TOGGLE) : 0;
    return open ? view_act(v, m, ACTION_ENTER) : 0;
}

static int click_line(struct view *v, const struct model *m, const struct mouse *mouse, size_t line)
{
    size_t i = v->scrolled + line;
    size_t chosen = v->mode == VIEW_DETAIL ? v->line : v->chosen;

    if (i >= v->lines)
        return 0;
    if (i == chosen || mouse->act == MOUSE_DOUBLE_CLICK)
        return view_act(v, m, ACTION_ENTER);
    view_select(v, m, i);
    return 0;
}

static void click_title(struct view *v, const struct model *m, int columns, int column)
{
    struct layout layout;
    long c;

    layout_make(&layout, m, v, columns);
    c = layout_column_at(&layout, column);
    if (c == COLUMN_NAME || (c > 0 && kvmtop_columns[c].show))
        view_sort(v, (size_t)c);
}

int view_mouse(struct view *v, const struct model *m, const struct mouse *mouse, int rows, int columns)
{
    int line = mouse->row - (DRAW_HEAD + 1);

    v->notice[0] = '\0';
    if (mouse->act == MOUSE_WHEEL_UP || mouse->act == MOUSE_WHEEL_DOWN) {
        wheel(v, m, mouse->act == MOUSE_WHEEL_DOWN);
        return 0;
    }
    if (v->typing || mouse->row >= rows - 1 || mouse->row < DRAW_HEAD || v->mode & (VIEW_HISTOGRAM | VIEW_HELP))
        return 0;
    if (mouse->row == DRAW_HEAD) {
        if (v->mode == VIEW_OVERVIEW)
            click_title(v, m, columns, mouse->column);
        return 0;
    }
    if ((size_t)line >= v->page)
        return 0;
    return v->mode == VIEW_OVERVIEW ? click_row(v, m, mouse, (size_t)line) : click_line(v, m, mouse, (size_t)line);
}
