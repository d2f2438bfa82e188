/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

#define ROOM_FIRST 64
#define END_MOST 16 /* bytes for "~4294967295" */

/* A name by its hash: two that share one are as good as the same, the second is shown with a number. */
struct names_entry {
    uint64_t hash; /* 0: nothing is here */
    uint32_t count;
};

void names_clear(struct names *names)
{
    names->used = 0;
    if (names->entries)
        memset(names->entries, 0, names->room * sizeof(*names->entries));
}

void names_free(struct names *names)
{
    free(names->entries);
    *names = (struct names){ 0 };
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = hash_add(HASH_START, text, strlen(text));

    return hash ? hash : 1;
}

/* Where it is, or belongs; at least one place is free. */
static struct names_entry *place_of(const struct names *names, uint64_t hash)
{
    size_t i = (size_t)(hash ^ hash >> 32) & (names->room - 1);

    while (names->entries[i].hash != 0 && names->entries[i].hash != hash)
        i = (i + 1) & (names->room - 1);
    return &names->entries[i];
}

static int grow(struct names *names)
{
    struct names grown = { .room = names->room ? names->room * 2 : ROOM_FIRST, .used = names->used };

    if (names->used < names->room / 2)
        return 0;
    grown.entries = calloc(grown.room, sizeof(*grown.entries));
    if (!grown.entries)
        return -ENOMEM;
    for (size_t i = 0; i < names->room; i++) {
        if (names->entries[i].hash)
            *place_of(&grown, names->entries[i].hash) = names->entries[i];
    }
    free(names->entries);
    *names = grown;
    return 0;
}

/* How often it was counted, this time included, into *count. 0 or -ENOMEM. */
static int count(struct names *names, const char *name, uint32_t *ret)
{
    uint64_t hash = hash_of(name);
    struct names_entry *entry;

    if (grow(names) < 0)
        return -ENOMEM;
    entry = place_of(names, hash);
    names->used += entry->hash == 0;
    entry->hash = hash;
    *ret = ++entry->count;
    return 0;
}

int names_add(struct names *names, const char *title, char buf[NAME_SIZE])
{
    uint32_t of_title, of_name = 0;
    char base[NAME_SIZE - END_MOST];
    int r;

    snprintf(base, sizeof(base), "%s", title);
    snprintf(buf, NAME_SIZE, "%s", base);
    r = count(names, base, &of_title);
    while (r == 0 && of_title > 1 && of_name != 1) { /* "web~2" may be another one's own name */
        snprintf(buf, NAME_SIZE, "%s~%" PRIu32, base, of_title);
        r = count(names, buf, &of_name);
        if (r == 0 && of_name != 1)
            r = count(names, base, &of_title);
    }
    return r;
}
