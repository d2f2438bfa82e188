/* SPDX-License-Identifier: MIT */
#include "cli/serve/scrape.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/channel.h"
#include "cli/serve/serve.h"
#include "shm/clock.h"

#define FORMATS 2
#define ENCODINGS 2 /* as it is, gzip */
#define GZIP 1
#define ERRNO_MAX 4095
#define ROOM_NS 5000000000U /* for clients that were ended to be gone */
#define LOOK_NS 10000000U   /* how often that is looked at */

/* One format in one encoding. */
struct answer {
    int wanted;
    unsigned waiting; /* so many have asked, and have not taken it yet */
    unsigned owed;    /* of them, those who have asked before what is here was made */
    uint64_t number;  /* of answers so far: who waits sees it change */
    int error;        /* of the last one */
    struct body *body;
    uint64_t sampled_ns; /* of what body is of */
};

struct scrape {
    int channel;
    int gone_fd;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t asked; /* the thread waits for that */
    pthread_cond_t answered;
    int stopping;
    int error; /* of the channel: it is of no more use */
    struct answer answers[FORMATS][ENCODINGS];
    int alive_wanted;
    uint64_t heard;      /* how often the reader has answered */
    uint64_t heard_ns;   /* when it did */
    int health;          /* 0, or the negative errno for which it can't read VMs, as it said then */
    uint64_t since_ns;   /* it owes an answer since, 0: it does not */
    uint64_t sampled_ns; /* when it had taken its last sample; 0: there is none */
    struct bodies bodies;
    /* counts */
    uint64_t scrapes;
    uint64_t bytes;
    uint64_t refused;
    struct vmt_buffer buffer; /* the thread's alone */
};

/* ---- the thread: with the lock, but where it waits or computes ---- */

static int fresh(uint64_t sampled_ns)
{
    return sampled_ns && shm_clock_ns(CLOCK_MONOTONIC) - sampled_ns < SERVE_SHARE_NS;
}

/* What was asked for is there, or why it is not. Takes body over, which may be NULL. */
static void publish(struct scrape *s, struct answer *a, int error, struct body *body)
{
    body_unref(a->body);
    a->body = body;
    a->error = error;
    a->sampled_ns = s->sampled_ns;
    a->wanted = 0;
    a->owed = a->waiting;
    a->number++;
    pthread_cond_broadcast(&s->answered);
}

/* Ask the reader and wait for what it says, in buffer. 0, or why the channel is of no more use. */
static int ask(struct scrape *s, uint32_t kind, const void *data, size_t size, uint32_t *answer)
{
    int r;

    s->since_ns = shm_clock_ns(CLOCK_MONOTONIC);
    pthread_mutex_unlock(&s->lock);
    r = channel_send(s->channel, kind, data, size, -1, NULL);
    if (r == 0)
        r = channel_receive(s->channel, answer, &s->buffer, CHANNEL_MAX, -1);
    pthread_mutex_lock(&s->lock);
    s->since_ns = 0;
    if (r == 0) {
        s->heard++;
        s->heard_ns = shm_clock_ns(CLOCK_MONOTONIC);
    }
    return r;
}

/* Whether it says why it could not: in health then. */
static int has_failed(struct scrape *s, uint32_t kind)
{
    int failed = kind == SERVE_FAILED && s->buffer.size == sizeof(s->health);

    s->health = 0;
    if (failed) {
        memcpy(&s->health, s->buffer.data, sizeof(s->health));
        s->health = s->health < 0 && s->health >= -ERRNO_MAX ? s->health : -EBADMSG;
    }
    return failed;
}

static int ask_alive(struct scrape *s)
{
    uint32_t kind = 0;
    int r = ask(s, SERVE_ALIVE, NULL, 0, &kind);

    s->alive_wanted = 0;
    if (r == 0 && !has_failed(s, kind) && kind != SERVE_ALIVE)
        r = -EBADMSG;
    pthread_cond_broadcast(&s->answered);
    return r;
}

/* The text of a format. *error is what the reader says; the return is what ask() says. */
static int ask_text(struct scrape *s, size_t format, int *error, struct body **ret)
{
    struct serve_request request = { .format = (uint32_t)format,
                                     .again = (uint32_t)fresh(s->sampled_ns),
                                     .scrapes = s->scrapes,
                                     .bytes = s->bytes,
                                     .refused = s->refused };
    uint32_t kind = 0;
    int r = ask(s, SERVE_SCRAPE, &request, sizeof(request), &kind);

    if (r < 0)
        return r;
    if (has_failed(s, kind)) {
        *error = s->health;
        s->sampled_ns = 0;
        return 0;
    }
    if (kind != SERVE_TEXT)
        return -EBADMSG;
    if (!request.again)
        s->sampled_ns = shm_clock_ns(CLOCK_MONOTONIC);
    *ret = body_new(&s->bodies, s->buffer.data, s->buffer.size);
    s->buffer = (struct vmt_buffer){ 0 };
    *error = *ret ? 0 : -ENOMEM;
    return 0;
}

static struct timespec after(uint64_t ns)
{
    ns += shm_clock_ns(CLOCK_MONOTONIC);
    return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U) };
}

/* Nobody gets what is not fresh: no need to keep it; nor (all) what is, for that can be made again. Whether something is
 * kept. */
static int forget(struct scrape *s, int all)
{
    int kept = 0;

    for (size_t i = 0; i < FORMATS * ENCODINGS; i++) {
        struct answer *a = &s->answers[i / ENCODINGS][i % ENCODINGS];

        if (a->body && !a->owed && (all || !fresh(a->sampled_ns))) {
            body_unref(a->body);
            a->body = NULL;
        }
        kept |= a->body != NULL;
    }
    return kept;
}

/* What clients take their time for is memory. Before there is more of it those end that have not even taken the oldest. 0,
 * -ESHUTDOWN, or -ENOBUFS: it is not given back. */
static int make_room(struct scrape *s)
{
    const uint64_t begun_ns = shm_clock_ns(CLOCK_MONOTONIC);

    forget(s, 0);
    if (bodies_held(&s->bodies) > SERVE_HELD_MOST)
        forget(s, 1);
    while (bodies_held(&s->bodies) > SERVE_HELD_MOST) {
        const struct timespec until = after(LOOK_NS);

        if (s->stopping)
            return -ESHUTDOWN;
        if (shm_clock_ns(CLOCK_MONOTONIC) - begun_ns > ROOM_NS)
            return -ENOBUFS;
        s->refused += bodies_shed(&s->bodies, SERVE_HELD_MOST);
        pthread_cond_timedwait(&s->asked, &s->lock, &until);
    }
    return 0;
}

/* Make a format, for all who have asked for it by the time it is there. */
static int answer_format(struct scrape *s, size_t format)
{
    struct answer *plain = &s->answers[format][0];
    struct answer *packed = &s->answers[format][GZIP];
    struct body *body = NULL;
    int error = 0;
    int r = 0;

    if (!plain->body || !fresh(plain->sampled_ns)) {
        error = make_room(s);
        r = error < 0 ? 0 : ask_text(s, format, &error, &body);
        if (r < 0)
            return r;
        publish(s, plain, error, body);
    }
    if (!packed->wanted)
        return 0;
    body = NULL;
    error = plain->error;
    if (plain->body) {
        struct body *from = body_ref(plain->body);

        pthread_mutex_unlock(&s->lock);
        error = body_gzip(&s->bodies, from, &body);
        body_unref(from);
        pthread_mutex_lock(&s->lock);
    }
    publish(s, packed, error, body);
    return 0;
}

static int is_wanted(const struct scrape *s, size_t format)
{
    return s->answers[format][0].wanted || s->answers[format][GZIP].wanted;
}

static void wait_to_be_asked(struct scrape *s)
{
    const struct timespec until = after(SERVE_SHARE_NS);

    if (forget(s, 0))
        pthread_cond_timedwait(&s->asked, &s->lock, &until);
    else
        pthread_cond_wait(&s->asked, &s->lock);
}

static void end(struct scrape *s, int error)
{
    const uint64_t one = 1;

    s->error = error;
    pthread_cond_broadcast(&s->answered);
    if (write(s->gone_fd, &one, sizeof(one)) < 0)
        return; /* it can't be full */
}

static void *run(void *arg)
{
    struct scrape *s = arg;
    size_t turn = 0;
    int r = 0;

    pthread_mutex_lock(&s->lock);
    while (r == 0 && !s->stopping) {
        turn = (turn + 1) % FORMATS;
        if (is_wanted(s, turn))
            r = answer_format(s, turn);
        else if (is_wanted(s, (turn + 1) % FORMATS))
            continue;
        else if (s->alive_wanted)
            r = ask_alive(s);
        else
            wait_to_be_asked(s);
    }
    end(s, r < 0 ? r : -ESHUTDOWN);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life ---- */

static int start(struct scrape *s)
{
    pthread_condattr_t monotonic;
    int r;

    s->gone_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->gone_fd < 0)
        return -errno;
    bodies_begin(&s->bodies);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->answered, &monotonic);
    pthread_cond_init(&s->asked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r = pthread_create(&s->thread, NULL, run, s);
    if (r)
        close(s->gone_fd);
    return -r;
}

int scrape_start(int channel, struct scrape **ret)
{
    struct scrape *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->channel = channel;
    r = start(s);
    if (r < 0)
        free(s);
    else
        *ret = s;
    return r;
}

void scrape_stop(struct scrape *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = 1;
    pthread_cond_broadcast(&s->asked);
    pthread_cond_broadcast(&s->answered);
    pthread_mutex_unlock(&s->lock);
    shutdown(s->channel, SHUT_RDWR); /* an answer that it waits for does not come any more */
    pthread_join(s->thread, NULL);
}

void scrape_free(struct scrape *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < FORMATS; i++) {
        for (size_t k = 0; k < ENCODINGS; k++)
            body_unref(s->answers[i][k].body);
    }
    bodies_end(&s->bodies);
    vmt_buffer_free(&s->buffer);
    close(s->gone_fd);
    pthread_cond_destroy(&s->asked);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- those who ask ---- */

/* Until *number is another one than it was. 0 or a negative errno. */
static int wait_for(struct scrape *s, const uint64_t *number, int timeout_ms)
{
    const struct timespec until = after((uint64_t)timeout_ms * 1000000U);
    uint64_t before = *number;
    int r = 0;

    while (*number == before && r == 0) {
        if (s->stopping || s->error)
            return s->stopping ? -ESHUTDOWN : -EPIPE;
        r = pthread_cond_timedwait(&s->answered, &s->lock, &until);
    }
    return *number != before ? 0 : -r;
}

int scrape_get(struct scrape *s, enum vmt_metrics_format format, int gzip, int timeout_ms, struct body **ret)
{
    struct answer *a = &s->answers[format == VMT_PROMETHEUS][gzip ? GZIP : 0];
    int r = 0;

    pthread_mutex_lock(&s->lock);
    s->scrapes++;
    if (s->stopping || s->error || !a->body || !fresh(a->sampled_ns)) {
        a->wanted = 1;
        a->waiting++;
        pthread_cond_signal(&s->asked);
        r = wait_for(s, &a->number, timeout_ms);
        a->waiting--;
        a->owed -= r == 0;
        r = r == 0 ? a->error : r;
    }
    if (r == 0)
        *ret = body_ref(a->body);
    pthread_mutex_unlock(&s->lock);
    return r;
}

int scrape_alive(struct scrape *s, int timeout_ms)
{
    int r = 0;

    pthread_mutex_lock(&s->lock);
    if (s->stopping || s->error || !fresh(s->heard_ns)) {
        s->alive_wanted = 1;
        pthread_cond_signal(&s->asked);
        r = wait_for(s, &s->heard, timeout_ms);
    }
    r = r == 0 ? s->health : r;
    pthread_mutex_unlock(&s->lock);
    return r;
}

void scrape_poke(struct scrape *s)
{
    pthread_mutex_lock(&s->lock);
    s->alive_wanted = 1;
    pthread_cond_signal(&s->asked);
    pthread_mutex_unlock(&s->lock);
}

uint64_t scrape_waiting_ns(struct scrape *s)
{
    uint64_t ns;

    pthread_mutex_lock(&s->lock);
    ns = s->since_ns ? shm_clock_ns(CLOCK_MONOTONIC) - s->since_ns : 0;
    pthread_mutex_unlock(&s->lock);
    return ns;
}

uint64_t scrape_asked(struct scrape *s)
{
    uint64_t n;

    pthread_mutex_lock(&s->lock);
    n = s->scrapes;
    pthread_mutex_unlock(&s->lock);
    return n;
}

struct bodies *scrape_bodies(struct scrape *s) { return &s->bodies; }

int scrape_gone_fd(const struct scrape *s) { return s->gone_fd; }

void scrape_count_sent(struct scrape *s, size_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->bytes += bytes;
    pthread_mutex_unlock(&s->lock);
}

void scrape_count_refused(struct scrape *s, size_t count)
{
    pthread_mutex_lock(&s->lock);
    s->refused += count;
    pthread_mutex_unlock(&s->lock);
}
