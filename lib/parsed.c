/* SPDX-License-Identifier: MIT */
#include "lib/parsed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "lib/kvm/handle.h"

__extension__ typedef unsigned __int128 wide;

/* ---- one ---- */

static void parsed_free(struct parsed *p)
{
    free(p->block);
    free(p->descriptors);
    free(p->specials);
    free((void *)(uintptr_t)p->nothing);
    free(p);
}

/* The block is its from here on. */
static struct parsed *parse(struct shm_schema *block)
{
    struct parsed *p = calloc(1, sizeof(*p));
    const char *strings = (const char *)block + block->strings_offset;
    uint16_t place[VMT_DESCRIPTORS_MAX] = { 0 }; /* 1 + where the block's descriptor is among the known ones */

    if (!p) {
        free(block);
        return NULL;
    }
    p->block = block;
    p->descriptors = calloc(block->descriptors, sizeof(*p->descriptors));
    p->specials = calloc(block->descriptors, sizeof(*p->specials));
    if (!p->descriptors || !p->specials) {
        parsed_free(p);
        return NULL;
    }
    p->references = 1;
    p->schema.name = block->name;
    p->schema.provider = block->provider;
    p->schema.target = block->target;
    p->schema.descriptors = p->descriptors;
    p->schema.slots = block->slots;
    p->kernel = kvm_is_kernels(&p->schema);
    p->handle = kvm_is_handle(&p->schema);
    p->of_vm = strcmp(block->target, "vm") == 0;
    p->of_vcpu = strcmp(block->target, "vcpu") == 0;
    p->same_up = true;
    for (uint32_t i = 0; i < block->descriptors; i++) {
        const struct vmt_kvm_desc *from = &shm_descriptors(block)[i];
        const struct shm_side *side = shm_side_of(block, i);
        struct vmt_descriptor *d = &p->descriptors[p->schema.count];

        if (!shm_descriptor_known(from))
            continue; /* invented after this reader was built */
        place[i] = (uint16_t)++p->schema.count;
        d->name = from->name;
        d->help = strings + side->help_offset;
        d->flags = from->flags;
        d->slot = from->offset / 8;
        d->bucket_size = from->bucket_size;
        d->exponent = from->exponent;
        d->size = from->size;
        d->group = side->group;
        /* Only what is added up can be summed before the others: see sums.c. */
        d->minuend = side->minuend <= block->descriptors && shm_combine(from->flags, 1, 1) == 2 ? side->minuend : 0;
        d->level = side->level <= VMT_LEVEL_DEBUG ? side->level : VMT_LEVEL_DEBUG;
        p->groups |= d->group != 0;
        if ((d->flags & VMT_AGGREGATION_MASK) >= VMT_AGGREGATION_AVERAGE)
            p->same_up = false;
        if (shm_combine(d->flags, 1, 1) != 2)
            p->specials[p->special_count++] = (struct special){ d->slot, d->size, d->flags };
    }
    for (uint32_t i = 0; i < p->schema.count; i++) {
        struct vmt_descriptor *d = &p->descriptors[i];

        d->minuend = d->minuend ? place[d->minuend - 1] : 0;
        p->minuends |= d->minuend != 0;
    }
    return p;
}

void parsed_put_nothing(const struct parsed *p, uint64_t *values)
{
    memset(values, 0, p->schema.slots * sizeof(*values));
    for (uint32_t i = 0; i < p->special_count; i++) {
        for (uint32_t k = 0; k < p->specials[i].size; k++)
            values[p->specials[i].slot + k] = shm_identity(p->specials[i].flags);
    }
}

const uint64_t *parsed_nothing(const struct parsed *parsed)
{
    struct parsed *p = (struct parsed *)(uintptr_t)parsed;
    const uint64_t *first = __atomic_load_n(&p->nothing, __ATOMIC_ACQUIRE); /* pairs with the exchange below */
    uint64_t *made;

    if (first || p->schema.slots * sizeof(*made) > p->block->block_bytes)
        return first;
    made = malloc(p->schema.slots * sizeof(*made));
    if (!made)
        return NULL;
    parsed_put_nothing(p, made);
    /* Release: complete before others find it; acquire: pairs with that of who was faster. */
    if (__atomic_compare_exchange_n(&p->nothing, &first, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    free(made);
    return first;
}

/* ---- the table ---- */

#define BITS_LEAST 6U
#define BITS_MOST 24U

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* inside of all other locks; held for a bounded time */

/* A table that grows and shrinks with what is in it. */
static struct parsed *few[1U << BITS_LEAST];
static struct parsed **buckets = few;
static uint32_t bits = BITS_LEAST;
static uint32_t count;

void parsed_hold(void) { pthread_mutex_lock(&lock); }

void parsed_let_go(void) { pthread_mutex_unlock(&lock); }

/* ---- where one is in the table ---- */

struct keys {
    uint64_t point;  /* less than PRIME */
    uint64_t factor; /* odd */
};

#define PRIME ((UINT64_C(1) << 61) - 1)

/* The process's random bytes, which the kernel gave it: in a jail there may be no system call that gives any. */
static struct keys keys(void)
{
    const void *from = (const void *)getauxval(AT_RANDOM);
    uint64_t random[2] = { (uintptr_t)few, (uintptr_t)&lock };

    if (from)
        memcpy(random, from, sizeof(random));
    return (struct keys){ .point = (random[0] ^ random[1] >> 32) % PRIME, .factor = random[1] * 2 + 1 };
}

static uint64_t modulo(wide n)
{
    uint64_t folded = (uint64_t)(n & PRIME) + (uint64_t)(n >> 61);

    return folded >= PRIME ? folded - PRIME : folded;
}

/* Who writes schemas shall not choose where they collide. A polynomial of the words, modulo a prime, of which he does
 * not know at which point it is evaluated: n words and n others have the same value at n points of 2^61 at most. bytes is
 * a multiple of 8. */
static uint64_t hash_of(const struct shm_schema *block, uint64_t bytes)
{
    uint64_t point = keys().point;
    uint64_t square = modulo((wide)point * point);
    uint64_t hash = 1;

    for (uint64_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint32_t words[2];

        memcpy(words, (const char *)block + at, sizeof(words));
        /* What doesn't wait for the hash so far is had meanwhile. */
        hash = modulo((wide)hash * square + ((wide)words[0] * point + words[1]));
    }
    return hash;
}

static struct parsed **bucket_of(uint64_t hash) { return &buckets[hash * keys().factor >> (64 - bits)]; }

/* Where there is no memory for another size, chains are as long as they are. */
static void resize(uint32_t wanted)
{
    struct parsed **old = buckets;
    uint32_t n = 1U << bits;
    struct parsed **new = wanted == BITS_LEAST ? few : calloc(1U << wanted, sizeof(struct parsed *));

    if (!new)
        return;
    buckets = new;
    bits = wanted;
    for (uint32_t i = 0; i < n; i++) {
        for (struct parsed *p = old[i], *next; p; p = next) {
            struct parsed **first = bucket_of(p->hash);

            next = p->next;
            p->next = *first;
            *first = p;
        }
        old[i] = NULL;
    }
    if (old != few)
        free(old);
}

static void insert(struct parsed *p, uint64_t hash)
{
    struct parsed **first;

    p->shared = true;
    p->hash = hash;
    if (count >= 1U << bits && bits < BITS_MOST)
        resize(bits + 1);
    first = bucket_of(p->hash);
    p->next = *first;
    *first = p;
    count++;
}

static void take_out(struct parsed *p)
{
    struct parsed **at = bucket_of(p->hash);

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    count--;
    if (bits > BITS_LEAST && count < 1U << bits >> 3)
        resize(bits - 1);
}

/* ---- had and given back ---- */

static struct parsed *find(const struct shm_schema *block, uint64_t hash)
{
    struct parsed *p = *bucket_of(hash);

    while (p && (p->hash != hash || p->block->block_bytes != block->block_bytes ||
                 memcmp(p->block, block, block->block_bytes) != 0))
        p = p->next;
    return p;
}

static bool is_among(const struct parsed *p, struct parsed *const *others, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (others[i] == p)
            return true;
    }
    return false;
}

struct parsed *parsed_get(struct shm_schema *block, struct parsed *const *but, uint32_t n)
{
    uint64_t bytes = shm_round(block->block_bytes, 8);
    struct parsed *p, *same;
    uint64_t hash;

    block->next = 0; /* says where others are, not what this one is */
    memset((char *)block + block->block_bytes, 0, bytes - block->block_bytes);
    hash = hash_of(block, bytes);
    pthread_mutex_lock(&lock);
    same = find(block, hash);
    if (same && !is_among(same, but, n)) {
        p = same;
        p->references++;
        free(block);
    } else {
        p = parse(block);
        if (p && !same)
            insert(p, hash);
    }
    pthread_mutex_unlock(&lock);
    return p;
}

void parsed_share(struct parsed *p)
{
    pthread_mutex_lock(&lock);
    p->references++;
    pthread_mutex_unlock(&lock);
}

void parsed_release(struct parsed *p)
{
    bool last = true;

    if (p->shared) {
        pthread_mutex_lock(&lock);
        last = --p->references == 0;
        if (last)
            take_out(p);
        pthread_mutex_unlock(&lock);
    }
    if (last)
        parsed_free(p);
}
