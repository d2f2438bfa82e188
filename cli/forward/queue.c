/* SPDX-License-Identifier: MIT */
#include "cli/forward/queue.h"

#include <stdlib.h>
#include <string.h>

#define OVERHEAD 32U /* malloc's */

struct chunk *chunk_new(const char *message, size_t size, uint32_t entries, const char *id)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + size);

    if (!chunk)
        return NULL;
    *chunk = (struct chunk){ .entries = entries, .size = size };
    memcpy(chunk->id, id, sizeof(chunk->id));
    memcpy(chunk->message, message, size);
    return chunk;
}

void chunk_free(struct chunk *chunk) { free(chunk); }

static uint64_t cost_of(const struct chunk *chunk) { return sizeof(*chunk) + chunk->size + OVERHEAD; }

static void amount_add(struct amount *amount, const struct chunk *chunk)
{
    amount->chunks++;
    amount->records += chunk->entries;
    amount->bytes += chunk->size;
}

static void amount_take(struct amount *amount, const struct chunk *chunk)
{
    amount->chunks--;
    amount->records -= chunk->entries;
    amount->bytes -= chunk->size;
}

void queue_init(struct queue *queue, uint64_t most_bytes)
{
    *queue = (struct queue){ .lock = PTHREAD_MUTEX_INITIALIZER, .most = most_bytes };
}

/* Take the first out of the list. */
static struct chunk *unlink_first(struct queue *queue)
{
    struct chunk *chunk = queue->first;

    queue->first = chunk->next;
    if (!queue->first)
        queue->last = NULL;
    chunk->next = NULL;
    return chunk;
}

void queue_free(struct queue *queue)
{
    while (queue->first)
        chunk_free(unlink_first(queue));
    pthread_mutex_destroy(&queue->lock);
}

/* What is in the way of cost more bytes is dropped: the list of it, to be freed without the lock. */
static struct chunk *make_room(struct queue *queue, uint64_t cost)
{
    struct chunk *dropped = NULL;

    while (queue->first && queue->cost + cost > queue->most) {
        struct chunk *chunk = unlink_first(queue);

        queue->cost -= cost_of(chunk);
        amount_take(&queue->state.waiting, chunk);
        amount_add(&queue->state.dropped, chunk);
        chunk->next = dropped;
        dropped = chunk;
    }
    return dropped;
}

static void append(struct queue *queue, struct chunk *chunk)
{
    if (queue->last)
        queue->last->next = chunk;
    else
        queue->first = chunk;
    queue->last = chunk;
    queue->cost += cost_of(chunk);
    amount_add(&queue->state.waiting, chunk);
}

void queue_add(struct queue *queue, struct chunk *chunk)
{
    struct chunk *dropped;

    pthread_mutex_lock(&queue->lock);
    amount_add(&queue->state.added, chunk);
    dropped = make_room(queue, cost_of(chunk));
    if (queue->cost + cost_of(chunk) <= queue->most) {
        append(queue, chunk);
    } else {
        amount_add(&queue->state.dropped, chunk);
        chunk->next = dropped;
        dropped = chunk;
    }
    pthread_mutex_unlock(&queue->lock);
    while (dropped) {
        struct chunk *next = dropped->next;

        chunk_free(dropped);
        dropped = next;
    }
}

void queue_lose(struct queue *queue, uint64_t records, uint64_t bytes)
{
    struct queue_state *state = &queue->state;

    pthread_mutex_lock(&queue->lock);
    state->added.chunks++, state->added.records += records, state->added.bytes += bytes;
    state->dropped.chunks++, state->dropped.records += records, state->dropped.bytes += bytes;
    pthread_mutex_unlock(&queue->lock);
}

struct chunk *queue_take(struct queue *queue)
{
    struct chunk *chunk = NULL;

    pthread_mutex_lock(&queue->lock);
    if (queue->first && (queue->held == 0 || queue->held + cost_of(queue->first) <= queue->most / 2)) {
        chunk = unlink_first(queue);
        queue->held += cost_of(chunk);
    }
    pthread_mutex_unlock(&queue->lock);
    return chunk;
}

void queue_done(struct queue *queue, struct chunk *chunk)
{
    pthread_mutex_lock(&queue->lock);
    queue->cost -= cost_of(chunk);
    queue->held -= cost_of(chunk);
    amount_take(&queue->state.waiting, chunk);
    amount_add(&queue->state.delivered, chunk);
    pthread_mutex_unlock(&queue->lock);
    chunk_free(chunk);
}

void queue_return(struct queue *queue, struct chunk *chunk)
{
    pthread_mutex_lock(&queue->lock);
    queue->held -= cost_of(chunk);
    chunk->next = queue->first;
    queue->first = chunk;
    if (!queue->last)
        queue->last = chunk;
    pthread_mutex_unlock(&queue->lock);
}

void queue_look(struct queue *queue, struct queue_state *ret)
{
    pthread_mutex_lock(&queue->lock);
    *ret = queue->state;
    pthread_mutex_unlock(&queue->lock);
}
