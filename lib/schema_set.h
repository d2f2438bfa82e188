/* SPDX-License-Identifier: MIT */
/* The schemas that a reader has met in one segment, checked and parsed; shared by its snapshots, which may outlive it.
 * Only grows. One thread at a time adds; the count of references is atomic. */
#ifndef LIB_SCHEMA_SET_H
#define LIB_SCHEMA_SET_H

#include <stdbool.h>
#include <stdint.h>

#include <vmtally/schema.h>

#include "shm/view.h"

/* Slots of one descriptor that are not simply added up. */
struct special {
    uint32_t slot;
    uint32_t size;
    uint32_t flags;
};

struct parsed {
    struct vmt_schema schema; /* first: what users see */
    uint64_t offset;          /* of its block in the segment */
    struct shm_schema *block; /* checked copy: names and help point into it */
    struct vmt_descriptor *descriptors;
    struct special *specials; /* min and max */
    uint32_t special_count;
    bool groups;   /* some values change together */
    bool minuends; /* some values are read before the others */
};

struct schema_set {
    uint32_t references;
    uint32_t count;
    uint64_t bytes;                    /* of their blocks; at most those of the file */
    uint64_t offsets[VMT_SCHEMAS_MAX]; /* of the known ones: asked for once a source */
    struct parsed *known[VMT_SCHEMAS_MAX];
};

struct schema_set *schema_set_new(void);
struct schema_set *schema_set_hold(struct schema_set *set);
void schema_set_release(struct schema_set *set);

/* The schema whose block is at offset, or NULL. */
const struct parsed *schema_set_find(const struct schema_set *set, uint64_t offset);

/* Read the chain of schema blocks from first on, as far as it is not known yet. 0, -EBADMSG with *why, -ENOMEM. */
int schema_set_follow(struct schema_set *set, struct shm_view *view, uint64_t first, const char **why);

#endif
