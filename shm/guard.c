/* SPDX-License-Identifier: MIT */
/* One SIGBUS handler for all mapped segments of this process. A file that is truncated under its mapping faults; the
 * handler maps zeros in place of all of it, marks the segment and returns. Faults elsewhere go to the handler that was
 * there before, as if the kernel had called it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "shm/view.h"

struct shm_guard {
    struct shm_guard *next; /* of all that ever were: never freed, the handler may be walking */
    uintptr_t base;         /* 0: free */
    uint64_t bytes;
    int hit;
};

static struct shm_guard *guards;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before; /* written once, before our handler is there */
static int spent;               /* that handler was for one signal only, and has had it */
static bool installed;

/* Nobody there to take it: what the kernel does then. */
static void leave_to_kernel(const siginfo_t *info)
{
    struct sigaction fatal = { .sa_handler = SIG_DFL };

    if (before.sa_handler == SIG_IGN && info->si_code <= 0)
        return;
    sigaction(SIGBUS, &fatal, NULL); /* the faulting instruction runs again, and ends the process */
    if (info->si_code <= 0)
        raise(SIGBUS); /* sent, not faulted */
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
    bool with_info = before.sa_flags & SA_SIGINFO;
    sigset_t ours;

    if ((!with_info && (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)) ||
        (before.sa_flags & (int)SA_RESETHAND && __atomic_exchange_n(&spent, 1, __ATOMIC_RELAXED))) {
        leave_to_kernel(info);
        return;
    }
    /* What it asked to be blocked meanwhile; it may leave by longjmp, then that restores what it wants. */
    pthread_sigmask(SIG_BLOCK, &before.sa_mask, &ours);
    if (before.sa_flags & SA_NODEFER && !sigismember(&before.sa_mask, SIGBUS)) {
        sigset_t bus;

        sigemptyset(&bus);
        sigaddset(&bus, SIGBUS);
        pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
    }
    if (with_info)
        before.sa_sigaction(sig, info, context);
    else
        before.sa_handler(sig);
    pthread_sigmask(SIG_SETMASK, &ours, NULL);
}

/* Zeros in place of the whole mapping that address is in: no more mappings than before, so that no limit is in the way.
 * Only one thread reads through it, and throws away what it has read. */
static bool map_zeros(uintptr_t address)
{
    /* Acquire, all three: pair with the releases in shm_guard_add(). */
    for (struct shm_guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); g; g = g->next) {
        uintptr_t base = __atomic_load_n(&g->base, __ATOMIC_ACQUIRE);
        uint64_t bytes = __atomic_load_n(&g->bytes, __ATOMIC_ACQUIRE);

        /* base twice: another thread may be giving the slot to another mapping. The acquire of bytes pairs with the
         * release in shm_guard_add(): who has new ones sees that base has changed. */
        if (!base || address < base || address - base >= bytes || __atomic_load_n(&g->base, __ATOMIC_RELAXED) != base)
            continue;
        __atomic_store_n(&g->hit, 1, __ATOMIC_RELAXED);
        return mmap((void *)base, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
               MAP_FAILED;
    }
    return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int error = errno;

    if (info->si_code <= 0 || !map_zeros((uintptr_t)info->si_addr))
        pass_on(sig, info, context);
    errno = error;
}

/* What was there is known before the first signal can come to us. */
static bool install(void)
{
    struct sigaction ours = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    sigemptyset(&ours.sa_mask);
    if (!installed && sigaction(SIGBUS, NULL, &before) == 0)
        installed = sigaction(SIGBUS, &ours, NULL) == 0;
    return installed;
}

struct shm_guard *shm_guard_add(const void *base, uint64_t bytes)
{
    struct shm_guard *g = NULL;

    pthread_mutex_lock(&lock);
    if (install()) {
        for (g = guards; g && g->base; g = g->next) {
        }
        if (!g) {
            g = calloc(1, sizeof(*g));
            if (g) {
                g->next = guards;
                __atomic_store_n(&guards, g, __ATOMIC_RELEASE);
            }
        }
    }
    if (g) {
        __atomic_store_n(&g->hit, 0, __ATOMIC_RELAXED);
        /* Release: pair with the acquires in map_zeros(); who sees these bytes sees that base was 0, or more. */
        __atomic_store_n(&g->bytes, bytes, __ATOMIC_RELEASE);
        __atomic_store_n(&g->base, (uintptr_t)base, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return g;
}

void shm_guard_remove(struct shm_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&lock);
    /* Release: with that of the next one's bytes; pairs with the acquire of bytes in map_zeros(). */
    __atomic_store_n(&guard->base, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

bool shm_guard_hit(const struct shm_guard *guard) { return guard && __atomic_load_n(&guard->hit, __ATOMIC_RELAXED); }

bool shm_guard_ready(void)
{
    struct sigaction now;
    sigset_t blocked;

    if (sigaction(SIGBUS, NULL, &now) < 0 || !(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_sigbus)
        return false;
    return pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && !sigismember(&blocked, SIGBUS);
}
