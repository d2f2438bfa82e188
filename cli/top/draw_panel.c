/* SPDX-License-Identifier: MIT */
#include "cli/top/draw_panel.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/top/chart.h"
#include "lib/export/names.h"

#define HELP_ROWS 2
#define LABEL 10       /* cells of the labels of a graph's axis */
#define GRAPH_MAX 1024 /* cells: beats */
#define SHARE_NAME 18
#define SHARE_WIDTH 7
#define TEXT 512

/* ---- numbers ---- */

static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };

static int is_rate(const struct detail_line *line)
{
    return (line->d->flags & VMT_TYPE_MASK) == VMT_TYPE_CUMULATIVE || histogram_is(line->d);
}

/* What its value is a number of: histograms count records, and a sum of booleans those that are true. */
static const struct vmt_descriptor *scale_of(const struct detail_line *line)
{
    int boolean = (line->d->flags & VMT_UNIT_MASK) == VMT_UNIT_BOOLEAN;

    return histogram_is(line->d) || (boolean && !vmt_export_is_boolean(line->d, line->whose == DETAIL_BELOW)) ? &events
                                                                                                              : line->d;
}

/* A value that may be whole, and then is shown so. */
static char *value_text(char *buf, const struct vmt_descriptor *d, double value)
{
    if (isfinite(value) && fabs(value) < 0x1p53 && value == floor(value) && (value >= 0 || d->flags & VMT_SIGNED))
        return unit_format(buf, UNIT_TEXT, d, value < 0 ? (uint64_t)(int64_t)value : (uint64_t)value);
    return unit_format_real(buf, UNIT_TEXT, d, value);
}

char *detail_value_text(char *buf, const struct detail_line *line)
{
    return value_text(buf, scale_of(line), line->total);
}

char *detail_rate_text(char *buf, const struct detail_line *line, double rate)
{
    if (is_rate(line))
        return unit_format_rate(buf, UNIT_TEXT, scale_of(line), rate);
    return value_text(buf, scale_of(line), rate);
}

char *detail_change_text(char *buf, const struct detail_line *line, double value)
{
    const struct vmt_descriptor *d = scale_of(line);
    char text[UNIT_TEXT];

    const char *sign = value > 0 ? "+" : value < 0 ? "-" : "";

    if (!isfinite(value))
        snprintf(buf, UNIT_TEXT, "-");
    else if ((d->flags & VMT_UNIT_MASK) == VMT_UNIT_BOOLEAN)
        snprintf(buf, UNIT_TEXT, "%s%.0f", sign, fabs(value));
    else
        snprintf(buf, UNIT_TEXT, "%s%.*s", sign, UNIT_TEXT - 2, value_text(text, d, fabs(value)));
    return buf;
}

char *detail_estimate_text(char *buf, const struct detail_line *line, const struct estimate *e)
{
    char text[UNIT_TEXT];

    snprintf(buf, UNIT_TEXT, "%s%.*s", e->open && !isnan(e->value) ? ">" : "", UNIT_TEXT - 2,
             unit_format_real(text, sizeof(text), line->d, e->value));
    return buf;
}

/* ---- texts ---- */

/* Items one after the other, in as many rows as there are. */
struct flow {
    struct grid *grid;
    int row;
    int end; /* row */
    int column;
};

static void flow_item(struct flow *f, const char *name, const char *value)
{
    char text[TEXT];
    int n;

    snprintf(text, sizeof(text), "%s %s", name, value);
    n = grid_width(text);
    if (f->column > 1 && f->column + n > f->grid->columns) {
        f->row++;
        f->column = 1;
    }
    if (f->row < f->end)
        f->column += grid_text(f->grid, f->row, f->column, f->grid->columns, STYLE_NORMAL, text) + 3;
}

/* Text in at most count rows, broken between words; what does not fit is cut. Returns the rows that it took. */
static int draw_wrapped(struct grid *g, int row, int count, enum style style, const char *text)
{
    int width = g->columns - 1;
    int used = 0;

    while (*text && used < count) {
        char line[VMT_HELP_MAX + 1];
        size_t end = 0; /* of the last word that fits */

        for (size_t at = 0; at < sizeof(line) && used + 1 < count;) { /* the last row takes all, and is cut */
            size_t word = at + strcspn(text + at, " ");

            if (word >= sizeof(line))
                break;
            memcpy(line, text, word);
            line[word] = '\0';
            if (grid_width(line) > width)
                break;
            end = word;
            if (!text[word])
                break;
            at = word + 1;
        }
        if (end == 0) { /* a word that is too long for a row, or the last row */
            draw_cut(g, row + used++, 1, width, style, text, "");
            break;
        }
        memcpy(line, text, end);
        line[end] = '\0';
        grid_text(g, row + used++, 1, width, style, line);
        text += end + strspn(text + end, " ");
    }
    return used;
}

static void clock_text(char *buf, size_t size, uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000U);
    struct tm tm;

    buf[0] = '\0';
    if (localtime_r(&seconds, &tm))
        strftime(buf, size, "%H:%M:%S", &tm);
}

/* Type, unit and scale in words: "cumulative, seconds x 10^-9, diagnostic". */
static void kind_text(char *buf, size_t size, const struct vmt_descriptor *d)
{
    const char *unit = vmt_export_unit(d);
    const char *level = vmt_export_level(d);
    char scale[32] = "";

    if (d->exponent)
        snprintf(scale, sizeof(scale), " x %" PRIu64 "^%d", vmt_export_base(d), d->exponent);
    snprintf(buf, size, "%s, %s%s%s%s", vmt_export_type(d), unit ? unit : "a number", scale, level ? ", " : "",
             level ? level : "");
}

/* ---- the graph ---- */

/* Which beats: the newest that there is room for, or where one looks further back, those around that one. */
static size_t first_beat(size_t beats, size_t beat, size_t width)
{
    size_t first = beats > width ? beats - width : 0;

    if (beat >= first)
        return first;
    return beat > width / 2 ? beat - width / 2 : 0;
}

static void age_text(char *buf, const struct history *history, size_t beat)
{
    uint64_t newest = history_beat(history, history_count(history) - 1)->realtime_ns;
    uint64_t then = history_beat(history, beat)->realtime_ns;
    char text[UNIT_TEXT - 1];

    if (beat + 1 == history_count(history))
        snprintf(buf, UNIT_TEXT, "now");
    else
        snprintf(buf, UNIT_TEXT, "-%s", unit_format_age(text, sizeof(text), newest > then ? newest - then : 0));
}

/* Ages at both ends, and what is looked at between them. */
static void draw_ages(struct grid *g, const struct scene *scene, int row, int column, size_t first, size_t count)
{
    char text[UNIT_TEXT];
    char mark[UNIT_TEXT + 2];
    size_t beat = scene->detail->beat;
    int right = g->columns; /* of the text at the right end */
    int left;

    age_text(text, scene->history, first + count - 1);
    right -= grid_text(g, row, g->columns - grid_width(text), g->columns, STYLE_DIM, text);
    age_text(text, scene->history, first);
    left = column;
    if (left + grid_width(text) < right)
        left += grid_text(g, row, left, g->columns, STYLE_DIM, text);
    if (scene->detail->newest || beat < first || beat >= first + count)
        return;
    column += (int)(beat - first);
    grid_text(g, row, column, 1, STYLE_WARNING, "^");
    age_text(text, scene->history, beat);
    snprintf(mark, sizeof(mark), "^ %s", text);
    if (column > left && column + grid_width(mark) < right)
        grid_text(g, row, column, g->columns, STYLE_WARNING, mark);
}

/* The next number that people say, or one that packing alone put value above. */
static double nice_top(double value)
{
    static const double steps[] = { 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10 };
    double power = value > 0 ? pow(10, floor(log10(value))) : 1;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (value * 0.998 <= steps[i] * power)
            return steps[i] * power;
    }
    return value;
}

/* A number at its axis. */
static const char *graph_text(char *buf, const struct detail_line *line, double value)
{
    return line->kind == DETAIL_QUANTILE ? unit_format_real(buf, UNIT_TEXT, line->d, value)
                                         : detail_rate_text(buf, line, value);
}

static void draw_graph(struct grid *g, const struct scene *scene, const struct detail_line *line, int row, int rows)
{
    double values[GRAPH_MAX];
    int width = g->columns - LABEL - 1;
    size_t beats = history_count(scene->history);
    size_t first, count;
    double top = 0, low = 0;
    int known = 0;
    char text[UNIT_TEXT];

    if (rows < 2 || width < 1 || beats == 0)
        return;
    width = width < GRAPH_MAX ? width : GRAPH_MAX;
    first = first_beat(beats, scene->detail->beat, (size_t)width);
    count = beats - first < (size_t)width ? beats - first : (size_t)width;
    for (size_t i = 0; i < count; i++) {
        values[i] = detail_value(scene->detail, scene->history, line, first + i);
        known += isfinite(values[i]);
        top = isfinite(values[i]) && values[i] > top ? values[i] : top;
        low = isfinite(values[i]) && values[i] < low ? values[i] : low;
    }
    if (!known) {
        grid_text(g, row, 1, g->columns, STYLE_DIM, "Nothing is known yet of how it changes over time.");
        return;
    }
    top = nice_top(top);
    chart_graph(g, row, g->columns - width, rows - 1, width, STYLE_CHART, values, count, top,
                scene->view->settings.ascii);
    grid_number(g, row, 0, LABEL, STYLE_DIM, graph_text(text, line, top));
    if (rows > 2)
        grid_number(g, row + rows - 2, 0, LABEL, STYLE_DIM, graph_text(text, line, low));
    draw_ages(g, scene, row + rows - 1, g->columns - (int)count, first, count);
}

/* ---- the threads ---- */

static void share_name(char *buf, size_t size, const struct detail_share *share)
{
    if (share->held == 2)
        snprintf(buf, size, "shared");
    else if (share->owner)
        snprintf(buf, size, "thread %" PRIu32 "%s", share->owner, share->held ? "" : ", gone");
    else
        snprintf(buf, size, share->held ? "a thread" : "free");
}

static void draw_share(struct grid *g, const struct detail_line *line, const struct detail_share *share, int row,
                       int ascii)
{
    int x = 1;
    char text[UNIT_TEXT];
    char name[32];

    share_name(name, sizeof(name), share);
    draw_cut(g, row, x, SHARE_NAME, STYLE_NORMAL, name, "");
    x += SHARE_NAME + 1;
    grid_number(g, row, x, LABEL, STYLE_NORMAL, value_text(text, scale_of(line), share->total));
    x += LABEL + 1;
    if (is_rate(line))
        grid_number(g, row, x, LABEL, STYLE_NORMAL, unit_format_rate(text, sizeof(text), scale_of(line), share->rate));
    x += LABEL + 1;
    grid_number(g, row, x, SHARE_WIDTH, STYLE_NORMAL, unit_format_share(text, sizeof(text), share->share));
    x += SHARE_WIDTH + 1;
    chart_bar(g, row, x, g->columns - x, STYLE_CHART, share->share, ascii);
}

static void draw_shares(struct grid *g, const struct scene *scene, const struct detail_line *line, int row, int rows)
{
    struct detail_share shares[DETAIL_SHARES_MAX];
    size_t shown = rows > 1 ? (size_t)rows - 1 : 0;
    size_t count;
    int x = 1 + SHARE_NAME + 1;

    if (rows < 2)
        return;
    if (shown > DETAIL_SHARES_MAX)
        shown = DETAIL_SHARES_MAX;
    count = detail_shares(scene->detail, line, shares, shown);
    if (!count) {
        grid_text(g, row, 1, g->columns, STYLE_DIM,
                  line->whose == DETAIL_BELOW  ? "Which thread counts it is known in the detail of each source below."
                  : line->whose == DETAIL_VIEW ? "Another provider counts it, without shards."
                                               : "No shard of it is known: with the next sample they are.");
        return;
    }
    grid_text(g, row, 1, SHARE_NAME, STYLE_HEADER, scene->detail->newest ? "SHARD" : "SHARD, now");
    grid_number(g, row, x, LABEL, STYLE_HEADER, "VALUE");
    grid_number(g, row, x + LABEL + 1, LABEL, STYLE_HEADER, is_rate(line) ? "RATE" : "");
    grid_number(g, row, x + 2 * (LABEL + 1), SHARE_WIDTH, STYLE_HEADER, "SHARE");
    if (count > shown && shown > 1)
        shown--;
    for (size_t i = 0; i < shown && i < count; i++)
        draw_share(g, line, &shares[i], row + 1 + (int)i, scene->view->settings.ascii);
    if (count > shown && shown + 1 < (size_t)rows) {
        char text[64];

        snprintf(text, sizeof(text), "and %zu more", count - shown);
        grid_text(g, row + 1 + (int)shown, 1, g->columns, STYLE_DIM, text);
    }
}

/* ---- the panel ---- */

/* Name and kind; at the right which panel it is, and which there are. */
static void draw_name(struct grid *g, const struct scene *scene, const struct detail_line *line, int row)
{
    const char *right = scene->view->panel == PANEL_SHARDS ? "graph [shards]" : "[graph] shards";
    int quantile = line->kind == DETAIL_QUANTILE;
    int n = grid_width(right);
    char kind[128];
    char text[TEXT];

    kind_text(kind, sizeof(kind), line->d);
    snprintf(text, sizeof(text), "%s%s%s: %s", quantile ? line->name : "", quantile ? " of " : "", line->d->name, kind);
    draw_cut(g, row, 1, g->columns - n - 2, STYLE_TITLE, text, "");
    grid_text(g, row, g->columns - n, n, STYLE_DIM, right);
}

static void add_quantiles(struct flow *f, const struct detail_line *line)
{
    char low[UNIT_TEXT];
    char high[UNIT_TEXT];
    char text[3 * UNIT_TEXT];

    if (isnan(line->of_all.value))
        return;
    if (line->of_all.open)
        snprintf(text, sizeof(text), "from %s on", unit_format_real(low, sizeof(low), line->d, line->of_all.low));
    else
        snprintf(text, sizeof(text), "%s to %s", unit_format_real(low, sizeof(low), line->d, line->of_all.low),
                 unit_format_real(high, sizeof(high), line->d, line->of_all.high));
    flow_item(f, line->name, text);
}

/* In count rows. Returns how many it took. */
static int draw_numbers(struct grid *g, const struct scene *scene, const struct detail_line *line, int row, int count)
{
    static const char *const spans[] = { "avg 10 s", "100 s", "1000 s" };
    struct flow f = { g, row, row + count, 1 };
    char text[UNIT_TEXT];
    char since[32] = "";
    char name[64];

    if (count < 1)
        return 0;
    if (line->kind == DETAIL_QUANTILE) {
        add_quantiles(&f, line);
        flow_item(&f, "of the interval", detail_estimate_text(text, line, &line->of_interval));
        if (scene->view->marked_ns)
            flow_item(&f, "since the mark", detail_estimate_text(text, line, &line->of_mark));
        return f.row - row + 1;
    }
    flow_item(&f,
              histogram_is(line->d) ? "recorded"
              : is_rate(line)       ? "total"
                                    : "value",
              detail_value_text(text, line));
    if (is_rate(line))
        flow_item(&f, "rate", detail_rate_text(text, line, line->rate));
    if (!histogram_is(line->d)) {
        flow_item(&f, "min", detail_rate_text(text, line, (double)line->average.low));
        flow_item(&f, "max", detail_rate_text(text, line, (double)line->average.high));
        for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]) && scene->detail->newest; i++)
            flow_item(&f, spans[i], detail_rate_text(text, line, (double)line->average.over[i]));
    }
    if (scene->view->marked_ns) {
        clock_text(since, sizeof(since), scene->view->marked_ns);
        snprintf(name, sizeof(name), "since the mark of %s:", since);
        flow_item(&f, name, detail_change_text(text, line, line->since_mark));
    }
    return f.row < f.end ? f.row - row + 1 : count;
}

void draw_panel(struct grid *g, const struct scene *scene, const struct detail_line *line, int row, int count)
{
    int end = row + count;
    int chart = count >= 10 ? 4 : count >= 7 ? 3 : 2; /* rows that are kept for it */

    if (!line || count < 2)
        return;
    if (line->kind == DETAIL_FACT || line->kind == DETAIL_HEADING) {
        grid_text(g, row, 1, g->columns, STYLE_TITLE, line->name);
        draw_wrapped(g, row + 1, count - 1, STYLE_NORMAL, line->value);
        return;
    }
    draw_name(g, scene, line, row++);
    if (end - row > chart + 1)
        row += draw_wrapped(g, row, end - row - chart - 1 < HELP_ROWS ? end - row - chart - 1 : HELP_ROWS, STYLE_DIM,
                            line->d->help);
    row += draw_numbers(g, scene, line, row, end - row - chart < 2 ? end - row - chart : 2);
    if (scene->view->panel == PANEL_SHARDS)
        draw_shares(g, scene, line, row, end - row);
    else
        draw_graph(g, scene, line, row, end - row);
}
