/* SPDX-License-Identifier: MIT */
/* measures.h: the few numbers that the overview has of everything, whichever schemas it is counted by: made of the
 * changes of one source and of all below it. */
#ifndef CLI_TOP_MEASURES_H
#define CLI_TOP_MEASURES_H

#include <stddef.h>
#include <stdint.h>

#include "cli/sampler.h"

#define ACTIVE_TEXT 160 /* bytes of measures.active */
#define MEASURES_TOP 2  /* reasons for exits that are kept */

/* Bounds of a quantile in seconds: low <= q < high. */
struct quantile {
    double low;
    double high; /* INFINITY: no bound is known */
};

/* One reason for exits. */
struct exit_reason {
    char name[VMT_NAME_SIZE]; /* "" where there is none */
    double share;             /* of all exits */
};

/* What changed since the sample before, of one source and all below it, whichever schemas they have. */
struct measures {
    double exits; /* per second; NAN where nothing counts them, or nothing can be compared; so the next three. Where
                     several providers (the kernel and a VMM) count those of vCPUs, the larger sum: they are the same
                     exits; of about as many the VMM's */
    double run;   /* seconds per second */
    double bytes;
    double ops;
    struct exit_reason top[MEASURES_TOP]; /* the most frequent first */
    int latency;                          /* 1: something was recorded, p50 and p99 are of it */
    struct quantile p50;
    struct quantile p99;
    uint32_t vcpus;           /* below this source */
    char active[ACTIVE_TEXT]; /* only where none of the above is counted: the most active counters that there are */
};

/* What is remembered of schemas, so that names are looked at once. Starts as { 0 }. */
struct measure_plans {
    struct measure_plan *plans;
    size_t count;
    size_t capacity;
    uint64_t epoch; /* sampler_epoch() that they are of */

    /* where the sources of the last snapshot that shards were compared with are: 1 + index, by entry */
    uint32_t *entries;
    size_t entry_count;
    size_t entry_capacity;
    const struct vmt_snapshot *indexed;
    uint64_t indexed_ns; /* end_ns of it */
};
void measure_plans_free(struct measure_plans *plans);

/* Source i of vm, whose snapshot and delta are not NULL. epoch: sampler_epoch(). 0 or -ENOMEM. */
int measures_take(struct measures *ret, struct measure_plans *plans, uint64_t epoch, const struct sample_vm *vm,
                  size_t i);

/* Shard k of source i of vm, against the same one in vm->before; nothing where it was not kept there. 0 or -ENOMEM. */
int measures_take_shard(struct measures *ret, struct measure_plans *plans, uint64_t epoch, const struct sample_vm *vm,
                        size_t i, uint32_t k);

/* Of nothing. */
void measures_none(struct measures *ret);

#endif
