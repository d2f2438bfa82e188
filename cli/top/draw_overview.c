/* SPDX-License-Identifier: MIT */
/* The overview: a table of rows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/chart.h"
#include "cli/top/draw.h"
#include "cli/top/layout.h"

#define COMPARED " (C)"
#define TREND_BEATS 64 /* cells that a trend may have */
#define TREND_TOP 1.25 /* times the highest value: what hardly changes is no solid block */

/* ---- trends ---- */

/* What the trend is of: what rows are sorted by, where that is measured, else exits. */
static const struct column *trend_column(size_t sort)
{
    long exits = column_find("exits");

    if (kvmtop_columns[sort].measure && kvmtop_columns[sort].value)
        return &kvmtop_columns[sort];
    return exits >= 0 && kvmtop_columns[exits].value ? &kvmtop_columns[exits] : NULL;
}

/* The last count values of a row up to the model's beat, oldest first; NAN before the first. */
static void trend_values(double *values, size_t count, const struct model *m, const struct model_row *row,
                         const struct column *column)
{
    for (size_t i = 0; i < count; i++) {
        size_t back = count - 1 - i;
        struct track_facts facts;

        values[i] = NAN;
        if (back == 0)
            values[i] = column->value(&row->facts);
        else if (m->beat >= back && history_facts(m->history, row->track, m->beat - back, &facts))
            values[i] = column->value(&facts);
    }
}

/* Where the trends of the rows shown are drawn, and how high they are by depth: a VM is compared with VMs, and what is
 * below it, whose sum it is, with its like. */
struct trends {
    const struct column *column; /* NULL: none are drawn */
    int start;
    size_t width;
    double top[VMT_DEPTH_MAX + 2];
};

static double *top_of(struct trends *t, const struct model_row *row)
{
    return &t->top[row->depth < VMT_DEPTH_MAX + 1 ? row->depth : VMT_DEPTH_MAX + 1];
}

static void trends_init(struct trends *t, const struct layout *l, size_t sort)
{
    memset(t, 0, sizeof(*t));
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (layout_is_trend(c) && l->widths[c]) {
            t->column = trend_column(sort);
            t->start = l->starts[c];
            t->width = (size_t)l->widths[c] < TREND_BEATS ? (size_t)l->widths[c] : TREND_BEATS;
        }
    }
}

/* Rows that are seen, first to last - 1: values are found once, their tops first. */
static void draw_trends(struct grid *g, const struct layout *l, const struct scene *s, size_t first, size_t last, int y)
{
    double values[TREND_BEATS];
    struct trends t;

    trends_init(&t, l, s->view->settings.sort);
    if (!t.column || !s->model->history)
        return;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = first; i < last; i++) {
            const struct model_row *row = &s->model->rows[i];
            double *top = top_of(&t, row);

            if (row->facts.measures.active[0]) /* its counters are there instead */
                continue;
            trend_values(values, t.width, s->model, row, t.column);
            for (size_t k = 0; k < t.width && pass == 0; k++)
                *top = values[k] > *top && isfinite(values[k]) ? values[k] : *top;
            if (pass == 1)
                chart_spark(g, y + (int)(i - first), t.start, STYLE_CHART, values, t.width, TREND_TOP * *top,
                            s->view->settings.ascii);
        }
    }
}

/* ---- rows ---- */

/* Whether the row counts nothing that the columns know. */
static int is_other(const struct track_facts *f)
{
    const struct measures *m = &f->measures;

    return m->active[0] && isnan(m->exits) && isnan(m->run) && isnan(m->bytes) && isnan(m->ops) && !m->latency;
}

static int is_state(const struct column *column) { return column->name && !strcmp(column->name, "state"); }

static enum style state_style(const struct track_facts *f)
{
    if (f->kind != TRACK_VM)
        return f->state[0] ? STYLE_WARNING : STYLE_NORMAL;
    if (f->unreadable)
        return STYLE_WARNING;
    if (f->verdict == VMT_STATE_LIVE)
        return f->note[0] ? STYLE_WARNING : STYLE_GOOD;
    return f->verdict == VMT_STATE_CLOSED ? STYLE_DIM : STYLE_WARNING;
}

/* Where only one of two reasons has room, the other is left out whole. */
static void shorten(char *text, int width)
{
    char *second = strstr(text, "  ");

    if (second && grid_width(text) > width)
        *second = '\0';
}

static void draw_cell(struct grid *g, int y, const struct layout *l, size_t c, const struct model_row *row,
                      enum style style)
{
    const struct column *column = &kvmtop_columns[c];
    char text[CELL_TEXT];

    column->show(text, &row->facts);
    if (!text[0] && column->measure)
        snprintf(text, sizeof(text), "-");
    shorten(text, l->widths[c]);
    if (column->left)
        draw_cut(g, y, l->starts[c], l->widths[c], style, text, "");
    else
        grid_number(g, y, l->starts[c], l->widths[c], style, text);
}

/* compared: the row is what others are compared with. */
static void draw_row(struct grid *g, int y, const struct layout *l, const struct model_row *row, int ascii,
                     int compared)
{
    const struct track_facts *f = &row->facts;
    int dim = !row->matched || (f->kind == TRACK_VM && !f->running && !f->unreadable);
    enum style style = dim ? STYLE_DIM : STYLE_NORMAL;
    char text[LAYOUT_TEXT];

    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];

        if (!l->widths[c])
            continue;
        if (column->measure && is_other(f)) { /* its own counters, in place of columns that stay empty */
            grid_text(g, y, l->starts[c], g->columns, style, f->measures.active);
            return;
        }
        if (c == COLUMN_NAME) {
            layout_tree(text, row, ascii);
            if (compared)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), COMPARED);
            draw_cut(g, y, l->starts[c], l->widths[c], compared ? STYLE_COMPARED : style, text,
                     compared ? COMPARED : f->owner);
        } else if (column->show) {
            draw_cell(g, y, l, c, row, is_state(column) && row->matched ? state_style(f) : style);
        }
    }
}

/* ---- titles ---- */

static void draw_title(struct grid *g, int y, const struct layout *l, size_t c, enum style style, const char *title)
{
    if (kvmtop_columns[c].left)
        grid_text(g, y, l->starts[c], l->widths[c], style, title);
    else
        grid_number(g, y, l->starts[c], l->widths[c], style, title);
}

static void draw_titles(struct grid *g, int y, const struct layout *l)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (l->widths[c])
            draw_title(g, y, l, c, STYLE_HEADER, kvmtop_columns[c].title);
    }
    grid_style_row(g, y, STYLE_HEADER);
}

const char *draw_order(const struct view *v)
{
    int text = !kvmtop_columns[v->settings.sort].value;
    int up = text ? !v->settings.inverted : v->settings.inverted;

    if (v->settings.ascii)
        return up ? "^" : "v";
    return up ? "\u25b2" : "\u25bc";
}

/* Which column rows are sorted by, and what the trend is of. */
static void draw_order_titles(struct grid *g, int y, const struct layout *l, const struct view *v)
{
    size_t sort = v->settings.sort;
    const struct column *trend = trend_column(sort);
    char text[64];

    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (!layout_is_trend(c) || !l->widths[c] || !trend)
            continue;
        snprintf(text, sizeof(text), "%s %s", kvmtop_columns[c].title, trend->title);
        if (grid_width(text) <= l->widths[c])
            draw_title(g, y, l, c, STYLE_HEADER, text);
    }
    if (sort < kvmtop_column_count && l->widths[sort]) {
        snprintf(text, sizeof(text), "%s%s", kvmtop_columns[sort].title, draw_order(v));
        draw_title(g, y, l, sort, STYLE_SORTED, text);
    }
}

/* ---- the view ---- */

static void draw_nothing(struct grid *g, const struct scene *s)
{
    int y = g->rows > DRAW_ROWS_MIN ? DRAW_HEAD + 2 : DRAW_HEAD + 1;
    char text[DRAW_TEXT];
    char key[KEY_TEXT];

    if (s->view->rows.filter) {
        snprintf(text, sizeof(text), "The filter hides all rows: %s shows them again.",
                 key_text(s->view->settings.keys[ACTION_BACK][0], key, sizeof(key)));
        grid_text(g, y, 0, g->columns, STYLE_NORMAL, text);
        return;
    }
    snprintf(text, sizeof(text), "No VMs in %s.", s->where);
    grid_text(g, y, 0, g->columns, STYLE_NORMAL, text);
    grid_text(g, y + 1, 0, g->columns, STYLE_NORMAL, "Those that start now will be shown.");
    if (s->view->kernel)
        draw_cut(g, y + 3 < g->rows - 1 ? y + 3 : y + 2, 0, g->columns, STYLE_WARNING, s->view->kernel, "");
}

void draw_overview(struct grid *g, const struct scene *s)
{
    const struct view *v = s->view;
    const struct model *m = s->model;
    size_t page = draw_page(v, g->rows, g->columns);
    size_t first = v->top < m->count ? v->top : m->count;
    size_t last = m->count - first > page ? first + page : m->count;
    struct layout l;

    layout_make(&l, m, v, g->columns);
    draw_titles(g, DRAW_HEAD, &l);
    draw_order_titles(g, DRAW_HEAD, &l, v);
    for (size_t i = first; i < last; i++) {
        const struct model_row *row = &m->rows[i];

        draw_row(g, DRAW_HEAD + 1 + (int)(i - first), &l, row, v->settings.ascii,
                 v->compared_key && row->facts.key == v->compared_key);
    }
    draw_trends(g, &l, s, first, last, DRAW_HEAD + 1);
    if (v->selected >= first && v->selected < last)
        grid_style_row(g, DRAW_HEAD + 1 + (int)(v->selected - first), STYLE_SELECTED);
    if (!m->count)
        draw_nothing(g, s);
}

/* ---- batch text ---- */

int draw_table_line(struct grid *g, const struct layout *l, const struct model *m, size_t i, int ascii)
{
    int width = ACTIVE_TEXT;
    int r;

    for (size_t c = 0; c < kvmtop_column_count; c++)
        width += l->widths[c] ? l->widths[c] + 1 : 0;
    r = grid_reset(g, 1, width);
    if (r < 0)
        return r;
    if (i == 0)
        draw_titles(g, 0, l);
    else
        draw_row(g, 0, l, &m->rows[i - 1], ascii, 0);
    return 0;
}
