/* SPDX-License-Identifier: MIT */
/* How much memory clients of vmtally serve can take that read slowly: with a real server, and a reader of large scrapes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "cli/channel.h"
#include "cli/serve/http.h"
#include "cli/serve/serve.h"

#define BODY_BYTES ((size_t)72 << 20) /* four are within SERVE_HELD_MOST */
#define FIT (SERVE_HELD_MOST / BODY_BYTES)
#define CLIENTS 8
#define LONG_MS 60000

struct setup {
    int channel[2];
    pthread_t reader;
    uint64_t refused; /* as the server said at the last scrape; atomic */
    struct scrape *scrape;
    struct address address;
    int wake_fd;
    struct http *http;
};

static void *read_large(void *arg)
{
    struct setup *s = arg;
    struct vmt_buffer message = { 0 };
    struct serve_request request;
    char *text = calloc(1, BODY_BYTES);
    uint32_t kind;

    while (channel_receive(s->channel[1], &kind, &message, sizeof(request), -1) == 0 && kind == SERVE_SCRAPE) {
        memcpy(&request, message.data, sizeof(request));
        __atomic_store_n(&s->refused, request.refused, __ATOMIC_RELAXED);
        if (channel_send(s->channel[1], SERVE_TEXT, text, BODY_BYTES, -1, NULL) < 0)
            break;
    }
    vmt_buffer_free(&message);
    free(text);
    return NULL;
}

static struct http *serve(struct setup *s)
{
    const struct http_options options = {
        .addresses = &s->address, .address_count = 1, .scrape = s->scrape, .wake_fd = s->wake_fd
    };
    struct tls tls = { 0 };
    struct http *http = NULL;

    cr_assert_eq(http_start(&options, NULL, &tls, &http), 0);
    return http;
}

static void begin(struct setup *s)
{
    *s = (struct setup){ .wake_fd = eventfd(0, EFD_NONBLOCK) };
    signal(SIGPIPE, SIG_IGN); /* as channel_start() does */
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->channel), 0);
    pthread_create(&s->reader, NULL, read_large, s);
    cr_assert_eq(scrape_start(s->channel[0], &s->scrape), 0);
    cr_assert_eq(address_open("127.0.0.1:0", &s->address), 0);
    s->http = serve(s);
}

static void end(struct setup *s)
{
    scrape_stop(s->scrape);
    http_stop(s->http);
    cr_expect_leq(bodies_held(scrape_bodies(s->scrape)), BODY_BYTES, "the last answer's alone");
    scrape_free(s->scrape);
    close(s->channel[0]);
    pthread_join(s->reader, NULL);
    close(s->channel[1]);
    address_close(&s->address);
    close(s->wake_fd);
}

/* Ask for what is not shared with anybody, and take the first bytes alone. */
static int ask(const struct setup *s)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const struct timespec later = { .tv_nsec = SERVE_SHARE_NS + 50000000 };
    const struct timeval patience = { .tv_sec = LONG_MS / 1000 };
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    char status[12];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    nanosleep(&later, NULL);
    cr_assert_eq(getsockname(s->address.fd, (struct sockaddr *)&address, &size), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(send(fd, request, sizeof(request) - 1, 0), (ssize_t)sizeof(request) - 1);
    cr_assert_eq(recv(fd, status, sizeof(status), MSG_WAITALL), (ssize_t)sizeof(status));
    cr_assert_eq(memcmp(status, "HTTP/1.1 200", sizeof(status)), 0, "%.12s", status);
    return fd;
}

/* Whether it gets all of what it asked for, now that it takes it. */
static int takes_all(int fd)
{
    char *buf = malloc(1 << 20);
    size_t got = 0;
    ssize_t n;

    while (got < BODY_BYTES && (n = recv(fd, buf, 1 << 20, 0)) > 0)
        got += (size_t)n;
    free(buf);
    close(fd);
    return got >= BODY_BYTES;
}

Test(serve_memory, slow_clients_hold_no_more_than_is_allowed)
{
    struct setup s;
    int fds[CLIENTS];

    begin(&s);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = ask(&s);
        cr_expect_leq(bodies_held(scrape_bodies(s.scrape)), SERVE_HELD_MOST + BODY_BYTES, "%zu", i);
        cr_expect_geq(bodies_held(scrape_bodies(s.scrape)), (i < FIT ? i + 1 : FIT) * BODY_BYTES, "%zu", i);
    }
    cr_expect_eq(__atomic_load_n(&s.refused, __ATOMIC_RELAXED), CLIENTS - FIT - 1);
    for (size_t i = 0; i < CLIENTS; i++)
        cr_expect_eq(takes_all(fds[i]), i >= CLIENTS - FIT - 1, "%zu: the oldest are ended, the others are not", i);
    end(&s);
}

Test(serve_memory, clients_of_before_a_reload_make_room_too)
{
    struct setup s;
    struct http *before;
    int fds[FIT + 2];

    begin(&s);
    for (size_t i = 0; i < FIT + 1; i++)
        fds[i] = ask(&s);
    before = s.http;
    http_quiesce(before);
    s.http = serve(&s);
    fds[FIT + 1] = ask(&s);
    cr_expect_leq(bodies_held(scrape_bodies(s.scrape)), SERVE_HELD_MOST + BODY_BYTES);
    cr_expect_not(takes_all(fds[0]));
    for (size_t i = 1; i < FIT + 2; i++)
        cr_expect(takes_all(fds[i]), "%zu", i);
    http_stop(before);
    end(&s);
}

static size_t shed_nobody(void *arg, uint64_t body)
{
    *(uint64_t *)arg = body;
    return 0;
}

Test(serve_memory, no_more_is_asked_for_where_nobody_goes)
{
    struct setup s;
    struct body *bodies[FIT + 2] = { NULL };
    uint64_t asked = 0;
    struct body_sender sender = { .shed = shed_nobody, .arg = &asked };
    const struct timespec later = { .tv_nsec = SERVE_SHARE_NS + 50000000 };

    begin(&s);
    bodies_join(scrape_bodies(s.scrape), &sender);
    for (size_t i = 0; i < FIT + 1; i++) {
        cr_assert_eq(scrape_get(s.scrape, VMT_PROMETHEUS, 0, LONG_MS, &bodies[i]), 0);
        nanosleep(&later, NULL);
    }
    cr_expect_eq(asked, 0);
    cr_expect_eq(scrape_get(s.scrape, VMT_PROMETHEUS, 0, LONG_MS, &bodies[FIT + 1]), -ENOBUFS);
    cr_expect_eq(asked, bodies[0]->number + 1, "the oldest is to go");
    body_unref(bodies[0]);
    cr_expect_eq(scrape_get(s.scrape, VMT_PROMETHEUS, 0, LONG_MS, &bodies[FIT + 1]), 0, "then there is room");
    for (size_t i = 1; i < FIT + 2; i++)
        body_unref(bodies[i]);
    bodies_leave(scrape_bodies(s.scrape), &sender);
    end(&s);
}
