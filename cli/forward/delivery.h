/* SPDX-License-Identifier: MIT */
/* delivery.h: the thread that delivers what is in the queue: connects to endpoints in turn, with back-off, waits for
 * acks, and sends again what had none. It says on stderr where it delivers to, and why it can't. All here is called by
 * one other thread.
 */
#ifndef CLI_FORWARD_DELIVERY_H
#define CLI_FORWARD_DELIVERY_H

#include "forward.h"
#include "keys.h"
#include "link.h"
#include "queue.h"

struct delivery;

#define DELIVERY_WHY (LINK_WHY + 256)

struct delivery_state {
    uint64_t connections;   /* that were made */
    uint64_t failures;      /* of connecting, and of connections */
    uint64_t sent_again;    /* chunks */
    const char *to;         /* the endpoint that it is connected to, or NULL */
    char why[DELIVERY_WHY]; /* it is not, or "" */
    int ended;
};

/* keys become its own; also where it fails. *ret is the caller's. 0 or a negative errno. */
int delivery_start(const struct forward_arguments *a, struct queue *queue, struct keys *keys, struct delivery **ret);

/* Readable when something has changed: delivered, connected, ended. */
int delivery_fd(const struct delivery *delivery);
void delivery_look(struct delivery *delivery, struct delivery_state *ret); /* also reads that */

/* There is a chunk. */
void delivery_wake(struct delivery *delivery);

/* Connect anew, to the first endpoint that works, with keys, which are its own from now on; when acks that are due
 * have come. */
void delivery_reload(struct delivery *delivery, struct keys *keys);

/* End when all is delivered, and at until_ns at the latest (CLOCK_MONOTONIC, UINT64_MAX: however long it takes). */
void delivery_finish(struct delivery *delivery, uint64_t until_ns);

/* When it last did something, or waited for something: CLOCK_MONOTONIC. Longer than a few timeouts ago: it hangs. */
uint64_t delivery_alive_ns(const struct delivery *delivery);

/* Wait for it to end, which it does: after delivery_finish(). What it could not deliver is in the queue. */
void delivery_free(struct delivery *delivery); /* NULL is allowed */

#endif
