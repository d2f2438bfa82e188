/* SPDX-License-Identifier: MIT */
/* measure_plan.h: which measure each statistic of a schema belongs to, found out once by its name. Only measures.c and
 * measure_plan.c know of it. */
#ifndef CLI_TOP_MEASURE_PLAN_H
#define CLI_TOP_MEASURE_PLAN_H

#include <stdint.h>

#include <vmtally/schema.h>

#include "cli/top/measures.h"

enum measure { MEASURE_EXITS, MEASURE_RUN, MEASURE_BYTES, MEASURE_OPS, MEASURE_COUNT };

/* One statistic. */
struct planned {
    const struct vmt_descriptor *d;
    double factor; /* of its values, to be in seconds, bytes, or just so many */
    uint32_t slot;
    uint8_t measure; /* of a counter */
    uint8_t from;    /* of a reason for exits: where in d->name it is called, and how many bytes that are */
    uint8_t length;
    uint8_t first; /* of a histogram: where there is one of these, others don't count */
};

struct measure_plan {
    const struct vmt_schema *schema; /* NULL: an empty place */
    struct planned *planned;         /* counters, then reasons, then histograms of latencies */
    uint32_t counters;
    uint32_t reasons;
    uint32_t histograms;
    uint32_t vcpu;   /* it is of vCPUs */
    uint32_t kernel; /* it is the kernel's */
    uint64_t counts; /* who counts them, as a number; 0 of others */
};

/* The plan of schema, valid until the next one is asked for; NULL: no memory. */
const struct measure_plan *measure_plan_of(struct measure_plans *plans, uint64_t epoch,
                                           const struct vmt_schema *schema);

#endif
