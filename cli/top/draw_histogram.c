/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/chart.h"
#include "cli/top/draw.h"
#include "cli/top/draw_heat.h"
#include "cli/top/picture.h"
#include "cli/units.h"

#define LIST_MIN 5         /* rows of buckets; what is above them leaves out something first */
#define QUANTILE_WIDTH 40  /* cells of one with its bounds */
#define WIDE_COLUMNS 60    /* from here on buckets have both bounds, and counts */
#define COUNTS_COLUMNS 120 /* and in a comparison, counts */
#define TITLE_MIN 6        /* cells of a source's name that still say anything */
#define COUNT_WIDTH 7
#define SHARE_WIDTH 6

static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };
static const struct vmt_descriptor seconds = { .flags = VMT_UNIT_SECONDS };

/* ---- where it is ---- */

struct places {
    int help;    /* rows of each, 0 or 1 */
    int titles;  /* of the bars, or the legend of the map */
    int axis;    /* of the map: HEAT_AXIS */
    int parts;   /* sources whose quantiles are shown */
    int compact; /* they take one row each */
    int per_row; /* quantiles */
    int page;    /* rows that are left, at least 0 */
};

static int part_rows(const struct places *l) { return l->compact ? 1 : 1 + HISTOGRAM_QUANTILES / l->per_row; }

static int rows_left(const struct places *l, int rows)
{
    int left = rows - DRAW_HEAD - 1 - 1 - l->help - l->titles - l->axis - l->parts * part_rows(l);

    return left > 0 ? left : 0;
}

/* Depends on nothing but the view and the size, as whoever scrolls has no more. */
static struct places places_of(const struct view *v, int rows, int columns)
{
    struct places l = { .help = 1, .titles = 1, .axis = v->heat ? HEAT_AXIS : 0, .parts = picture_compares(v) ? 2 : 1 };

    l.per_row = columns >= 4 * QUANTILE_WIDTH ? 4 : columns >= 2 * QUANTILE_WIDTH ? 2 : 1;
    if (rows_left(&l, rows) < LIST_MIN)
        l.help = 0;
    if (rows_left(&l, rows) < LIST_MIN)
        l.compact = 1;
    if (rows_left(&l, rows) < LIST_MIN)
        l.titles = 0;
    if (rows_left(&l, rows) < 1)
        l.axis = 0;
    while (rows_left(&l, rows) < 1 && l.parts > 0)
        l.parts--;
    l.page = rows_left(&l, rows);
    return l;
}

size_t draw_histogram_page(const struct view *view, int rows, int columns)
{
    return (size_t)places_of(view, rows, columns).page;
}

/* ---- texts ---- */

/* A bound of a bucket. Buckets hold unsigned numbers, whatever else the descriptor says of its values. */
static char *bound_text(char *buf, size_t size, const struct vmt_descriptor *d, double bound)
{
    struct vmt_descriptor plain = *d;

    plain.flags &= ~(VMT_SIGNED | VMT_AGGREGATION_MASK);
    return bound < 0x1p63 ? unit_format(buf, size, &plain, (uint64_t)bound)
                          : unit_format_real(buf, size, &plain, bound);
}

static const char *unit_of(const char *text)
{
    const char *space = strrchr(text, ' ');

    return space ? space : "";
}

static void quantile_text(char *buf, const char *name, const struct vmt_descriptor *d, const struct estimate *e,
                          int bounds)
{
    char value[UNIT_TEXT], low[UNIT_TEXT], high[UNIT_TEXT];
    int one;

    if (isnan(e->value)) {
        snprintf(buf, DRAW_TEXT, "%s -", name);
        return;
    }
    bound_text(low, sizeof(low), d, e->low);
    if (e->open) {
        snprintf(buf, DRAW_TEXT, "%s %s or more", name, low);
        return;
    }
    if (e->high - e->low <= 1) { /* this bucket holds one number, which is no estimate */
        snprintf(buf, DRAW_TEXT, "%s %s%s", name, low, bounds ? " (exact)" : "");
        return;
    }
    bound_text(high, sizeof(high), d, e->high);
    unit_format_real(value, sizeof(value), d, e->value);
    one = strcmp(unit_of(low), unit_of(value)) == 0 && strcmp(unit_of(high), unit_of(value)) == 0;
    if (!bounds)
        snprintf(buf, DRAW_TEXT, "%s %s", name, value);
    else /* a unit that all three have is said once */
        snprintf(buf, DRAW_TEXT, "%s %s (%.*s to %.*s)", name, value,
                 (int)(strlen(low) - (one ? strlen(unit_of(low)) : 0)), low,
                 (int)(strlen(high) - (one ? strlen(unit_of(high)) : 0)), high);
}

static char *count_text(char *buf, size_t size, double count)
{
    return count < 999.5 ? unit_format(buf, size, &events, (uint64_t)llround(count))
                         : unit_format_real(buf, size, &events, count);
}

static char *share_text(char *buf, size_t size, double share)
{
    if (share > 0 && share < 0.0001) { /* which is not 0 */
        snprintf(buf, size, "<0.01%%");
        return buf;
    }
    return unit_format_share(buf, size, share);
}

/* What that source's counts span; 0: not known. */
static double span_seconds(const struct scene *scene, const struct picture_part *part)
{
    size_t newest = history_count(scene->history);
    uint64_t now = scene->set->realtime_ns;
    uint64_t marked = scene->view->marked_ns;
    struct track_facts facts;

    switch (scene->view->span) {
    case SPAN_INTERVAL:
        return part->detail->beat < newest ? history_beat(scene->history, part->detail->beat)->seconds : 0;
    case SPAN_MARK:
        return marked && now > marked ? (double)(now - marked) / 1e9 : 0;
    default:
        if (!newest || !history_facts(scene->history, part->detail->track, newest - 1, &facts))
            return 0;
        return facts.age_ns != UINT64_MAX ? (double)facts.age_ns / 1e9 : 0;
    }
}

static void span_text(char *buf, const struct scene *scene, const struct picture_part *part, int narrow)
{
    static const char *const words[SPAN_COUNT][2] = {
        [SPAN_INTERVAL] = { "of the interval", "interval" },
        [SPAN_MARK] = { "since the mark", "mark" },
        [SPAN_ALL] = { "of all time", "all" },
    };
    int interval = scene->view->span == SPAN_INTERVAL;
    int back = part->detail->beat + 1 < history_count(scene->history);
    double span = span_seconds(scene, part);
    char text[UNIT_TEXT] = "";

    if (interval)
        unit_format_real(text, sizeof(text), &seconds, span);
    else if (span > 0 && span < 1e9)
        unit_format_age(text, sizeof(text), (uint64_t)(span * 1e9));
    snprintf(buf, DRAW_TEXT, "%s%s%s%s", words[scene->view->span][narrow], text[0] ? ", " : "", text,
             back && !interval ? ", to now" : "");
}

/* ---- drawing ---- */

/* The source and the statistic; where there is no room for both, that alone. */
static void draw_title(struct grid *g, int y, const struct scene *scene, const struct picture_part *part)
{
    const struct detail_line *line = part->line;
    const char *owner = part->detail->title_end;
    char what[DRAW_TEXT], text[2 * DRAW_TEXT], end[2 * DRAW_TEXT], span[DRAW_TEXT];
    int room, n;

    if (line->whose == DETAIL_BELOW)
        snprintf(what, sizeof(what), ", all %s below: %s", line->schema->name, line->d->name);
    else if (line->whose == DETAIL_VIEW)
        snprintf(what, sizeof(what), ", %s: %s", line->schema->provider, line->d->name);
    else
        snprintf(what, sizeof(what), ": %s", line->d->name);
    span_text(span, scene, part, g->columns < WIDE_COLUMNS);
    n = grid_width(span) < g->columns / 2 ? grid_width(span) : g->columns / 2;
    room = g->columns - n - 2;
    snprintf(text, sizeof(text), "%s%s", part->detail->title, what);
    snprintf(end, sizeof(end), "%s%s", owner, what);
    if (grid_width(text) > room && grid_width(end) + TITLE_MIN > room) {
        snprintf(text, sizeof(text), "%s%s", line->d->name, owner);
        snprintf(end, sizeof(end), "%s", owner);
    }
    draw_cut(g, y, 0, room, STYLE_TITLE, text, end);
    grid_text(g, y, g->columns - n, n, STYLE_TITLE, span);
}

static enum style style_of(int side) { return side ? STYLE_COMPARED : STYLE_CHART; }

static void draw_quantiles(struct grid *g, int y, int x, const struct places *l, const struct histogram *h, int side)
{
    int width = (g->columns - x) / l->per_row;
    char text[DRAW_TEXT];

    for (int q = 0; q < HISTOGRAM_QUANTILES; q++) {
        const struct estimate *e = &h->sides[side].quantiles[q];

        quantile_text(text, histogram_quantile_names[q], h->d, e, !l->compact);
        if (l->compact) { /* as many as have room */
            if (x + grid_width(text) > g->columns)
                return;
            x += grid_text(g, y, x, g->columns, STYLE_NORMAL, text) + 2;
            continue;
        }
        if (grid_width(text) >= width)
            quantile_text(text, histogram_quantile_names[q], h->d, e, 0);
        grid_text(g, y + q / l->per_row, x + q % l->per_row * width, width, STYLE_NORMAL, text);
    }
}

/* One source: who it is where there are two, how much it counted, and its quantiles. */
static void draw_part(struct grid *g, int y, const struct places *l, const struct scene *scene, const struct picture *p,
                      int side)
{
    const struct picture_part *part = &p->parts[side];
    const struct histogram_side *counted = &p->histogram.sides[side];
    double span = part->why ? 0 : span_seconds(scene, part);
    char text[DRAW_TEXT] = "", number[UNIT_TEXT], rate[UNIT_TEXT];
    int x = 0;
    int n;

    if (p->count > 1) {
        chart_bar(g, y, 0, 1, style_of(side), 1, scene->view->settings.ascii);
        x = 2;
    }
    if (part->why)
        snprintf(text, sizeof(text), "%s", part->why);
    else if (!(counted->total > 0))
        snprintf(text, sizeof(text), "nothing recorded");
    else if (span > 0)
        snprintf(text, sizeof(text), "%s recorded, %s", count_text(number, sizeof(number), counted->total),
                 unit_format_rate(rate, sizeof(rate), &events, counted->total / span));
    else
        snprintf(text, sizeof(text), "%s recorded", count_text(number, sizeof(number), counted->total));
    if (l->compact && !part->why && counted->total > 0) {
        draw_quantiles(g, y, x, l, &p->histogram, side);
        return;
    }
    n = grid_width(text);
    if (p->count > 1 && part->detail && part->detail->title[0] && g->columns - x - n > 2) {
        const char *title = part->detail->title;
        int room = g->columns - x - n - 2;

        draw_cut(g, y, x, room, style_of(side), title, part->detail->title_end);
        x += (grid_width(title) < room ? grid_width(title) : room) + 2;
    }
    grid_text(g, y, x, g->columns, part->why ? STYLE_WARNING : STYLE_NORMAL, text);
    if (!l->compact && !part->why)
        draw_quantiles(g, y + 1, 0, l, &p->histogram, side);
}

void draw_bounds(struct grid *g, int y, const struct vmt_descriptor *d, uint32_t first, uint32_t last, int narrow)
{
    double low, high, ignored;
    char text[UNIT_TEXT];

    histogram_bounds(d, first, &low, &ignored);
    histogram_bounds(d, last, &ignored, &high);
    grid_number(g, y, 0, BOUND_WIDTH, STYLE_NORMAL, bound_text(text, sizeof(text), d, low));
    if (narrow)
        return;
    if (isinf(high)) {
        grid_text(g, y, BOUND_WIDTH, BOUND_WIDTH, STYLE_NORMAL, " or more");
        return;
    }
    grid_text(g, y, BOUND_WIDTH, 3, STYLE_NORMAL, " - ");
    grid_number(g, y, BOUND_WIDTH + 3, BOUND_WIDTH, STYLE_NORMAL, bound_text(text, sizeof(text), d, high));
}

/* Titles at titles (-1: none), and bars of equal shares equally long on both sides. */
static void draw_bars(struct grid *g, int top, int page, int titles, const struct scene *scene, const struct picture *p)
{
    const struct histogram *h = &p->histogram;
    int narrow = g->columns < WIDE_COLUMNS;
    int left = (narrow ? BOUND_WIDTH : BOUNDS_WIDTH) + 1;
    int counts = g->columns >= (p->count > 1 ? COUNTS_COLUMNS : WIDE_COLUMNS);
    int width = (g->columns - left) / p->count;
    int before = (counts ? COUNT_WIDTH + 1 : 0) + SHARE_WIDTH + 1; /* the bar */
    double most = fmax(h->sides[0].share, h->side_count > 1 ? h->sides[1].share : 0);
    size_t lines = picture_lines(h);
    size_t least = lines > (size_t)page ? lines - (size_t)page : 0;
    size_t from = scene->view->scrolled < least ? scene->view->scrolled : least;
    char text[DRAW_TEXT];

    for (size_t i = 0; i < (size_t)page && from + i < lines; i++) {
        uint32_t bucket = h->first + (uint32_t)(from + i);

        draw_bounds(g, top + (int)i, h->d, bucket, bucket, narrow);
        for (int k = 0; k < h->side_count; k++) {
            const struct histogram_side *side = &h->sides[k];
            double share = side->total > 0 ? side->counts[bucket] / side->total : 0;
            int x = left + k * width;

            if (counts)
                grid_number(g, top + (int)i, x, COUNT_WIDTH, STYLE_NORMAL,
                            count_text(text, sizeof(text), side->counts[bucket]));
            grid_number(g, top + (int)i, x + before - SHARE_WIDTH - 1, SHARE_WIDTH, STYLE_NORMAL,
                        share_text(text, sizeof(text), share));
            chart_bar(g, top + (int)i, x + before, width - before - (p->count > 1), style_of(k),
                      most > 0 ? share / most : 0, scene->view->settings.ascii);
        }
    }
    if (titles < 0)
        return;
    grid_number(g, titles, 0, BOUND_WIDTH, STYLE_HEADER, "FROM");
    grid_number(g, titles, BOUND_WIDTH + 3, narrow ? 0 : BOUND_WIDTH, STYLE_HEADER, narrow ? "" : "BELOW");
    for (int k = 0; k < h->side_count; k++) {
        grid_number(g, titles, left + k * width, counts ? COUNT_WIDTH : 0, STYLE_HEADER, counts ? "COUNT" : "");
        grid_number(g, titles, left + k * width + before - SHARE_WIDTH - 1, SHARE_WIDTH, STYLE_HEADER, "SHARE");
    }
    if (lines > (size_t)page) {
        snprintf(text, sizeof(text), "%zu to %zu of %zu buckets", from + 1, from + (size_t)page, lines);
        if (left + before + grid_width(text) < g->columns)
            grid_number(g, titles, g->columns - grid_width(text), grid_width(text), STYLE_HEADER, text);
    }
    grid_style_row(g, titles, STYLE_HEADER);
}

void draw_histogram(struct grid *g, const struct scene *scene)
{
    const struct detail_line *line = picture_line(scene);
    struct places l = places_of(scene->view, g->rows, g->columns);
    struct picture p;
    int y = DRAW_HEAD;
    int titles;

    if (!line) {
        grid_text(g, y, 0, g->columns, STYLE_WARNING,
                  scene->detail && scene->detail->count ? "This statistic is no histogram."
                                                        : "This source is not there any more.");
        return;
    }
    picture_take(&p, scene, line);
    draw_title(g, y++, scene, &p.parts[0]);
    if (l.help)
        grid_text(g, y++, 0, g->columns, STYLE_DIM, line->d->help);
    for (int side = 0; side < l.parts; side++, y += part_rows(&l))
        draw_part(g, y, &l, scene, &p, side);
    titles = l.titles ? y++ : -1;
    if (scene->view->heat) {
        draw_heat(g, scene, line, y, l.page, l.axis, titles);
    } else if (!p.parts[0].why) {
        picture_widen(&p, (size_t)l.page);
        draw_bars(g, y, l.page, titles, scene, &p);
    }
    picture_free(&p);
}
