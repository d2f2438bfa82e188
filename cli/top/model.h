/* SPDX-License-Identifier: MIT */
/* model.h: the rows of the overview, made of one beat of the history and of settings. No terminal, no files, no clock:
 * the same input gives the same rows. */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/columns.h"
#include "cli/top/filter.h"
#include "cli/top/history.h"

/* A set of keys of rows, sorted. Starts as { 0 }. */
struct keys {
    uint64_t *keys;
    size_t count;
    size_t capacity;
};
int keys_has(const struct keys *keys, uint64_t key);
int keys_set(struct keys *keys, uint64_t key, int in); /* 0 or -ENOMEM */
void keys_free(struct keys *keys);

/* How to make them. */
struct model_options {
    size_t beat;                 /* of the history */
    const struct keys *folded;   /* rows whose children are hidden; NULL: none */
    const struct keys *opened;   /* sources whose shards are shown; NULL: none */
    const struct filter *filter; /* NULL: all rows; else those that match, what is above them and what is below */
    size_t sort;                 /* of kvmtop_columns: siblings by this one, then by name, numbers as numbers */
    int inverted;                /* the least first; of text the last first */
};

/* One VM, one source below it, or one shard of that. */
struct model_row {
    size_t track;      /* in the history */
    uint32_t depth;    /* 0: a VM */
    uint32_t below;    /* bit n: the row's ancestor of depth n (or it itself) has a sibling further down */
    uint32_t children; /* that it can show */
    int folded;
    int matched; /* it matches the filter itself */
    struct track_facts facts;
};

/* Reusable memory; starts as { 0 }. Valid until the next beat is added. */
struct model {
    const struct history *history; /* NULL before the first beat */
    size_t beat;
    struct model_row *rows;
    size_t count;
    size_t capacity;
    size_t hidden; /* rows that the filter hides */
    uint32_t vms;
    uint32_t states[VMT_STATE_COUNT]; /* VMs that could be read, by state */
    uint32_t unreadable;              /* and those that could not */
    uint32_t foreign;                 /* VMs whose files are somebody else's */
    uint32_t restarted;               /* VMs whose segment has had more than one writer */
    uint32_t dropping;                /* VMs that had no room for all that they count */
    struct measures total; /* exits, run, bytes, ops and vcpus over all VMs but foreign ones, hidden or not */
    struct model_scratch *scratch;
};

/* 0 or -ENOMEM. A history without beats has no rows. */
int model_build(struct model *model, const struct history *history, const struct model_options *options);
void model_free(struct model *model);

/* The row with this key: its index, or -1. */
long model_find(const struct model *model, uint64_t key);

/* Names in the order of people: "vcpu-2" before "vcpu-10". As strcmp(). */
int model_compare_names(const char *a, const char *b);

#endif
