/* SPDX-License-Identifier: MIT */
/* Going through the processes of the host. */
#include "lib/kvm/find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <vmtally/host.h>

#include "lib/kvm/finder.h"
#include "shm/clock.h"

#define PIDS_MAX (1U << 22)
#define YOUNG_NS 5000000000U    /* a VMM opens /dev/kvm soon after it was started */
#define FIRST_NS 1000000000U    /* the first look spends as long on them, */
#define NEW_NS 200000000U       /* others on those that they have not seen before, */
#define ROUND_NS 300000U        /* and on the rest; */
#define ROUND_MOST_NS 20000000U /* this long at most, */
#define ROUND_LOOKS 10U         /* of which it sees that part, if there is time, */
#define ROUND_LEAST 8U          /* or as many */
#define SURE_ROUNDS 5U          /* one that has as many descriptors as before is gone through that often */

/* ---- all processes ---- */

static int by_pid(const void *a, const void *b)
{
    uint32_t x = ((const struct known *)a)->pid;
    uint32_t y = ((const struct known *)b)->pid;

    return (x > y) - (x < y);
}

struct known *finder_known(struct finder *finder, uint32_t pid)
{
    const struct known key = { .pid = pid };

    return finder->known.used ? bsearch(&key, finder->known.data, finder->known.used, sizeof(key), by_pid) : NULL;
}

/* The pids that are there now into finder->numbers. */
static int list_pids(struct finder *finder)
{
    int r;

    if (!finder->only) {
        r = proc_numbers(finder->proc, "", PIDS_MAX, &finder->numbers);
        if (r < 0 && r != -ENOMEM)
            finder->numbers.used = 0;
        return r == -ENOMEM ? r : 0;
    }
    finder->numbers.used = 0;
    if (pool_add(&finder->numbers, 1, sizeof(uint32_t)) == SIZE_MAX)
        return -ENOMEM;
    *(uint32_t *)finder->numbers.data = finder->only;
    return 0;
}

/* Those that are known, and new ones, which are due. Those that have gone go. */
static int update_known(struct finder *finder)
{
    const uint32_t *pids;
    struct known *before = finder->known.data;
    struct known *now;
    size_t count = finder->known.used;
    size_t at = 0;
    int r = list_pids(finder);

    if (r < 0 || !pool_reserve(&finder->older, finder->numbers.used, sizeof(*now)))
        return -ENOMEM;
    pids = finder->numbers.data;
    now = finder->older.data;
    for (size_t i = 0; i < finder->numbers.used; i++) {
        for (; at < count && before[at].pid < pids[i]; at++)
            process_free(finder, before[at].process);
        now[i] = at < count && before[at].pid == pids[i]
                   ? before[at++]
                   : (struct known){ .pid = pids[i], .due = true, .looked_ns = finder->last_ns };
    }
    for (; at < count; at++)
        process_free(finder, before[at].process);
    finder->older.used = finder->numbers.used;
    {
        struct pool old = finder->known;

        finder->known = finder->older;
        finder->older = old;
        finder->older.used = 0;
    }
    return 0;
}

/* ---- looking into them ---- */

/* Of one that seems to be a VMM, its pid in its own namespace; else 0. */
static uint32_t inner_pid_of_vmm(const struct finder *finder, uint32_t pid)
{
    char comm[PROC_COMM_SIZE];
    struct proc_who who;

    if (proc_comm(finder->proc, pid, comm) < 0 || !vmm_known(comm))
        return 0;
    return proc_who(finder->proc, pid, &who) == 0 ? who.inner_pid : pid;
}

static int look_into(struct finder *finder, struct known *known)
{
    uint64_t count = finder->counts ? proc_fd_count(finder->proc, known->pid) : 0;
    int r;

    known->due = false;
    known->looked_ns = finder->begin_ns;
    known->start = proc_start(finder->proc_path, known->pid);
    known->fd_count = count < UINT32_MAX ? (uint32_t)count : 0;
    if (!known->start)
        return 0; /* it has ended */
    r = process_scan(finder, known->pid, known->start, &known->process);
    known->closed = r == -EACCES || r == -EPERM;
    known->inner_pid = known->closed ? inner_pid_of_vmm(finder, known->pid) : 0;
    return r == -ENOMEM ? r : 0;
}

static bool young(const struct known *known, uint64_t hertz, uint64_t boottime_ns)
{
    uint64_t start_ns = known->start / hertz * 1000000000U + known->start % hertz * 1000000000U / hertz;

    return known->start && (start_ns > boottime_ns || boottime_ns - start_ns < YOUNG_NS);
}

/* How much there is to look at in one of them. */
struct size_of {
    uint64_t fds;
    size_t known; /* its number */
};

static int by_size(const void *a, const void *b)
{
    const struct size_of *x = a, *y = b;

    if (x->fds != y->fds)
        return x->fds < y->fds ? -1 : 1;
    return (x->known > y->known) - (x->known < y->known);
}

/* New ones and young ones. Those with few descriptors come first: some that were filled with descriptors on purpose hide
 * no other. */
static int order_new(struct finder *finder)
{
    const struct known *known = finder->known.data;
    uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t boottime_ns = shm_clock_ns(CLOCK_BOOTTIME);
    struct size_of *order;
    size_t n = 0;

    if (!pool_reserve(&finder->order, finder->known.used, sizeof(*order)))
        return -ENOMEM;
    order = finder->order.data;
    for (size_t i = 0; i < finder->known.used; i++) {
        if (known[i].process || (!known[i].due && !young(&known[i], hertz, boottime_ns)))
            continue;
        order[n].known = i;
        order[n++].fds = finder->counts ? proc_fd_count(finder->proc, known[i].pid) : 0;
    }
    finder->order.used = n;
    if (n)
        qsort(order, n, sizeof(*order), by_size);
    return 0;
}

/* As far as there is time. */
static int look_at_new(struct finder *finder)
{
    uint64_t end_ns = shm_clock_ns(CLOCK_MONOTONIC) + (finder->look == 1 ? FIRST_NS : NEW_NS);
    struct known *known = finder->known.data;
    const struct size_of *order;
    int r = order_new(finder);

    order = finder->order.data;
    for (size_t i = 0; r == 0 && i < finder->order.used; i++) {
        r = look_into(finder, &known[order[i].known]);
        if (shm_clock_ns(CLOCK_MONOTONIC) > end_ns)
            break;
    }
    return r;
}

/* Has as many descriptors as when it was looked into: no VM came. */
static bool quiet(const struct finder *finder, const struct known *known)
{
    return known->fd_count && finder->look / ROUND_LOOKS % SURE_ROUNDS &&
           proc_fd_count(finder->proc, known->pid) == known->fd_count;
}

/* Some of the others, in turn. */
static int look_round(struct finder *finder)
{
    struct known *known = finder->known.data;
    size_t count = finder->known.used;
    size_t part = count / ROUND_LOOKS + ROUND_LEAST;
    uint64_t begin_ns = shm_clock_ns(CLOCK_MONOTONIC);
    size_t at = 0;
    int r = 0;

    while (at < count && known[at].pid < finder->turn)
        at++;
    for (size_t n = 0; n < part && n < count && r == 0; n++, at++) {
        struct known *k = &known[at % count];

        finder->turn = k->pid + 1;
        if (at + 1 == count)
            finder->turn = 0;
        if (!k->process && !k->due && quiet(finder, k))
            k->looked_ns = finder->begin_ns;
        else if (!k->process && !k->due)
            r = look_into(finder, k);
        if (shm_clock_ns(CLOCK_MONOTONIC) - begin_ns > (n >= ROUND_LEAST ? ROUND_NS : ROUND_MOST_NS))
            break;
    }
    return r;
}

/* Those that had VMs. */
static int look_again(struct finder *finder)
{
    struct known *known = finder->known.data;

    for (size_t i = 0; i < finder->known.used; i++) {
        int r;

        if (!known[i].process)
            continue;
        r = process_again(finder, known[i].process);
        if (r == -ENOMEM)
            return r;
        if (r > 0)
            continue;
        process_free(finder, known[i].process);
        known[i].process = NULL;
        known[i].due = true; /* perhaps another one has its number by now */
    }
    return 0;
}

/* ---- the board ---- */

static void post_schemas(struct finder *finder, struct board *board)
{
    const struct posted *schemas = finder->schemas.data;
    size_t n = finder->schemas.used;
    uint64_t places = board_add(board, n * sizeof(uint64_t));

    for (size_t i = 0; i < n && !board->failed; i++) {
        uint64_t at = board_add(board, schemas[i].bytes);

        if (!at)
            return;
        memcpy(board->data + at, schemas[i].block, schemas[i].bytes);
        ((uint64_t *)(void *)(board->data + places))[i] = at;
    }
    if (!board->failed) {
        struct bulletin *b = (void *)board->data;

        b->schemas = places;
        b->schema_count = (uint32_t)n;
    }
}

/* Those that may not be looked into, and up to when all others have been. */
static void post_others(struct finder *finder, struct board *board)
{
    const struct known *known = finder->known.data;
    uint64_t settled_ns = finder->only ? 0 : finder->begin_ns;
    uint32_t count = 0, denied = 0, n = 0;
    struct bulletin_closed *closed;
    struct bulletin *b;
    uint64_t place;

    for (size_t i = 0; i < finder->known.used; i++) {
        if (known[i].process)
            continue;
        count += known[i].closed;
        denied += known[i].closed && known[i].inner_pid;
        settled_ns = known[i].looked_ns < settled_ns ? known[i].looked_ns : settled_ns;
    }
    place = board_add(board, count * sizeof(*closed));
    if (board->failed)
        return;
    b = (void *)board->data;
    b->closed = place;
    b->closed_count = count;
    b->settled_ns = settled_ns;
    b->denied = denied;
    b->trouble |= denied ? VMT_HOST_TROUBLE_DENIED : 0;
    closed = bulletin_at(b, place);
    for (size_t i = 0; i < finder->known.used; i++) {
        if (known[i].closed && !known[i].process)
            closed[n++] = (struct bulletin_closed){ known[i].start, known[i].pid, known[i].inner_pid };
    }
}

static int post_processes(struct finder *finder, struct board *board)
{
    const struct known *known = finder->known.data;
    uint32_t count = 0, n = 0;
    struct bulletin *b;
    uint64_t places;

    for (size_t i = 0; i < finder->known.used; i++)
        count += known[i].process != NULL;
    places = board_add(board, count * sizeof(struct bulletin_process));
    if (board->failed)
        return -ENOMEM;
    b = (void *)board->data;
    b->processes = places;
    b->process_count = count;
    for (size_t i = 0; i < finder->known.used; i++) {
        if (known[i].process &&
            process_post(finder, known[i].process, board, places + n++ * sizeof(struct bulletin_process)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int post(struct finder *finder, struct board *board)
{
    struct bulletin *b;

    board_clear(board);
    if (board->failed || post_processes(finder, board) < 0)
        return -ENOMEM;
    post_others(finder, board);
    post_schemas(finder, board); /* all that were met in the lines above */
    if (board->failed)
        return -ENOMEM;
    b = (void *)board->data;
    b->serial = finder->look;
    b->epoch = finder->epoch;
    b->why = (finder->debugfs.locked ? BULLETIN_WHY_LOCKED : 0) | (finder->initial ? 0 : BULLETIN_WHY_INNER);
    memcpy(b->boot_id, finder->boot_id, sizeof(b->boot_id));
    return 0;
}

int finder_look(struct finder *finder, struct board *board)
{
    int r;

    finder->look++;
    finder->last_ns = finder->begin_ns;
    finder->begin_ns = shm_clock_ns(CLOCK_REALTIME);
    finder->self = getpid();
    finder_drop_ended(finder, NULL);
    r = update_known(finder);
    if (r == 0)
        r = look_again(finder);
    if (r == 0)
        r = look_at_new(finder);
    if (r == 0)
        r = look_round(finder);
    if (r == 0)
        r = directories_join(finder);
    if (r == 0)
        r = post(finder, board) < 0 ? (board->failed ? board->failed : -ENOMEM) : 0;
    directories_clear(finder);
    return r;
}

/* ---- those that end ---- */

int finder_fd(const struct finder *finder) { return finder->epoll; }

void finder_drop_ended(struct finder *finder, struct board boards[2])
{
    struct epoll_event events[64];
    int n;

    do {
        n = epoll_wait(finder->epoll, events, 64, 0);
        for (int i = 0; i < n; i++) {
            struct known *known = finder_known(finder, (uint32_t)events[i].data.u64);

            if (!known || !known->process)
                continue;
            for (int k = 0; boards && k < 2; k++) {
                if (boards[k].data)
                    bulletin_ended((void *)boards[k].data, known->pid, known->start);
            }
            process_free(finder, known->process);
            known->process = NULL;
            known->due = true;
        }
    } while (n == 64);
}
