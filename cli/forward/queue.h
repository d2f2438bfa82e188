/* SPDX-License-Identifier: MIT */
/* queue.h: chunks that wait to be delivered, and those that are being delivered: bounded in bytes. Who adds never
 * waits: what is oldest and not yet being delivered makes room, and is counted. One thread adds, another one takes.
 */
#ifndef CLI_FORWARD_QUEUE_H
#define CLI_FORWARD_QUEUE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "forward1.h"

/* A message, ready to be sent; sent again as it is. */
struct chunk {
    struct chunk *next;
    uint32_t entries;
    uint32_t sent;          /* not 0: it was, once */
    char id[CHUNK_ID_SIZE]; /* "": no ack is asked for */
    size_t size;
    char message[];
};

/* Memory from the system for large ones, and returned to it: 0 bytes wait most of the time. NULL: no memory. */
struct chunk *chunk_new(const char *message, size_t size, uint32_t entries, const char *id);
void chunk_free(struct chunk *chunk);

struct amount {
    uint64_t chunks;
    uint64_t records;
    uint64_t bytes;
};

struct queue_state {
    struct amount added;
    struct amount waiting; /* those being delivered too */
    struct amount delivered;
    struct amount dropped;
};

struct queue {
    pthread_mutex_t lock;
    struct chunk *first; /* oldest of those not being delivered */
    struct chunk *last;
    uint64_t most;
    uint64_t cost; /* memory of all, as counted against most */
    uint64_t held; /* of that, being delivered */
    struct queue_state state;
};

void queue_init(struct queue *queue, uint64_t most_bytes);
void queue_free(struct queue *queue); /* when nothing is being delivered */

/* Add a chunk, which is the queue's from now on. It is dropped itself where there is no other way. */
void queue_add(struct queue *queue, struct chunk *chunk);

/* Count a chunk as dropped that could not be made. */
void queue_lose(struct queue *queue, uint64_t records, uint64_t bytes);

/* The oldest chunk, to be delivered: followed by queue_done() or queue_return(). NULL: there is none, or so many are
 * being delivered that little room is left to wait in. */
struct chunk *queue_take(struct queue *queue);
void queue_done(struct queue *queue, struct chunk *chunk);

/* It was not delivered, and is the first in turn again. Of several, return the newest first. */
void queue_return(struct queue *queue, struct chunk *chunk);

void queue_look(struct queue *queue, struct queue_state *ret);

#endif
