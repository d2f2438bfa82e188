/* SPDX-License-Identifier: MIT */
/* What vmtally serve asks its reader, and what those get who asked: with a reader that does as it is told. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <criterion/criterion.h>

#include "cli/channel.h"
#include "cli/serve/scrape.h"
#include "cli/serve/serve.h"

#define LONG_MS 60000

/* ---- time ---- */

static uint64_t skipped_ns;    /* by which clocks are ahead; atomic */
static uint64_t deflate_takes; /* so much longer */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = __real_clock_gettime(clock, t);

    t->tv_sec += (time_t)(__atomic_load_n(&skipped_ns, __ATOMIC_RELAXED) / 1000000000U);
    return r;
}

static void skip_s(uint64_t s) { __atomic_add_fetch(&skipped_ns, s * 1000000000U, __ATOMIC_RELAXED); }

int __real_deflate(z_streamp z, int flush);
int __wrap_deflate(z_streamp z, int flush);
int __wrap_deflate(z_streamp z, int flush)
{
    skip_s(deflate_takes);
    return __real_deflate(z, flush);
}

/* ---- the reader ---- */

struct fake {
    int fd;
    uint32_t kind;           /* of its answers, but to SERVE_ALIVE */
    int error;               /* for SERVE_FAILED */
    int health;              /* 0, or the errno of its answers to SERVE_ALIVE */
    int mute;                /* it answers nothing; atomic */
    unsigned scrapes, again; /* that it was asked for */
    struct serve_request last;
    pthread_t thread;
    int server_fd;
    struct scrape *scrape;
};

static int answer(struct fake *f, uint32_t kind)
{
    char text[64];

    if (kind == SERVE_ALIVE && f->health)
        return channel_send(f->fd, SERVE_FAILED, &f->health, sizeof(f->health), -1, NULL);
    if (kind == SERVE_ALIVE)
        return channel_send(f->fd, SERVE_ALIVE, NULL, 0, -1, NULL);
    if (f->kind == SERVE_FAILED)
        return channel_send(f->fd, SERVE_FAILED, &f->error, sizeof(f->error), -1, NULL);
    snprintf(text, sizeof(text), "format %u, number %u\n", f->last.format, f->scrapes);
    return channel_send(f->fd, f->kind, text, strlen(text), -1, NULL);
}

static void *run(void *arg)
{
    struct fake *f = arg;
    struct vmt_buffer message = { 0 };
    uint32_t kind;

    while (channel_receive(f->fd, &kind, &message, sizeof(f->last), -1) == 0) {
        if (kind == SERVE_SCRAPE) {
            memcpy(&f->last, message.data, sizeof(f->last));
            f->scrapes++;
            f->again += f->last.again != 0;
        }
        while (__atomic_load_n(&f->mute, __ATOMIC_RELAXED))
            usleep(1000);
        if (answer(f, kind) < 0)
            break;
    }
    vmt_buffer_free(&message);
    close(f->fd);
    return NULL;
}

static void start(struct fake *f)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f->server_fd = fds[0];
    f->fd = fds[1];
    f->kind = f->kind ? f->kind : SERVE_TEXT;
    signal(SIGPIPE, SIG_IGN); /* as channel_start() does */
    pthread_create(&f->thread, NULL, run, f);
    cr_assert_eq(scrape_start(f->server_fd, &f->scrape), 0);
}

static size_t held(struct fake *f) { return bodies_held(scrape_bodies(f->scrape)); }

static void stop(struct fake *f)
{
    scrape_stop(f->scrape);
    cr_expect_eq(scrape_get(f->scrape, VMT_PROMETHEUS, 0, LONG_MS, &(struct body *){ NULL }), -ESHUTDOWN);
    cr_expect_eq(held(f) > 1000, 0);
    scrape_free(f->scrape);
    close(f->server_fd);
    pthread_join(f->thread, NULL);
}

/* Whether what there is to get is that text. */
static int gets(struct fake *f, enum vmt_metrics_format format, int gzip, const char *text)
{
    struct body *body = NULL;
    char buf[256];
    uLongf size = sizeof(buf);
    z_stream z = { 0 };
    int same;

    cr_assert_eq(scrape_get(f->scrape, format, gzip, LONG_MS, &body), 0);
    if (!gzip) {
        same = body->size == strlen(text) && !memcmp(body->data, text, body->size);
    } else {
        z.next_in = (Bytef *)body->data;
        z.avail_in = (uInt)body->size;
        z.next_out = (Bytef *)buf;
        z.avail_out = (uInt)size;
        cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
        cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
        same = z.total_out == strlen(text) && !memcmp(buf, text, z.total_out);
        inflateEnd(&z);
    }
    body_unref(body);
    return same;
}

/* ---- promises ---- */

Test(scrape, what_is_old_is_not_given_again)
{
    struct fake f = { 0 };

    start(&f);
    for (unsigned i = 1; i <= 5; i++) {
        char text[64];

        snprintf(text, sizeof(text), "format 1, number %u\n", i);
        cr_expect(gets(&f, VMT_PROMETHEUS, (int)i % 2, text), "%u", i);
        skip_s(1);
    }
    cr_expect_eq(f.again, 0);
    cr_expect_eq(f.last.scrapes, 5);
    stop(&f);
}

static void *get_text(void *arg)
{
    struct fake *f = arg;
    struct body *body = NULL;
    int r = scrape_get(f->scrape, VMT_OPENMETRICS, 0, LONG_MS, &body);

    body_unref(body);
    return (void *)(intptr_t)r;
}

Test(scrape, who_asks_while_it_is_asked_gets_the_same)
{
    struct fake f = { .mute = 1 };
    pthread_t threads[16];
    void *r;

    start(&f);
    for (size_t i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, get_text, &f);
    do { /* until all have asked; the count is theirs */
        scrape_poke(f.scrape);
        usleep(1000);
    } while (scrape_asked(f.scrape) < 16);
    __atomic_store_n(&f.mute, 0, __ATOMIC_RELAXED);
    for (size_t i = 0; i < 16; i++) {
        pthread_join(threads[i], &r);
        cr_expect_null(r);
    }
    cr_expect_eq(f.scrapes, 1);
    stop(&f);
}

Test(scrape, an_answer_that_took_long_is_given_all_the_same)
{
    struct fake f = { 0 };

    deflate_takes = 10;
    start(&f);
    for (unsigned i = 1; i <= 20; i++) {
        char text[64];

        snprintf(text, sizeof(text), "format 0, number %u\n", i);
        cr_expect(gets(&f, VMT_OPENMETRICS, 1, text));
        skip_s(1);
    }
    stop(&f);
}

Test(scrape, what_the_reader_could_not_do_is_passed_on)
{
    struct fake f = { .kind = SERVE_FAILED, .error = -EACCES };
    struct body *body = NULL;

    start(&f);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, i % 2, LONG_MS, &body), -EACCES);
    cr_expect_null(body);
    cr_expect_eq(f.again, 0, "there is nothing that could be written again");
    f.error = 7;
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, LONG_MS, &body), -EBADMSG, "no errno");
    stop(&f);
}

Test(scrape, health_is_what_the_reader_says_last)
{
    struct fake f = { .health = -EACCES };
    struct body *body = NULL;

    start(&f);
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), -EACCES);
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), -EACCES, "it is not asked again so soon, and the answer is the same");
    skip_s(1);
    f.health = 0;
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), 0);
    skip_s(1);
    f.health = 7;
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), -EBADMSG, "no errno");
    cr_assert_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, LONG_MS, &body), 0);
    body_unref(body);
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), 0, "a scrape says as much");
    skip_s(1);
    f.kind = SERVE_FAILED;
    f.error = -ENOTDIR;
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, LONG_MS, &body), -ENOTDIR);
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), -ENOTDIR);
    stop(&f);
}

Test(scrape, a_reader_that_does_not_answer_is_not_waited_for)
{
    struct fake f = { .mute = 1 };
    struct body *body = NULL;

    start(&f);
    cr_expect_eq(scrape_waiting_ns(f.scrape), 0);
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, 50, &body), -ETIMEDOUT);
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 1, 50, &body), -ETIMEDOUT);
    cr_expect_eq(scrape_alive(f.scrape, 50), -ETIMEDOUT);
    cr_expect_neq(scrape_waiting_ns(f.scrape), 0);
    __atomic_store_n(&f.mute, 0, __ATOMIC_RELAXED);
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), 0);
    skip_s(1);
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 1, LONG_MS, &body), 0);
    body_unref(body);
    stop(&f);
}

Test(scrape, a_reader_that_says_what_nobody_understands_is_none)
{
    struct fake f = { .kind = 77 };
    struct body *body = NULL;
    struct pollfd gone;

    start(&f);
    gone = (struct pollfd){ .fd = scrape_gone_fd(f.scrape), .events = POLLIN };
    cr_expect_eq(poll(&gone, 1, 0), 0);
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, LONG_MS, &body), -EPIPE);
    cr_expect_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, LONG_MS, &body), -EPIPE);
    cr_expect_eq(scrape_alive(f.scrape, LONG_MS), -EPIPE);
    cr_expect_eq(poll(&gone, 1, LONG_MS), 1);
    stop(&f);
}

Test(scrape, who_waits_is_told_of_the_end)
{
    struct fake f = { .mute = 1 };
    pthread_t thread;
    void *r;

    start(&f);
    pthread_create(&thread, NULL, get_text, &f);
    while (scrape_asked(f.scrape) < 1)
        usleep(1000);
    scrape_stop(f.scrape);
    pthread_join(thread, &r);
    cr_expect_eq((intptr_t)r, -ESHUTDOWN);
    __atomic_store_n(&f.mute, 0, __ATOMIC_RELAXED);
    scrape_free(f.scrape);
    close(f.server_fd);
    pthread_join(f.thread, NULL);
}

Test(scrape, what_nobody_wants_is_not_kept)
{
    struct fake f = { 0 };
    struct body *body = NULL;

    start(&f);
    cr_assert_eq(scrape_get(f.scrape, VMT_PROMETHEUS, 0, LONG_MS, &body), 0);
    skip_s(1);
    for (int i = 0; i < LONG_MS && held(&f) > body->size; i++)
        usleep(1000);
    cr_expect_eq(held(&f), body->size, "it is still somebody's");
    body_unref(body);
    for (int i = 0; i < LONG_MS && held(&f) > 0; i++)
        usleep(1000);
    cr_expect_eq(held(&f), 0);
    stop(&f);
}
