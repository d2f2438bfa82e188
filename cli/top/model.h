/* SPDX-License-Identifier: MIT */
/* model.h: what there is to see, made of one set of samples and of what is folded. No terminal, no files, no
 * clock: the same input gives the same rows.
 */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/columns.h"
#include "cli/top/sampler.h"

/* ---- which rows are folded ---- */

/* Keys of rows whose children are hidden, sorted. Starts as { 0 }. */
struct folds {
    uint64_t *keys;
    size_t count;
    size_t capacity;
};

int folds_has(const struct folds *folds, uint64_t key);
int folds_set(struct folds *folds, uint64_t key, int folded); /* 0 or -ENOMEM */
void folds_free(struct folds *folds);

/* ---- overview ---- */

/* One VM, or one source below it. Its strings are the samples' own. */
struct model_row {
    uint64_t key;      /* the same for the same thing in the next sample */
    size_t vm;         /* in the set */
    size_t source;     /* in the VM's snapshot; 0: the VM itself */
    uint32_t depth;    /* 0: a VM */
    uint32_t below;    /* bit n: the row's ancestor of depth n (or it itself) has a sibling further down */
    uint32_t children; /* direct ones */
    int folded;
    struct facts facts;
};

/* Reusable memory; starts as { 0 }. */
struct model {
    struct model_row
        *rows; /* VMs by name, each with its tree, siblings in the order of their names, numbers as numbers */
    size_t count;
    size_t capacity;
    uint32_t vms;
    uint32_t states[VMT_STATE_COUNT]; /* VMs that could be read, by state */
    uint32_t unreadable;              /* and those that could not */
    uint32_t foreign;                 /* VMs whose files are somebody else's */
    uint32_t restarted;               /* VMs whose segment has had more than one writer */
    uint32_t dropping;                /* VMs that had no room for all that they count */
    struct measures total;            /* exits, run, bytes, ops and vcpus over all VMs but foreign ones */
    uint32_t *order;                  /* scratch */
    size_t order_capacity;
};

/* Make the rows. folds may be NULL: all are shown. 0 or -ENOMEM. */
int model_build(struct model *model, const struct sample_set *set, const struct folds *folds);
void model_free(struct model *model);

/* The row with this key: its index, or -1. */
long model_find(const struct model *model, uint64_t key);

/* Names in the order of people: "vcpu-2" before "vcpu-10". As strcmp(). */
int model_compare_names(const char *a, const char *b);

/* The key of a VM (sample NULL) or one of its sources: by full id, so that a source that was removed and added again is
 * the same row; one that still leaves is not. */
uint64_t model_key(const struct sample_vm *vm, const struct vmt_sample *sample);

/* "" where there is nothing to say. */
const char *model_source_state(const struct vmt_sample *sample);

/* UINT64_MAX where from_ns is not known. */
uint64_t model_age_ns(uint64_t from_ns, uint64_t to_ns);

#endif
