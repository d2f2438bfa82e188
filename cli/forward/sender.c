/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/channel.h"
#include "cli/forward/delivery.h"
#include "cli/forward/forward.h"
#include "cli/forward/keys.h"
#include "cli/forward/queue.h"
#include "cli/forward/spoken.h"
#include "cli/forward/status.h"
#include "cli/forward/tag.h"
#include "cli/gzip.h"
#include "cli/message.h"
#include "cli/service.h"
#include "shm/clock.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define CHANNEL_MS 10000   /* a message that has begun is there in that time */
#define STOP_MS 5000U      /* to deliver what waits when told to stop; a timeout, where that is shorter */
#define PATIENCE_MS 10000U /* without progress when there will be no more; three timeouts, where that is longer */
#define RECORD_NS (60 * SECOND)
#define DROPS_NS (60 * SECOND) /* between lines about a queue that stays full */

struct sender {
    const struct forward_arguments *a;
    int channel;
    int signals;
    bool closed;  /* nothing more is taken from the channel */
    bool counted; /* because all samples were taken */
    bool broken;  /* because of the reader */
    bool ready;
    uint64_t seq;
    uint64_t record_ns; /* when the next record about us is due; 0: after the first sample */
    uint64_t progress_ns;
    uint64_t delivered; /* when that was */
    uint64_t dropped_said;
    struct queue queue;
    struct delivery *delivery;
    struct gzip *gzip;
    struct vmt_buffer in;
    struct vmt_buffer message;
    struct status status;
    struct spoken spoken;
    char text[STATUS_TEXT];
};

/* ---- into the queue ---- */

static void enqueue(struct sender *s, const struct entries *entries)
{
    char id[CHUNK_ID_SIZE] = "";
    struct chunk *chunk = NULL;

    vmt_buffer_clear(&s->message);
    if ((!s->a->ack || chunk_id_make(id) == 0) && forward1_message(entries, id, s->gzip, &s->message) == 0)
        chunk = chunk_new(s->message.data, s->message.size, entries->count, id);
    if (!chunk) {
        queue_lose(&s->queue, entries->count, entries->size);
        return;
    }
    queue_add(&s->queue, chunk);
    delivery_wake(s->delivery);
}

static void look(struct sender *s)
{
    delivery_look(s->delivery, &s->status.delivery);
    queue_look(&s->queue, &s->status.queue);
}

static void enqueue_own(struct sender *s)
{
    struct vmt_buffer entry = { 0 };

    look(s);
    if (status_entry(&s->status, ++s->seq, &entry) == 0)
        enqueue(s, &(struct entries){ STATUS_TAG, strlen(STATUS_TAG), entry.data, entry.size, 1 });
    vmt_buffer_free(&entry);
    s->record_ns = shm_now_ns() + RECORD_NS;
}

/* ---- the channel ---- */

/* The reader may have been taken over: what it says is held against what was agreed. */
static bool read_chunk(const struct vmt_buffer *in, struct entries *ret)
{
    struct chunk_head head;

    if (in->size < sizeof(head))
        return false;
    memcpy(&head, in->data, sizeof(head));
    if (head.tag_size == 0 || head.tag_size >= TAG_SIZE || head.tag_size >= in->size - sizeof(head))
        return false;
    *ret = (struct entries){ .tag = in->data + sizeof(head),
                             .tag_size = head.tag_size,
                             .data = in->data + sizeof(head) + head.tag_size,
                             .size = in->size - sizeof(head) - head.tag_size,
                             .count = head.entries };
    for (size_t i = 0; i < ret->tag_size; i++)
        if (ret->tag[i] <= ' ' || ret->tag[i] > '~')
            return false;
    return ret->count > 0 && ret->count <= ret->size && ret->size <= CHUNK_MOST;
}

static void begin_end(struct sender *s, uint64_t until_ns)
{
    bool first = !s->closed;

    s->closed = true;
    s->progress_ns = shm_now_ns();
    if (first && s->ready)
        enqueue_own(s);
    delivery_finish(s->delivery, until_ns);
}

static void stop(struct sender *s)
{
    uint32_t most_ms = s->a->timeout_ms < STOP_MS ? s->a->timeout_ms : STOP_MS;

    shutdown(s->channel, SHUT_RDWR); /* so that the reader ends */
    service_stopping("delivering what waits");
    begin_end(s, shm_now_ns() + most_ms * MS);
}

static void break_off(struct sender *s)
{
    s->broken = true;
    stop(s);
}

static void take_sample(struct sender *s)
{
    memcpy(&s->status.reader, s->in.data, sizeof(s->status.reader));
    if (s->record_ns == 0)
        s->record_ns = shm_now_ns() + RECORD_NS;
    if (!s->ready) {
        look(s);
        service_ready(status_text(&s->status, s->text, sizeof(s->text)));
    }
    s->ready = true;
}

static void take_message(struct sender *s)
{
    struct entries entries;
    char reason[256];
    uint32_t kind;
    int r = channel_receive(s->channel, &kind, &s->in, sizeof(struct chunk_head) + TAG_SIZE + CHUNK_MOST, CHANNEL_MS);

    if (r == 0 && kind == FORWARD_CHUNK && read_chunk(&s->in, &entries)) {
        enqueue(s, &entries);
    } else if (r == 0 && kind == FORWARD_SAMPLE && s->in.size == sizeof(s->status.reader)) {
        take_sample(s);
    } else if (r == 0 && kind == FORWARD_END) {
        s->counted = true;
        begin_end(s, UINT64_MAX);
    } else {
        if (r == -EPIPE)
            message_error("the process that reads segments has ended");
        else if (r < 0)
            message_error("the process that reads segments: %s", message_reason(r, reason, sizeof(reason)));
        else
            message_error("the process that reads segments sent what it should not");
        break_off(s);
    }
}

/* ---- signals ---- */

static void reload(struct sender *s)
{
    struct keys *keys;

    service_reloading();
    if (keys_load(s->a, &keys) == 0)
        delivery_reload(s->delivery, keys);
    else
        message_error("what was read before stays in use");
    look(s);
    service_ready(status_text(&s->status, s->text, sizeof(s->text)));
}

static void take_signal(struct sender *s, int signal)
{
    switch (signal) {
    case SIGTERM:
    case SIGINT:
        if (!s->closed || s->counted)
            stop(s);
        else /* again */
            delivery_finish(s->delivery, 0);
        s->counted = false;
        break;
    case SIGHUP:
        reload(s);
        break;
    case SIGUSR1:
        look(s);
        message_error("%s", status_text(&s->status, s->text, sizeof(s->text)));
        break;
    default: /* SIGCHLD: the channel says the same */
        break;
    }
}

/* ---- what is due ---- */

static void say_dropped(struct sender *s)
{
    const struct amount *dropped = &s->status.queue.dropped;
    char amount[128];

    if (dropped->chunks == s->dropped_said || !spoken_may(&s->spoken, shm_now_ns()))
        return;
    s->dropped_said = dropped->chunks;
    message_error("the queue is full: dropped %s so far; is the collector gone, or too slow? --queue makes it larger",
                  status_amount(dropped, amount, sizeof(amount)));
}

/* With --count: a collector that takes nothing is waited for, but not for ever. */
static void lose_patience(struct sender *s, uint64_t now)
{
    uint64_t most_ms = s->a->timeout_ms * UINT64_C(3);

    if (s->status.queue.delivered.chunks != s->delivered)
        s->progress_ns = now;
    s->delivered = s->status.queue.delivered.chunks;
    if (s->counted && now - s->progress_ns > (most_ms > PATIENCE_MS ? most_ms : PATIENCE_MS) * MS)
        delivery_finish(s->delivery, 0);
}

/* Whatever the thread waits for has a deadline; where it is past that, systemd is not told that all is well. */
static bool is_alive(const struct sender *s, uint64_t now)
{
    uint64_t alive = delivery_alive_ns(s->delivery);

    return alive >= now || now - alive < s->a->timeout_ms * MS + 60 * SECOND;
}

static void do_what_is_due(struct sender *s)
{
    uint64_t now = shm_now_ns();

    look(s);
    say_dropped(s);
    lose_patience(s, now);
    if (s->ready && !s->closed) {
        service_status(status_text(&s->status, s->text, sizeof(s->text)));
        if (now >= s->record_ns)
            enqueue_own(s);
    }
    if (is_alive(s, now))
        service_alive();
}

/* ---- all of it ---- */

static int wait_ms(void)
{
    int watchdog_ms = service_watchdog_ms();

    return watchdog_ms >= 0 && watchdog_ms < 1000 ? watchdog_ms : 1000;
}

static void run(struct sender *s)
{
    int tick_ms = wait_ms();
    uint64_t due_ns = 0;

    while (!s->status.delivery.ended) {
        struct pollfd fds[3] = { { .fd = s->signals, .events = POLLIN },
                                 { .fd = delivery_fd(s->delivery), .events = POLLIN },
                                 { .fd = s->closed ? -1 : s->channel, .events = POLLIN } };
        int signal;

        if (poll(fds, 3, tick_ms) < 0 && errno != EINTR)
            break;
        while ((signal = service_signal(s->signals)) != 0)
            take_signal(s, signal);
        if (fds[2].revents && !s->closed)
            take_message(s);
        if (fds[1].revents)
            delivery_look(s->delivery, &s->status.delivery);
        if (shm_now_ns() >= due_ns) {
            do_what_is_due(s);
            due_ns = shm_now_ns() + (uint64_t)tick_ms * MS;
        }
    }
}

static int finish(struct sender *s)
{
    const struct queue_state *queue = &s->status.queue;
    char amount[128];
    int status = s->broken;

    delivery_finish(s->delivery, 0);
    delivery_free(s->delivery);
    queue_look(&s->queue, &s->status.queue);
    if (queue->waiting.chunks > 0) {
        message_error("lost what could not be delivered any more: %s",
                      status_amount(&queue->waiting, amount, sizeof(amount)));
        status = 1;
    }
    if (queue->dropped.chunks > 0)
        message_error("dropped in all: %s", status_amount(&queue->dropped, amount, sizeof(amount)));
    if (s->a->count > 0 &&
        (queue->dropped.chunks > 0 || s->status.reader.records_not_handed > 0 || s->status.reader.records_left_out > 0))
        status = 1;
    return status;
}

static int start(struct sender *s)
{
    char reason[256];
    struct keys *keys;
    int r;

    if (keys_load(s->a, &keys) < 0)
        return 1;
    r = chunk_id_make(s->status.sender);
    if (r == 0 && s->a->gzip)
        r = gzip_new(&s->gzip);
    if (r == 0)
        r = delivery_start(s->a, &s->queue, keys, &s->delivery);
    else
        keys_free(keys);
    if (r < 0)
        message_error("the thread that delivers: %s", message_reason(r, reason, sizeof(reason)));
    return r < 0;
}

int forward_sender(const struct forward_arguments *a, int channel, int signals)
{
    struct sender s = { .a = a,
                        .channel = channel,
                        .signals = signals,
                        .status = { .a = a },
                        .spoken = { .at_once = 1, .interval_ns = DROPS_NS } };
    int status;

    mallopt(M_MMAP_THRESHOLD, FORWARD_OWN_MEMORY);
    queue_init(&s.queue, a->queue_bytes);
    status = start(&s);
    if (status == 0) {
        run(&s);
        status = finish(&s);
    }
    queue_free(&s.queue);
    gzip_free(s.gzip);
    vmt_buffer_free(&s.in);
    vmt_buffer_free(&s.message);
    return status;
}
