/* SPDX-License-Identifier: MIT */
/* One SIGBUS handler for all mapped segments of this process. A file that is truncated under its mapping faults; the
 * handler maps zeros there, marks the segment and returns. Faults elsewhere go to the handler that was there before.
 */
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
static struct sigaction before;
static bool installed;

static void pass_on(int sig, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(sig, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(sig);
    } else if (before.sa_handler == SIG_DFL || info->si_code > 0) {
        struct sigaction fatal = { .sa_handler = SIG_DFL };

        sigaction(SIGBUS, &fatal, NULL); /* the faulting instruction runs again, and ends the process */
        if (info->si_code <= 0)
            raise(SIGBUS); /* sent, not faulted */
    }
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;

    for (struct shm_guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); info->si_code > 0 && g; g = g->next) {
        uintptr_t base = __atomic_load_n(&g->base, __ATOMIC_ACQUIRE);
        uint64_t bytes = __atomic_load_n(&g->bytes, __ATOMIC_ACQUIRE);
        uintptr_t page = address / 4096 * 4096;

        /* base twice: another thread may be giving the slot to another mapping. The acquire of bytes pairs with the
         * release in shm_guard_add(): who has new ones sees that base has changed. */
        if (!base || address < base || address - base >= bytes || __atomic_load_n(&g->base, __ATOMIC_RELAXED) != base)
            continue;
        __atomic_store_n(&g->hit, 1, __ATOMIC_RELAXED);
        if (mmap((void *)page, bytes - (page - base), PROT_READ,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED)
            return;
    }
    pass_on(sig, info, context);
}

static bool install(void)
{
    struct sigaction ours = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    if (!installed) {
        sigemptyset(&ours.sa_mask);
        installed = sigaction(SIGBUS, &ours, &before) == 0;
    }
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
