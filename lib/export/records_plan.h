/* SPDX-License-Identifier: MIT */
/* How records of one schema look, worked out once: all that is the same in each of them as msgpack, and which slots go in
 * between. */
#ifndef LIB_EXPORT_RECORDS_PLAN_H
#define LIB_EXPORT_RECORDS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <vmtally/export.h>

/* Where bytes are in a plan's. */
struct plan_bytes {
    uint32_t at;
    uint32_t size;
};

/* A statistic that is a number, or several. */
struct plan_number {
    struct plan_bytes key;
    uint32_t slot;
    uint32_t size;
    bool is_signed;
    bool is_list;  /* an array, whatever its size */
    uint64_t none; /* what its slot holds where nothing was counted, 0: all is a value */
};

#define PLAN_NO_SLOT UINT32_MAX

/* A histogram, with what changes together with it. */
struct plan_histogram {
    struct plan_bytes key;
    struct plan_bytes unit; /* key and value; size 0: it has none */
    uint32_t bounds;        /* where they are in the plan's bytes; bound i ends at ends[slot + i] */
    uint32_t slot;
    uint32_t size;
    uint32_t count; /* slots, or PLAN_NO_SLOT */
    uint32_t sum;
    uint32_t min;
    uint32_t max;
};

struct record_plan {
    struct vmt_schema schema; /* a copy, by which it is found again; help and levels are not in it */
    struct vmt_buffer bytes;
    struct plan_bytes kind;  /* keys and values: kind, provider */
    struct plan_bytes units; /* size 0: none of c and g has one */
    struct plan_number *counters;
    struct plan_number *gauges;
    struct plan_histogram *histograms;
    uint32_t *ends; /* of bounds, by slot: how far from the first one's start */
    uint32_t counter_count;
    uint32_t gauge_count;
    uint32_t histogram_count;
    uint64_t hash;
    struct record_plan *next; /* of those whose hash is in the same place */
    size_t memory;            /* about */
};

/* Of schema, or of its statistics that are chosen. strings: bounds are strings. *ret is the caller's. 0, -ENOMEM, -EFBIG. */
int record_plan_new(const struct vmt_schema *schema, const struct vmt_choice *choice, bool strings,
                    struct record_plan **ret);
void record_plan_free(struct record_plan *plan); /* NULL is allowed */

/* Whether it is of such a schema. hash: record_plan_hash(schema). */
uint64_t record_plan_hash(const struct vmt_schema *schema);
bool record_plan_is_of(const struct record_plan *plan, const struct vmt_schema *schema, uint64_t hash);

/* Nothing of it was chosen, or there is nothing. */
static inline bool record_plan_is_empty(const struct record_plan *plan)
{
    return plan->counter_count == 0 && plan->gauge_count == 0 && plan->histogram_count == 0;
}

#endif
