/* SPDX-License-Identifier: MIT */
/* detail.h: all that there is to see of one VM or source, as lines. As model.h: the same input gives the
 * same lines.
 */
#ifndef CLI_TOP_DETAIL_H
#define CLI_TOP_DETAIL_H

#include <stddef.h>
#include <stdint.h>

#include "cli/top/sampler.h"
#include "cli/units.h"

enum detail_kind { DETAIL_HEADING, DETAIL_FACT, DETAIL_STATISTIC };

/* One line: a heading (name), a fact (name, value) or a statistic. */
struct detail_line {
    enum detail_kind kind;
    char name[256];
    char value[256];
    char rate[UNIT_TEXT];
    const char *unit; /* "" for all but statistics */
    const char *help;
};

/* Reusable memory; starts as { 0 }. */
struct detail {
    struct detail_line *lines;
    size_t count;
    size_t capacity;
    int failed; /* for want of memory */
};

/* All that is known of the source with this key: facts, statistics, and totals over its descendants.
 * 0, -ENOENT (no such source any more; there are no lines), -ENOMEM. */
int detail_build(struct detail *detail, const struct sample_set *set, uint64_t key);
void detail_free(struct detail *detail);

#endif
