/* SPDX-License-Identifier: MIT */
/* The connections of vmtally serve: how many there are of whom, and which makes room. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "cli/serve/clients.h"

static uint64_t skipped_ns; /* by which clocks are ahead */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = __real_clock_gettime(clock, t);

    t->tv_sec += (time_t)(skipped_ns / 1000000000U);
    return r;
}

static struct sockaddr_storage host(const char *text)
{
    struct sockaddr_storage s = { .ss_family = strchr(text, ':') ? AF_INET6 : AF_INET };
    void *to = s.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&s)->sin6_addr
                                       : (void *)&((struct sockaddr_in *)&s)->sin_addr;

    cr_assert_eq(inet_pton(s.ss_family, text, to), 1);
    return s;
}

static int ended(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* It comes, and asks for something. */
static struct client *asks(struct clients *c, const struct sockaddr *address)
{
    struct client *client = clients_add(c, -1, address);

    clients_busy(c, client);
    return client;
}

Test(serve_clients, one_host_has_half_of_the_connections_at_most)
{
    struct sockaddr_storage a = host("192.0.2.1"), b = host("192.0.2.2");
    struct sockaddr_storage v6 = host("2001:db8::1"), same = host("2001:db8::ffff:2"), other = host("2001:db8:0:1::1");
    struct sockaddr local = { .sa_family = AF_UNIX };
    struct clients *c;

    cr_assert_eq(clients_new(&c), 0);
    for (int i = 0; i < CLIENTS_OF_HOST; i++) {
        cr_assert_eq(clients_admit(c, (struct sockaddr *)&a), 1);
        cr_assert_not_null(asks(c, (struct sockaddr *)&a));
    }
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&a), 0);
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&b), 1);
    clients_free(c);

    cr_assert_eq(clients_new(&c), 0);
    for (int i = 0; i < CLIENTS_OF_HOST; i++)
        asks(c, (struct sockaddr *)&v6);
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&same), 0, "a host has a whole network of IPv6 addresses");
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&other), 1);
    for (int i = CLIENTS_OF_HOST; i < CLIENTS_MAX; i++) {
        cr_expect_eq(clients_admit(c, &local), 1);
        asks(c, &local);
    }
    cr_expect_eq(clients_admit(c, &local), 0, "all in all");
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&other), 0);
    clients_free(c);
}

/* Those that ask for nothing keep nobody out who does. */
Test(serve_clients, who_asks_for_nothing_makes_room)
{
    struct sockaddr_storage a = host("192.0.2.1"), b = host("192.0.2.2"), other = host("192.0.2.3");
    struct client *of_a[CLIENTS_OF_HOST];
    struct clients *c;
    int pair[3][2];

    cr_assert_eq(clients_new(&c), 0);
    for (size_t i = 0; i < CLIENTS_OF_HOST; i++) {
        if (i < 3)
            cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        of_a[i] = clients_add(c, i < 3 ? pair[i][0] : -1, (struct sockaddr *)&a);
    }
    clients_busy(c, of_a[0]);
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&a), 2, "of the same host");
    cr_expect(ended(pair[1][1]), "the oldest");
    cr_expect_not(ended(pair[0][1]), "it asks for something");
    cr_expect_not(ended(pair[2][1]));
    cr_assert_not_null(clients_add(c, -1, (struct sockaddr *)&a), "before the other one has gone");
    clients_remove(c, of_a[1]);

    asks(c, (struct sockaddr *)&other);
    for (size_t i = CLIENTS_OF_HOST + 1; i < CLIENTS_MAX; i++)
        cr_assert_not_null(clients_add(c, -1, (struct sockaddr *)&b));
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&other), 2, "all in all");
    cr_expect(ended(pair[2][1]), "of the host that has most");
    cr_assert_not_null(clients_add(c, -1, (struct sockaddr *)&other));

    while (clients_count(c).open < CLIENTS_SLOTS)
        cr_assert_not_null(clients_add(c, -1, (struct sockaddr *)&b));
    cr_expect_null(clients_add(c, -1, (struct sockaddr *)&b));
    cr_expect_eq(clients_admit(c, (struct sockaddr *)&other), 0, "until those that were ended have gone");
    clients_free(c);
    for (size_t i = 0; i < 3; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
}

Test(serve_clients, who_takes_too_long_is_ended)
{
    struct clients *c;
    struct client *slow, *idle, *busy;
    int pair[3][2];

    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
    cr_assert_eq(clients_new(&c), 0);
    slow = clients_add(c, pair[0][0], NULL);
    idle = clients_add(c, pair[1][0], NULL);
    busy = clients_add(c, pair[2][0], NULL);
    clients_busy(c, idle);
    clients_idle(c, idle);
    clients_busy(c, busy);
    cr_expect_eq(clients_count(c).busy, 2, "who has just come is about to ask");
    cr_expect_eq(clients_expire(c), 0);

    skipped_ns = 11000000000U;
    cr_expect_eq(clients_expire(c), 1, "no request in time");
    cr_expect(ended(pair[0][1]));
    cr_expect_not(ended(pair[1][1]));
    cr_expect_eq(clients_expire(c), 0, "once");
    skipped_ns = 61000000000U;
    cr_expect_eq(clients_expire(c), 1, "an answer that is not taken");
    cr_expect(ended(pair[2][1]));
    cr_expect_not(ended(pair[1][1]), "Prometheus comes once a minute");
    skipped_ns = 91000000000U;
    cr_expect_eq(clients_expire(c), 0, "who has nothing to ask is no nuisance");
    cr_expect(ended(pair[1][1]));

    cr_expect_eq(clients_count(c).open, 3);
    clients_remove(c, slow);
    clients_remove(c, idle);
    clients_remove(c, busy);
    cr_expect_eq(clients_count(c).open, 0);
    clients_free(c);
    for (size_t i = 0; i < 3; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
}

Test(serve_clients, who_is_sent_what_is_old_makes_room)
{
    struct clients *c;
    struct client *clients[3];
    int pair[3][2];

    cr_assert_eq(clients_new(&c), 0);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        clients[i] = clients_add(c, pair[i][0], NULL);
        clients_busy(c, clients[i]);
        clients_sending(c, clients[i], 5 + i);
    }
    clients_idle(c, clients[1]);
    cr_expect_eq(clients_shed(c, 7), 1);
    cr_expect(ended(pair[0][1]));
    cr_expect_not(ended(pair[1][1]), "it has taken all of it");
    cr_expect_not(ended(pair[2][1]));
    cr_expect_eq(clients_shed(c, 7), 0, "once");
    clients_free(c);
    for (size_t i = 0; i < 3; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
}

Test(serve_clients, few_passwords_are_looked_at_at_a_time_and_fewer_of_one_host)
{
    struct sockaddr_storage a = host("192.0.2.1"), b = host("192.0.2.2");
    struct client *of_a[CLIENTS_CHECKED], *of_b[CLIENTS_CHECKED], *local;
    struct clients *c;

    cr_assert_eq(clients_new(&c), 0);
    for (size_t i = 0; i < CLIENTS_CHECKED; i++) {
        of_a[i] = clients_add(c, -1, (struct sockaddr *)&a);
        of_b[i] = clients_add(c, -1, (struct sockaddr *)&b);
        clients_busy(c, of_a[i]);
        clients_busy(c, of_b[i]);
    }
    local = clients_add(c, -1, NULL);
    for (size_t i = 0; i < CLIENTS_CHECKED; i++)
        cr_expect_eq(clients_check(c, of_a[i]), i < CLIENTS_CHECKED_OF_HOST);
    cr_expect_eq(clients_check(c, of_b[0]), 1, "another host may");
    cr_expect_eq(clients_check(c, of_b[1]), 1);
    cr_expect_eq(clients_check(c, local), 0, "all in all");
    cr_expect_eq(clients_check(c, NULL), 0);
    clients_checked(c, of_a[0]);
    cr_expect_eq(clients_check(c, of_b[2]), 0);
    cr_expect_eq(clients_check(c, of_a[2]), 1);
    clients_remove(c, of_b[0]);
    cr_expect_eq(clients_check(c, local), 1, "who has gone waits for nothing");
    clients_free(c);
}
