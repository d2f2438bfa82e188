/* SPDX-License-Identifier: MIT */
/* terminal.h: the terminal as files: output and input that never wait for it, its modes, the signals that come with it.
 * What is written and read is screen_curses.c's business. One terminal, one thread. */
#ifndef CLI_TOP_TERMINAL_H
#define CLI_TOP_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

/* Why terminal_wait() returned; 0: the time is over, or a signal asks to end. */
enum terminal_event {
    TERMINAL_INPUT = 1,
    TERMINAL_ROOM = 2, /* for more output */
    TERMINAL_RESIZED = 4,
    TERMINAL_STOP = 8,       /* somebody asks that we stop */
    TERMINAL_CONTINUED = 16, /* we had been stopped; others may have used the terminal since */
};

/* Handle signals from now on, and remember the modes of standard output's terminal. The streams are for whoever writes to
 * it, first straight to the terminal, and reads from it, which never waits; they are never closed. 0, or -1 and errno. */
int terminal_open(FILE **output, FILE **input);

/* The modes are now as they shall be. From now on what is written to the stream is kept until terminal_send(). */
void terminal_keep(void);

/* What makes it ours, and what gives it back, also after a crash: copied, as far as there is room (256 bytes each). */
void terminal_texts(const char *ours, size_t ours_size, const char *back, size_t back_size);

/* Send what is kept. Never waits. 1: all is sent, and there is room for more. */
int terminal_send(void);

/* Give it back as it was; what is kept is forgotten. Waits at most half a second. */
void terminal_give_back(void);

/* Make it ours (again), before whatever is written next; what is kept is forgotten. */
void terminal_take(void);

/* Stop, as TERMINAL_STOP asks, until somebody continues us. The terminal has been given back. */
void terminal_stop(void);

/* For at most seconds; for room only where room is set. Signals come in here and nowhere else. Returns enum
 * terminal_event, together. */
unsigned terminal_wait(double seconds, int room);

/* Until something can be read: 1; at most so many milliseconds: 0. No signal comes in meanwhile. */
int terminal_await_input(long ms);

/* Of a clock that nobody sets. */
long terminal_now_ms(void);

/* A key was read: what can be read for ever and never gives any is a terminal that is gone. */
void terminal_got_key(void);

/* 1, or 0: it does not say. */
int terminal_size(int *rows, int *columns);

/* 1 once a signal (SIGINT, SIGTERM, SIGHUP) asked to end, or the terminal is gone. */
int terminal_ended(void);

/* No more of it: signals come in at any time again. It has been given back. */
void terminal_close(void);

#endif
