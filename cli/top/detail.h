/* SPDX-License-Identifier: MIT */
/* detail.h: all that there is to see of one VM, source or shard, as lines. As model.h: the same input gives the same
 * lines. */
#ifndef CLI_TOP_DETAIL_H
#define CLI_TOP_DETAIL_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/filter.h"
#include "cli/top/histogram.h"
#include "cli/top/history.h"
#include "cli/sampler.h"

#define DETAIL_SHARES_MAX 256
#define DETAIL_LINES_MAX 16384 /* a file can declare 262,144 statistics; nobody reads that far */

/* A histogram is a statistic, and below it are quantiles of it: with the same schema, d, part, values and marked. */
enum detail_kind { DETAIL_HEADING, DETAIL_FACT, DETAIL_STATISTIC, DETAIL_QUANTILE };

/* Whose a statistic is: the source's own; what another provider counts of the same thing (vmt_snapshot_subject()); the sum
 * over what is below the source. */
enum detail_whose { DETAIL_OWN, DETAIL_VIEW, DETAIL_BELOW };
#define DETAIL_NO_PART UINT32_MAX /* of a view that is no part of the history */

/* One line: a heading (name), a fact (name, value), a statistic, a quantile. Numbers are in the descriptor's own scale. */
struct detail_line {
    enum detail_kind kind;
    uint64_t key;    /* the same for the same line at the next beat; no other line has it */
    char name[160];  /* of a quantile: "p99" */
    char value[512]; /* of a fact */

    /* of a statistic, or a quantile */
    const struct vmt_schema *schema;
    const struct vmt_descriptor *d;
    enum detail_whose whose;
    uint32_t part; /* in the history. 0: the source's own, 1 + t: its total t, or the one view that this is of */
    const uint64_t *values; /* schema->slots at the newest beat; NULL: they could not be read whole */
    const uint64_t *marked; /* the same at the mark, of which d's slots may be looked at; NULL: not known */

    /* of a statistic */
    int absent;             /* nothing was counted yet, or it could not be read */
    double total;           /* value at that beat; of a histogram: how many. NAN: not known (any more) */
    double rate;            /* per second; NAN: none */
    struct average average; /* all NAN: none. over: NAN but at the newest beat */
    double since_mark;      /* change; NAN: not known */

    /* of a quantile */
    int quantile;                /* which of histogram_quantiles */
    struct estimate of_all;      /* of all that was recorded up to that beat */
    struct estimate of_interval; /* of that beat's interval alone */
    struct estimate of_mark;     /* since the mark */
};

/* Reusable memory; starts as { 0 }. Valid until the next beat. */
struct detail {
    struct detail_line *lines;
    size_t count;
    size_t capacity;
    size_t statistics;          /* that are shown */
    size_t hidden;              /* statistics that are left out: level, zero, filter */
    size_t hidden_level;        /* those of them that only the level hides */
    size_t cut;                 /* statistics for which DETAIL_LINES_MAX left no room */
    int failed;                 /* for want of memory */
    const struct sample_vm *vm; /* that it is of; NULL: it has gone, and only some facts of that beat are left */
    size_t source;              /* in its snapshot */
    long shard;                 /* of that source; -1: it is of the source itself */
    size_t track;               /* in the history */
    size_t beat;
    int newest; /* that beat is the newest one */
    char title[512];
    const char *title_end; /* of the title, that must not be cut: whose file it is */
    double *counts;        /* memory for the buckets of one histogram */
};

/* What to leave out. A filter beats the other two, and leaves out facts too. */
struct detail_options {
    const struct filter *filter; /* of the names */
    int level;                   /* enum vmt_level: the highest shown */
    int hide_zero;               /* what never counted anything */
};

/* All that is known of the VM, source or shard with this key at that beat (an index; beyond the newest it is the newest):
 * facts, statistics, what other providers count of it, and totals over its descendants. 0, -ENOENT (it is there neither now nor at that beat; there are no
 * lines), -ENOMEM. */
int detail_build(struct detail *detail, const struct sample_set *set, const struct history *history, size_t beat,
                 uint64_t key, const struct detail_options *options);
void detail_free(struct detail *detail);

/* The value of a statistic at any beat: its change per second if it is cumulative or a histogram (of how many), else its
 * value; of a quantile that of the beat's interval. NAN: not known. */
double detail_value(const struct detail *detail, const struct history *history, const struct detail_line *line,
                    size_t beat);

/* One shard's part in a statistic of the source's own, at the newest beat. */
struct detail_share {
    uint32_t owner; /* thread id; 0: not known */
    uint32_t held;  /* as vmt_shard_sample */
    double total;
    double rate;  /* per second; NAN: not known */
    double share; /* of the rates of all shards, of the totals where no rate is known; 0 to 1. NAN: they are no parts of
                     a whole, or all are 0 */
};

/* The shards of that statistic, the hottest first: up to max (at most DETAIL_SHARES_MAX) into shares; returns how many there are. 0 where they were
 * not kept (sampler_focus()), or the line is not of the source's own. */
size_t detail_shares(const struct detail *detail, const struct detail_line *line, struct detail_share *shares,
                     size_t max);

#endif
