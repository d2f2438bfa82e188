/* SPDX-License-Identifier: MIT */
/* waiter.h: how the thread that delivers waits: never longer than it was told to, never past the end. */
#ifndef CLI_FORWARD_WAITER_H
#define CLI_FORWARD_WAITER_H

#include <poll.h>
#include <stdint.h>

/* What waits here may be told by another thread that there is something to look at, or when all has to end. */
struct waiter {
    int wake;          /* an eventfd */
    uint64_t until_ns; /* CLOCK_MONOTONIC, atomic; UINT64_MAX: there is no end */
    uint64_t alive_ns; /* atomic: when it last waited or went on, for a watchdog */
};

/* 0 or a negative errno. */
int waiter_init(struct waiter *waiter);
void waiter_free(struct waiter *waiter);

/* From another thread. */
void waiter_wake(struct waiter *waiter);
void waiter_end(struct waiter *waiter, uint64_t until_ns); /* wakes too */

/* Wait for fd (-1: for none) to have one of events. 1: it has, or an error. 0: woken. -ETIMEDOUT: deadline_ns has come.
 * -ECANCELED: the end has. */
int waiter_wait_or_wake(struct waiter *waiter, int fd, short events, uint64_t deadline_ns);

/* The same, but it does not wake: 0 where fd has one of events. */
int waiter_wait(struct waiter *waiter, int fd, short events, uint64_t deadline_ns);

#endif
