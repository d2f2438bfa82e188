/* SPDX-License-Identifier: MIT */
#include "lib/workspace.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define IDLE 64U         /* threads at once; those beyond make their own each time */
#define LARGE 4096U      /* elements of a pool, which are worth giving back */
#define SMALL_ONES 1024U /* snapshots in a row */

/* A place a line, and each thread begins at its own: they don't take turns. Taken and put by one atomic operation, which
 * no other waits for and fork() can't interrupt. */
static struct {
    _Alignas(64) struct workspace *work;
} idle[IDLE];

static uint32_t readers;

static void free_pools(struct workspace *work)
{
    struct pool *const pools[] = { &work->nodes, &work->glances, &work->table,  &work->blocks,
                                   &work->order, &work->places,  &work->sorted, &work->fds };

    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
        free(pools[i]->data);
        *pools[i] = (struct pool){ 0 };
    }
}

static void workspace_free(struct workspace *work)
{
    free_pools(work);
    free(work);
}

void workspaces_hold(void) { __atomic_fetch_add(&readers, 1, __ATOMIC_RELAXED); }

void workspaces_release(void)
{
    /* Acquire and release: what other readers put back before they were closed is seen by the last one. */
    if (__atomic_sub_fetch(&readers, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    /* One that is opened meanwhile takes what it finds, or makes its own, and will be the last one in its turn. */
    for (uint32_t i = 0; i < IDLE; i++) {
        struct workspace *work = __atomic_exchange_n(&idle[i].work, NULL, __ATOMIC_ACQUIRE);

        if (work)
            workspace_free(work);
    }
}

static uint32_t own_place(void) { return (uint32_t)((uintptr_t)pthread_self() >> 12); }

struct workspace *workspace_take(void)
{
    struct workspace *work;
    uint32_t place = own_place();

    for (uint32_t i = 0; i < IDLE; i++) {
        struct workspace **at = &idle[(place + i) % IDLE].work;

        /* Acquire: pairs with the release when it was put; the last one has done with it. */
        if (__atomic_load_n(at, __ATOMIC_RELAXED) && (work = __atomic_exchange_n(at, NULL, __ATOMIC_ACQUIRE)))
            return work;
    }
    work = aligned_alloc(_Alignof(struct workspace), sizeof(*work));
    if (!work)
        return NULL;
    work->nodes = work->glances = work->table = work->blocks = work->order = (struct pool){ 0 };
    work->places = work->sorted = work->fds = (struct pool){ 0 };
    work->too_large = 0;
    return work;
}

void workspace_put(struct workspace *work)
{
    uint32_t place = own_place();

    for (uint32_t i = 0; i < IDLE; i++) {
        struct workspace **at = &idle[(place + i) % IDLE].work;
        struct workspace *none = NULL;

        if (!__atomic_load_n(at, __ATOMIC_RELAXED) &&
            __atomic_compare_exchange_n(at, &none, work, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return;
    }
    workspace_free(work);
}

static bool hardly_used(const struct pool *pool) { return pool->room > LARGE && pool->used < pool->room / 4; }

void workspace_settle(struct workspace *work)
{
    bool too_large = hardly_used(&work->nodes) || hardly_used(&work->glances) || hardly_used(&work->table) ||
                     hardly_used(&work->blocks) || hardly_used(&work->order) || hardly_used(&work->places) ||
                     hardly_used(&work->sorted) || hardly_used(&work->fds);

    work->too_large = too_large ? work->too_large + 1 : 0;
    if (work->too_large < SMALL_ONES)
        return;
    free_pools(work);
    work->too_large = 0;
}
