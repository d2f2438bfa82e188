/* SPDX-License-Identifier: MIT */
/* A schema as readers have it: checked, parsed, immutable. A process has one copy of those whose blocks are the same to
 * the byte, whichever segments they are in: of a thousand segments of one VMM all have the same few. */
#ifndef LIB_PARSED_H
#define LIB_PARSED_H

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
    struct shm_schema *block; /* checked copy: names and help point into it; its next is 0 */
    struct vmt_descriptor *descriptors;
    struct special *specials; /* min and max */
    uint32_t special_count;
    bool groups;   /* some values change together */
    bool minuends; /* some values are read before the others */
    bool same_up;  /* the total over one source is what it counts: no means, no counts of zeros */
    bool shared;   /* it is in the table of them */
    bool kernel;   /* provider "kvm" */
    bool handle;   /* of what names the kernel's statistics fd (kvm/handle.h) */
    bool of_vm;    /* target "vm" */
    bool of_vcpu;  /* target "vcpu" */
    uint32_t references;
    uint64_t hash;
    struct parsed *next;     /* of those with this hash, more or less */
    const uint64_t *nothing; /* parsed_nothing(), or NULL */
};

/* Of a block from shm_check_schema(), which is no longer the caller's: what was made of the same bytes before, unless it is
 * one of those n, else a new one. (In one segment what stands twice is two schemas, whose totals are two.) NULL: no
 * memory. Any thread. Release it once for each call. */
struct parsed *parsed_get(struct shm_schema *block, struct parsed *const *but, uint32_t n);
void parsed_release(struct parsed *parsed);

/* One more to release; of one that is had already, and is in the table. Any thread. */
void parsed_share(struct parsed *parsed);

/* For each slot what it holds before anything was counted. */
void parsed_put_nothing(const struct parsed *parsed, uint64_t *values);

/* The same for all to look at, as long as the schema is there. NULL: no memory, or it is larger than the schema's block,
 * which is what bounds the memory of a reader. Any thread. */
const uint64_t *parsed_nothing(const struct parsed *parsed);

/* For fork(): nobody is in the middle of a change of the table. Inside of segments_hold(). */
void parsed_hold(void);
void parsed_let_go(void);

#endif
