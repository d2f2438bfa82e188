/* SPDX-License-Identifier: MIT */
/* The inside of lines of Firecracker's metrics. firecracker_read.c reads what they tell from a snapshot, firecracker.c
 * writes them. */
#ifndef LIB_EXPORT_FIRECRACKER_H
#define LIB_EXPORT_FIRECRACKER_H

#include "lib/pool.h"

#include "buffer.h"
#include "firecracker_groups.h"
#include "schema_index.h"

/* A statistic of a schema that is a metric of ours. */
struct link {
    const struct vmt_descriptor *counted; /* of a latency its sum */
    const struct vmt_descriptor *least;   /* of a latency, or NULL */
    const struct vmt_descriptor *most;
    unsigned metric;
};

/* All of a schema, and the group that each source of it has alone, or GROUP_COUNT. */
struct bound {
    size_t first;
    size_t count;
    unsigned each;
};

struct reading {
    uint64_t value;
    uint64_t least; /* 0: nothing was recorded */
    uint64_t most;
};

/* What a source had counted: one value for each of its links. */
struct told_source {
    uint64_t generation;
    size_t first;
    size_t count;
    uint32_t entry;
};

struct told {
    uint8_t identity[16];
    bool any;
    uint64_t values[METRICS]; /* of sums over all sources */
    struct pool sources;      /* struct told_source, by entry and generation */
    struct pool counted;      /* uint64_t */
};

/* One source of a group EACH. */
struct device {
    const char *key;
    const struct vmt_sample *sample;
    const struct bound *bound;
    size_t now;    /* in the new one's counted */
    size_t before; /* in the old one's, SIZE_MAX: nothing was told */
};

struct vmt_firecracker {
    struct told told[2];
    struct told *kept;
    struct told *next;
    bool pending; /* next is what the last line tells */
    uint64_t missed;
    /* while a line is made */
    struct vmt_schema_index schemas;
    struct pool bounds;  /* struct bound, of each schema */
    struct pool links;   /* struct link */
    struct pool devices; /* struct device */
    struct reading sums[METRICS];
    bool there[GROUP_COUNT];
    struct vmt_buffer key;
};

/* What was counted as of the snapshot, into sums, devices (sorted: by group and key) and next. 0 or -ENOMEM. */
int vmt_firecracker_read(struct vmt_firecracker *lines, const struct vmt_snapshot *snapshot);

/* The same of one device, added to readings: of its group, the first metric of which is first. */
void vmt_firecracker_read_device(const struct vmt_firecracker *lines, const struct device *device, unsigned first,
                                 struct reading *readings);

/* By group and key. */
int vmt_firecracker_compare(const void *device, const void *other);

#endif
