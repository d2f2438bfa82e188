/* SPDX-License-Identifier: MIT */
#include "lib/grace.h"

#include <pthread.h>
#include <urcu/static/urcu-mb.h> /* for the layout of urcu_mb_reader only: nothing of it is inlined */
#include <urcu/urcu-mb.h>

#include <vmtally/count.h>

#ifdef VMT_TSAN_
/* ThreadSanitizer can't see into liburcu: tell it what a grace period orders. */
void __tsan_acquire(void *p);
void __tsan_release(void *p);
static char period;
#define ended_before_wait() __tsan_release(&period)
#define waited() __tsan_acquire(&period)
#else
#define ended_before_wait() ((void)0)
#define waited() ((void)0)
#endif

/* Registering twice aborts, so a host that uses urcu-mb itself must be noticed. */
static bool registered(void) { return URCU_TLS(urcu_mb_reader).registered; }

struct grace grace_read_lock(void)
{
    struct grace g = { .registered_here = !registered() };

    if (g.registered_here)
        urcu_mb_register_thread();
    urcu_mb_read_lock();
    return g;
}

void grace_read_unlock(struct grace g)
{
    ended_before_wait();
    urcu_mb_read_unlock();
    if (g.registered_here)
        urcu_mb_unregister_thread();
}

bool grace_inside(void) { return registered() && urcu_mb_read_ongoing(); }

void grace_wait(void)
{
    urcu_mb_synchronize_rcu();
    waited();
}
