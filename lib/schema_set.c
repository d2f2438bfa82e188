/* SPDX-License-Identifier: MIT */
#include "lib/schema_set.h"

#include <errno.h>
#include <stdlib.h>

struct schema_set *schema_set_new(void)
{
    struct schema_set *set = calloc(1, sizeof(*set));

    if (set)
        set->references = 1;
    return set;
}

struct schema_set *schema_set_hold(struct schema_set *set)
{
    __atomic_fetch_add(&set->references, 1, __ATOMIC_RELAXED);
    return set;
}

void schema_set_release(struct schema_set *set)
{
    /* Release, then acquire by the last one: its free comes after all others' reads. */
    if (!set || __atomic_sub_fetch(&set->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        parsed_release(set->known[i]);
    for (uint32_t i = 0; i < set->kept_count; i++)
        parsed_release(set->kept[i]);
    free(set->offsets);
    free(set->known);
    free(set->kept);
    free(set);
}

const struct parsed *schema_set_find(const struct schema_set *set, uint64_t offset)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->offsets[i] == offset)
            return set->known[i];
    }
    return NULL;
}

static bool make_room(struct schema_set *set)
{
    uint32_t room = set->room ? 2 * set->room : 8;
    void *grown;

    if (set->count < set->room)
        return true;
    grown = realloc(set->offsets, room * sizeof(*set->offsets));
    if (!grown)
        return false;
    set->offsets = grown;
    grown = realloc(set->known, room * sizeof(struct parsed *));
    if (!grown)
        return false;
    set->known = grown;
    set->room = room;
    return true;
}

/* The block is no longer the caller's. */
static int add(struct schema_set *set, struct shm_schema *block, uint64_t offset)
{
    uint32_t bytes = block->block_bytes;
    struct parsed *p;

    if (!make_room(set)) {
        free(block);
        return -ENOMEM;
    }
    p = parsed_get(block, set->known, set->count);
    if (!p)
        return -ENOMEM;
    set->bytes += bytes;
    set->handles |= p->handle;
    set->offsets[set->count] = offset;
    set->known[set->count++] = p;
    return 0;
}

int schema_set_follow(struct schema_set *set, struct shm_view *view, uint64_t first, const char **why)
{
    uint64_t offset = first;

    for (uint32_t i = 0; offset; i++) {
        struct shm_schema *block;
        int r;

        *why = "there are more schemas than there can be";
        if (i == VMT_SCHEMAS_MAX)
            return -EBADMSG;
        if (i < set->count && set->offsets[i] == offset) {
            uint64_t next;

            *why = "a schema lies outside of the file";
            if (shm_view_link(view, offset + offsetof(struct shm_schema, next), &next) < 0)
                return -EBADMSG;
            offset = next;
            continue;
        }
        /* Published schemas never change place, nor stand in the chain twice. */
        *why = "the chain of schemas contradicts itself";
        if (i != set->count || schema_set_find(set, offset))
            return -EBADMSG;
        r = shm_check_schema(view, offset, &block, why);
        if (r < 0)
            return r;
        /* Blocks that share their bytes: small in the file, large in our memory. */
        *why = "the schemas are larger than the file";
        if (set->bytes + block->block_bytes > shm_view_solid(view)) {
            free(block);
            return -EBADMSG;
        }
        r = add(set, block, offset);
        if (r < 0)
            return r;
        *why = "a schema lies outside of the file";
        if (shm_view_link(view, offset + offsetof(struct shm_schema, next), &offset) < 0)
            return -EBADMSG;
    }
    *why = "";
    return 0;
}

int schema_set_keep(struct schema_set *set, struct parsed *parsed)
{
    struct parsed **grown;

    for (uint32_t i = 0; i < set->kept_count; i++) {
        if (set->kept[i] == parsed)
            return 0;
    }
    grown = realloc(set->kept, (set->kept_count + 1) * sizeof(*grown)); /* the kernel has few */
    if (!grown)
        return -ENOMEM;
    set->kept = grown;
    parsed_share(parsed);
    set->kept[set->kept_count++] = parsed;
    return 0;
}
