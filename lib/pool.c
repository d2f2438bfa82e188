/* SPDX-License-Identifier: MIT */
#include "lib/pool.h"

#include <stdint.h>
#include <stdlib.h>

#define ROOM_LEAST 16

static bool resize(struct pool *pool, size_t room, size_t size)
{
    void *data = realloc(pool->data, room * size);

    if (!data)
        return false;
    pool->data = data;
    pool->room = room;
    return true;
}

bool pool_reserve(struct pool *pool, size_t n, size_t size) { return n <= pool->room || resize(pool, n, size); }

size_t pool_add(struct pool *pool, size_t n, size_t size)
{
    size_t at = pool->used;
    size_t room = pool->room ? 2 * pool->room : ROOM_LEAST;

    if (at + n > pool->room) {
        if (!resize(pool, room < at + n ? at + n : room, size))
            return SIZE_MAX;
        pool->loose = true;
    }
    pool->used += n;
    return at;
}

void pool_fit(struct pool *pool, size_t size)
{
    if (pool->loose && pool->used)
        resize(pool, pool->used, size);
    pool->loose = false;
}

void pool_free(struct pool *pool)
{
    free(pool->data);
    *pool = (struct pool){ 0 };
}
