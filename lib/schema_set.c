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

static void parsed_free(struct parsed *p)
{
    if (!p)
        return;
    free(p->block);
    free(p->descriptors);
    free(p->specials);
    free(p);
}

void schema_set_release(struct schema_set *set)
{
    /* Release, then acquire by the last one: its free comes after all others' reads. */
    if (!set || __atomic_sub_fetch(&set->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        parsed_free(set->known[i]);
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

static struct parsed *parse(struct shm_schema *block, uint64_t offset)
{
    struct parsed *p = calloc(1, sizeof(*p));
    const char *strings = (const char *)block + block->strings_offset;
    uint16_t place[VMT_DESCRIPTORS_MAX] = { 0 }; /* 1 + where the block's descriptor is among the known ones */

    if (!p)
        return NULL;
    p->offset = offset;
    p->descriptors = calloc(block->descriptors, sizeof(*p->descriptors));
    p->specials = calloc(block->descriptors, sizeof(*p->specials));
    if (!p->descriptors || !p->specials) {
        parsed_free(p);
        return NULL;
    }
    p->block = block;
    p->schema.name = block->name;
    p->schema.provider = block->provider;
    p->schema.target = block->target;
    p->schema.descriptors = p->descriptors;
    p->schema.slots = block->slots;
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
        d->minuend = side->minuend <= block->descriptors ? side->minuend : 0;
        d->level = side->level <= VMT_LEVEL_DEBUG ? side->level : VMT_LEVEL_DEBUG;
        p->groups |= d->group != 0;
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

int schema_set_follow(struct schema_set *set, struct shm_view *view, uint64_t first, const char **why)
{
    uint64_t offset = first;

    for (uint32_t i = 0; offset; i++) {
        struct shm_schema *block;
        struct parsed *p;
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
        p = parse(block, offset);
        if (!p) {
            free(block);
            return -ENOMEM;
        }
        set->bytes += block->block_bytes;
        set->offsets[set->count] = offset;
        set->known[set->count++] = p;
        *why = "a schema lies outside of the file";
        if (shm_view_link(view, offset + offsetof(struct shm_schema, next), &offset) < 0)
            return -EBADMSG;
    }
    *why = "";
    return 0;
}
