/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "message.h"
#include "shm/clock.h"

#define STATUS_BYTES 1024

/* ---- signals ---- */

int service_signals(void)
{
    sigset_t signals;
    int fd;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGCHLD);
    fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* whoever started us may have ignored it: then nobody could wait for a child */
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return fd;
}

int service_signal(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

/* ---- systemd ---- */

/* A status is one line, and has names in it that others gave: a second line would be a notification of its own. */
static void notify(const char *state, const char *status)
{
    char line[STATUS_BYTES];

    if (status)
        sd_notifyf(0, "%sSTATUS=%s", state, message_printable(status, line, sizeof(line)));
    else
        sd_notify(0, state);
}

void service_ready(const char *status) { notify("READY=1\n", status); }
void service_status(const char *status) { notify("", status); }
void service_stopping(const char *status) { notify("STOPPING=1\n", status); }
void service_alive(void) { notify("WATCHDOG=1", NULL); }

/* With the time of it, which systemd from 253 on asks for. */
void service_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(shm_clock_ns(CLOCK_MONOTONIC) / 1000U));
}

int service_watchdog_ms(void)
{
    uint64_t usec = 0;
    uint64_t ms;

    if (sd_watchdog_enabled(0, &usec) <= 0)
        return -1;
    ms = usec / 2000U;
    return ms > INT_MAX ? INT_MAX : ms > 0 ? (int)ms : 1;
}

int service_listen_fds(int *first)
{
    int n = sd_listen_fds(1); /* and nobody whom we start takes them for its own */

    if (n > 0)
        *first = SD_LISTEN_FDS_START;
    return n;
}

/* ---- beats ---- */

void beat_start(struct beat *beat, uint64_t interval_ns)
{
    *beat = (struct beat){ .interval_ns = interval_ns ? interval_ns : 1, .next_ns = shm_clock_ns(CLOCK_MONOTONIC) };
}

/* Rounded up: who waits that long finds it due. */
int beat_wait_ms(const struct beat *beat)
{
    uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
    uint64_t ms = now < beat->next_ns ? (beat->next_ns - now - 1) / 1000000U + 1 : 0;

    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int beat_due(struct beat *beat)
{
    uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
    uint64_t late;

    if (now < beat->next_ns)
        return 0;
    late = (now - beat->next_ns) / beat->interval_ns;
    beat->left_out += late;
    beat->next_ns += late * beat->interval_ns; /* at most now */
    beat->next_ns = beat->next_ns > UINT64_MAX - beat->interval_ns ? UINT64_MAX : beat->next_ns + beat->interval_ns;
    return 1;
}
