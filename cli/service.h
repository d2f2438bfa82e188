/* SPDX-License-Identifier: MIT */
/* service.h: what a command that runs until it is told to stop has to do with whoever started it: signals, systemd's
 * notifications and watchdog, beats. All of it in the process outside of the sandbox, but for beats.
 */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include <stdint.h>

/* SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGCHLD from here on are read from the descriptor that this returns (signalfd,
 * non-blocking, close-on-exec; or a negative errno), in all threads started later. Before channel_start(), whose child then
 * gets none of them: what is sent to all processes of a terminal or a service is the parent's to answer. SIGPIPE is
 * ignored. */
int service_signals(void);

/* The next signal that came, 0: none. */
int service_signal(int fd);

/* For systemd, and nothing without it: ready (status in words), a new status, reloading (ready follows), stopping. */
void service_ready(const char *status);
void service_status(const char *status);
void service_reloading(void);
void service_stopping(const char *status);

/* How often service_alive() has to be called, in ms; -1: never. Half of what systemd waits. */
int service_watchdog_ms(void);
void service_alive(void);

/* Sockets that systemd listens on for us (socket activation): how many, from *first on; 0: none, or a negative errno. They
 * are made close-on-exec. */
int service_listen_fds(int *first);

/* ---- beats ---- */

/* A beat each interval_ns, at times that do not drift: one that comes too late is left out, not caught up with. Starts with
 * beat_start(), whose first beat is due at once. */
struct beat {
    uint64_t interval_ns;
    uint64_t next_ns; /* CLOCK_MONOTONIC */
    uint64_t left_out;
};
void beat_start(struct beat *beat, uint64_t interval_ns);

/* Until the next beat, at least 0, for poll(). */
int beat_wait_ms(const struct beat *beat);

/* 1 where one is due, which then is over. */
int beat_due(struct beat *beat);

#endif
