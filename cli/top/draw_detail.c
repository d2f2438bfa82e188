/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/draw.h"
#include "cli/top/draw_panel.h"

#define AROUND 5      /* rows that are no lines: head, titles, status and the one at the bottom */
#define PANEL_FROM 16 /* rows of a screen, from which on there is a panel */
#define NUMBER 10     /* cells of a number */
#define NAME_MIN 18   /* cells of names, before numbers are left out */
#define NAME_80 25    /* what the first five leave of 80: from there on others may come */
#define NAME_MAX 34
#define MEANING_MIN 20

/* ---- columns ---- */

enum number { VALUE, RATE, AVERAGE_10, AVERAGE_100, AVERAGE_1000, SINCE_MARK, LOWEST, HIGHEST, NUMBERS };

static const char *const titles[NUMBERS] = {
    "VALUE", "RATE", "AVG10", "AVG100", "AVG1000", "SINCE MARK", "MIN", "MAX"
};

/* Names, as many of the numbers as fit, and what they mean where there is room left. */
struct layout_of_detail {
    int name;
    int numbers;
    int meaning; /* cells; 0: none */
};

static struct layout_of_detail layout(int columns)
{
    struct layout_of_detail l = { 0, 0, 0 };
    int left;

    while (l.numbers < NUMBERS &&
           (l.numbers + 1) * (NUMBER + 1) + (l.numbers <= AVERAGE_1000 ? NAME_MIN : NAME_80) <= columns)
        l.numbers++;
    left = columns - l.numbers * (NUMBER + 1);
    l.name = left;
    if (left > NAME_MAX && left - NAME_MAX > MEANING_MIN) {
        l.name = NAME_MAX;
        l.meaning = left - NAME_MAX - 1;
    }
    return l;
}

static int is_rate(const struct detail_line *line)
{
    uint32_t type = line->d->flags & VMT_TYPE_MASK;

    return type == VMT_TYPE_CUMULATIVE || histogram_is(line->d);
}

/* "" where the column has no meaning for the line, "-" where there is nothing. */
static const char *number_text(char *buf, const struct detail_line *line, enum number column)
{
    if (line->kind == DETAIL_QUANTILE) {
        const struct estimate *e = column == VALUE      ? &line->of_all
                                 : column == RATE       ? &line->of_interval
                                 : column == SINCE_MARK ? &line->of_mark
                                                        : NULL;

        return e ? detail_estimate_text(buf, line, e) : "";
    }
    switch (column) {
    case VALUE:
        return detail_value_text(buf, line);
    case RATE:
        return is_rate(line) ? detail_rate_text(buf, line, line->rate) : "";
    case AVERAGE_10:
    case AVERAGE_100:
    case AVERAGE_1000:
        return histogram_is(line->d) ? ""
                                     : detail_rate_text(buf, line, (double)line->average.over[column - AVERAGE_10]);
    case SINCE_MARK:
        return detail_change_text(buf, line, line->since_mark);
    case LOWEST:
        return histogram_is(line->d) ? "" : detail_rate_text(buf, line, (double)line->average.low);
    default:
        return histogram_is(line->d) ? "" : detail_rate_text(buf, line, (double)line->average.high);
    }
}

/* ---- lines ---- */

static void draw_titles(struct grid *g, int y, const struct layout_of_detail *l)
{
    int x = l->name + 1;

    grid_text(g, y, 1, l->name - 1, STYLE_HEADER, "NAME");
    for (int i = 0; i < l->numbers; i++, x += NUMBER + 1)
        grid_number(g, y, x, NUMBER, STYLE_HEADER, titles[i]);
    grid_text(g, y, x, l->meaning, STYLE_HEADER, "MEANING");
    grid_style_row(g, y, STYLE_HEADER);
}

static void draw_line(struct grid *g, int y, const struct layout_of_detail *l, const struct detail_line *line)
{
    int indent = line->kind == DETAIL_HEADING ? 1 : line->kind == DETAIL_QUANTILE ? 4 : 2;
    int x = l->name + 1;
    char text[UNIT_TEXT];

    if (line->kind == DETAIL_HEADING) {
        draw_cut(g, y, indent, g->columns - indent, STYLE_TITLE, line->name, "");
        return;
    }
    draw_cut(g, y, indent, l->name - indent, STYLE_NORMAL, line->name, "");
    if (line->kind == DETAIL_FACT) {
        draw_cut(g, y, x, g->columns - x, STYLE_NORMAL, line->value, "");
        return;
    }
    for (int i = 0; i < l->numbers; i++, x += NUMBER + 1)
        grid_number(g, y, x, NUMBER, STYLE_NORMAL, number_text(text, line, (enum number)i));
    if (l->meaning)
        draw_cut(g, y, x, l->meaning, STYLE_DIM,
                 line->kind == DETAIL_QUANTILE ? "of all; under RATE: of the last interval alone" : line->d->help, "");
}

/* ---- status ---- */

static const char *level_text(int level)
{
    return level <= VMT_LEVEL_INFO ? "info" : level == VMT_LEVEL_DIAGNOSTIC ? "diagnostic" : "debug";
}

/* How many statistics are not shown, and why. */
static void hidden_text(char *buf, size_t size, const struct scene *scene)
{
    const struct detail *d = scene->detail;
    size_t zero = d->hidden - d->hidden_level;
    int n = 0;

    buf[0] = '\0';
    if (d->hidden && scene->view->statistics.filter)
        n = snprintf(buf, size, "%zu of %zu hidden: filter", d->hidden, d->hidden + d->statistics + d->cut);
    else if (d->hidden)
        n = snprintf(buf, size, "%zu hidden: %s%s%s%s", d->hidden, zero ? "zero" : "",
                     zero && d->hidden_level ? ", " : "", d->hidden_level ? "level " : "",
                     d->hidden_level ? level_text(scene->view->settings.level) : "");
    if (d->cut && n >= 0 && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, "%s%zu too many: use the filter", n ? ", " : "", d->cut);
}

static void draw_status(struct grid *g, int y, const struct scene *scene)
{
    char text[128];
    int n;

    hidden_text(text, sizeof(text), scene);
    n = grid_width(text);
    if (n > g->columns / 2)
        n = g->columns / 2;
    draw_cut(g, y, 0, g->columns - n - (n > 0), STYLE_HEADER, scene->detail->title, scene->detail->title_end);
    draw_cut(g, y, g->columns - n, n, STYLE_HEADER, text, "");
    grid_style_row(g, y, STYLE_HEADER);
}

/* ---- the whole ---- */

/* Rows of the panel: at most half of what there is. */
static int panel_rows(int rows)
{
    int body = rows - AROUND;
    int wished = 8 + body / 5;

    if (rows < PANEL_FROM)
        return 0;
    return wished < body / 2 ? wished : body / 2;
}

size_t draw_detail_page(const struct view *view, int rows, int columns)
{
    int page = rows - AROUND - panel_rows(rows);

    (void)view;
    (void)columns;
    return page > 0 ? (size_t)page : 0;
}

void draw_detail(struct grid *g, const struct scene *scene)
{
    const struct detail *d = scene->detail;
    const struct view *v = scene->view;
    struct layout_of_detail l = layout(g->columns);
    int page = (int)draw_detail_page(v, g->rows, g->columns);

    draw_titles(g, DRAW_HEAD, &l);
    if (!d || !d->count) {
        grid_text(g, DRAW_HEAD + 2, 0, g->columns, STYLE_WARNING,
                  d && (d->hidden || d->title[0]) ? "The filter hides all that there is."
                                                  : "This source is not there any more.");
        if (d && d->title[0])
            draw_status(g, DRAW_HEAD + 1 + page, scene);
        return;
    }
    for (size_t i = 0; i < (size_t)page && v->scrolled + i < d->count; i++) {
        int y = DRAW_HEAD + 1 + (int)i;

        draw_line(g, y, &l, &d->lines[v->scrolled + i]);
        if (v->scrolled + i == v->line) {
            grid_text(g, y, 0, 1, STYLE_SELECTED, ">");
            grid_style_row(g, y, STYLE_SELECTED);
        }
    }
    draw_status(g, DRAW_HEAD + 1 + page, scene);
    draw_panel(g, scene, v->line < d->count ? &d->lines[v->line] : NULL, DRAW_HEAD + 2 + page, panel_rows(g->rows));
}
