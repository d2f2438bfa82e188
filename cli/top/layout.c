/* SPDX-License-Identifier: MIT */
#include "cli/top/layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/grid.h"

#define NAME_MIN 16  /* cells of the tree, before other columns are left out */
#define NAME_GOOD 24 /* what it gets before, where it is that long and the screen is wide */
#define NAME_WIDE 40 /* what it gets before other columns grow */
#define NAME_MAX 64  /* in all */
#define TEXT_MIN 8   /* of a column that is as wide as its contents */
#define TEXT_MAX 24
#define TREND_MIN 8
#define TREND_MAX 32
#define SCREEN_WIDE 100

int layout_is_trend(size_t column)
{
    return column != COLUMN_NAME && kvmtop_columns[column].title && !kvmtop_columns[column].show;
}

/* ---- the tree ---- */

void layout_tree(char *buf, const struct model_row *row, int ascii)
{
    const char *line;
    size_t at = 0;

    for (uint32_t d = 1; d <= row->depth && d < 32 && at < LAYOUT_TEXT / 2; d++) {
        int more = row->below >> d & 1;

        if (d < row->depth)
            line = !more ? "  " : ascii ? "| " : "\u2502 ";
        else if (ascii)
            line = more ? "|-" : "`-";
        else
            line = more ? "\u251c\u2500" : "\u2514\u2500";
        at += (size_t)snprintf(buf + at, LAYOUT_TEXT - at, "%s", line);
    }
    if (!row->children)
        line = row->depth ? " " : "  ";
    else if (row->folded)
        line = "+ ";
    else
        line = row->depth && !ascii ? "\u252c " : "- ";
    snprintf(buf + at, LAYOUT_TEXT - at, "%s%s", line, row->facts.name);
}

int layout_on_sign(const struct model_row *row, int cell)
{
    return row->children && cell >= (int)row->depth * 2 && cell < (int)row->depth * 2 + 2;
}

/* ---- what there is ---- */

static int has_something(const struct column *c, const struct track_facts *f)
{
    char text[CELL_TEXT];

    if (c->value)
        return !isnan(c->value(f));
    if (!c->show)
        return 1;
    c->show(text, f);
    return text[0] != '\0';
}

/* A VM has what all below it have. */
uint64_t layout_counted(const struct model *m, uint64_t known)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (!kvmtop_columns[c].title || known >> c & 1)
            continue;
        for (size_t i = 0; i < m->count && kvmtop_columns[c].measure && !layout_is_trend(c); i++) {
            if (m->rows[i].depth == 0 && has_something(&kvmtop_columns[c], &m->rows[i].facts)) {
                known |= (uint64_t)1 << c;
                break;
            }
        }
        for (size_t i = 0; i < m->count && kvmtop_columns[c].telling; i++) {
            if (m->rows[i].depth == 0 && kvmtop_columns[c].telling(&m->rows[i].facts))
                known |= (uint64_t)1 << c;
        }
        if (!kvmtop_columns[c].measure && !kvmtop_columns[c].telling)
            known |= (uint64_t)1 << c;
    }
    for (size_t c = 0; c < kvmtop_column_count; c++) { /* the trend is of any of the others */
        if (layout_is_trend(c)) {
            for (size_t i = 0; i < kvmtop_column_count; i++) {
                if (kvmtop_columns[i].measure && kvmtop_columns[i].value && known >> i & 1)
                    known |= (uint64_t)1 << c;
            }
        }
    }
    return known;
}

/* ---- widths ---- */

/* The widest cell of rows first to last - 1. */
static int widest(const struct model *m, size_t first, size_t last, size_t column, int ascii)
{
    int widest = 0;

    for (size_t i = first; i < last && i < m->count; i++) {
        char text[LAYOUT_TEXT > CELL_TEXT ? LAYOUT_TEXT : CELL_TEXT];
        int n;

        if (kvmtop_columns[column].show)
            kvmtop_columns[column].show(text, &m->rows[i].facts);
        else
            layout_tree(text, &m->rows[i], ascii);
        n = grid_width(text);
        widest = n > widest ? n : widest;
    }
    return widest;
}

/* Of the owners that names end in, and that are never cut. */
static int widest_owner(const struct model *m, size_t first, size_t last)
{
    int widest = 0;

    for (size_t i = first; i < last && i < m->count; i++) {
        int n = grid_width(m->rows[i].facts.owner);

        widest = n > widest ? n : widest;
    }
    return widest;
}

static int at_least(int a, int b) { return a > b ? a : b; }
static int at_most(int a, int b) { return a < b ? a : b; }

static void place(struct layout *l)
{
    int at = 0;

    for (size_t c = 0; c < kvmtop_column_count; c++) {
        l->starts[c] = at;
        at += l->widths[c] ? l->widths[c] + 1 : 0;
    }
}

/* Of all columns but the tree. */
static int used(const struct layout *l)
{
    int n = 0;

    for (size_t c = 0; c < kvmtop_column_count; c++)
        n += c != COLUMN_NAME && l->widths[c] ? l->widths[c] + 1 : 0;
    return n;
}

/* Leave out the least important until the rest has room beside so many cells. */
static void drop(struct layout *l, const struct view *v, int columns, int name)
{
    int least = 0;

    for (size_t c = 0; c < kvmtop_column_count; c++)
        least = at_least(least, kvmtop_columns[c].priority);
    for (; least > 0 && used(l) + name > columns; least--) {
        for (size_t c = 0; c < kvmtop_column_count; c++) {
            if (kvmtop_columns[c].priority == least && c != v->settings.sort)
                l->widths[c] = 0;
        }
    }
}

/* A trend that was left out may be smaller. */
static void squeeze_trend(struct layout *l, const struct view *v, int *left)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (layout_is_trend(c) && !l->widths[c] && v->counted >> c & 1 && !(v->settings.hidden_columns >> c & 1) &&
            *left > TREND_MIN) {
            l->widths[c] = at_most(*left - 1, kvmtop_columns[c].width);
            *left -= l->widths[c] + 1;
        }
    }
}

/* Text and trends that would take more are given of what is left. */
static void grow(struct layout *l, int *left)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];
        int more = 0;

        if (l->widths[c] && c != COLUMN_NAME && column->width && column->left)
            more = layout_is_trend(c)    ? at_most(*left, TREND_MAX - column->width)
                 : *left > column->width ? column->width + 1
                                         : 0;
        more = at_least(more, 0);
        l->widths[c] += more;
        *left -= more;
    }
}

void layout_make(struct layout *l, const struct model *m, const struct view *v, int columns)
{
    size_t last = v->top + (v->mode == VIEW_OVERVIEW ? v->page : (size_t)columns);
    int natural = at_most(at_least(widest(m, v->top, last, COLUMN_NAME, v->settings.ascii), NAME_MIN), NAME_MAX);
    int name = at_most(natural, (columns >= SCREEN_WIDE ? NAME_GOOD : NAME_MIN) + widest_owner(m, v->top, last));
    int left;

    memset(l, 0, sizeof(*l));
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];

        if (c == COLUMN_NAME || !column->title || !(v->counted >> c & 1) || v->settings.hidden_columns >> c & 1)
            continue;
        l->widths[c] =
            column->width ? column->width : at_least(at_most(widest(m, v->top, last, c, 0), TEXT_MAX), TEXT_MIN);
        if (c == v->settings.sort) /* and the sign behind its title */
            l->widths[c] = at_least(l->widths[c], grid_width(column->title) + 1);
    }
    drop(l, v, columns, name);
    left = columns - used(l);
    l->widths[COLUMN_NAME] = at_most(left, at_most(natural, NAME_WIDE));
    left -= l->widths[COLUMN_NAME];
    squeeze_trend(l, v, &left);
    grow(l, &left);
    l->widths[COLUMN_NAME] += at_least(at_most(left, natural - l->widths[COLUMN_NAME]), 0);
    place(l);
}

void layout_table(struct layout *l, const struct model *m, uint64_t hidden_columns, int ascii)
{
    uint64_t counted = layout_counted(m, 0);

    memset(l, 0, sizeof(*l));
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];

        if (!column->title || !(counted >> c & 1) || layout_is_trend(c) ||
            (c != COLUMN_NAME && hidden_columns >> c & 1))
            continue;
        l->widths[c] = column->width ? column->width * (column->left ? 2 : 1)
                                     : at_least(widest(m, 0, m->count, c, ascii), grid_width(column->title));
    }
    l->widths[COLUMN_NAME] = at_most(l->widths[COLUMN_NAME], NAME_MAX);
    place(l);
}

long layout_column_at(const struct layout *l, int cell)
{
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (l->widths[c] && cell >= l->starts[c] && cell < l->starts[c] + l->widths[c])
            return (long)c;
    }
    return -1;
}
