/* SPDX-License-Identifier: MIT */
/* The thread that delivers, with a collector that is a thread of the test; how it waits, looks up names and speaks. */
#include "helper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/forward/delivery_parts.h"
#include "cli/forward/resolve.h"
#include "cli/forward/spoken.h"
#include "shm/clock.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define LONG_NS (60 * SECOND) /* for what has to come, however slow the machine is */

static uint64_t now_ns(void) { return shm_clock_ns(CLOCK_MONOTONIC); }

/* ---- a collector ---- */

struct collector {
    struct endpoint endpoint;
    int listener;
    int silent; /* acknowledges nothing */
    pthread_t thread;
    uint32_t numbers[4096]; /* what came, in order: doubles too */
    unsigned count;         /* atomic */
};

/* Messages of make_chunk(): a fixed size, number and id at fixed places. */
#define MESSAGE_SIZE 64U

static void acknowledge(struct collector *c, int fd, const char *message)
{
    char ack[64] = "\x81\xa3"
                   "ack\xb8";
    unsigned n = __atomic_load_n(&c->count, __ATOMIC_RELAXED);

    memcpy(&c->numbers[n % 4096], message, sizeof(uint32_t));
    __atomic_store_n(&c->count, n + 1, __ATOMIC_RELEASE);
    memcpy(ack + 6, message + sizeof(uint32_t), CHUNK_ID_SIZE - 1);
    if (!c->silent && send(fd, ack, 6 + CHUNK_ID_SIZE - 1, MSG_NOSIGNAL) < 0)
        return;
}

static void *collect(void *argument)
{
    struct collector *c = argument;
    int fd;

    while ((fd = accept(c->listener, NULL, NULL)) >= 0) {
        char message[MESSAGE_SIZE];

        while (recv(fd, message, sizeof(message), MSG_WAITALL) == sizeof(message))
            acknowledge(c, fd, message);
        close(fd);
    }
    return NULL;
}

static void start_collector(struct collector *c, int silent)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    memset(c, 0, sizeof(*c));
    c->endpoint.text = c->endpoint.path = test_path("collector");
    c->silent = silent;
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", c->endpoint.path);
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(c->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(c->listener, 8), 0);
    cr_assert_eq(pthread_create(&c->thread, NULL, collect, c), 0);
}

static void stop_collector(struct collector *c)
{
    shutdown(c->listener, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->listener);
}

static struct forward_arguments arguments_for(const struct collector *c, int ack)
{
    struct forward_arguments a = { .endpoint_count = 1, .ack = ack, .timeout_ms = 60000, .self_host = "test" };

    a.endpoints[0] = c->endpoint;
    return a;
}

static void add_chunk(struct queue *queue, uint32_t number)
{
    char message[MESSAGE_SIZE] = "";
    char id[CHUNK_ID_SIZE];

    cr_assert_eq(chunk_id_make(id), 0);
    memcpy(message, &number, sizeof(number));
    memcpy(message + sizeof(number), id, sizeof(id));
    queue_add(queue, chunk_new(message, sizeof(message), 1, id));
}

static struct keys *new_keys(const struct forward_arguments *a)
{
    struct keys *keys;

    cr_assert_eq(keys_load(a, &keys), 0);
    return keys;
}

static bool has_ended(struct delivery *d)
{
    struct delivery_state state;
    uint64_t end = now_ns() + LONG_NS;

    do {
        struct pollfd fd = { .fd = delivery_fd(d), .events = POLLIN };

        poll(&fd, 1, 100);
        delivery_look(d, &state);
    } while (!state.ended && now_ns() < end);
    return state.ended;
}

static void check_in_order(const struct collector *c, uint32_t count)
{
    cr_assert_eq(__atomic_load_n(&c->count, __ATOMIC_ACQUIRE), count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(c->numbers[i], i, "%u came as number %u", c->numbers[i], i);
}

/* ---- delivering ---- */

TestSuite(forward_delivery, .init = test_dir_init, .fini = test_dir_fini);

static void deliver_all(int ack, unsigned reloads)
{
    static struct collector c;
    struct forward_arguments a;
    struct delivery_state state;
    struct queue_state queued;
    struct delivery *d;
    struct queue queue;

    start_collector(&c, !ack);
    a = arguments_for(&c, ack);
    queue_init(&queue, 16 << 20);
    cr_assert_eq(delivery_start(&a, &queue, new_keys(&a), &d), 0);
    for (uint32_t i = 0; i < 2000; i++) {
        add_chunk(&queue, i);
        delivery_wake(d);
        if (reloads && i % (2000 / reloads) == 0)
            delivery_reload(d, new_keys(&a));
    }
    delivery_finish(d, UINT64_MAX);
    cr_assert(has_ended(d));
    delivery_look(d, &state);
    cr_assert_eq(state.sent_again, 0, "connecting anew waits for acks that are due");
    cr_assert_eq(state.failures, 0);
    delivery_free(d);
    stop_collector(&c);
    check_in_order(&c, 2000);
    queue_look(&queue, &queued);
    cr_assert_eq(queued.delivered.chunks, 2000);
    cr_assert_eq(queued.waiting.chunks, 0);
    queue_free(&queue);
}

Test(forward_delivery, all_is_delivered_once_and_in_order) { deliver_all(1, 0); }

Test(forward_delivery, all_is_delivered_once_and_in_order_without_acks) { deliver_all(0, 0); }

Test(forward_delivery, reload_in_mid_stream_loses_and_doubles_nothing) { deliver_all(1, 20); }

Test(forward_delivery, it_ends_in_time_and_what_it_could_not_deliver_waits_in_its_order)
{
    static struct collector c;
    struct forward_arguments a;
    struct queue_state state;
    struct delivery *d;
    struct queue queue;
    uint64_t before;

    start_collector(&c, 1);
    a = arguments_for(&c, 1);
    queue_init(&queue, 16 << 20);
    for (uint32_t i = 0; i < 20; i++)
        add_chunk(&queue, i);
    cr_assert_eq(delivery_start(&a, &queue, new_keys(&a), &d), 0);
    before = now_ns();
    delivery_finish(d, now_ns() + SECOND / 5);
    delivery_free(d);
    cr_assert_lt(now_ns() - before, 30 * SECOND, "long before the timeout of an ack");
    queue_look(&queue, &state);
    cr_assert_eq(state.waiting.chunks, 20);
    for (uint32_t i = 0; i < 20; i++) {
        struct chunk *chunk = queue_take(&queue);
        uint32_t number;

        memcpy(&number, chunk->message, sizeof(number));
        cr_assert_eq(number, i);
        queue_done(&queue, chunk);
    }
    queue_free(&queue);
    stop_collector(&c);
}

Test(forward_delivery, with_nothing_to_deliver_it_ends_at_once)
{
    static const struct endpoint nowhere = { .text = "unix:/nowhere", .path = "/nowhere/at/all" };
    struct forward_arguments a = { .endpoint_count = 1, .endpoints = { nowhere }, .ack = 1, .timeout_ms = 60000 };
    struct delivery *d;
    struct queue queue;

    queue_init(&queue, 1 << 20);
    cr_assert_eq(delivery_start(&a, &queue, new_keys(&a), &d), 0);
    delivery_finish(d, UINT64_MAX);
    cr_assert(has_ended(d));
    delivery_free(d);
    queue_free(&queue);
}

/* ---- reconnecting ---- */

Test(forward_delivery, back_off_grows_to_half_a_minute_and_is_by_chance)
{
    static const uint64_t most_ms[] = { 500, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };

    for (unsigned rounds = 0; rounds < sizeof(most_ms) / sizeof(most_ms[0]); rounds++) {
        uint64_t least = UINT64_MAX, most = 0;

        for (int i = 0; i < 2000; i++) {
            uint64_t ns = delivery_back_off_ns(rounds, 1000000);

            least = ns < least ? ns : least;
            most = ns > most ? ns : most;
        }
        cr_expect_lt(most, most_ms[rounds] * MS);
        cr_expect_gt(most, most_ms[rounds] * MS * 9 / 10, "%u: 1 of 10^91 that it is not", rounds);
        cr_expect_lt(least, most_ms[rounds] * MS / 10);
    }
    cr_expect_lt(delivery_back_off_ns(UINT32_MAX, 200), 200 * MS);
}

/* However fast the machine is: without a wait there would be thousands of attempts. */
Test(forward_delivery, collector_that_refuses_is_not_asked_all_the_time)
{
    static const struct endpoint nowhere = { .text = "unix:/nowhere", .path = "/nowhere/at/all" };
    struct forward_arguments a = { .endpoint_count = 1, .endpoints = { nowhere }, .ack = 1, .timeout_ms = 60000 };
    struct delivery_state state = { 0 };
    struct delivery *d;
    struct queue queue;
    uint64_t until = now_ns() + 2 * SECOND;

    queue_init(&queue, 1 << 20);
    add_chunk(&queue, 1);
    cr_assert_eq(delivery_start(&a, &queue, new_keys(&a), &d), 0);
    while (now_ns() < until || state.failures < 2) {
        usleep(10000);
        delivery_look(d, &state);
    }
    cr_expect_lt(state.failures, 200U);
    delivery_finish(d, now_ns());
    delivery_free(d);
    queue_free(&queue);
}

/* ---- connections ---- */

static struct sockaddr_in listen_on_loopback(int *listener, char port[8])
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(a);

    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(*listener, (struct sockaddr *)&a, size), 0);
    cr_assert_eq(listen(*listener, 8), 0);
    cr_assert_eq(getsockname(*listener, (struct sockaddr *)&a, &size), 0);
    snprintf(port, 8, "%u", ntohs(a.sin_port));
    return a;
}

/* Our end of the connection to that address. */
static int connected_to(const struct sockaddr_in *address)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in peer;
        socklen_t size = sizeof(peer);

        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && size == sizeof(peer) &&
            peer.sin_family == AF_INET && peer.sin_port == address->sin_port)
            return fd;
    }
    cr_assert_fail("there is no connection");
    return -1;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof(value);

    cr_assert_eq(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

/* Without acks nothing else tells of a host that is gone without a word. */
Test(forward_link, host_that_is_gone_is_noticed_by_what_was_sent_and_by_silence)
{
    char port[8], host[] = "127.0.0.1", why[LINK_WHY];
    struct endpoint endpoint = { .text = "127.0.0.1", .host = host, .port = port };
    struct forward_arguments a = { .endpoint_count = 1, .timeout_ms = 7000, .self_host = "test" };
    struct resolver resolver = { 0 };
    struct keys *keys = new_keys(&a);
    struct sockaddr_in address;
    struct link *link;
    struct waiter w;
    int listener, fd;

    address = listen_on_loopback(&listener, port);
    cr_assert_eq(waiter_init(&w), 0);
    cr_assert_eq(link_open(&a, &endpoint, keys, &resolver, &w, &link, why), 0, "%s", why);
    fd = connected_to(&address);
    cr_expect_eq(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 7000, "what was sent, and goes nowhere: --timeout");
    cr_expect_eq(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    cr_expect_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60, "silence: a minute, and 20 s for each of three probes");
    cr_expect_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), 20);
    cr_expect_eq(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    cr_expect_eq(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    link_close(link);
    waiter_free(&w);
    keys_free(keys);
    close(listener);
}

/* ---- waiting ---- */

Test(forward_waiter, waits_no_longer_than_its_deadline_wakes_and_ends)
{
    struct waiter w;
    uint64_t before = now_ns();
    int ready = eventfd(1, EFD_CLOEXEC);

    cr_assert_eq(waiter_init(&w), 0);
    cr_assert_eq(waiter_wait(&w, -1, 0, before + 50 * MS), -ETIMEDOUT);
    cr_assert_geq(now_ns(), before + 50 * MS);
    cr_assert_eq(waiter_wait(&w, ready, POLLIN, now_ns() + LONG_NS), 0);
    cr_assert_eq(waiter_wait_or_wake(&w, ready, POLLIN, now_ns() + LONG_NS), 1);
    cr_assert_eq(waiter_wait(&w, ready, POLLIN, before), -ETIMEDOUT, "a deadline that is past is, whatever is ready");
    waiter_wake(&w);
    cr_assert_eq(waiter_wait_or_wake(&w, -1, 0, now_ns() + LONG_NS), 0);
    waiter_end(&w, 0);
    cr_assert_eq(waiter_wait(&w, -1, 0, now_ns() + LONG_NS), -ECANCELED);
    waiter_free(&w);
    close(ready);
}

/* ---- names ---- */

static int gate = -1; /* an eventfd: look-ups wait for it */
static int lookups;   /* atomic */

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret);
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
    eventfd_t count;

    __atomic_add_fetch(&lookups, 1, __ATOMIC_RELAXED);
    if (gate >= 0)
        eventfd_read(gate, &count);
    return __real_getaddrinfo(host, port, hints, ret);
}

Test(forward_resolve, name_server_that_does_not_answer_is_not_waited_for)
{
    struct resolver resolver = { 0 };
    struct addrinfo *found;
    struct waiter w;
    const char *why;

    gate = eventfd(0, EFD_CLOEXEC);
    cr_assert_eq(waiter_init(&w), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(resolve(&resolver, "127.0.0.1", "24224", now_ns() + 20 * MS, &w, &found, &why), -ETIMEDOUT);
    eventfd_write(gate, 1);
    cr_assert_eq(resolve(&resolver, "127.0.0.1", "24224", now_ns() + LONG_NS, &w, &found, &why), 0);
    cr_assert_eq(__atomic_load_n(&lookups, __ATOMIC_RELAXED), 1, "there is never more than one at a time");
    freeaddrinfo(found);
    cr_assert_null(resolver.running);
    waiter_free(&w);
}

Test(forward_resolve, look_up_that_is_left_alone_ends_by_itself)
{
    struct resolver resolver = { 0 };
    struct addrinfo *found;
    struct waiter w;
    const char *why;
    int before = test_descriptors();

    gate = eventfd(0, EFD_CLOEXEC);
    cr_assert_eq(waiter_init(&w), 0);
    cr_assert_eq(resolve(&resolver, "127.0.0.1", "24224", now_ns() + 20 * MS, &w, &found, &why), -ETIMEDOUT);
    resolver_free(&resolver);
    waiter_free(&w);
    eventfd_write(gate, 1);
    for (uint64_t end = now_ns() + LONG_NS; test_descriptors() > before + 1 && now_ns() < end;)
        usleep(1000);
    cr_assert_eq(test_descriptors(), before + 1, "the gate alone is open");
}

Test(forward_resolve, name_that_is_none_says_so)
{
    struct resolver resolver = { 0 };
    struct addrinfo *found;
    const char *why = NULL;
    struct waiter w;

    cr_assert_eq(waiter_init(&w), 0);
    cr_assert_eq(resolve(&resolver, "not a name", "24224", now_ns() + LONG_NS, &w, &found, &why), 1);
    cr_assert_not_null(why);
    waiter_free(&w);
}

/* ---- speaking ---- */

Test(forward_spoken, many_lines_at_once_are_few)
{
    struct spoken s = { .at_once = 3, .interval_ns = 10 * SECOND };
    uint64_t now = 1000 * SECOND;
    int said = 0;

    for (int i = 0; i < 100; i++)
        said += spoken_may(&s, now);
    cr_assert_eq(said, 3);
    for (int i = 0; i < 1000; i++)
        said += spoken_may(&s, now + (uint64_t)i * SECOND);
    cr_assert_eq(said, 3 + 99, "then one each 10 s");
    cr_assert(spoken_may(&s, now + 2000 * SECOND));
    cr_assert(spoken_may(&s, now + 2000 * SECOND));
    cr_assert(spoken_may(&s, now + 2000 * SECOND));
    cr_assert_not(spoken_may(&s, now + 2000 * SECOND));
}
