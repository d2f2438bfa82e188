/* SPDX-License-Identifier: MIT */
#include "cli/top/draw.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_MIN 16    /* cells of the tree, before other columns are left out */
#define NAME_MAX 64    /* in batch text */
#define LINES_AROUND 4 /* two at the top, the titles, the one at the bottom */
#define DETAIL_NAME 32 /* cells of a detail's columns */
#define DETAIL_NAME_MIN 20
#define DETAIL_VALUE 12
#define DETAIL_UNIT 8
#define TEXT 512

/* ---- texts ---- */

/* Append to a text of TEXT bytes. */
static void append(char *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char *buf, const char *format, ...)
{
    size_t at = strlen(buf);
    va_list ap;

    va_start(ap, format);
    vsnprintf(buf + at, TEXT - at, format, ap);
    va_end(ap);
}

static void head_text(char *buf, const struct sample_set *set)
{
    time_t seconds = (time_t)(set->realtime_ns / 1000000000U);
    struct tm tm;
    char clock[16] = "";

    if (localtime_r(&seconds, &tm))
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    buf[0] = '\0';
    append(buf, "kvmtop  %s", clock);
    if (set->load[0] >= 0)
        append(buf, "  load %.2f %.2f %.2f", set->load[0], set->load[1], set->load[2]);
    if (set->cpus)
        append(buf, " on %" PRIu32 " CPU%s", set->cpus, set->cpus == 1 ? "" : "s");
}

static void totals_text(char *buf, const struct model *m)
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
    if (!isnan(t->ops))
        append(buf, "  %s ops/s", unit_format_real(text, sizeof(text), &events, t->ops));
}

/* The lines of the tree, whether the row is open, its name. */
static void tree_text(char *buf, const struct model_row *row, int ascii)
{
    buf[0] = '\0';
    for (uint32_t d = 1; d <= row->depth; d++) {
        int more = row->below >> d & 1;

        if (d < row->depth)
            append(buf, "%s", more ? (ascii ? "| " : "\u2502 ") : "  ");
        else if (ascii)
            append(buf, "%s", more ? "|-" : "`-");
        else
            append(buf, "%s", more ? "\u251c\u2500" : "\u2514\u2500");
    }
    append(buf, "%s%s", row->children ? (row->folded ? "+ " : "- ") : row->depth ? " " : "  ", row->facts.name);
}

/* ---- columns ---- */

/* Which columns are shown, and how wide; 0: not. */
struct layout {
    int widths[64];
};

/* tree: measure it too, which is not needed where it gets what is left. */
static void layout_contents(struct layout *l, const struct model *m, int ascii, int tree)
{
    memset(l, 0, sizeof(*l));
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];

        if (!column->title)
            continue;
        l->widths[c] = column->width ? column->width : grid_width(column->title);
        for (size_t i = 0; i < m->count && !column->width && (column->show || tree); i++) {
            char text[TEXT];
            int n;

            if (column->show)
                column->show(text, &m->rows[i].facts);
            else
                tree_text(text, &m->rows[i], ascii);
            n = grid_width(text);
            if (n > l->widths[c])
                l->widths[c] = n;
        }
    }
}

/* Leave out what has no room, the least important first; the tree gets what is left. */
static void layout_fit(struct layout *l, const struct model *m, int ascii, int width)
{
    int least = 0;
    int used;

    layout_contents(l, m, ascii, 0);
    for (size_t c = 0; c < kvmtop_column_count; c++)
        least = kvmtop_columns[c].priority > least ? kvmtop_columns[c].priority : least;
    for (;; least--) {
        used = 0;
        for (size_t c = 0; c < kvmtop_column_count; c++)
            used += kvmtop_columns[c].show && l->widths[c] ? l->widths[c] + 1 : 0;
        if (used + NAME_MIN <= width || least == 0)
            break;
        for (size_t c = 0; c < kvmtop_column_count; c++) {
            if (kvmtop_columns[c].priority == least)
                l->widths[c] = 0;
        }
    }
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (kvmtop_columns[c].title && !kvmtop_columns[c].show)
            l->widths[c] = width > used ? width - used : 0;
    }
}

/* Whether the row counts nothing that the columns know. */
static int is_other(const struct facts *f)
{
    const struct measures *m = &f->measures;

    return m->active[0] && isnan(m->exits) && isnan(m->run) && isnan(m->bytes) && isnan(m->ops) && !m->latency;
}

/* Text that may be cut, and then shows it. Its end is not: who owns a VM's file must be seen, however long the name. */
static void draw_cut(struct grid *g, int y, int x, int width, const char *text, const char *end)
{
    int kept = grid_width(end) < width ? grid_width(end) : width - 1;

    grid_text(g, y, x, width, STYLE_NORMAL, text);
    if (grid_width(text) <= width || width < 1)
        return;
    grid_text(g, y, x + width - 1 - kept, 1, STYLE_NORMAL, "~");
    grid_text(g, y, x + width - kept, kept, STYLE_NORMAL, end);
}

static void draw_row(struct grid *g, int y, const struct layout *l, const struct model_row *row, int ascii)
{
    char text[TEXT];
    int x = 0;

    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];

        if (!l->widths[c])
            continue;
        if (column->measure && is_other(&row->facts)) { /* its own counters, in place of columns that stay empty */
            grid_text(g, y, x, g->columns, STYLE_NORMAL, row->facts.measures.active);
            return;
        }
        if (column->show)
            column->show(text, &row->facts);
        else
            tree_text(text, row, ascii);
        if (!text[0] && column->measure)
            snprintf(text, sizeof(text), "-");
        if (column->left)
            draw_cut(g, y, x, l->widths[c], text, column->show ? "" : row->facts.owner);
        else
            grid_number(g, y, x, l->widths[c], STYLE_NORMAL, text);
        x += l->widths[c] + 1;
    }
}

static void draw_titles(struct grid *g, int y, const struct layout *l)
{
    int x = 0;

    for (size_t c = 0; c < kvmtop_column_count; c++) {
        const struct column *column = &kvmtop_columns[c];

        if (!l->widths[c])
            continue;
        if (column->left)
            grid_text(g, y, x, l->widths[c], STYLE_HEADER, column->title);
        else
            grid_number(g, y, x, l->widths[c], STYLE_HEADER, column->title);
        x += l->widths[c] + 1;
    }
    grid_style_row(g, y, STYLE_HEADER);
}

/* ---- the views ---- */

size_t draw_page(int rows) { return rows > LINES_AROUND ? (size_t)(rows - LINES_AROUND) : 0; }

size_t draw_help_lines(void) { return key_binding_count + 2; }

static void draw_head(struct grid *g, const struct sample_set *set, const struct model *m, const struct view *v)
{
    char text[TEXT];
    char right[64];
    int n;

    head_text(text, set);
    snprintf(right, sizeof(right), "%severy %.4g s", v->paused ? "PAUSED  " : "", v->interval_s);
    n = grid_width(right);
    grid_text(g, 0, 0, g->columns - n - 1, STYLE_TITLE, text);
    grid_text(g, 0, g->columns - n, n, v->paused ? STYLE_WARNING : STYLE_TITLE, right);
    totals_text(text, m);
    grid_text(g, 1, 0, g->columns, STYLE_NORMAL, text);
}

/* What the keys do, as far as there is room. */
static void draw_foot(struct grid *g, const struct view *v)
{
    int x = 0;

    for (size_t i = 0; i < key_binding_count; i++) {
        const struct key_binding *b = &key_bindings[i];
        char text[64];

        if (!b->brief || !(b->modes & (unsigned)v->mode))
            continue;
        snprintf(text, sizeof(text), "%s %s", b->name, b->brief);
        if (x + grid_width(text) > g->columns)
            break;
        x += grid_text(g, g->rows - 1, x, g->columns, STYLE_DIM, text) + 2;
    }
}

static enum style style_of(const struct sample_set *set, const struct model_row *row)
{
    if (row->source == 0 && !sample_running(&set->vms[row->vm]))
        return set->vms[row->vm].state == VMT_STATE_CLOSED && !set->vms[row->vm].error ? STYLE_DIM : STYLE_WARNING;
    if (row->source == 0 && set->vms[row->vm].state == VMT_STATE_STALLED)
        return STYLE_WARNING;
    return STYLE_NORMAL;
}

static void draw_overview(struct grid *g, const struct sample_set *set, const struct model *m, const struct view *v,
                          const char *where)
{
    struct layout l;
    char text[TEXT];

    layout_fit(&l, m, v->ascii, g->columns);
    draw_titles(g, 2, &l);
    for (size_t i = 0; i < draw_page(g->rows) && v->top + i < m->count; i++) {
        const struct model_row *row = &m->rows[v->top + i];
        int y = 3 + (int)i;

        draw_row(g, y, &l, row, v->ascii);
        grid_style_row(g, y, v->top + i == v->selected ? STYLE_SELECTED : style_of(set, row));
    }
    if (!m->count) {
        snprintf(text, sizeof(text), "No VMs in %s.", where);
        grid_text(g, 4, 0, g->columns, STYLE_NORMAL, text);
        grid_text(g, 5, 0, g->columns, STYLE_NORMAL, "Those that start now will be shown.");
    }
}

/* Help texts take the width that is left; where that is little, the unit makes room, as values say theirs. */
static void draw_detail(struct grid *g, const struct detail *d, const struct view *v)
{
    int wide = g->columns >= 100;
    int name = wide ? DETAIL_NAME : DETAIL_NAME_MIN;
    int value = name + 1;
    int rate = value + DETAIL_VALUE + 1;
    int unit = rate + DETAIL_VALUE + 1;
    int help = wide ? unit + DETAIL_UNIT + 1 : unit;

    grid_text(g, 2, 0, name, STYLE_HEADER, "STATISTIC");
    grid_number(g, 2, value, DETAIL_VALUE, STYLE_HEADER, "VALUE");
    grid_number(g, 2, rate, DETAIL_VALUE, STYLE_HEADER, "RATE");
    if (wide)
        grid_text(g, 2, unit, DETAIL_UNIT, STYLE_HEADER, "UNIT");
    grid_text(g, 2, help, g->columns, STYLE_HEADER, "MEANING");
    grid_style_row(g, 2, STYLE_HEADER);
    if (!d->count)
        grid_text(g, 4, 0, g->columns, STYLE_WARNING, "This source is not there any more.");
    for (size_t i = 0; i < draw_page(g->rows) && v->scrolled + i < d->count; i++) {
        const struct detail_line *line = &d->lines[v->scrolled + i];
        int y = 3 + (int)i;

        if (line->kind == DETAIL_HEADING) {
            grid_text(g, y, 0, g->columns, STYLE_TITLE, line->name);
            continue;
        }
        draw_cut(g, y, 1, name - 1, line->name, "");
        if (line->kind == DETAIL_FACT) {
            grid_text(g, y, value, g->columns, STYLE_NORMAL, line->value);
            continue;
        }
        grid_number(g, y, value, DETAIL_VALUE, STYLE_NORMAL, line->value);
        grid_number(g, y, rate, DETAIL_VALUE, STYLE_NORMAL, line->rate);
        if (wide)
            grid_text(g, y, unit, DETAIL_UNIT, STYLE_NORMAL, line->unit);
        grid_text(g, y, help, g->columns, STYLE_DIM, line->help);
    }
}

static void draw_help(struct grid *g, const struct view *v)
{
    grid_text(g, 2, 0, g->columns, STYLE_HEADER, "KEYS");
    grid_style_row(g, 2, STYLE_HEADER);
    for (size_t i = 0; i < draw_page(g->rows) && v->scrolled + i < draw_help_lines(); i++) {
        const struct key_binding *b = &key_bindings[v->scrolled + i];

        if (v->scrolled + i == key_binding_count) /* an empty line */
            continue;
        if (v->scrolled + i > key_binding_count) {
            grid_text(g, 3 + (int)i, 1, 10, STYLE_TITLE, "Sandbox");
            grid_text(g, 3 + (int)i, 12, g->columns, STYLE_NORMAL, v->sandbox);
            continue;
        }
        grid_text(g, 3 + (int)i, 1, 10, STYLE_TITLE, b->name);
        grid_text(g, 3 + (int)i, 12, g->columns, STYLE_NORMAL, b->help);
    }
}

void draw_view(struct grid *g, const struct sample_set *set, const struct model *m, const struct detail *detail,
               const struct view *v, const char *where)
{
    if (g->rows < DRAW_ROWS_MIN || g->columns < DRAW_COLUMNS_MIN) {
        char text[TEXT];

        snprintf(text, sizeof(text), "Too small: %dx%d;", g->columns, g->rows);
        grid_text(g, 0, 0, g->columns, STYLE_WARNING, text);
        snprintf(text, sizeof(text), "needs %dx%d.", DRAW_COLUMNS_MIN, DRAW_ROWS_MIN);
        grid_text(g, 1, 0, g->columns, STYLE_WARNING, text);
        grid_text(g, 2, 0, g->columns, STYLE_NORMAL, "q quits.");
        return;
    }
    draw_head(g, set, m, v);
    draw_foot(g, v);
    if (v->mode == VIEW_OVERVIEW)
        draw_overview(g, set, m, v, where);
    else if (v->mode == VIEW_DETAIL)
        draw_detail(g, detail, v);
    else
        draw_help(g, v);
}

/* ---- batch text ---- */

static void write_row(FILE *out, const struct grid *g, int y)
{
    char text[4096];

    fprintf(out, "%s\n", grid_row_text(g, y, text, sizeof(text)));
}

void draw_text(FILE *out, const struct sample_set *set, const struct model *m, int ascii)
{
    struct grid g = { 0 };
    struct layout l;
    char text[TEXT];
    int width = ACTIVE_TEXT;

    head_text(text, set);
    fprintf(out, "%s\n", text);
    totals_text(text, m);
    fprintf(out, "%s\n", text);
    layout_contents(&l, m, ascii, 1);
    for (size_t c = 0; c < kvmtop_column_count; c++) {
        if (kvmtop_columns[c].title && !kvmtop_columns[c].show && l.widths[c] > NAME_MAX)
            l.widths[c] = NAME_MAX;
        width += l.widths[c] + 1;
    }
    for (size_t i = 0; i <= m->count; i++) {
        if (grid_reset(&g, 1, width) < 0)
            break;
        if (i == 0)
            draw_titles(&g, 0, &l);
        else
            draw_row(&g, 0, &l, &m->rows[i - 1], ascii);
        write_row(out, &g, 0);
    }
    fputc('\n', out);
    grid_free(&g);
}
