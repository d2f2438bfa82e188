/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700
#define _XOPEN_SOURCE_EXTENDED 1
#define NCURSES_WIDECHAR 1
#include "cli/top/screen_curses.h"

#include <curses.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <termios.h>
#include <unistd.h>

#include <term.h> /* after curses.h, for tigetstr; its macros take names that others need */
#undef columns
#undef lines

#include "cli/top/keys.h"
#include "cli/message.h"

#define VAIN_MAX 100
#define ESCAPE_DELAY_MS 25 /* a lone Esc is one after this long */

static SCREEN *screen;
static int utf8;
static int input_gone;
static int readable_in_vain;
static sigset_t waiting_mask; /* what is let in while waiting: nowhere else do signals come between */
static volatile sig_atomic_t asked_to_end;
static volatile sig_atomic_t asked_to_stop;
static volatile sig_atomic_t continued;

/* What a crash writes, made beforehand. */
static char leave_text[128];
static size_t leave_size;
static struct termios saved_modes;
static int have_saved_modes;

static void on_end(int sig)
{
    (void)sig;
    asked_to_end = 1;
}

static void on_stop(int sig)
{
    (void)sig;
    asked_to_stop = 1;
}

static void on_continue(int sig)
{
    (void)sig;
    continued = 1;
}

/* Give the terminal back with nothing but system calls. The signal is held until we return, and then ends us. */
static void on_crash(int sig)
{
    ssize_t n = write(STDOUT_FILENO, leave_text, leave_size);

    (void)n;
    if (have_saved_modes)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_modes);
    raise(sig);
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigemptyset(&action.sa_mask);
    sigaction(sig, &action, NULL);
}

static void handle_signals(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    static const int crashes[] = { SIGSEGV, SIGABRT, SIGFPE, SIGILL };
    sigset_t held;

    sigemptyset(&held);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        handle(ends[i], on_end, 0);
        sigaddset(&held, ends[i]);
    }
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        handle(crashes[i], on_crash, (int)SA_RESETHAND);
    handle(SIGTSTP, on_stop, 0);
    handle(SIGCONT, on_continue, 0);
    handle(SIGPIPE, SIG_IGN, 0);
    sigaddset(&held, SIGTSTP);
    sigaddset(&held, SIGCONT);
    sigaddset(&held, SIGWINCH); /* the handler is ncurses' own */
    sigprocmask(SIG_BLOCK, &held, &waiting_mask);
    for (int sig = 1; sig < NSIG; sig++) {
        if (sigismember(&held, sig) == 1)
            sigdelset(&waiting_mask, sig);
    }
}

static void prepare_crash(void)
{
    static char cursor[] = "cnorm";
    static char leave[] = "rmcup";
    static char plain[] = "sgr0";
    char *const names[] = { plain, cursor, leave };

    leave_size = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = tigetstr(names[i]);
        size_t n = text && text != (char *)-1 ? strlen(text) : 0;

        if (leave_size + n <= sizeof(leave_text)) {
            memcpy(leave_text + leave_size, text, n);
            leave_size += n;
        }
    }
}

static void start_colors(void)
{
    const char *none = getenv("NO_COLOR");

    if (none && none[0])
        return;
    if (has_colors() && start_color() == OK) {
        use_default_colors();
        init_pair(1, COLOR_CYAN, -1);
        init_pair(2, COLOR_YELLOW, -1);
    }
}

int screen_open(void)
{
    static char move[] = "cup";
    const char *term = getenv("TERM");
    const char *text;
    int error;

    /* Asked first, as newterm() may print something before it fails, or not fail where it should. */
    if (setupterm(NULL, STDOUT_FILENO, &error) == OK && (text = tigetstr(move), !text || text == (char *)-1)) {
        message_error("a terminal of type '%s' can't place its cursor; use another one, or -b", term ? term : "");
        return -1;
    }
    have_saved_modes = tcgetattr(STDIN_FILENO, &saved_modes) == 0;
    handle_signals(); /* before ncurses, which then leaves them alone */
    screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        message_error("the terminal type '%s' is not known here; set TERM to one that is, or use -b", term ? term : "");
        return -1;
    }
    utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    set_escdelay(ESCAPE_DELAY_MS);
    start_colors();
    prepare_crash();
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    intrflush(stdscr, FALSE);
    curs_set(0);
    input_gone = !isatty(STDIN_FILENO);
    return 0;
}

void screen_close(void)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

void screen_size(int *rows, int *cols) { getmaxyx(stdscr, *rows, *cols); }

static attr_t attributes(uint32_t style, short *pair)
{
    *pair = 0;
    switch (style) {
    case STYLE_TITLE:
        *pair = 1;
        return A_BOLD;
    case STYLE_HEADER:
        return A_REVERSE;
    case STYLE_SELECTED:
        return A_REVERSE | A_BOLD;
    case STYLE_DIM:
        return A_DIM;
    case STYLE_WARNING:
        *pair = 2;
        return A_BOLD;
    default:
        return A_NORMAL;
    }
}

void screen_show(const struct grid *g)
{
    for (int y = 0; y < g->rows; y++) {
        for (int x = 0; x < g->columns; x++) {
            const struct cell *cell = &g->cells[(size_t)y * (size_t)g->columns + (size_t)x];
            wchar_t glyph[2] = { (wchar_t)cell->glyph, 0 };
            attr_t attr;
            short pair;
            cchar_t c;

            if (cell->glyph == GRID_CONTINUED)
                continue;
            if (cell->glyph > 0x7e && !utf8)
                glyph[0] = L'?';
            attr = attributes(cell->style, &pair);
            setcchar(&c, glyph, attr, COLORS > 0 ? pair : 0, NULL);
            mvadd_wch(y, x, &c);
        }
    }
    refresh();
}

int screen_key(void)
{
    wint_t c;
    int r = get_wch(&c);

    if (r == ERR)
        return KEY_NONE_;
    readable_in_vain = 0;
    if (r == OK)
        return (int)c;
    switch (c) {
    case KEY_UP:
        return KEY_UP_;
    case KEY_DOWN:
        return KEY_DOWN_;
    case KEY_PPAGE:
        return KEY_PAGE_UP_;
    case KEY_NPAGE:
        return KEY_PAGE_DOWN_;
    case KEY_HOME:
        return KEY_HOME_;
    case KEY_END:
        return KEY_END_;
    case KEY_ENTER:
        return KEY_ENTER_;
    case KEY_RESIZE:
        return KEY_RESIZED_;
    default:
        return KEY_OTHER_;
    }
}

/* As Ctrl-Z asks: give the terminal back, stop; whoever continues us gets a whole screen. */
static void stop(void)
{
    asked_to_stop = 0;
    endwin();
    raise(SIGSTOP);
    continued = 1;
}

void screen_wait(double seconds)
{
    struct timespec timeout = { .tv_sec = (time_t)seconds };
    fd_set in;
    int r;

    timeout.tv_nsec = (long)((seconds - (double)timeout.tv_sec) * 1e9);
    FD_ZERO(&in);
    if (!input_gone)
        FD_SET(STDIN_FILENO, &in);
    r = pselect(input_gone ? 0 : STDIN_FILENO + 1, &in, NULL, NULL, &timeout, &waiting_mask);
    if (asked_to_stop)
        stop();
    if (continued) {
        continued = 0;
        clearok(curscr, TRUE);
        refresh(); /* takes the terminal over again */
    }
    if (r > 0 && ++readable_in_vain > VAIN_MAX) /* and never a key: the terminal hung up */
        asked_to_end = 1;
}

int screen_ended(void) { return asked_to_end; }
