/* SPDX-License-Identifier: MIT */
/* kvmtop's screen without kvmtop: screen_probe [--color=auto|never|always] [--mouse] [--flood=SECONDS]
 *
 * Shows a row for each style, and the last key; in the sandbox, as kvmtop. "t" changes one cell, "r" all of them, "x"
 * aborts, "q" ends. With --flood all cells change every 5 ms, and what that took is said. It says what it got on
 * descriptor 3, a line each. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/options.h"
#include "cli/sandbox.h"
#include "cli/top/grid.h"
#include "cli/top/screen_curses.h"

#define FLOOD_NAP_S 0.005
#define WAIT_S 10.0

static const char *const style_names[STYLE_COUNT] = {
    [STYLE_NORMAL] = "normal",   [STYLE_TITLE] = "title", [STYLE_HEADER] = "header", [STYLE_SORTED] = "sorted",
    [STYLE_SELECTED] = "chosen", [STYLE_DIM] = "dim",     [STYLE_WARNING] = "warns", [STYLE_GOOD] = "good",
    [STYLE_CHART] = "chart",     [STYLE_COMPARED] = "vs", [STYLE_INPUT] = "input",
};

struct probe {
    struct grid grid;
    char key[KEY_TEXT];
    unsigned cell; /* changes of one cell */
    unsigned all;  /* changes of all */
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw(struct probe *p)
{
    struct grid *g = &p->grid;
    char text[64];
    int rows, columns;

    screen_size(&rows, &columns);
    if (grid_reset(g, rows, columns) < 0)
        abort();
    for (int y = 1; y < rows; y++) {
        const char *name = y <= STYLE_COUNT ? style_names[y - 1] : NULL;

        for (int x = 0; x < columns; x++) {
            text[0] = (char)('a' + ((unsigned)(x + 3 * y) + p->all * (unsigned)(7 * x + y)) % 26);
            text[1] = '\0';
            grid_text(g, y, x, 1, y <= STYLE_COUNT ? (enum style)(y - 1) : STYLE_NORMAL, text);
        }
        snprintf(text, sizeof(text), "<%s> ", name ? name : "heat");
        if (y <= STYLE_COUNT)
            grid_text(g, y, 0, columns, (enum style)(y - 1), text);
    }
    snprintf(text, sizeof(text), "%u %dx%d <%s>", p->cell % 10, columns, rows, p->key);
    grid_text(g, 0, 0, columns, STYLE_NORMAL, text);
    screen_show(g);
}

static void say_mouse(FILE *out)
{
    static const char *const acts[] = { "click", "double-click", "wheel-up", "wheel-down" };
    struct mouse mouse;

    if (screen_mouse(&mouse))
        fprintf(out, "mouse %s %d %d\n", acts[mouse.act], mouse.row, mouse.column);
}

static void say_size(FILE *out)
{
    int rows, columns;

    screen_size(&rows, &columns);
    fprintf(out, "size %d %d\n", rows, columns);
}

/* 1: the end. */
static int act(struct probe *p, int key, FILE *out)
{
    key_text(key, p->key, sizeof(p->key));
    fprintf(out, "key %s\n", p->key);
    if (key == KEY_RESIZED_)
        say_size(out);
    if (key == KEY_MOUSE_)
        say_mouse(out);
    p->cell += key == 't';
    p->all += key == 'r';
    if (key == 't' || key == 'r') /* no key, which is more than one cell */
        p->key[0] = '\0';
    if (key == 'x')
        abort();
    return key == 'q';
}

static void flood(struct probe *p, double seconds, FILE *out)
{
    double end = now_s() + seconds;
    double longest = 0;
    unsigned shown = 0;

    while (now_s() < end && !screen_ended()) {
        double before = now_s();

        p->all++;
        draw(p);
        if (now_s() - before > longest)
            longest = now_s() - before;
        shown++;
        screen_wait(FLOOD_NAP_S);
    }
    fprintf(out, "flood %u %.1f\n", shown, longest * 1e3);
}

int main(int argc, char **argv)
{
    enum color_when color = COLOR_WHEN_AUTO;
    struct options common = { 0 };
    struct probe probe = { 0 };
    FILE *out = fdopen(3, "w");
    double flood_s = 0;
    int mouse = 0;
    int key = KEY_NONE_;

    if (!out)
        return 2;
    setvbuf(out, NULL, _IOLBF, 0);
    setlocale(LC_CTYPE, "");
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--color=never"))
            color = COLOR_WHEN_NEVER;
        else if (!strcmp(argv[i], "--color=always"))
            color = COLOR_WHEN_ALWAYS;
        else if (!strcmp(argv[i], "--mouse"))
            mouse = 1;
        else if (!strncmp(argv[i], "--flood=", 8))
            flood_s = atof(argv[i] + 8);
        else
            return 2;
    }
    if (screen_open(color, mouse) < 0)
        return 1;
    sandbox_enter(&common, NULL, 0, 0);
    draw(&probe);
    fprintf(out, "open\n");
    if (flood_s > 0)
        flood(&probe, flood_s, out);
    while (key != 'q' && !screen_ended()) {
        screen_wait(WAIT_S);
        while ((key = screen_key()) != KEY_NONE_) {
            if (act(&probe, key, out))
                break;
            draw(&probe);
            if (key == 't' || key == 'r')
                fprintf(out, "drawn\n");
        }
    }
    screen_close();
    fprintf(out, "end\n");
    grid_free(&probe.grid);
    return 0;
}
