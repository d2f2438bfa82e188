/* SPDX-License-Identifier: MIT */
/* still.h: a clock that goes on only when the test says so, and names of processes that do not depend on where it runs.
 * They take the place of libc's, in the one file that includes this. */
#ifndef TESTS_UNIT_STILL_H
#define TESTS_UNIT_STILL_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000U
#define NOON_NS (1767268800U * (uint64_t)SECOND_NS) /* 2026-01-01 12:00:00 UTC */

static uint64_t fake_ns; /* CLOCK_REALTIME; 0: the true time */
static pid_t fake_pid;   /* 0: the true ones */

int clock_gettime(clockid_t clock, struct timespec *t)
{
    uint64_t ns = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? fake_ns : fake_ns - NOON_NS / 2;

    if (!fake_ns)
        return (int)syscall(SYS_clock_gettime, clock, t);
    t->tv_sec = (time_t)(ns / SECOND_NS);
    t->tv_nsec = (long)(ns % SECOND_NS);
    return 0;
}

pid_t getpid(void) { return fake_pid ? fake_pid : (pid_t)syscall(SYS_getpid); }
pid_t gettid(void) { return fake_pid ? fake_pid : (pid_t)syscall(SYS_gettid); }

#endif
