/* SPDX-License-Identifier: MIT */
/* Hashes, and where what has one is. */
#include "metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>

#define ROOM_FIRST 64U

static uint64_t mixed(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Names are another process's: it shall not know which have one hash. The kernel's random bytes, without a system call. */
static uint64_t secret(void)
{
    static uint64_t kept;
    uint64_t random = __atomic_load_n(&kept, __ATOMIC_RELAXED);
    const void *from;

    if (random)
        return random;
    from = (const void *)getauxval(AT_RANDOM);
    random = (uintptr_t)&kept;
    if (from)
        memcpy(&random, from, sizeof(random));
    random |= 1;
    __atomic_store_n(&kept, random, __ATOMIC_RELAXED); /* whoever is first: it is the same */
    return random;
}

uint64_t metrics_hash(uint64_t seed, const void *data, size_t size)
{
    const uint64_t key = secret();
    const char *at = data;
    uint64_t hash = seed ^ key ^ size, part;

    for (; size >= sizeof(part); size -= sizeof(part), at += sizeof(part)) {
        memcpy(&part, at, sizeof(part));
        hash = mixed(hash ^ part, key ^ UINT64_C(0x9e3779b97f4a7c15));
    }
    part = 0;
    memcpy(&part, at, size);
    return mixed(hash ^ part, key ^ UINT64_C(0xd6e8feb86659fd93));
}

uint32_t metrics_index_find(const struct metrics_index *index, uint64_t hash, size_t *place)
{
    while (*place < index->room) {
        const struct metrics_place *at = &index->places[(hash + *place) & (index->room - 1)];

        if (!at->used)
            break;
        ++*place;
        if (at->hash == hash)
            return at->number;
    }
    return METRICS_NONE;
}

static void put(struct metrics_index *index, uint64_t hash, uint32_t number)
{
    size_t i = hash & (index->room - 1);

    while (index->places[i].used)
        i = (i + 1) & (index->room - 1);
    index->places[i] = (struct metrics_place){ hash, number, 1 };
    index->used++;
}

static int grow(struct metrics_index *index)
{
    struct metrics_index larger = { .room = index->room ? index->room * 2 : ROOM_FIRST };

    larger.places = calloc(larger.room, sizeof(*larger.places));
    if (!larger.places)
        return -ENOMEM;
    for (size_t i = 0; i < index->room; i++)
        if (index->places[i].used)
            put(&larger, index->places[i].hash, index->places[i].number);
    free(index->places);
    *index = larger;
    return 0;
}

int metrics_index_add(struct metrics_index *index, uint64_t hash, uint32_t number)
{
    int r = index->used * 2 >= index->room ? grow(index) : 0;

    if (r == 0)
        put(index, hash, number);
    return r;
}

void metrics_index_clear(struct metrics_index *index)
{
    if (index->used)
        memset(index->places, 0, index->room * sizeof(*index->places));
    index->used = 0;
}

void metrics_index_free(struct metrics_index *index)
{
    free(index->places);
    *index = (struct metrics_index){ 0 };
}
