/* SPDX-License-Identifier: MIT */
/* Memory that grows and is kept. */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool {
    void *data;
    size_t used; /* elements */
    size_t room;
    bool loose; /* has grown by pool_add() since it was fitted */
};

/* Room for n elements of that size in all; contents kept. false: no memory. */
bool pool_reserve(struct pool *pool, size_t n, size_t size);

/* n more elements; their index, or SIZE_MAX. */
size_t pool_add(struct pool *pool, size_t n, size_t size);

/* Give back what it grew by in advance. Elements may move. */
void pool_fit(struct pool *pool, size_t size);

/* Empty it, and free its memory: for who is not compiled together with pool.c, and may have another free(). */
void pool_free(struct pool *pool);

#endif
