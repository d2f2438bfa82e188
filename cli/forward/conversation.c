/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/forward/delivery_parts.h"
#include "shm/clock.h"

#define MS UINT64_C(1000000)
#define QUIET_MS 1000U   /* in which a collector that wants a shared key says so */
#define SETTLED_MS 1000U /* a connection that lives as long was no failure, though nothing came of it */

static uint64_t timeout_ns(const struct delivery *d) { return d->a->timeout_ms * MS; }

static enum outcome fail(struct delivery *d, const char *why)
{
    snprintf(d->why, sizeof(d->why), "%s", why);
    return FAILED;
}

/* After r of a function that has filled ->why. A collector that allows a chunk for each connection, without saying so
 * in a handshake, resets those on which more has come: it has acknowledged something, and so will the next
 * connection. */
static enum outcome outcome_of(const struct delivery *d, int r)
{
    if (r == -ECANCELED)
        return OVER;
    return (r == -ECONNRESET || r == -EPIPE) && d->a->ack && d->delivered > 0 ? AGAIN : FAILED;
}

/* ---- what the collector says ---- */

static void is_delivered(struct delivery *d, struct chunk *chunk)
{
    queue_done(d->queue, chunk);
    d->delivered++;
    delivery_went_well(d);
}

static bool acknowledge(struct delivery *d, struct text id)
{
    for (unsigned i = 0; i < d->sent_count; i++) {
        struct chunk *chunk = d->sent[i];

        if (!text_is(id, chunk->id))
            continue;
        d->sent_count--;
        memmove(d->sent + i, d->sent + i + 1, (d->sent_count - i) * sizeof(*d->sent));
        d->progress_ns = shm_now_ns();
        is_delivered(d, chunk);
        return true;
    }
    return false;
}

/* AGAIN: it is what it should be. */
static enum outcome hear_message(struct delivery *d, const unsigned char *message, size_t size)
{
    struct helo helo;
    struct text id;

    if (ack_read(message, size, &id) == 0) {
        if (acknowledge(d, id))
            return AGAIN;
        return fail(d, "it acknowledged a chunk that it was not sent");
    }
    if (!d->keys->credentials.shared_key && helo_read(message, size, &helo) == 0)
        return fail(d, "it asks for a shared key; give it with --shared-key-file");
    return fail(d, HEARD_OTHER);
}

static enum outcome fail_closed(struct delivery *d, const char *when)
{
    const char *perhaps = !d->a->tls      ? "does it want TLS?"
                        : !d->a->tls_cert ? "does it want a certificate (--tls-cert)?"
                                          : "look at its log";

    snprintf(d->why, sizeof(d->why), "it closed the connection %s; %s", when, perhaps);
    return FAILED;
}

/* The other end has closed: is that a failure? */
static enum outcome hear_end(struct delivery *d)
{
    if (d->inbox.size > 0)
        return fail(d, "it closed the connection in the middle of a message");
    if (d->sent_count > 0 && d->delivered == 0)
        return fail_closed(d, "before it acknowledged what was sent");
    if (d->delivered > 0 || shm_now_ns() - d->connected_ns > SETTLED_MS * MS)
        return AGAIN;
    return fail_closed(d, "at once");
}

/* All that has come: each message is an ack that was due, or the end. 0, or 1 where *ret says how it ends. */
static int hear(struct delivery *d, enum outcome *ret)
{
    const unsigned char *message;
    size_t size;
    int r, m;

    while ((r = inbox_fill(&d->inbox, d->link, d->why)) > 0) {
        while ((m = inbox_look(&d->inbox, &message, &size)) > 0) {
            *ret = hear_message(d, message, size);
            if (*ret != AGAIN)
                return 1;
            inbox_pass(&d->inbox);
        }
        if (m < 0) {
            *ret = fail(d, HEARD_OTHER);
            return 1;
        }
    }
    if (r == -EPIPE)
        *ret = hear_end(d);
    else if (r < 0)
        *ret = outcome_of(d, r);
    return r < 0;
}

enum outcome conversation_begin(struct delivery *d)
{
    uint64_t deadline_ns = shm_now_ns() + QUIET_MS * MS;
    enum outcome outcome;
    int r;

    do {
        if (hear(d, &outcome))
            return outcome;
        r = link_wait(d->link, deadline_ns);
    } while (r >= 0);
    return r == -ETIMEDOUT ? AGAIN : outcome_of(d, r);
}

/* ---- what it is sent ---- */

/* 0, or 1 where *ret says how it ends. */
static int send_chunk(struct delivery *d, struct chunk *chunk, enum outcome *ret)
{
    int r;

    if (chunk->sent)
        delivery_count_again(d);
    chunk->sent = 1;
    r = link_write(d->link, chunk->message, chunk->size, shm_now_ns() + timeout_ns(d), d->why);
    if (r < 0) {
        queue_return(d->queue, chunk);
        *ret = outcome_of(d, r);
        return 1;
    }
    d->written++;
    if (d->a->ack) {
        if (d->sent_count == 0)
            d->progress_ns = shm_now_ns();
        d->sent[d->sent_count++] = chunk;
    } else {
        is_delivered(d, chunk);
    }
    return 0;
}

/* Without acks it is all there is to know that what was sent has gone out. */
static enum outcome end_well(struct delivery *d)
{
    int r = d->a->ack || d->written == 0 ? 0 : link_finish(d->link, shm_now_ns() + timeout_ns(d));

    if (r == 0)
        return AGAIN;
    if (r == -ECANCELED)
        return OVER;
    return fail(d, "it did not take all that was sent; without acks what was lost of it is not known");
}

static enum outcome fail_wait(struct delivery *d, int r)
{
    char text[128];

    if (r == -ECANCELED)
        return OVER;
    if (r != -ETIMEDOUT)
        return fail(d, strerror_r(-r, text, sizeof(text)));
    snprintf(d->why, sizeof(d->why),
             "no ack came within %.3g s; is it overloaded, or does it give none (then --no-ack)? What it did not "
             "acknowledge is sent again",
             d->a->timeout_ms / 1000.0);
    return FAILED;
}

enum outcome conversation_run(struct delivery *d)
{
    enum outcome outcome;

    for (;;) {
        bool closing = delivery_is_reloading(d) || (!d->keepalive && d->written > 0);
        struct chunk *chunk;
        int r;

        if (hear(d, &outcome))
            return outcome;
        chunk = closing || d->sent_count == WINDOW ? NULL : queue_take(d->queue);
        if (chunk) {
            if (send_chunk(d, chunk, &outcome))
                return outcome;
            continue;
        }
        if (d->sent_count == 0 && (closing || (delivery_is_finishing(d) && delivery_is_empty(d))))
            return end_well(d);
        r = link_wait(d->link, d->sent_count > 0 ? d->progress_ns + timeout_ns(d) : UINT64_MAX);
        if (r < 0)
            return fail_wait(d, r);
    }
}
