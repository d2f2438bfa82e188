/* SPDX-License-Identifier: MIT */
/* The queue of vmtally forward: bounded, and what is dropped is counted, whatever the thread that delivers is at. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "cli/forward/queue.h"

#define SIZE 1000U
#define COST (sizeof(struct chunk) + SIZE + 32U)

/* A chunk that says its number, with as many records. */
static struct chunk *numbered(uint32_t number)
{
    static const char message[SIZE];
    char id[CHUNK_ID_SIZE] = "";
    struct chunk *chunk = chunk_new(message, sizeof(message), number, id);

    cr_assert(chunk);
    return chunk;
}

static uint32_t take(struct queue *queue, struct chunk **ret)
{
    *ret = queue_take(queue);
    return *ret ? (*ret)->entries : 0;
}

static struct queue_state look(struct queue *queue)
{
    struct queue_state state;

    queue_look(queue, &state);
    cr_assert_eq(state.added.chunks, state.waiting.chunks + state.delivered.chunks + state.dropped.chunks);
    cr_assert_eq(state.added.records, state.waiting.records + state.delivered.records + state.dropped.records);
    cr_assert_eq(state.added.bytes, state.waiting.bytes + state.delivered.bytes + state.dropped.bytes);
    return state;
}

Test(forward_queue, first_in_is_first_out)
{
    struct queue queue;
    struct chunk *chunk;

    queue_init(&queue, 100 * COST);
    for (uint32_t i = 1; i <= 10; i++)
        queue_add(&queue, numbered(i));
    for (uint32_t i = 1; i <= 10; i++) {
        cr_assert_eq(take(&queue, &chunk), i);
        queue_done(&queue, chunk);
    }
    cr_assert_null(queue_take(&queue));
    cr_assert_eq(look(&queue).delivered.records, 55);
    cr_assert_eq(look(&queue).waiting.bytes, 0);
    queue_free(&queue);
}

Test(forward_queue, oldest_makes_room_and_is_counted)
{
    struct queue queue;
    struct chunk *chunk;

    queue_init(&queue, 10 * COST);
    for (uint32_t i = 1; i <= 10; i++)
        queue_add(&queue, numbered(i));
    cr_assert_eq(look(&queue).dropped.chunks, 0, "exactly what it is bounded by fits");
    queue_add(&queue, numbered(11));
    queue_add(&queue, numbered(12));
    cr_assert_eq(look(&queue).dropped.chunks, 2);
    cr_assert_eq(look(&queue).dropped.records, 1 + 2);
    cr_assert_eq(look(&queue).dropped.bytes, 2 * SIZE);
    cr_assert_eq(take(&queue, &chunk), 3);
    queue_done(&queue, chunk);
    queue_free(&queue);
}

Test(forward_queue, what_is_being_delivered_is_not_dropped_and_counts)
{
    struct queue queue;
    struct chunk *held[5], *chunk;

    queue_init(&queue, 10 * COST);
    for (uint32_t i = 1; i <= 10; i++)
        queue_add(&queue, numbered(i));
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(take(&queue, &held[i]), i + 1);
    cr_assert_null(queue_take(&queue), "half of the room stays for those to come");
    for (uint32_t i = 11; i <= 20; i++)
        queue_add(&queue, numbered(i));
    cr_assert_eq(look(&queue).waiting.chunks, 10);
    cr_assert_eq(look(&queue).dropped.chunks, 10);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(held[i]->entries, i + 1);
        queue_done(&queue, held[i]);
    }
    cr_assert_eq(take(&queue, &chunk), 16, "6 to 15 were the oldest not being delivered");
    queue_done(&queue, chunk);
    queue_free(&queue);
}

Test(forward_queue, what_comes_back_is_first_again_in_its_order)
{
    struct queue queue;
    struct chunk *held[3], *chunk;

    queue_init(&queue, 100 * COST);
    for (uint32_t i = 1; i <= 3; i++)
        queue_add(&queue, numbered(i));
    for (uint32_t i = 0; i < 3; i++)
        take(&queue, &held[i]);
    queue_add(&queue, numbered(4));
    for (uint32_t i = 3; i-- > 0;)
        queue_return(&queue, held[i]);
    queue_add(&queue, numbered(5));
    for (uint32_t i = 1; i <= 5; i++) {
        cr_assert_eq(take(&queue, &chunk), i);
        queue_done(&queue, chunk);
    }
    queue_free(&queue);
}

Test(forward_queue, what_comes_back_to_an_empty_queue_is_followed)
{
    struct queue queue;
    struct chunk *chunk;

    queue_init(&queue, 100 * COST);
    queue_add(&queue, numbered(1));
    take(&queue, &chunk);
    queue_return(&queue, chunk);
    queue_add(&queue, numbered(2));
    cr_assert_eq(take(&queue, &chunk), 1);
    queue_done(&queue, chunk);
    cr_assert_eq(take(&queue, &chunk), 2);
    queue_done(&queue, chunk);
    queue_free(&queue);
}

Test(forward_queue, chunk_that_can_not_fit_is_dropped_alone)
{
    struct queue queue;
    struct chunk *chunk;

    queue_init(&queue, 2 * COST);
    queue_add(&queue, numbered(1));
    take(&queue, &chunk);
    queue_add(&queue, numbered(2));
    queue_add(&queue, numbered(3));
    cr_assert_eq(look(&queue).dropped.records, 2, "the older of those that wait");
    queue_return(&queue, chunk);
    queue_lose(&queue, 7, 70);
    cr_assert_eq(look(&queue).dropped.records, 9);
    cr_assert_eq(look(&queue).dropped.bytes, SIZE + 70);
    queue_free(&queue);

    queue_init(&queue, COST - 1);
    queue_add(&queue, numbered(1));
    cr_assert_eq(look(&queue).dropped.chunks, 1);
    cr_assert_null(queue_take(&queue));
    queue_free(&queue);
}

Test(forward_queue, one_chunk_is_always_let_out)
{
    struct queue queue;
    struct chunk *chunk;

    queue_init(&queue, COST);
    queue_add(&queue, numbered(1));
    cr_assert_eq(take(&queue, &chunk), 1, "though it is more than half of the room");
    queue_done(&queue, chunk);
    queue_free(&queue);
}

/* ---- two threads ---- */

#define ROUNDS 20000U

static void *add_all(void *queue)
{
    for (uint32_t i = 1; i <= ROUNDS; i++)
        queue_add(queue, numbered(i));
    return NULL;
}

Test(forward_queue, nothing_is_lost_between_two_threads)
{
    struct queue queue;
    pthread_t thread;
    uint64_t taken = 0, records = 0, returned = 0;
    struct queue_state state;
    uint32_t last = 0;

    queue_init(&queue, 16 * COST);
    cr_assert_eq(pthread_create(&thread, NULL, add_all, &queue), 0);
    do {
        struct chunk *chunk = queue_take(&queue);

        if (chunk && ++taken % 7 == 0) {
            queue_return(&queue, chunk);
            returned++;
        } else if (chunk) {
            cr_assert_gt(chunk->entries, last, "never an older one after a newer one");
            last = chunk->entries;
            records += chunk->entries;
            queue_done(&queue, chunk);
        }
        state = look(&queue);
    } while (state.added.chunks < ROUNDS || state.waiting.chunks > 0);
    pthread_join(thread, NULL);
    cr_assert_eq(state.delivered.chunks, taken - returned);
    cr_assert_eq(state.delivered.records, records);
    cr_assert_eq(state.delivered.records + state.dropped.records, (uint64_t)ROUNDS * (ROUNDS + 1) / 2);
    queue_free(&queue);
}
