/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700
#define _XOPEN_SOURCE_EXTENDED 1
#define NCURSES_WIDECHAR 1
#include "cli/top/screen_curses.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <term.h> /* after curses.h, for tigetstr; its macros take names that others need */
#undef columns
#undef lines

#include "cli/message.h"
#include "cli/top/palette.h"
#include "cli/top/terminal.h"

#define ESCAPE_DELAY_MS 25 /* a lone Esc is one after this long */
#define DOUBLE_CLICK_MS 400
#define SEQUENCE_MAX 32
#define DROPPED_MAX 100 /* one upon the other */
#define PLACE_MAX 9999
#define DROPPED (-1) /* what was read has no meaning, not even that of a key */
#define TEXT_MAX 256
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static SCREEN *screen;
static WINDOW *keyboard; /* a pad: reading keys of a window would draw it */
static int utf8;
static int with_mouse;
static struct mouse mouse_last; /* what it did last */
static int put_back;            /* what was read is to be read again */
static int mouse_unread;        /* and nobody has asked yet */
static int colors;              /* of the palette */
static int behind;              /* the grid shown last has not been drawn yet */
static int resized;             /* and nobody was told */
static int waiting;             /* something is left to be sent */

static struct {
    attr_t attributes;
    short pair;
} looks[STYLE_COUNT];

/* ---- what the terminal is told ---- */

/* Buttons; and told in numbers, not in bytes that end at column 223. Those who don't know the latter do the former. */
static const char mouse_on[] = "\033[?1000h\033[?1006h";
static const char mouse_off[] = "\033[?1006l\033[?1000l";

static char collected[TEXT_MAX];
static size_t collected_size;

static int collect(int c)
{
    if (collected_size < sizeof(collected))
        collected[collected_size++] = (char)c;
    return c;
}

static const char *capability(const char *name)
{
    char copy[16];
    const char *text;

    snprintf(copy, sizeof(copy), "%s", name); /* older interfaces want to change it */
    text = tigetstr(copy);
    return text == (char *)-1 ? NULL : text;
}

static void collect_text(const char *text)
{
    if (text)
        tputs(text, 1, collect);
}

/* curses tells it all this too, but not to somebody who crashes, nor again after others have used the terminal. */
static void prepare_texts(void)
{
    static const char *const ours[] = { "sgr0", "smcup", "smkx", "civis" };
    static const char *const back[] = { "sgr0", "op", "rmkx", "cnorm", "rmcup" };
    const char *move = capability("cup");
    char ours_text[TEXT_MAX];
    size_t ours_size;

    collected_size = 0;
    for (size_t i = 0; i < COUNT(ours); i++)
        collect_text(capability(ours[i]));
    if (with_mouse)
        collect_text(mouse_on);
    ours_size = collected_size;
    memcpy(ours_text, collected, ours_size);
    collected_size = 0;
    if (with_mouse)
        collect_text(mouse_off);
    collect_text(tiparm(move, getmaxy(stdscr) - 1, 0)); /* where there is no other screen to go back to */
    for (size_t i = 0; i < COUNT(back); i++)
        collect_text(capability(back[i]));
    terminal_texts(ours_text, ours_size, collected, collected_size);
}

/* ---- colours ---- */

static int wanted(enum color_when when)
{
    const char *none = getenv("NO_COLOR");

    return when == COLOR_WHEN_ALWAYS || (when == COLOR_WHEN_AUTO && !(none && none[0]));
}

static void start_colors(enum color_when when)
{
    colors = 0;
    if (wanted(when) && has_colors() && start_color() == OK)
        colors = palette_colors(COLORS);
    if (colors && use_default_colors() != OK)
        assume_default_colors(COLOR_WHITE, COLOR_BLACK);
    for (uint32_t i = 0; i < STYLE_COUNT; i++) {
        const struct look *look = palette_look(i, colors);
        int colored = look->foreground != LOOK_DEFAULT || look->background != LOOK_DEFAULT;

        looks[i].pair =
            colored && init_pair((short)(i + 1), look->foreground, look->background) == OK ? (short)(i + 1) : 0;
        looks[i].attributes = (look->attributes & LOOK_BOLD ? A_BOLD : 0) | (look->attributes & LOOK_DIM ? A_DIM : 0) |
                              (look->attributes & LOOK_UNDERLINE ? A_UNDERLINE : 0) |
                              (look->attributes & LOOK_REVERSE ? A_REVERSE : 0);
    }
}

/* ---- the whole ---- */

/* As large as the terminal says it is; what stood there may have moved. */
static void fit(void)
{
    int rows, width;

    if (!terminal_size(&rows, &width))
        return;
    if (rows != getmaxy(stdscr) || width != getmaxx(stdscr)) {
        resize_term(rows, width);
        prepare_texts();
        resized = 1;
    }
    clearok(curscr, TRUE);
    behind = 1;
}

/* By ourselves: curses waits for what comes next, and for ever, where it was told something of no interest (a button let
 * go) or an event by half. Who knows private modes at all takes no harm from those that it does not know. */
static void start_mouse(int mouse, FILE *output)
{
    const char *move = capability("cup");

    with_mouse = mouse && move && !strncmp(move, "\033[", 2);
    keyok(KEY_MOUSE, FALSE);
    if (with_mouse) {
        fputs(mouse_on, output);
        fflush(output);
    }
}

static void start_keys(void)
{
    /* What terminals send, and descriptions (screen's above all) don't say. */
    static const struct {
        const char *sequence;
        int code;
    } more[] = {
        { "\033[A", KEY_UP },        { "\033OA", KEY_UP },      { "\033[B", KEY_DOWN },     { "\033OB", KEY_DOWN },
        { "\033[C", KEY_RIGHT },     { "\033OC", KEY_RIGHT },   { "\033[D", KEY_LEFT },     { "\033OD", KEY_LEFT },
        { "\033[1;2C", KEY_SRIGHT }, { "\033[c", KEY_SRIGHT },  { "\033[1;2D", KEY_SLEFT }, { "\033[d", KEY_SLEFT },
        { "\033[H", KEY_HOME },      { "\033OH", KEY_HOME },    { "\033[1~", KEY_HOME },    { "\033[7~", KEY_HOME },
        { "\033[F", KEY_END },       { "\033OF", KEY_END },     { "\033[4~", KEY_END },     { "\033[8~", KEY_END },
        { "\033[5~", KEY_PPAGE },    { "\033[6~", KEY_NPAGE },  { "\033[2~", KEY_IC },      { "\033[3~", KEY_DC },
        { "\033[Z", KEY_BTAB },      { "\033OM", KEY_ENTER },   { "\033OP", KEY_F(1) },     { "\033OQ", KEY_F(2) },
        { "\033OR", KEY_F(3) },      { "\033OS", KEY_F(4) },    { "\033[11~", KEY_F(1) },   { "\033[12~", KEY_F(2) },
        { "\033[13~", KEY_F(3) },    { "\033[14~", KEY_F(4) },  { "\033[15~", KEY_F(5) },   { "\033[17~", KEY_F(6) },
        { "\033[18~", KEY_F(7) },    { "\033[19~", KEY_F(8) },  { "\033[20~", KEY_F(9) },   { "\033[21~", KEY_F(10) },
        { "\033[23~", KEY_F(11) },   { "\033[24~", KEY_F(12) },
    };

    for (size_t i = 0; i < COUNT(more); i++) {
        if (key_defined(more[i].sequence) == 0)
            define_key(more[i].sequence, more[i].code);
    }
    set_escdelay(ESCAPE_DELAY_MS);
    keyboard = newpad(1, 1);
    keypad(keyboard, TRUE);
    keyok(KEY_BACKSPACE, FALSE); /* a byte, and as such also part of other things */
    nodelay(keyboard, TRUE);
}

int screen_open(enum color_when color, int mouse)
{
    const char *term = getenv("TERM");
    FILE *output, *input;
    int error;

    /* Asked first, as newterm() may print something before it fails, or not fail where it should. */
    if (setupterm(NULL, STDOUT_FILENO, &error) == OK && !capability("cup")) {
        message_error("a terminal of type '%s' can't place its cursor; use another one, or -b", term ? term : "");
        return -1;
    }
    /* The console's mouse server is a socket, which we have none of. */
    setenv("NCURSES_GPM_TERMS", "", 1);
    if (terminal_open(&output, &input) < 0) {
        message_error("the terminal: %s", strerror(errno));
        return -1;
    }
    screen = newterm(NULL, output, input);
    if (!screen) {
        message_error("the terminal type '%s' is not known here; set TERM to one that is, or use -b", term ? term : "");
        terminal_close();
        return -1;
    }
    utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    cbreak();
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    typeahead(-1);   /* a frame is made whole, whatever is typed meanwhile */
    terminal_keep(); /* modes are made, and nothing has been written yet */
    start_colors(color);
    start_keys();
    start_mouse(mouse, output);
    leaveok(stdscr, curs_set(0) != ERR); /* nobody sees where it is */
    prepare_texts();
    fit();
    resized = 0;
    return 0;
}

void screen_close(void)
{
    if (!screen)
        return;
    terminal_give_back();
    endwin(); /* says the same again, to nobody */
    delscreen(screen);
    screen = NULL;
    terminal_close();
}

void screen_size(int *rows, int *cols) { getmaxyx(stdscr, *rows, *cols); }

/* ---- output ---- */

/* Draw what is not drawn yet, where the terminal has taken all before it. */
static void send(void)
{
    waiting = !terminal_send();
    if (waiting || !behind)
        return;
    behind = 0;
    wnoutrefresh(stdscr);
    doupdate();
    waiting = !terminal_send();
}

void screen_show(const struct grid *g)
{
    for (int y = 0; y < g->rows; y++) {
        for (int x = 0; x < g->columns; x++) {
            const struct cell *cell = &g->cells[(size_t)y * (size_t)g->columns + (size_t)x];
            uint32_t style = cell->style < STYLE_COUNT ? cell->style : STYLE_NORMAL;
            wchar_t glyph[2] = { (wchar_t)cell->glyph, 0 };
            cchar_t c;

            if (cell->glyph == GRID_CONTINUED)
                continue;
            if (cell->glyph > 0x7e && !utf8)
                glyph[0] = L'?';
            setcchar(&c, glyph, looks[style].attributes, looks[style].pair, NULL);
            mvadd_wch(y, x, &c);
        }
    }
    behind = 1;
    send();
}

/* ---- input ---- */

static int key_of_code(int code)
{
    static const struct {
        int code;
        int key;
    } keys[] = {
        { KEY_UP, KEY_UP_ },         { KEY_DOWN, KEY_DOWN_ },        { KEY_LEFT, KEY_LEFT_ },
        { KEY_RIGHT, KEY_RIGHT_ },   { KEY_SLEFT, KEY_SHIFT_LEFT_ }, { KEY_SRIGHT, KEY_SHIFT_RIGHT_ },
        { KEY_PPAGE, KEY_PAGE_UP_ }, { KEY_NPAGE, KEY_PAGE_DOWN_ },  { KEY_HOME, KEY_HOME_ },
        { KEY_END, KEY_END_ },       { KEY_IC, KEY_INSERT_ },        { KEY_DC, KEY_DELETE_ },
        { KEY_BTAB, KEY_BACKTAB_ },  { KEY_ENTER, KEY_ENTER_ },
    };

    for (size_t i = 0; i < COUNT(keys); i++) {
        if (keys[i].code == code)
            return keys[i].key;
    }
    return code >= KEY_F(1) && code <= KEY_F(12) ? KEY_F0_ + (code - KEY_F(0)) : KEY_OTHER_;
}

/* The next byte of a sequence, which all come together, until end at the latest; ERR: there is none. */
static int next_byte(long end)
{
    int c = wgetch(keyboard);

    if (c == ERR && terminal_await_input(end - terminal_now_ms()))
        c = wgetch(keyboard);
    return c;
}

/* What does not belong to a sequence is for the next who reads. */
static int not_of_it(int c)
{
    put_back = c != ERR && ungetch(c) == OK;
    return DROPPED;
}

/* One event, counted from 1, of buttons as xterm tells them. */
static int mouse_event(long button, long column, long row, int pressed)
{
    static struct mouse click;
    static long click_ms = -DOUBLE_CLICK_MS;
    long ms = terminal_now_ms();
    struct mouse event = { .row = (int)row - 1, .column = (int)column - 1 };

    button &= ~(4L | 8L | 16L); /* Shift, Alt, Ctrl */
    if (!pressed || (button != 0 && button != 64 && button != 65) || column < 1 || column > PLACE_MAX || row < 1 ||
        row > PLACE_MAX)
        return DROPPED;
    event.act = button == 64 ? MOUSE_WHEEL_UP : button == 65 ? MOUSE_WHEEL_DOWN : MOUSE_CLICK;
    if (event.act == MOUSE_CLICK) {
        /* Told apart here, without waiting for a second one. A third click is a first one. */
        int twice = event.row == click.row && event.column == click.column && ms - click_ms < DOUBLE_CLICK_MS;

        click = event;
        click_ms = twice ? ms - DOUBLE_CLICK_MS : ms;
        event.act = twice ? MOUSE_DOUBLE_CLICK : MOUSE_CLICK;
    }
    mouse_last = event;
    mouse_unread = 1;
    return KEY_MOUSE_;
}

/* After ESC [ <: button ; column ; row, and M or, where it was let go, m. */
static int mouse_numbers(long end)
{
    long n[3] = { 0, 0, 0 };
    size_t count = 0;

    for (int i = 0; i < SEQUENCE_MAX; i++) {
        int c = next_byte(end);

        if (c == 'M' || c == 'm')
            return count == 2 ? mouse_event(n[0], n[1], n[2], c == 'M') : DROPPED;
        if (c == ';')
            count++;
        else if (c < '0' || c > '9')
            return not_of_it(c);
        else if (count < COUNT(n) && n[count] <= PLACE_MAX)
            n[count] = n[count] * 10 + (c - '0');
    }
    return DROPPED;
}

/* After ESC [ M: the same in three bytes, of older terminals; the third button is that one was let go. */
static int mouse_bytes(long end)
{
    int n[3];

    for (size_t i = 0; i < COUNT(n); i++) {
        int c = next_byte(end);

        if (c < ' ' || c > 255)
            return not_of_it(c);
        n[i] = c - ' ';
    }
    return mouse_event(n[0], n[1], n[2], 1);
}

/* After an Esc: the mouse; else the rest of a sequence that nobody knows is one key without a meaning, not many with
 * one. */
static int key_escaped(void)
{
    long end = terminal_now_ms() + ESCAPE_DELAY_MS;
    int c = wgetch(keyboard);

    if (c != '[' && c != 'O') {
        not_of_it(c);
        return KEY_ESCAPE_;
    }
    if (c == '[' && with_mouse) {
        c = next_byte(end);
        if (c == '<')
            return mouse_numbers(end);
        if (c == 'M')
            return mouse_bytes(end);
        not_of_it(c);
    }
    for (int i = 0; i < SEQUENCE_MAX; i++) {
        c = next_byte(end);
        if (c >= '@' && c <= '~')
            break;
        if (c < ' ' || c > '~') {
            not_of_it(c);
            break;
        }
    }
    return KEY_OTHER_;
}

/* A character; half of one is dropped. */
static int key_of_bytes(int first)
{
    long end = terminal_now_ms() + ESCAPE_DELAY_MS;
    mbstate_t state = { 0 };
    wchar_t character;
    int c = first;

    for (int i = 0; i < MB_LEN_MAX && c >= 0 && c <= 0xff; i++) {
        char byte = (char)c;
        size_t n = mbrtowc(&character, &byte, 1, &state);

        if (n == (size_t)-1)
            return i > 0 ? not_of_it(c) : DROPPED;
        if (n != (size_t)-2)
            return (int)character;
        c = next_byte(end);
    }
    return not_of_it(c);
}

static int read_key(void)
{
    int c = wgetch(keyboard);

    if (c == ERR)
        return KEY_NONE_;
    terminal_got_key();
    if (c >= KEY_MIN)
        return key_of_code(c);
    if (c == KEY_ESCAPE_)
        return key_escaped();
    if (c == '\r')
        return KEY_ENTER_;
    if (c == '\b' || c == 127)
        return KEY_BACKSPACE_;
    return key_of_bytes(c);
}

int screen_key(void)
{
    int key = DROPPED;

    if (resized) {
        resized = 0;
        return KEY_RESIZED_;
    }
    /* What was put back nobody sees who waits for input. */
    put_back = 1;
    for (int i = 0; i < DROPPED_MAX && key == DROPPED && put_back; i++) {
        put_back = 0;
        key = read_key();
    }
    send(); /* the first time curses tells the terminal what keys shall send */
    if (key == DROPPED)
        return put_back ? KEY_OTHER_ : KEY_NONE_;
    return key;
}

int screen_mouse(struct mouse *ret)
{
    if (!mouse_unread)
        return 0;
    mouse_unread = 0;
    *ret = mouse_last;
    return 1;
}

void screen_wait(double seconds)
{
    unsigned events = resized ? 0 : terminal_wait(seconds, behind || waiting);

    if (events & TERMINAL_STOP) {
        terminal_give_back();
        terminal_stop();
        events |= TERMINAL_CONTINUED;
    }
    if (events & TERMINAL_CONTINUED)
        terminal_take();
    if (events & (TERMINAL_CONTINUED | TERMINAL_RESIZED))
        fit();
    if (events & TERMINAL_CONTINUED) { /* also where it does not say how large it is */
        clearok(curscr, TRUE);
        behind = 1;
    }
    if ((behind || waiting) && !resized) /* what was drawn for another size would only flicker */
        send();
}

int screen_ended(void) { return terminal_ended(); }
