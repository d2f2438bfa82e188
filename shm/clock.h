/* SPDX-License-Identifier: MIT */
#ifndef SHM_CLOCK_H
#define SHM_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC or CLOCK_REALTIME in nanoseconds. */
static inline uint64_t shm_clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* The same of CLOCK_MONOTONIC, against which deadlines are measured. */
static inline uint64_t shm_now_ns(void) { return shm_clock_ns(CLOCK_MONOTONIC); }

#endif
