/* SPDX-License-Identifier: MIT */
#include "cli/serve/clients.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shm/clock.h"

#define REQUEST_NS 10000000000U /* from the connection on until its first request is there, with TLS before it */
#define ANSWER_NS 60000000000U  /* until the answer to a request has been taken */
#define IDLE_NS 90000000000U    /* until there is another one: Prometheus asks once a minute, if not more often */

#define HOST_BYTES 16

enum { FREE, NEW, BUSY, IDLE };

struct client {
    int state;
    int fd;
    int ended;
    int checked;  /* its password is */
    int has_host; /* those of Unix sockets have none */
    uint8_t host[HOST_BYTES];
    uint64_t body;     /* that it is sent while it is busy; 0: none */
    uint64_t until_ns; /* CLOCK_MONOTONIC */
    uint64_t turn;     /* its state is newer than those with a lower one */
};

struct clients {
    pthread_mutex_t lock;
    uint64_t turns;
    struct client all[CLIENTS_SLOTS];
};

int clients_new(struct clients **ret)
{
    struct clients *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return 0;
}

void clients_free(struct clients *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Who is who: an IPv4 address, or the part of an IPv6 address that a host does not choose itself. 0: it has none. */
static int host_of(const struct sockaddr *address, uint8_t *host)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    memset(host, 0, HOST_BYTES);
    if (address && address->sa_family == AF_INET)
        memcpy(host + 12, &v4->sin_addr, 4);
    else if (address && address->sa_family == AF_INET6)
        memcpy(host, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? HOST_BYTES : 8);
    else
        return 0;
    return 1;
}

static bool same_host(const struct client *a, const struct client *b)
{
    return a->has_host && b->has_host && !memcmp(a->host, b->host, HOST_BYTES);
}

/* Whoever waits for it in another thread sees its end, and closes it. */
static void end(struct client *client)
{
    client->ended = 1;
    shutdown(client->fd, SHUT_RDWR);
}

static bool is_open(const struct client *client) { return client->state != FREE && !client->ended; }

static size_t count_of(const struct clients *c, const struct client *host)
{
    size_t count = 0;

    for (size_t i = 0; i < CLIENTS_SLOTS; i++)
        count += is_open(&c->all[i]) && same_host(&c->all[i], host);
    return count;
}

/* Of those that ask for nothing (host: of that one) the one that has done so for the longest time, of the host that has most of
 * all; or NULL. */
static struct client *dispensable(struct clients *c, const struct client *host)
{
    struct client *ret = NULL;
    size_t most = 0;

    for (size_t i = 0; i < CLIENTS_SLOTS; i++) {
        struct client *one = &c->all[i];
        size_t count;

        if (!is_open(one) || one->state == BUSY || (host && !same_host(one, host)))
            continue;
        count = count_of(c, one);
        if (ret && (count < most || (count == most && one->turn > ret->turn)))
            continue;
        ret = one;
        most = count;
    }
    return ret;
}

int clients_admit(struct clients *c, const struct sockaddr *address)
{
    struct client client = { 0 }, *other = NULL;
    size_t open = 0, taken = 0;
    int crowded;

    client.has_host = host_of(address, client.host);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CLIENTS_SLOTS; i++) {
        open += is_open(&c->all[i]);
        taken += c->all[i].state != FREE;
    }
    crowded = count_of(c, &client) >= CLIENTS_OF_HOST;
    if ((crowded || open >= CLIENTS_MAX) && taken < CLIENTS_SLOTS)
        other = dispensable(c, crowded ? &client : NULL);
    if (other)
        end(other);
    pthread_mutex_unlock(&c->lock);
    return other ? 2 : !crowded && open < CLIENTS_MAX && taken < CLIENTS_SLOTS;
}

struct client *clients_add(struct clients *c, int fd, const struct sockaddr *address)
{
    struct client *ret = NULL;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CLIENTS_SLOTS && !ret; i++) {
        if (c->all[i].state == FREE)
            ret = &c->all[i];
    }
    if (ret) {
        *ret = (struct client){ .state = NEW, .fd = fd, .until_ns = shm_clock_ns(CLOCK_MONOTONIC) + REQUEST_NS };
        ret->turn = c->turns++;
        ret->has_host = host_of(address, ret->host);
    }
    pthread_mutex_unlock(&c->lock);
    return ret;
}

static void turn(struct clients *c, struct client *client, int state, uint64_t ns)
{
    if (!client)
        return;
    pthread_mutex_lock(&c->lock);
    client->state = state;
    client->body = 0;
    client->checked = 0;
    client->until_ns = shm_clock_ns(CLOCK_MONOTONIC) + ns;
    client->turn = c->turns++;
    pthread_mutex_unlock(&c->lock);
}

void clients_remove(struct clients *c, struct client *client) { turn(c, client, FREE, 0); }
void clients_busy(struct clients *c, struct client *client) { turn(c, client, BUSY, ANSWER_NS); }
void clients_idle(struct clients *c, struct client *client) { turn(c, client, IDLE, IDLE_NS); }

int clients_check(struct clients *c, struct client *client)
{
    size_t all = 0, of_host = 0;

    if (!client)
        return 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CLIENTS_SLOTS; i++) {
        all += c->all[i].checked != 0;
        of_host += c->all[i].checked && same_host(&c->all[i], client);
    }
    client->checked = all < CLIENTS_CHECKED && of_host < CLIENTS_CHECKED_OF_HOST;
    pthread_mutex_unlock(&c->lock);
    return client->checked;
}

void clients_checked(struct clients *c, struct client *client)
{
    pthread_mutex_lock(&c->lock);
    client->checked = 0;
    pthread_mutex_unlock(&c->lock);
}

void clients_sending(struct clients *c, struct client *client, uint64_t body)
{
    if (!client)
        return;
    pthread_mutex_lock(&c->lock);
    client->body = body;
    pthread_mutex_unlock(&c->lock);
}

size_t clients_shed(struct clients *c, uint64_t body)
{
    size_t count = 0;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CLIENTS_SLOTS; i++) {
        struct client *one = &c->all[i];

        if (one->state != BUSY || one->ended || !one->body || one->body >= body)
            continue;
        end(one);
        count++;
    }
    pthread_mutex_unlock(&c->lock);
    return count;
}

size_t clients_expire(struct clients *c)
{
    uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
    size_t count = 0;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CLIENTS_SLOTS; i++) {
        struct client *one = &c->all[i];

        if (one->state == FREE || one->ended || now < one->until_ns)
            continue;
        end(one);
        count += one->state != IDLE;
    }
    pthread_mutex_unlock(&c->lock);
    return count;
}

struct clients_count clients_count(struct clients *c)
{
    struct clients_count count = { 0 };

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CLIENTS_SLOTS; i++) {
        count.open += c->all[i].state != FREE;
        count.busy += c->all[i].state == NEW || c->all[i].state == BUSY;
    }
    pthread_mutex_unlock(&c->lock);
    return count;
}
