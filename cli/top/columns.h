/* SPDX-License-Identifier: MIT */
/* columns.h: what the overview says of one VM or source, and the one table of its columns. Live view, batch
 * text and CSV are all made from that table.
 */
#ifndef CLI_TOP_COLUMNS_H
#define CLI_TOP_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/sampler.h"
#include "cli/units.h"

#define CELL_TEXT 512   /* bytes that hold one cell, for people or machines: full ids too */
#define ACTIVE_TEXT 160 /* bytes of measures.active */

/* Bounds of a quantile: low <= q < high. */
struct quantile {
    uint64_t low;
    uint64_t high; /* UINT64_MAX: no bound is known */
};

/* For people: "<4.10 us", below the end of its bucket, which is all that a histogram tells; ">4.29 s" where that is the
 * last, open one. Returns buf. */
char *quantile_format(char *buf, size_t size, const struct vmt_descriptor *d, const struct quantile *q);

/* What changed since the sample before, of one source and all below it, whichever schemas they have. */
struct measures {
    double exits; /* per second; NAN where nothing counts them, or nothing can be compared; so the next three */
    double run;   /* seconds per second */
    double bytes;
    double ops;
    char top_exit[VMT_NAME_SIZE];         /* the most frequent reason, "" where there is none */
    double top_share;                     /* of all exits */
    const struct vmt_descriptor *latency; /* whose unit p50 and p99 have; NULL: none was measured */
    struct quantile p50;
    struct quantile p99;
    uint32_t vcpus;           /* below this source */
    char active[ACTIVE_TEXT]; /* only where none of the above is counted: the most active counters that there are */
};

/* Source i of vm. vm->snapshot is not NULL. */
void measures_take(struct measures *ret, const struct sample_vm *vm, size_t i);

/* Of nothing. */
void measures_none(struct measures *ret);

/* All that columns show of one row. */
struct facts {
    const char *vm;     /* the VM's title */
    const char *source; /* full id; "" for the VM itself */
    const char *name;   /* what the tree shows */
    const char *owner;  /* the end of name that must not be cut, or "" */
    const char *schema; /* "" where there is none */
    const char *state;  /* in words; of a source, "" where there is nothing to say */
    const char *note;   /* for people, behind the state; "" where there is nothing to say */
    uint32_t pid;       /* 0: not known, or not the VM's own row */
    uint64_t age_ns;    /* UINT64_MAX: not known */
    struct measures measures;
};

/* One column. A function writes "" where there is nothing to show; cells have CELL_TEXT bytes. */
struct column {
    const char *title;                           /* for people */
    const char *csv;                             /* for machines, stable; NULL: not in CSV */
    int width;                                   /* in cells; 0: as wide as its contents */
    int priority;                                /* the highest goes first where there is no room; 0 never goes */
    int left;                                    /* text, at the left */
    int measure;                                 /* made of the measures */
    void (*show)(char *, const struct facts *);  /* for people; NULL: the tree, which is the view's business */
    void (*write)(char *, const struct facts *); /* for machines */
};

extern const struct column kvmtop_columns[];
extern const size_t kvmtop_column_count;

#endif
