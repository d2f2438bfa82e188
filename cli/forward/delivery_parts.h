/* SPDX-License-Identifier: MIT */
/* delivery_parts.h: what the thread that delivers consists of: delivery.c decides when to connect to what,
 * conversation.c is what then happens on one connection. */
#ifndef CLI_FORWARD_DELIVERY_PARTS_H
#define CLI_FORWARD_DELIVERY_PARTS_H

#include <stdbool.h>

#include "delivery.h"
#include "inbox.h"
#include "resolve.h"
#include "spoken.h"

#define WINDOW 8U /* chunks that wait for their ack: a far collector is not waited for after each one */

enum outcome {
    AGAIN,  /* all is well: connect anew */
    FAILED, /* ->why */
    OVER
};

struct delivery {
    const struct forward_arguments *a;
    struct queue *queue;
    struct waiter waiter;
    pthread_t thread;
    int told;   /* an eventfd for the other thread */
    int finish; /* atomic */
    int reload; /* atomic: next_keys are there */
    pthread_mutex_t lock;
    struct delivery_state state; /* under lock, as is: */
    struct keys *next_keys;
    /* the thread's own */
    struct keys *keys;
    struct resolver resolvers[ENDPOINTS_MAX];
    bool quiet[ENDPOINTS_MAX]; /* it wanted no shared key when it was asked last */
    unsigned failed_in_turn;   /* since something was delivered */
    size_t endpoint;
    struct link *link;
    struct inbox inbox;
    struct chunk *sent[WINDOW]; /* and not acknowledged, oldest first */
    unsigned sent_count;
    bool keepalive;
    bool lazy;          /* connect when there is something to send */
    uint64_t written;   /* chunks on this connection */
    uint64_t delivered; /* of them */
    uint64_t connected_ns;
    uint64_t progress_ns; /* an ack came, or none was due before */
    char why[LINK_WHY];
    struct spoken spoken;
    const struct endpoint *said_to;
    char said[ENDPOINTS_MAX][LINK_WHY];
};

/* How long to wait after all endpoints have failed rounds times in turn: by chance, below half a second, twice that each
 * time, 30 s at most; never longer than limit_ms (above 0). */
uint64_t delivery_back_off_ns(unsigned rounds, uint64_t limit_ms);

bool delivery_is_finishing(const struct delivery *d);
bool delivery_is_reloading(const struct delivery *d);
bool delivery_is_empty(struct delivery *d); /* nothing waits */

void delivery_went_well(struct delivery *d);   /* a chunk was delivered */
void delivery_count_again(struct delivery *d); /* one is sent again */

/* Without a shared key and acks, first on a connection: a collector that wants a shared key says so at once, and what
 * it was sent before would be lost. AGAIN: it does not. */
enum outcome conversation_begin(struct delivery *d);

/* Deliver on a connection until it ends. Chunks that were sent and have no ack are in ->sent. */
enum outcome conversation_run(struct delivery *d);

#endif
