/* SPDX-License-Identifier: MIT */
/* After each beat and key: where what was selected is now, and what is seen of the list around it. */
#include "cli/top/detail.h"
#include "cli/top/view.h"

#define PAGE_SMALL 24 /* rows */

/* So that line at is seen, if it is to be; and never beyond the end. */
static void scroll(size_t *first, size_t count, size_t page, size_t at, int reveal)
{
    if (reveal && *first > at)
        *first = at;
    if (reveal && page && at >= *first + page)
        *first = at - page + 1;
    if (count <= page)
        *first = 0;
    else if (*first > count - page)
        *first = count - page;
}

/* While one types or looks at what was, the item may come back: it stays the one that is meant. */
static void settle_rows(struct view *v, const struct model *m)
{
    long at = v->selected_key ? model_find(m, v->selected_key) : -1;

    if (at >= 0) {
        v->selected = (size_t)at;
        return;
    }
    if (!v->selected_key)
        v->selected = 0;
    else if (v->selected >= m->count)
        v->selected = m->count ? m->count - 1 : 0;
    if (v->selected_key && m->count && !v->typing && !v->beat)
        v->selected_key = m->rows[v->selected].facts.key;
}

void view_settle(struct view *v, const struct model *m, size_t page)
{
    int chooser = (v->mode & (VIEW_SORT | VIEW_COLUMNS)) != 0;

    v->page = page;
    settle_rows(v, m);
    if (v->mode == VIEW_OVERVIEW) {
        scroll(&v->top, m->count, page, v->selected, v->reveal || v->settings.follow);
    } else {
        if (chooser && v->chosen >= v->lines)
            v->chosen = v->lines ? v->lines - 1 : 0;
        scroll(&v->scrolled, v->lines, page, chooser ? v->chosen : v->line,
               v->reveal && (chooser || v->mode == VIEW_DETAIL));
    }
    v->reveal = 0;
}

static int is_heading(const struct detail *d, size_t i) { return d->lines[i].kind == DETAIL_HEADING; }

/* The line at, or the next one that is no heading: onwards, else backwards. */
static size_t beside_headings(const struct detail *d, size_t at, int upwards)
{
    size_t i = at;

    while (upwards && i > 0 && is_heading(d, i))
        i--;
    while (i < d->count && is_heading(d, i))
        i++;
    if (i == d->count) {
        for (i = at; i > 0 && is_heading(d, i);)
            i--;
    }
    return i;
}

static size_t first_statistic(const struct detail *d)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->lines[i].kind == DETAIL_STATISTIC)
            return i;
    }
    return 0;
}

static long find_line(const struct detail *d, uint64_t key)
{
    for (size_t i = 0; key && i < d->count; i++) {
        if (d->lines[i].key == key && !is_heading(d, i))
            return (long)i;
    }
    return -1;
}

void view_settle_detail(struct view *v, const struct detail *d)
{
    long at = find_line(d, v->line_key);

    v->line_histogram = 0;
    if (!d->count || (at < 0 && v->mode == VIEW_HISTOGRAM)) { /* it may come back */
        v->line = d->count;
        return;
    }
    if (at >= 0) {
        v->line = (size_t)at;
    } else {
        if (v->line == VIEW_LINE_ANY) {
            v->line = first_statistic(d);
            if (d->count > v->page && v->page < PAGE_SMALL && v->line) /* facts are a Home away */
                v->scrolled = v->line - 1;
        }
        if (v->line >= d->count)
            v->line = d->count - 1;
        v->line = beside_headings(d, v->line, v->upwards);
        if (!v->typing && !is_heading(d, v->line))
            v->line_key = d->lines[v->line].key;
    }
    v->line_histogram = d->lines[v->line].d && histogram_is(d->lines[v->line].d);
}
