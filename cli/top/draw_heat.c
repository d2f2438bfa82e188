/* SPDX-License-Identifier: MIT */
#include "cli/top/draw_heat.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/top/chart.h"
#include "cli/units.h"

#define BOTH_BOUNDS_COLUMNS 100 /* from here on there is room for both bounds of a row */
#define AGE_COLUMNS 12          /* from one age below the axis to the next */
#define LEGEND_COLUMNS 72

/* What is seen of the history, and where. */
struct map {
    const struct detail_line *line;
    const struct history *history;
    size_t track;
    size_t from; /* beats */
    size_t end;
    size_t known;   /* that are not gaps */
    uint32_t first; /* buckets; more than last: none has anything */
    uint32_t last;
    uint32_t group; /* buckets in a row */
    int top;
    int rows;
    int left;                   /* column of beat from */
    struct histogram histogram; /* of one beat at a time */
};

/* 1: this beat is the side 0 of the map's histogram; 0: it is not known; -ENOMEM. */
static int map_beat(struct map *m, size_t beat)
{
    int r;

    histogram_start(&m->histogram, m->line->d);
    r = histogram_add_beat(&m->histogram, m->history, m->track, beat, m->line->part);
    return r == -ENODATA ? 0 : r < 0 ? r : 1;
}

/* The newest beats that fit into width columns, or those around the one looked at. */
static void map_choose(struct map *m, size_t beat, size_t width)
{
    size_t count = history_count(m->history);
    size_t shown = count < width ? count : width;

    m->end = count;
    if (beat < count - shown)
        m->end = beat + shown / 2 + 1 > shown ? beat + shown / 2 + 1 : shown;
    m->from = m->end - shown;
}

/* Which buckets are there at all. 0 or -ENOMEM. */
static int map_range(struct map *m, int rows)
{
    m->first = m->line->d->size;
    m->last = 0;
    for (size_t beat = m->from; beat < m->end; beat++) {
        int r = map_beat(m, beat);

        if (r < 0)
            return r;
        if (r == 0)
            continue;
        m->known++;
        m->first = m->histogram.first < m->first ? m->histogram.first : m->first;
        m->last = m->histogram.last > m->last ? m->histogram.last : m->last;
    }
    if (m->first <= m->last) {
        m->group = (m->last - m->first) / (uint32_t)rows + 1;
        m->rows = (int)((m->last - m->first) / m->group + 1);
    }
    return 0;
}

/* Each shade stands for twice the share of the one before; the densest for more than half of all. */
static double intensity(double share) { return share > 0 ? fmax(1 + log2(share) / STYLE_HEATS, 1.0 / STYLE_HEATS) : 0; }

static void draw_beat(struct grid *g, const struct map *m, int x, int ascii)
{
    const struct histogram_side *side = &m->histogram.sides[0];

    for (int row = 0; row < m->rows; row++) {
        uint32_t bucket = m->first + (uint32_t)row * m->group;
        double count = 0;

        for (uint32_t i = bucket; i < bucket + m->group && i <= m->last; i++)
            count += side->counts[i];
        if (count > 0)
            chart_heat(g, m->top + m->rows - 1 - row, x, intensity(count / side->total), ascii);
    }
}

static void draw_labels(struct grid *g, const struct map *m, int narrow)
{
    for (int row = 0; row < m->rows; row++) {
        uint32_t bucket = m->first + (uint32_t)row * m->group;
        uint32_t last = bucket + m->group - 1;

        draw_bounds(g, m->top + m->rows - 1 - row, m->line->d, bucket, last < m->last ? last : m->last, narrow);
    }
}

static char *age_text(char *buf, size_t size, const struct history *history, size_t beat)
{
    uint64_t now = history_beat(history, history_count(history) - 1)->realtime_ns;
    uint64_t then = history_beat(history, beat)->realtime_ns;
    char age[UNIT_TEXT];

    if (beat + 1 == history_count(history))
        snprintf(buf, size, "now");
    else
        snprintf(buf, size, "-%s", unit_format_age(age, sizeof(age), now > then ? now - then : 0));
    return buf;
}

static void draw_ages(struct grid *g, const struct map *m, int y)
{
    size_t shown = m->end - m->from;

    for (size_t back = 0; back < shown; back += AGE_COLUMNS) {
        int x = m->left + (int)(shown - 1 - back);
        char text[UNIT_TEXT + 1];
        int n = grid_width(age_text(text, sizeof(text), m->history, m->end - 1 - back));

        if (x - n + 1 < 0)
            return;
        grid_text(g, y, x - n + 1, n, STYLE_DIM, text);
    }
}

static void draw_legend(struct grid *g, const struct map *m, int y, int ascii)
{
    int wide = m->known == m->end - m->from ? g->columns >= LEGEND_COLUMNS : g->columns >= LEGEND_COLUMNS + 60;
    char text[DRAW_TEXT];
    int x = grid_text(g, y, 0, g->columns, STYLE_HEADER, wide ? "Share of its beat, to " : "To 0.8% ");

    for (int i = 1; i <= STYLE_HEATS; i++) {
        double most = ldexp(1, i - STYLE_HEATS);

        chart_heat(g, y, x++, intensity(most), ascii);
        if (!wide)
            continue;
        snprintf(text, sizeof(text), " %.*f%% ", most < 0.1 ? 1 : 0, most * 100);
        x += grid_text(g, y, x, g->columns, STYLE_HEADER, text);
    }
    if (!wide)
        x += grid_text(g, y, x, g->columns, STYLE_HEADER, " to 100% of its beat ");
    if (m->known == m->end - m->from)
        return;
    snprintf(text, sizeof(text), " %zu of %zu beats known: kept while one looks", m->known, m->end - m->from);
    grid_text(g, y, x, g->columns, STYLE_WARNING, text);
}

void draw_heat(struct grid *g, const struct scene *scene, const struct detail_line *line, int top, int rows, int axis,
               int legend)
{
    int ascii = scene->view->settings.ascii;
    int narrow = g->columns < BOTH_BOUNDS_COLUMNS;
    int labels = (narrow ? BOUND_WIDTH : BOUNDS_WIDTH) + 1;
    struct map m = { .line = line, .history = scene->history, .track = scene->detail->track, .top = top };

    if (rows < 1 || g->columns <= labels || !history_count(m.history))
        return;
    map_choose(&m, scene->detail->beat, (size_t)(g->columns - labels));
    m.left = g->columns - (int)(m.end - m.from);
    if (map_range(&m, rows) < 0) {
        grid_text(g, top, 0, g->columns, STYLE_WARNING, "There is not enough memory for the map.");
        histogram_free(&m.histogram);
        return;
    }
    if (!m.known) {
        grid_text(g, top, 0, g->columns, STYLE_WARNING,
                  scene->detail->shard >= 0 ? "Of a single shard they are not kept."
                                            : "The buckets of these beats were not kept; from now on they are.");
        histogram_free(&m.histogram);
        return;
    }
    if (!m.rows) {
        grid_text(g, top, 0, g->columns, STYLE_NORMAL, "Nothing was recorded in these beats.");
        m.rows = 1;
        m.first = m.line->d->size; /* and nothing is drawn */
    } else {
        draw_labels(g, &m, narrow);
    }
    for (size_t beat = m.from; beat < m.end; beat++) {
        int x = m.left + (int)(beat - m.from);
        int known = map_beat(&m, beat) > 0;

        if (known && m.first <= m.last)
            draw_beat(g, &m, x, ascii);
        if (axis && beat == scene->detail->beat)
            grid_text(g, top + m.rows, x, 1, STYLE_TITLE, ascii ? "^" : "\u25b2");
        else if (axis && known)
            grid_text(g, top + m.rows, x, 1, STYLE_DIM, ascii ? "-" : "\u2500");
    }
    if (axis)
        draw_ages(g, &m, top + m.rows + 1);
    if (legend >= 0)
        draw_legend(g, &m, legend, ascii);
    histogram_free(&m.histogram);
}
