/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/forward/delivery_parts.h"
#include "cli/forward/handshake.h"
#include "cli/message.h"
#include "shm/clock.h"

#define MS UINT64_C(1000000)
#define BACK_OFF_MS 500U /* at most, after all endpoints failed once; twice that each time, to */
#define BACK_OFF_MOST_MS 30000U
#define SAID_AT_ONCE 8U /* lines about endpoints that come and go, and then one each 10 s */
#define SAID_MS 10000U
#define BACK_OFF_LAST_MS 200U /* when we are about to end */

static const struct endpoint *endpoint_of(const struct delivery *d) { return &d->a->endpoints[d->endpoint]; }

bool delivery_is_finishing(const struct delivery *d) { return __atomic_load_n(&d->finish, __ATOMIC_RELAXED); }
bool delivery_is_reloading(const struct delivery *d) { return __atomic_load_n(&d->reload, __ATOMIC_RELAXED); }

bool delivery_is_empty(struct delivery *d)
{
    struct queue_state state;

    queue_look(d->queue, &state);
    return state.waiting.chunks == 0;
}

static uint64_t end_ns(const struct delivery *d) { return __atomic_load_n(&d->waiter.until_ns, __ATOMIC_RELAXED); }

/* Told to stop: there is not much time left. */
static bool is_ending(const struct delivery *d) { return end_ns(d) != UINT64_MAX; }

/* ---- what is said ---- */

static void tell(struct delivery *d) { eventfd_write(d->told, 1); }

void delivery_went_well(struct delivery *d)
{
    const struct endpoint *e = endpoint_of(d);
    char shown[PATH_MAX];

    d->failed_in_turn = 0;
    tell(d);
    if (d->said_to == e || !spoken_may(&d->spoken, shm_now_ns()))
        return;
    message_error("delivering to %s", message_printable(e->text, shown, sizeof(shown)));
    d->said_to = e;
    for (size_t i = 0; i < ENDPOINTS_MAX; i++)
        *d->said[i] = '\0';
}

static void say_failure(struct delivery *d)
{
    char shown[PATH_MAX];

    if (strcmp(d->said[d->endpoint], d->why) == 0 || !spoken_may(&d->spoken, shm_now_ns()))
        return;
    message_error("%s: %s", message_printable(endpoint_of(d)->text, shown, sizeof(shown)), d->why);
    memcpy(d->said[d->endpoint], d->why, sizeof(d->why));
    if (d->said_to == endpoint_of(d))
        d->said_to = NULL;
}

void delivery_count_again(struct delivery *d)
{
    pthread_mutex_lock(&d->lock);
    d->state.sent_again++;
    pthread_mutex_unlock(&d->lock);
}

static void tell_state(struct delivery *d, const char *to, const char *why)
{
    char shown[PATH_MAX];

    pthread_mutex_lock(&d->lock);
    d->state.to = to;
    if (to)
        d->state.connections++;
    *d->state.why = '\0';
    if (*why) {
        d->state.failures++;
        snprintf(d->state.why, sizeof(d->state.why), "%.200s: %s",
                 message_printable(endpoint_of(d)->text, shown, sizeof(shown)), why);
    }
    pthread_mutex_unlock(&d->lock);
    tell(d);
}

/* ---- connecting ---- */

/* AGAIN: connected. */
static enum outcome connect_now(struct delivery *d)
{
    const struct forward_arguments *a = d->a;
    const struct credentials *credentials = &d->keys->credentials;
    enum outcome outcome;
    int r = link_open(a, endpoint_of(d), d->keys, &d->resolvers[d->endpoint], &d->waiter, &d->link, d->why);

    if (r < 0)
        return r == -ECANCELED ? OVER : FAILED;
    inbox_clear(&d->inbox);
    d->keepalive = true;
    d->written = d->delivered = 0;
    d->connected_ns = shm_now_ns();
    if (credentials->shared_key) {
        r = handshake(d->link, &d->inbox, credentials, a->timeout_ms, &d->keepalive, d->why);
        if (r < 0)
            return r == -ECANCELED ? OVER : FAILED;
    } else if (!a->ack && !d->quiet[d->endpoint]) {
        outcome = conversation_begin(d);
        d->quiet[d->endpoint] = outcome == AGAIN;
        return outcome;
    }
    return AGAIN;
}

static void disconnect(struct delivery *d)
{
    while (d->sent_count > 0)
        queue_return(d->queue, d->sent[--d->sent_count]);
    link_close(d->link);
    d->link = NULL;
}

static void take_keys(struct delivery *d)
{
    if (!delivery_is_reloading(d))
        return;
    pthread_mutex_lock(&d->lock);
    keys_free(d->keys);
    d->keys = d->next_keys;
    d->next_keys = NULL;
    __atomic_store_n(&d->reload, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&d->lock);
    d->endpoint = 0;
    d->failed_in_turn = 0;
    d->lazy = false;
    memset(d->quiet, 0, sizeof(d->quiet));
    memset(d->said, 0, sizeof(d->said));
}

/* Full jitter: many that lost one collector do not come back to it at one time. */
uint64_t delivery_back_off_ns(unsigned rounds, uint64_t limit_ms)
{
    uint64_t most_ms = BACK_OFF_MS;
    uint64_t random;

    for (unsigned i = 1; i < rounds && most_ms < BACK_OFF_MOST_MS; i++)
        most_ms *= 2;
    if (most_ms > BACK_OFF_MOST_MS)
        most_ms = BACK_OFF_MOST_MS;
    if (most_ms > limit_ms)
        most_ms = limit_ms;
    if (gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof(random)) < 0)
        return most_ms * MS;
    return random % (most_ms * MS);
}

static void next_endpoint(struct delivery *d)
{
    uint64_t deadline_ns;

    d->quiet[d->endpoint] = false;
    d->failed_in_turn++;
    d->endpoint = (d->endpoint + 1) % d->a->endpoint_count;
    if (d->failed_in_turn % d->a->endpoint_count != 0)
        return;
    d->endpoint = 0;
    deadline_ns = shm_now_ns() + delivery_back_off_ns(d->failed_in_turn / (unsigned)d->a->endpoint_count,
                                                      is_ending(d) ? BACK_OFF_LAST_MS : BACK_OFF_MOST_MS);
    while (!delivery_is_reloading(d) && waiter_wait_or_wake(&d->waiter, -1, 0, deadline_ns) == 0)
        if (is_ending(d) && deadline_ns > shm_now_ns() + BACK_OFF_LAST_MS * MS)
            deadline_ns = shm_now_ns() + BACK_OFF_LAST_MS * MS;
}

/* Wait until there is something to do. Whether there will be. */
static bool wait_for_work(struct delivery *d)
{
    for (;;) {
        bool empty = delivery_is_empty(d);

        if (shm_now_ns() >= end_ns(d) || (empty && delivery_is_finishing(d)))
            return false;
        if (!empty || !d->lazy || delivery_is_reloading(d))
            return true;
        waiter_wait_or_wake(&d->waiter, -1, 0, UINT64_MAX);
    }
}

static void *run(void *argument)
{
    struct delivery *d = argument;

    while (wait_for_work(d)) {
        enum outcome outcome;

        take_keys(d);
        outcome = connect_now(d);
        if (outcome == AGAIN) {
            tell_state(d, endpoint_of(d)->text, "");
            outcome = conversation_run(d);
        }
        disconnect(d);
        tell_state(d, NULL, outcome == FAILED ? d->why : "");
        d->lazy = outcome == AGAIN;
        if (outcome == FAILED) {
            say_failure(d);
            next_endpoint(d);
        }
    }
    pthread_mutex_lock(&d->lock);
    d->state.ended = 1;
    pthread_mutex_unlock(&d->lock);
    tell(d);
    return NULL;
}

/* ---- for the other thread ---- */

static void free_parts(struct delivery *d)
{
    for (size_t i = 0; i < ENDPOINTS_MAX; i++)
        resolver_free(&d->resolvers[i]);
    keys_free(d->keys);
    keys_free(d->next_keys);
    if (d->told >= 0)
        close(d->told);
    waiter_free(&d->waiter);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

int delivery_start(const struct forward_arguments *a, struct queue *queue, struct keys *keys, struct delivery **ret)
{
    struct delivery *d = calloc(1, sizeof(*d));
    int r;

    if (!d) {
        keys_free(keys);
        return -ENOMEM;
    }
    d->a = a;
    d->queue = queue;
    d->keys = keys;
    d->spoken = (struct spoken){ .at_once = SAID_AT_ONCE, .interval_ns = SAID_MS * MS };
    pthread_mutex_init(&d->lock, NULL);
    r = waiter_init(&d->waiter);
    d->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r == 0 && d->told < 0)
        r = -errno;
    if (r == 0)
        r = -pthread_create(&d->thread, NULL, run, d);
    if (r < 0) {
        free_parts(d);
        return r;
    }
    *ret = d;
    return 0;
}

int delivery_fd(const struct delivery *d) { return d->told; }

void delivery_look(struct delivery *d, struct delivery_state *ret)
{
    eventfd_t count;

    eventfd_read(d->told, &count);
    pthread_mutex_lock(&d->lock);
    *ret = d->state;
    pthread_mutex_unlock(&d->lock);
}

void delivery_wake(struct delivery *d) { waiter_wake(&d->waiter); }

void delivery_reload(struct delivery *d, struct keys *keys)
{
    pthread_mutex_lock(&d->lock);
    keys_free(d->next_keys);
    d->next_keys = keys;
    __atomic_store_n(&d->reload, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&d->lock);
    waiter_wake(&d->waiter);
}

void delivery_finish(struct delivery *d, uint64_t until_ns)
{
    __atomic_store_n(&d->finish, 1, __ATOMIC_RELAXED);
    waiter_end(&d->waiter, until_ns);
}

uint64_t delivery_alive_ns(const struct delivery *d) { return __atomic_load_n(&d->waiter.alive_ns, __ATOMIC_RELAXED); }

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    pthread_join(d->thread, NULL);
    free_parts(d);
}
