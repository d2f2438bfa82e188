/* SPDX-License-Identifier: MIT */
/* vmtally serve without its sockets: what clients prefer, who may, and for how long. */
#include <arpa/inet.h>
#include <crypt.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "cli/serve/address.h"
#include "cli/serve/auth.h"
#include "cli/serve/clients.h"
#include "cli/serve/negotiate.h"

/* ---- what clients prefer ---- */

static enum vmt_metrics_format format_of(const char *accept)
{
    struct negotiation n;

    negotiate_begin(&n);
    if (accept)
        negotiate_accept(&n, accept);
    return negotiate_format(&n);
}

static int gzip_of(const char *accept)
{
    struct negotiation n;

    negotiate_begin(&n);
    if (accept)
        negotiate_accept_encoding(&n, accept);
    return negotiate_gzip(&n);
}

Test(serve, format_is_what_the_client_likes_best)
{
    static const struct {
        const char *accept;
        enum vmt_metrics_format format;
    } cases[] = {
        { NULL, VMT_PROMETHEUS },
        { "", VMT_PROMETHEUS },
        { "*/*", VMT_PROMETHEUS },
        { "text/*", VMT_PROMETHEUS },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", VMT_PROMETHEUS },
        { "application/json", VMT_PROMETHEUS },
        { "application/*", VMT_OPENMETRICS },
        { "application/openmetrics-text", VMT_OPENMETRICS },
        { "application/openmetrics-text;version=1.0.0", VMT_OPENMETRICS },
        { " application/OpenMetrics-text ; version = \"1.0.0\" ", VMT_OPENMETRICS },
        { "application/openmetrics-text;version=0.0.1", VMT_PROMETHEUS },
        { "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", VMT_PROMETHEUS },
        { "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", /* Prometheus 2 */
          VMT_OPENMETRICS },
        { "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
          "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
          "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", /* Prometheus 3 */
          VMT_OPENMETRICS },
        { "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
          "text/plain;version=0.0.4;q=0.3",
          VMT_PROMETHEUS },
        { "text/plain;q=0.9, application/openmetrics-text;q=0.8", VMT_PROMETHEUS },
        { "text/plain;q=0.8, application/openmetrics-text;q=0.9", VMT_OPENMETRICS },
        { "text/plain, application/openmetrics-text", VMT_OPENMETRICS },
        { "application/openmetrics-text;q=0, */*", VMT_PROMETHEUS },
        { "application/openmetrics-text;q=2", VMT_PROMETHEUS },
        { "application/openmetrics-text;q=", VMT_PROMETHEUS },
        { "application/openmetrics-text;q=nan, text/plain;q=0.1", VMT_PROMETHEUS },
        { ",,;;q=1,=,\"", VMT_PROMETHEUS },
        { "x;y=\",application/openmetrics-text,\"", VMT_PROMETHEUS },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(format_of(cases[i].accept), cases[i].format, "%s", cases[i].accept);
}

Test(serve, several_accept_headers_are_one_list)
{
    struct negotiation n;

    negotiate_begin(&n);
    negotiate_accept(&n, "text/plain;q=0.5");
    negotiate_accept(&n, "application/openmetrics-text;q=0.6");
    cr_expect_eq(negotiate_format(&n), VMT_OPENMETRICS);
}

Test(serve, an_element_that_is_too_long_is_none)
{
    char accept[4096];

    memset(accept, 'a', sizeof(accept));
    memcpy(accept, "application/openmetrics-text;x=", 31);
    accept[sizeof(accept) - 1] = '\0';
    cr_expect_eq(format_of(accept), VMT_PROMETHEUS);
    memcpy(accept + sizeof(accept) - 40, ",application/openmetrics-text;q=1", 34);
    cr_expect_eq(format_of(accept), VMT_OPENMETRICS);
}

Test(serve, gzip_only_where_it_is_accepted)
{
    static const struct {
        const char *accept;
        int gzip;
    } cases[] = {
        { NULL, 0 },
        { "gzip", 1 },
        { "x-gzip", 1 },
        { "GZIP;q=0.3", 1 },
        { "deflate, gzip;q=1.0, *;q=0.5", 1 },
        { "*", 1 },
        { "*;q=0", 0 },
        { "gzip;q=0, *", 0 },
        { "gzip;q=0.000", 0 },
        { "identity, gzip;q=0.5", 0 },
        { "identity;q=0.5, gzip", 1 },
        { "br, zstd", 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(gzip_of(cases[i].accept), cases[i].gzip, "%s", cases[i].accept);
}

/* ---- addresses ---- */

Test(serve, addresses_say_which_colon_is_before_the_port)
{
    static const char *const good[] = {
        "127.0.0.1:9959", "[::1]:0", ":9959", "localhost:65535", "unix:/run/x", "unix:x"
    };
    static const char *const bad[] = {
        "",     ":",       "9959",  "::1:9959", "[::1]", "a:b",    "a:-1",
        "a: 1", "a:65536", "unix:", "[::1]:",   "a:+9",  "a:0x10", "a:99999999999999999999"
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_expect(address_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(address_valid(bad[i]), "%s", bad[i]);
}

Test(serve, an_address_of_this_host_alone_is_known)
{
    static const struct {
        const char *text;
        int loopback;
    } cases[] = { { "127.0.0.1:0", 1 }, { "127.3.2.1:0", 1 }, { "0.0.0.0:0", 0 }, { ":0", 0 } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address a;

        cr_assert_eq(address_open(cases[i].text, &a), 0);
        cr_expect_eq(a.loopback, cases[i].loopback, "%s", cases[i].text);
        cr_expect_not(strstr(a.text, ":0"), "%s", a.text);
        address_close(&a);
    }
}

/* ---- who may ---- */

static int crypts;                                             /* calls of crypt_r() */
static pthread_mutex_t crypt_gate = PTHREAD_MUTEX_INITIALIZER; /* they wait for it */

char *__real_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
    __atomic_add_fetch(&crypts, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&crypt_gate);
    pthread_mutex_unlock(&crypt_gate);
    return __real_crypt_r(phrase, setting, data);
}

static int load(const char *text, struct auth **ret)
{
    int fd = memfd_create("users", MFD_CLOEXEC);
    char path[64];
    int r;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = auth_load(path, ret);
    close(fd);
    return r;
}

static struct auth *two_users(void)
{
    struct crypt_data data = { 0 };
    char text[1024];
    struct auth *auth = NULL;
    int n = snprintf(text, sizeof(text), "# who may\n\nrita:%s\r\n", crypt_r("secret", "$6$rounds=1000$salt$", &data));

    snprintf(text + n, sizeof(text) - (size_t)n, "otto:%s", crypt_r("other", "$2b$04$abcdefghijklmnopqrstuu", &data));
    cr_assert_eq(load(text, &auth), 0);
    return auth;
}

Test(serve, only_the_right_password_of_the_right_user_is_let_in)
{
    struct auth *auth = two_users();

    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_check(auth, "otto", "other"), 1);
    cr_expect_eq(auth_check(auth, "rita", "other"), 0);
    cr_expect_eq(auth_check(auth, "otto", "secret"), 0);
    cr_expect_eq(auth_check(auth, "rita", ""), 0);
    cr_expect_eq(auth_check(auth, "", ""), 0);
    cr_expect_eq(auth_check(auth, "nobody", "secret"), 0);
    cr_expect_eq(auth_check(auth, "# who may", ""), 0);
    auth_free(auth);
}

Test(serve, a_password_that_was_right_costs_no_hash_again)
{
    struct auth *auth = two_users();
    int before = crypts;

    for (int i = 0; i < 100; i++)
        cr_assert_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(crypts - before, 1);
    auth_free(auth);
}

Test(serve, what_is_wrong_costs_a_hash_whoever_it_is)
{
    struct auth *auth = two_users();
    int before = crypts;

    cr_expect_eq(auth_check(auth, "rita", "wrong"), 0);
    cr_expect_eq(crypts - before, 1);
    cr_expect_eq(auth_check(auth, "nobody", "wrong"), 0);
    cr_expect_eq(crypts - before, 2);
    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_check(auth, "rita", "wrong"), 0);
    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(crypts - before, 4, "what is wrong does not make it forget what is right");
    auth_free(auth);
}

Test(serve, a_password_that_was_right_is_known)
{
    struct auth *auth = two_users();

    cr_expect_eq(auth_known(auth, "rita", "secret"), 0, "not yet");
    cr_expect_eq(auth_check(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_known(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_known(auth, "rita", "other"), 0);
    cr_expect_eq(auth_known(auth, "otto", "secret"), 0);
    cr_expect_eq(auth_known(auth, "nobody", "secret"), 0);
    auth_free(auth);
}

Test(serve, a_password_that_was_right_is_known_after_a_reload)
{
    struct auth *before = two_users(), *auth = two_users();
    struct auth *other = NULL;

    cr_assert_eq(auth_check(before, "rita", "secret"), 1);
    auth_keep(auth, before);
    auth_free(before);
    cr_expect_eq(auth_known(auth, "rita", "secret"), 1);
    cr_expect_eq(auth_known(auth, "rita", "other"), 0);
    cr_expect_eq(auth_known(auth, "otto", "other"), 0, "nobody has shown that it is right");
    cr_expect_eq(auth_check(auth, "otto", "other"), 1);

    cr_assert_eq(load("rita:$2b$04$abcdefghijklmnopqrstuuGm3Bd0bGOMyY7ri1Qz0gpKJgKk7rJHm\n", &other), 0);
    auth_keep(other, auth);
    cr_expect_eq(auth_known(other, "rita", "secret"), 0, "the hash is another one");
    cr_expect_eq(auth_known(other, "otto", "other"), 0, "the user has gone");
    auth_free(auth);
    auth_free(other);
}

static void *check_wrong(void *auth) { return (void *)(intptr_t)auth_check(auth, "rita", "wrong"); }

Test(serve, who_waits_for_a_password_to_be_looked_at_waits_no_more_after_a_stop)
{
    struct auth *auth = two_users();
    int before = crypts;
    pthread_t threads[8];
    size_t wrong = 0, stopped = 0;
    void *result;

    pthread_mutex_lock(&crypt_gate);
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, check_wrong, auth);
    while (__atomic_load_n(&crypts, __ATOMIC_RELAXED) == before)
        usleep(1000);
    auth_stop(auth);
    pthread_mutex_unlock(&crypt_gate);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        wrong += result == NULL;
        stopped += (intptr_t)result == -ECANCELED;
    }
    cr_expect_eq(wrong, 1, "the one that was looked at");
    cr_expect_eq(stopped, 7);
    cr_expect_eq(crypts - before, 1);
    auth_free(auth);
}

static void *check_often(void *auth)
{
    long wrong = 0;

    for (int i = 0; i < 10; i++)
        wrong += auth_check(auth, "rita", "secret") != 1 || auth_check(auth, "rita", "wrong") != 0;
    return (void *)wrong;
}

Test(serve, many_threads_may_ask)
{
    struct auth *auth = two_users();
    pthread_t threads[8];
    void *wrong;

    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, check_often, auth);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], &wrong);
        cr_expect_null(wrong);
    }
    auth_free(auth);
}

Test(serve, a_file_of_users_that_is_wrong_lets_nobody_in)
{
    static const char hash[] = "$2b$04$abcdefghijklmnopqrstuuGm3Bd0bGOMyY7ri1Qz0gpKJgKk7rJHm";
    static const char *const bad[] = { "",        "# nobody\n",    "rita\n",      ":x\n",
                                       "rita:\n", "rita:secret\n", "rita:$9$x\n", "rita:*\n",
                                       "rita:!\n" };
    struct auth *auth = NULL;
    char text[4096];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_neq(load(bad[i], &auth), 0, "%s", bad[i]);
    snprintf(text, sizeof(text), "rita:%s\nrita:%s\n", hash, hash);
    cr_expect_neq(load(text, &auth), 0, "twice");
    snprintf(text, sizeof(text), "rita:%s:more\n", hash);
    cr_expect_neq(load(text, &auth), 0, "more");
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    cr_expect_neq(load(text, &auth), 0, "too long");
    cr_expect_neq(auth_load("/nonexistent/users", &auth), 0);
    cr_expect_null(auth);
}

/* ---- connections ---- */

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

Test(serve, one_host_has_half_of_the_connections_at_most)
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
Test(serve, who_asks_for_nothing_makes_room)
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

Test(serve, who_takes_too_long_is_ended)
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

Test(serve, who_is_sent_what_is_old_makes_room)
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

Test(serve, few_passwords_are_looked_at_at_a_time_and_fewer_of_one_host)
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
