/* SPDX-License-Identifier: MIT */
/* The help, made of the table of actions and the keys that they have, and the choosers. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/top/draw.h"
#include "cli/top/layout.h"

#define HELP_KEYS 17     /* cells of the keys */
#define HELP_TEXT 2048   /* of one entry */
#define HELP_TWO 120     /* columns from which on it has two parts beside each other */
#define CHOOSER_TITLE 28 /* cells of the mark, the title and what there is to say about it */

/* ---- text on several lines ---- */

/* How many bytes of text go into the first line of width cells: at a space where there is one. */
static size_t line_bytes(const char *text, int width)
{
    size_t fits = 0;
    int cells = 0;

    for (size_t at = 0; text[at];) {
        char one[5] = { text[at] };
        size_t n = 1;

        while (n < 4 && ((unsigned char)text[at + n] & 0xc0) == 0x80) {
            one[n] = text[at + n];
            n++;
        }
        if (text[at] == ' ')
            fits = at;
        cells += grid_width(one);
        if (cells > width)
            return fits ? fits : at ? at : n;
        at += n;
    }
    return strlen(text);
}

/* Lines are counted, and drawn where there is a grid: from the one that it is scrolled to, in one part or two. */
struct list {
    struct grid *grid; /* NULL: only count */
    int width;         /* of one part */
    size_t count;
    size_t half; /* lines of the left part; 0: there is one part only */
    size_t first;
    size_t page;
};

static void add_line(struct list *l, int indent, enum style key_style, const char *key, const char *text, size_t bytes)
{
    size_t line = l->half && l->count >= l->half ? l->count - l->half : l->count;
    int x = l->half && l->count >= l->half ? l->width + 2 : 0;
    char part[HELP_TEXT];

    l->count++;
    if (!l->grid || line < l->first || line - l->first >= l->page)
        return;
    snprintf(part, sizeof(part), "%.*s", (int)bytes, text);
    line = line - l->first + DRAW_HEAD + 1;
    grid_text(l->grid, (int)line, x + 1, l->width - 1, key_style, key);
    grid_text(l->grid, (int)line, x + 1 + indent, l->width - 1 - indent, STYLE_NORMAL, part);
}

static void add_heading(struct list *l, const char *text)
{
    if (l->count && l->count != l->half)
        add_line(l, 0, STYLE_NORMAL, "", "", 0);
    add_line(l, 0, STYLE_TITLE, text, "", 0);
}

/* What it is, and what there is to say about it. */
static void add_entry(struct list *l, const char *key, const char *text)
{
    int room = l->width - 2 - HELP_KEYS - 1;

    if (grid_width(key) > HELP_KEYS) {
        add_line(l, 0, STYLE_TITLE, key, "", 0);
        key = "";
    }
    do {
        size_t n = line_bytes(text, room);

        add_line(l, HELP_KEYS + 1, STYLE_TITLE, key, text, n);
        text += n;
        while (*text == ' ')
            text++;
        key = "";
    } while (*text);
}

/* ---- help ---- */

/* Whether an action before it has that key where one came from: q quits there. */
static int is_taken(const struct view *v, enum action action, int key)
{
    for (int before = 0; before < (int)action; before++) {
        for (int i = 0; i < ACTION_KEYS && actions[before].modes & (unsigned)v->behind; i++) {
            if (v->settings.keys[before][i] == key)
                return actions[action].modes & (unsigned)v->behind ? 1 : 0;
        }
    }
    return 0;
}

static void keys_text(char *buf, size_t size, const struct view *v, enum action action)
{
    size_t at = 0;

    buf[0] = '\0';
    for (int i = 0; i < ACTION_KEYS && v->settings.keys[action][i] != KEY_NONE_ && at < size; i++) {
        char key[KEY_TEXT];
        int n;

        if (is_taken(v, action, v->settings.keys[action][i]))
            continue;
        n = snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
                     key_text(v->settings.keys[action][i], key, sizeof(key)));
        at += n > 0 ? (size_t)n : 0;
    }
    if (!buf[0])
        snprintf(buf, size, "(no key)");
}

/* here: those that work where one came from, or else the others. */
static void add_actions(struct list *l, const struct view *v, int here)
{
    for (int action = 0; action < ACTION_COUNT; action++) {
        char keys[ACTION_KEYS * (KEY_TEXT + 2)];

        if (((actions[action].modes & (unsigned)v->behind) != 0) != here)
            continue;
        keys_text(keys, sizeof(keys), v, (enum action)action);
        add_entry(l, keys, actions[action].help);
    }
}

static void add_legend(struct list *l, const struct view *v)
{
    int ascii = v->settings.ascii;

    add_heading(l, "WHAT YOU SEE");
    if (v->settings.mouse)
        add_entry(
            l, "mouse",
            "A click selects, a second one opens; on the sign before a name it folds, on a title it sorts, and the "
            "second time the other way round. The wheel scrolls. With Shift the terminal selects text.");
    add_entry(l, "+ -", "Something is hidden below the row; all is shown.");
    add_entry(l, ascii ? "v ^" : "\u25bc \u25b2",
              "Behind the title of the column that rows are sorted by: the greatest first, or the least.");
    add_entry(l, "-", "Nothing counts this, or it can't be compared with the beat before.");
    add_entry(l, "~ ###", "A text was cut; a number has no room.");
    add_entry(l, "dim",
              "Rows that are only there because something below them matches the filter, and VMs that have "
              "ended.");
    add_entry(l, "TREND",
              "What rows are sorted by (exits, where that is no measure) over the last beats, from 0 up. All "
              "rows of one depth that are on the screen have the same scale: VMs are compared with VMs, vCPUs "
              "with vCPUs.");
    add_entry(l, "VM (uid N)",
              "Somebody else's file: it may pose as any VM, and is not part of the totals. Or somebody else's process "
              "without a file, whose name he chose; what the kernel counts of it is true.");
    add_entry(l, "(C)", "What others are compared with.");
    add_entry(l, "other counters", "A row that counts nothing that the columns know shows its most active counters.");
}

static void add_memory(struct list *l, const struct history *h)
{
    size_t count = h ? history_count(h) : 0;
    char text[HELP_TEXT];
    char clock[16] = "";
    struct tm tm;
    time_t from;

    if (!count)
        return;
    from = (time_t)(history_beat(h, 0)->realtime_ns / 1000000000U);
    if (localtime_r(&from, &tm))
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    snprintf(
        text, sizeof(text),
        "%zu beat%s from %s on, in %.1f of at most %u MiB. When that is full, the oldest go, if the others cover %d "
        "minutes; else pairs of older ones become one: what is long ago is seen at a longer interval.",
        count, count == 1 ? "" : "s", clock, (double)history_bytes(h) / 0x1p20, (unsigned)(HISTORY_BYTES >> 20),
        HISTORY_SECONDS / 60);
    add_entry(l, "What is kept", text);
}

static void add_help(struct list *l, const struct view *v, const struct model *m)
{
    add_heading(l, v->behind == VIEW_OVERVIEW ? "KEYS OF THE OVERVIEW"
                   : v->behind == VIEW_DETAIL ? "KEYS OF THE DETAIL"
                                              : "KEYS OF THE HISTOGRAM");
    add_actions(l, v, 1);
    add_heading(l, "KEYS ELSEWHERE");
    add_actions(l, v, 0);
    add_legend(l, v);
    add_heading(l, "WHAT IT TAKES");
    add_memory(l, m->history);
    add_entry(l, "Kernel's counters", v->kernel ? v->kernel : "All that there are can be read.");
    add_entry(l, "Sandbox", v->sandbox ? v->sandbox : "none");
}

/* How the help is laid out on that many columns, with all its lines counted. */
static struct list help_list(const struct view *v, const struct model *m, int columns)
{
    struct list l = { .width = columns };

    if (columns >= HELP_TWO)
        l.width = (columns - 2) / 2;
    add_help(&l, v, m);
    if (columns >= HELP_TWO)
        l.half = (l.count + 1) / 2;
    return l;
}

size_t draw_help_lines(const struct view *v, const struct model *m, int columns)
{
    struct list l = help_list(v, m, columns);

    return l.half ? l.half : l.count;
}

void draw_help(struct grid *g, const struct scene *s)
{
    struct list l = help_list(s->view, s->model, g->columns);
    size_t lines = l.half ? l.half : l.count;
    char text[64] = "HELP";

    l.grid = g;
    l.count = 0;
    l.first = s->view->scrolled;
    l.page = draw_page(s->view, g->rows, g->columns);
    if (lines > l.page)
        snprintf(text, sizeof(text), "HELP  lines %zu to %zu of %zu", l.first + 1,
                 l.first + l.page < lines ? l.first + l.page : lines, lines);
    grid_text(g, DRAW_HEAD, 0, g->columns, STYLE_HEADER, text);
    grid_style_row(g, DRAW_HEAD, STYLE_HEADER);
    add_help(&l, s->view, s->model);
}

/* ---- choosers ---- */

/* Why a column that is not hidden is not there. */
static const char *missing(const struct view *v, const struct layout *l, size_t column)
{
    if (v->settings.hidden_columns >> column & 1 || l->widths[column])
        return "";
    return v->counted >> column & 1 ? "(no room)" : "(not counted)";
}

static void draw_choice(struct grid *g, int y, const struct view *v, const struct layout *l, size_t column)
{
    const struct column *c = &kvmtop_columns[column];
    char text[128];
    int n;

    if (v->mode == VIEW_COLUMNS)
        snprintf(text, sizeof(text), "[%c] %-8s %s", v->settings.hidden_columns >> column & 1 ? ' ' : 'x', c->title,
                 missing(v, l, column));
    else
        snprintf(text, sizeof(text), "%s %-8s %s", column == v->settings.sort ? draw_order(v) : " ", c->title,
                 v->settings.hidden_columns >> column & 1 ? "(hidden)" : missing(v, l, column));
    n = g->columns - CHOOSER_TITLE - 1;
    grid_text(g, y, 1, CHOOSER_TITLE - 2, STYLE_NORMAL, text);
    draw_cut(g, y, CHOOSER_TITLE, n, STYLE_DIM, c->help, "");
}

/* All that there is to say about the one that is chosen, where there is room below. */
static void draw_choice_help(struct grid *g, int y, size_t column)
{
    const char *text = kvmtop_columns[column].help;

    for (y++; y < g->rows - 1 && *text; y++) {
        size_t n = line_bytes(text, g->columns - 2);
        char part[HELP_TEXT];

        snprintf(part, sizeof(part), "%.*s", (int)n, text);
        grid_text(g, y, 1, g->columns - 2, STYLE_NORMAL, part);
        text += n;
        while (*text == ' ')
            text++;
    }
}

void draw_chooser(struct grid *g, const struct scene *s)
{
    const struct view *v = s->view;
    size_t count = view_choices(v->mode);
    size_t page = draw_page(v, g->rows, g->columns);
    int y = DRAW_HEAD + 1;
    struct layout l;

    layout_make(&l, s->model, v, g->columns);
    grid_text(g, DRAW_HEAD, 1, g->columns, STYLE_HEADER, v->mode == VIEW_COLUMNS ? "COLUMNS" : "SORT BY");
    grid_text(g, DRAW_HEAD, CHOOSER_TITLE, g->columns, STYLE_HEADER, "MEANING");
    grid_style_row(g, DRAW_HEAD, STYLE_HEADER);
    for (size_t i = v->scrolled; i < count && i - v->scrolled < page; i++, y++) {
        draw_choice(g, y, v, &l, view_choice(v->mode, i));
        if (i == v->chosen)
            grid_style_row(g, y, STYLE_SELECTED);
    }
    if (v->chosen < count)
        draw_choice_help(g, y, view_choice(v->mode, v->chosen));
}
