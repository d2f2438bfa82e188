/* SPDX-License-Identifier: MIT */
/* The writer of vmtally stream: takes parts from the reader, and signals from whoever started it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "../channel.h"
#include "../message.h"
#include "../service.h"
#include "shm/clock.h"
#include "sink.h"
#include "stream.h"

#define PART_MS 10000           /* of receiving one message of the reader's, who is next door */
#define BEAT_NS 10000000000U    /* that parts of one beat may wait at most, all together */
#define LEAVE_NS 1000000000U    /* that who was told to end goes on waiting */
#define FOREVER_NS (UINT64_MAX) /* as the other commands wait for whoever reads standard output */

struct writer {
    const struct stream_arguments *a;
    int channel;
    int signals;
    struct sink sink;
    struct vmt_buffer message;
    uint64_t until_ns; /* parts of this beat wait until then */
    uint64_t parts;
    uint64_t missed;
    bool now;      /* SIGUSR1 came, and the reader was not told yet */
    bool now_told; /* it was told, and has not begun another beat since */
    bool reopen;   /* SIGHUP came */
    bool stop;     /* SIGTERM or SIGINT came */
    bool stop_told;
    bool leave; /* it came again */
    bool ended; /* the reader has said that that was all */
};

static void take_signals(struct writer *w)
{
    for (int signal; (signal = service_signal(w->signals)) != 0;) {
        switch (signal) {
        case SIGUSR1:
            w->now = true;
            break;
        case SIGHUP: /* without a file it is the terminal that has gone */
            w->reopen |= w->a->output != NULL;
            w->stop |= !w->a->output && !w->a->stays;
            break;
        case SIGTERM:
        case SIGINT:
            w->leave |= w->stop;
            w->stop = true;
            break;
        default: /* SIGCHLD: the channel says more */
            break;
        }
    }
}

/* While a part waits for room: whether it shall go on. */
static bool woken(void *arg)
{
    struct writer *w = arg;
    bool stopped = w->stop;

    take_signals(w);
    return w->stop == stopped && !w->leave;
}

static struct sink_patience patience(struct writer *w, uint64_t until_ns)
{
    return (struct sink_patience){ .until_ns = until_ns, .wake_fd = w->signals, .woken = woken, .arg = w };
}

static int tell(struct writer *w, uint32_t kind) { return channel_send(w->channel, kind, NULL, 0, PART_MS, NULL); }

/* What signals ask for, where no part is at hand. */
static int act(struct writer *w)
{
    int r = 0;

    if (w->reopen) {
        struct sink_patience none = patience(w, 0);

        sink_flush(&w->sink, &none);
        sink_reopen(&w->sink);
    }
    w->reopen = false;
    if (w->now && !w->now_told) {
        r = tell(w, STREAM_NOW);
        w->now_told = true;
        w->now = false;
    }
    if (w->stop && !w->stop_told && r == 0) {
        r = tell(w, STREAM_STOP);
        w->stop_told = true;
    }
    return r;
}

/* ---- messages ---- */

static int begin_beat(struct writer *w)
{
    const double half_ns = w->a->interval * 1e9 / 2;

    w->until_ns = shm_clock_ns(CLOCK_MONOTONIC) + (half_ns < BEAT_NS ? (uint64_t)half_ns : BEAT_NS);
    w->now_told = false;
    return tell(w, sink_begins(&w->sink) ? STREAM_ANEW : STREAM_READY);
}

static int write_part(struct writer *w)
{
    const struct sink_patience p = patience(w, w->until_ns);
    bool written = sink_put(&w->sink, w->message.data, w->message.size, &p);

    w->parts++;
    w->missed += !written;
    return tell(w, written ? STREAM_WRITTEN : STREAM_MISSED);
}

/* 0, or a negative errno. */
static int take_message(struct writer *w)
{
    uint32_t kind;
    int r = channel_receive(w->channel, &kind, &w->message, STREAM_PART_MAX, PART_MS);

    if (r < 0)
        return r;
    switch (kind) {
    case STREAM_BEAT:
        return begin_beat(w);
    case STREAM_PART:
        return write_part(w);
    case STREAM_END:
        w->ended = true;
        return 0;
    default:
        return -EBADMSG;
    }
}

/* ---- all of it ---- */

/* Until the reader ends, or nobody wants to have more. 0, or a negative errno. */
static int loop(struct writer *w)
{
    int r = act(w);

    while (r == 0 && !w->ended && !w->leave && !w->sink.gone) {
        struct pollfd p[] = { { .fd = w->channel, .events = POLLIN },
                              { .fd = w->signals, .events = POLLIN },
                              { .fd = w->sink.regular ? -1 : w->sink.fd, .events = sink_events(&w->sink) } };

        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return -errno;
        if (p[2].revents & POLLOUT) {
            struct sink_patience none = patience(w, 0);

            sink_flush(&w->sink, &none);
        } else if (p[2].revents) {
            sink_look(&w->sink, p[2].revents);
        }
        take_signals(w);
        r = act(w);
        if (r == 0 && p[0].revents)
            r = take_message(w);
    }
    return r;
}

/* What is left of a part goes out, if anybody takes it. Whether it did. */
static bool finish(struct writer *w)
{
    const uint64_t now = shm_clock_ns(CLOCK_MONOTONIC);
    const uint64_t until = w->leave ? 0 : w->stop ? now + LEAVE_NS : w->a->output ? now + BEAT_NS : FOREVER_NS;
    const struct sink_patience p = patience(w, until);

    if (w->sink.gone || sink_flush(&w->sink, &p))
        return true;
    if (w->sink.fd < 0) { /* who had its beginning has left */
        w->missed++;
        return true;
    }
    message_error("%s: the last sample is cut off: nobody took the rest of it",
                  w->a->output ? w->a->output : "standard output");
    return false;
}

static int say_end(const struct writer *w, int r)
{
    char reason[256];

    if (w->missed > 0 && !w->sink.gone)
        message_error("%s: %" PRIu64 " of %" PRIu64 " samples were missed: there was no room for them, or nobody to "
                      "take them",
                      w->a->output ? w->a->output : "standard output", w->missed, w->parts);
    if (r == -EPIPE) /* its end says more */
        return 1;
    if (r < 0)
        message_error("the process that reads segments: %s", message_reason(r, reason, sizeof(reason)));
    return r < 0 || w->sink.failed;
}

int stream_writer(const struct stream_arguments *a, int channel, int signals, bool *ended)
{
    struct writer w = { .a = a, .channel = channel, .signals = signals };
    int status = sink_open(&w.sink, a->output, !(a->format->flags & FORMAT_BINARY));
    int r;

    if (status == 0) {
        r = loop(&w);
        status = !finish(&w);
        status |= say_end(&w, r);
    }
    *ended = w.ended;
    sink_close(&w.sink);
    vmt_buffer_free(&w.message);
    return status;
}
