/* SPDX-License-Identifier: MIT */
/* hash.h: FNV-1a, where nobody gains by two things that have the same: what is found by it is compared, or only one's
 * own is mistaken. Not for keys by which one VM could pose as another. */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325U

/* seed: HASH_START, or what came before. */
static inline uint64_t hash_add(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < size; i++)
        seed = (seed ^ p[i]) * 0x100000001b3U;
    return seed;
}

#endif
