/* SPDX-License-Identifier: MIT */
/* What is around all views: the head, the line at the bottom; and which view is drawn between them. */
#include "cli/top/draw.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/top/layout.h"

#define LINES_AROUND (DRAW_HEAD + 2) /* titles, and the line at the bottom */

/* ---- texts ---- */

/* Append to a text of DRAW_TEXT bytes. */
static void append(char *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char *buf, const char *format, ...)
{
    size_t at = strlen(buf);
    va_list ap;

    va_start(ap, format);
    vsnprintf(buf + at, DRAW_TEXT - at, format, ap);
    va_end(ap);
}

#define CLOCK_TEXT 16

static const char *clock_text(char buf[CLOCK_TEXT], uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000U);
    struct tm tm;

    buf[0] = '\0';
    if (localtime_r(&seconds, &tm))
        strftime(buf, CLOCK_TEXT, "%H:%M:%S", &tm);
    return buf;
}

void draw_head_text(char *buf, const struct beat *beat)
{
    char clock[CLOCK_TEXT];

    buf[0] = '\0';
    append(buf, "kvmtop  %s", clock_text(clock, beat->realtime_ns));
    if (beat->load[0] >= 0)
        append(buf, "  load %.2f %.2f %.2f", beat->load[0], beat->load[1], beat->load[2]);
    if (beat->cpus)
        append(buf, " on %" PRIu32 " CPU%s", beat->cpus, beat->cpus == 1 ? "" : "s");
}

void draw_totals_text(char *buf, const struct model *m)
{
    static const struct vmt_descriptor events = { .flags = VMT_UNIT_NONE };
    static const struct vmt_descriptor bytes = { .flags = VMT_UNIT_BYTES | VMT_BASE_POW2 };
    const struct measures *t = &m->total;
    const char *separator = ":";
    char text[UNIT_TEXT];

    buf[0] = '\0';
    append(buf, "%" PRIu32 " VM%s", m->vms, m->vms == 1 ? "" : "s");
    for (int i = 0; i < VMT_STATE_COUNT; i++) {
        if (!m->states[i])
            continue;
        append(buf, "%s %" PRIu32 " %s", separator, m->states[i], vmt_state_name((enum vmt_state)i));
        separator = ",";
    }
    if (m->unreadable)
        append(buf, "%s %" PRIu32 " unreadable", separator, m->unreadable);
    if (m->foreign)
        append(buf, "  %" PRIu32 " foreign", m->foreign);
    if (m->restarted)
        append(buf, "  %" PRIu32 " restarted", m->restarted);
    if (m->dropping)
        append(buf, "  %" PRIu32 " dropped", m->dropping);
    if (t->vcpus)
        append(buf, "  %" PRIu32 " vCPU%s", t->vcpus, t->vcpus == 1 ? "" : "s");
    if (!isnan(t->exits))
        append(buf, "  %s exits/s", unit_format_real(text, sizeof(text), &events, t->exits));
    if (!isnan(t->run))
        append(buf, "  run %s", unit_format_share(text, sizeof(text), t->run));
    if (!isnan(t->bytes))
        append(buf, "  IO %s", unit_format_rate(text, sizeof(text), &bytes, t->bytes));
    if (!isnan(t->ops)) /* short, so that it mostly has room in 80 columns */
        append(buf, isnan(t->bytes) ? "  IO %s/s" : ", %s/s", unit_format_real(text, sizeof(text), &events, t->ops));
}

/* Its end is not cut: who owns a VM's file must be seen, however long the name. */
void draw_cut(struct grid *g, int y, int x, int width, enum style style, const char *text, const char *end)
{
    int kept = grid_width(end) < width ? grid_width(end) : width - 1;

    grid_text(g, y, x, width, style, text);
    if (grid_width(text) <= width || width < 1)
        return;
    grid_text(g, y, x + width - 1 - kept, 1, style, "~");
    grid_text(g, y, x + width - kept, kept, style, end);
}

/* ---- the head ---- */

static const struct beat *newest_beat(const struct scene *s)
{
    size_t count = s->history ? history_count(s->history) : 0;

    return count ? history_beat(s->history, count - 1) : NULL;
}

/* What is at the right: whether time goes on, and how; with the time of the mark where it has room. */
static void time_text(char *buf, const struct scene *s, const struct beat *beat, int mark)
{
    const struct view *v = s->view;
    const struct beat *newest = newest_beat(s);
    char clock[CLOCK_TEXT];
    char ago[UNIT_TEXT];
    uint64_t now_ns = newest ? newest->realtime_ns : 0;

    buf[0] = '\0';
    if (v->beat && beat) {
        uint64_t ago_ns = now_ns > beat->realtime_ns ? now_ns - beat->realtime_ns : 0;

        append(buf, "PAUSED %s, %s ago", clock_text(clock, beat->realtime_ns),
               unit_format_age(ago, sizeof(ago), ago_ns));
        return;
    }
    if (v->marked_ns && mark)
        append(buf, "marked %s  ", clock_text(clock, v->marked_ns));
    append(buf, "every %.4g s", v->settings.interval_s);
}

static void draw_head(struct grid *g, const struct scene *s)
{
    const struct beat *beat =
        s->model->history && history_count(s->model->history) ? history_beat(s->model->history, s->model->beat) : NULL;
    char text[DRAW_TEXT] = "kvmtop";
    char right[DRAW_TEXT];
    int n;

    if (beat)
        draw_head_text(text, beat);
    time_text(right, s, beat, 1);
    if (grid_width(text) + 2 + grid_width(right) > g->columns)
        time_text(right, s, beat, 0);
    n = grid_width(right);
    grid_text(g, 0, 0, g->columns - n - 1, STYLE_TITLE, text);
    grid_text(g, 0, g->columns - n, n, s->view->beat ? STYLE_WARNING : STYLE_TITLE, right);
    draw_totals_text(text, s->model);
    draw_cut(g, 1, 0, g->columns, STYLE_NORMAL, text, "");
}

/* ---- the line at the bottom ---- */

/* The filter of what is seen, or NULL where nothing is filtered. */
static const struct view_filter *filter_here(const struct view *v)
{
    if (v->mode == VIEW_OVERVIEW)
        return &v->rows;
    return v->mode == VIEW_DETAIL ? &v->statistics : NULL;
}

static size_t hidden_here(const struct scene *s)
{
    if (s->view->mode == VIEW_OVERVIEW)
        return s->model->hidden;
    return s->detail ? s->detail->hidden : 0;
}

/* The end of what is typed is where one looks. */
static const char *tail(const char *text, int width)
{
    while (grid_width(text) > width && *text) {
        text++;
        while (((unsigned char)*text & 0xc0) == 0x80)
            text++;
    }
    return text;
}

static void draw_prompt(struct grid *g, const struct scene *s, const struct view_filter *f)
{
    static const char label[] = "Filter: ";
    char hidden[64];
    int y = g->rows - 1;
    int x = grid_text(g, y, 0, g->columns, STYLE_TITLE, label);
    int n, room;

    snprintf(hidden, sizeof(hidden), "%zu hidden", hidden_here(s));
    n = grid_width(hidden);
    grid_text(g, y, g->columns - n, n, STYLE_NORMAL, hidden);
    room = g->columns - x - n - 2;
    if (f->why[0])
        room = room / 2 > 16 ? room / 2 : room;
    x += grid_text(g, y, x, room - 1, STYLE_INPUT, tail(f->text, room - 1));
    x += grid_text(g, y, x, 1, STYLE_INPUT, "_") + 2;
    if (f->why[0])
        draw_cut(g, y, x, g->columns - n - 2 - x, STYLE_WARNING, f->why, "");
}

/* "filter: web|db  12 hidden"; returns the cells taken. */
static int draw_filter(struct grid *g, const struct scene *s, const struct view_filter *f)
{
    char text[FILTER_TEXT + 96];
    char hidden[64];

    if (!f || !f->text[0])
        return 0;
    snprintf(hidden, sizeof(hidden), "  %zu hidden", hidden_here(s));
    snprintf(text, sizeof(text), "filter: %s%s", f->text, hidden);
    if (grid_width(text) <= g->columns / 2)
        return grid_text(g, g->rows - 1, 0, g->columns, STYLE_WARNING, text) + 2;
    draw_cut(g, g->rows - 1, 0, g->columns / 2, STYLE_WARNING, text, hidden);
    return g->columns / 2 + 2;
}

static int is_useful(const struct view *v, enum action action)
{
    if (!actions[action].brief || !(actions[action].modes & (unsigned)v->mode) ||
        v->settings.keys[action][0] == KEY_NONE_)
        return 0;
    if (action == ACTION_BACK && v->mode == VIEW_OVERVIEW) /* only where there is something to come back from */
        return v->beat || v->rows.text[0];
    if (action == ACTION_TOGGLE) /* elsewhere it is as Enter */
        return v->mode == VIEW_OVERVIEW;
    return action != ACTION_HELP || v->mode != VIEW_HELP;
}

static const char *brief_of(const struct view *v, enum action action)
{
    return action == ACTION_ENTER && v->mode & (VIEW_SORT | VIEW_COLUMNS) ? "choose" : actions[action].brief;
}

/* What the keys do, as far as there is room. */
static void draw_keys(struct grid *g, const struct view *v, int x)
{
    int y = g->rows - 1;

    for (int action = 0; action < ACTION_COUNT; action++) {
        const char *brief = brief_of(v, (enum action)action);
        char key[KEY_TEXT];

        if (!is_useful(v, (enum action)action))
            continue;
        key_text(v->settings.keys[action][0], key, sizeof(key));
        if (x + grid_width(key) + 1 + grid_width(brief) > g->columns)
            break;
        x += grid_text(g, y, x, g->columns, STYLE_TITLE, key) + 1;
        x += grid_text(g, y, x, g->columns, STYLE_DIM, brief) + 2;
    }
}

static void draw_foot(struct grid *g, const struct scene *s)
{
    const struct view_filter *f = filter_here(s->view);

    if (s->view->typing && f)
        draw_prompt(g, s, f);
    else if (s->view->notice[0])
        draw_cut(g, g->rows - 1, 0, g->columns, STYLE_TITLE, s->view->notice, "");
    else
        draw_keys(g, s->view, draw_filter(g, s, f));
}

/* ---- all ---- */

size_t draw_page(const struct view *v, int rows, int columns)
{
    if (v->mode == VIEW_DETAIL)
        return draw_detail_page(v, rows, columns);
    if (v->mode == VIEW_HISTOGRAM)
        return draw_histogram_page(v, rows, columns);
    return rows > LINES_AROUND ? (size_t)(rows - LINES_AROUND) : 0;
}

static size_t lines_of(const struct scene *s, int columns)
{
    switch (s->view->mode) {
    case VIEW_DETAIL:
        return s->detail ? s->detail->count : 0;
    case VIEW_HISTOGRAM:
        return draw_histogram_lines(s);
    case VIEW_HELP:
        return draw_help_lines(s->view, s->model, columns);
    case VIEW_SORT:
    case VIEW_COLUMNS:
        return view_choices(s->view->mode);
    case VIEW_OVERVIEW:
        break;
    }
    return s->model->count;
}

void draw_settle(struct view *v, const struct scene *s, int rows, int columns)
{
    v->counted = layout_counted(s->model, v->counted);
    if (v->mode & (VIEW_DETAIL | VIEW_HISTOGRAM) && s->detail)
        view_settle_detail(v, s->detail);
    v->lines = lines_of(s, columns);
    view_settle(v, s->model, draw_page(v, rows, columns));
}

static void draw_too_small(struct grid *g)
{
    char text[DRAW_TEXT];

    snprintf(text, sizeof(text), "Too small: %dx%d;", g->columns, g->rows);
    grid_text(g, 0, 0, g->columns, STYLE_WARNING, text);
    snprintf(text, sizeof(text), "needs %dx%d.", DRAW_COLUMNS_MIN, DRAW_ROWS_MIN);
    grid_text(g, 1, 0, g->columns, STYLE_WARNING, text);
}

void draw_view(struct grid *g, const struct scene *s)
{
    if (g->rows < DRAW_ROWS_MIN || g->columns < DRAW_COLUMNS_MIN) {
        draw_too_small(g);
        return;
    }
    draw_head(g, s);
    draw_foot(g, s);
    switch (s->view->mode) {
    case VIEW_OVERVIEW:
        draw_overview(g, s);
        break;
    case VIEW_DETAIL:
        draw_detail(g, s);
        break;
    case VIEW_HISTOGRAM:
        draw_histogram(g, s);
        break;
    case VIEW_HELP:
        draw_help(g, s);
        break;
    case VIEW_SORT:
    case VIEW_COLUMNS:
        draw_chooser(g, s);
        break;
    }
}
