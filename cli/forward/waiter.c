/* SPDX-License-Identifier: MIT */
#include "cli/forward/waiter.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/clock.h"

#define MS UINT64_C(1000000)
#define LONGEST_MS 10000 /* of one poll(), so that a watchdog sees us go on */

int waiter_init(struct waiter *waiter)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    *waiter = (struct waiter){ .wake = fd, .until_ns = UINT64_MAX, .alive_ns = shm_clock_ns(CLOCK_MONOTONIC) };
    return 0;
}

void waiter_free(struct waiter *waiter) { close(waiter->wake); }

void waiter_wake(struct waiter *waiter) { eventfd_write(waiter->wake, 1); }

void waiter_end(struct waiter *waiter, uint64_t until_ns)
{
    __atomic_store_n(&waiter->until_ns, until_ns, __ATOMIC_RELAXED);
    waiter_wake(waiter);
}

static int poll_ms(uint64_t deadline_ns, uint64_t now)
{
    uint64_t ms = deadline_ns <= now ? 0 : (deadline_ns - now + MS - 1) / MS;

    return ms < LONGEST_MS ? (int)ms : LONGEST_MS;
}

int waiter_wait_or_wake(struct waiter *waiter, int fd, short events, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = waiter->wake, .events = POLLIN }, { .fd = fd, .events = events } };
        uint64_t until = __atomic_load_n(&waiter->until_ns, __ATOMIC_RELAXED);
        uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
        eventfd_t count;

        __atomic_store_n(&waiter->alive_ns, now, __ATOMIC_RELAXED);
        if (now >= until)
            return -ECANCELED;
        if (now >= deadline_ns) /* also where there is a little to do each time */
            return -ETIMEDOUT;
        if (poll(fds, 2, poll_ms(deadline_ns < until ? deadline_ns : until, now)) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (fds[0].revents)
            eventfd_read(waiter->wake, &count);
        if (fds[1].revents)
            return 1;
        if (fds[0].revents)
            return 0;
    }
}

int waiter_wait(struct waiter *waiter, int fd, short events, uint64_t deadline_ns)
{
    int r;

    do {
        r = waiter_wait_or_wake(waiter, fd, events, deadline_ns);
    } while (r == 0);
    return r > 0 ? 0 : r;
}
