/* SPDX-License-Identifier: MIT */
/* distinct.h: the schemas of many VMs, each once. */
#ifndef CLI_DISTINCT_H
#define CLI_DISTINCT_H

#include <vmtally/reader.h>

#include "nearest.h"
#include "segment.h"

/* A schema. Of its descriptors there are only those that are wanted. */
struct distinct_entry {
    struct vmt_schema schema;
    const struct vmt_schema *whole;
    const char **vms; /* titles of those that have it, NULL last */
    size_t vm_count;
    struct vmt_descriptor *descriptors;
    struct distinct_entry *next; /* in order of appearance */
};

/* A VM that has some. */
struct distinct_vm {
    struct distinct_vm *next;
    struct vmt_snapshot *snapshot; /* held for what its schemas point to; NULL: another VM's are the same */
    char title[SEGMENT_NAME];
};

struct distinct {
    /* What is wanted: .asked, NULL for all. With the nearest to it that there is. */
    struct nearest provider;
    struct nearest target;
    struct nearest stat; /* a glob */
    int has_provider;    /* there is something by this one */
    int has_target;      /* and of such things */
    struct distinct_entry *first;
    struct distinct_entry **last;
    size_t count; /* of entries, those without any wanted statistic included */
    size_t stats; /* wanted ones */
    void *index;  /* of entries, by whole */
    struct distinct_vm *vms;
};

/* Add what the snapshot has. *snapshot becomes NULL where this keeps it. 0 or -ENOMEM; then only
 * distinct_free() is left to do. */
int distinct_add(struct distinct *distinct, struct vmt_snapshot **snapshot);

void distinct_free(struct distinct *distinct);

#endif
