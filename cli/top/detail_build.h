/* SPDX-License-Identifier: MIT */
/* detail_build.h: what the files that build a detail share: detail.c has the statistics, detail_facts.c the facts. */
#ifndef CLI_TOP_DETAIL_BUILD_H
#define CLI_TOP_DETAIL_BUILD_H

#include "cli/top/detail.h"

#define DETAIL_VIEWS 8 /* of one source; a file could have any number */

/* What all steps of one build share. */
struct build {
    struct detail *detail;
    const struct sample_set *set;
    const struct history *history;
    const struct detail_options *options;
    struct track_facts facts;             /* at the beat */
    int there;                            /* it was, at the beat */
    size_t newest;                        /* beat */
    const struct vmt_sample *sample;      /* of the source, NULL: there is none */
    const struct vmt_sample *before;      /* the same at the beat before; NULL: not known */
    const struct vmt_sample *marked;      /* at the mark */
    const struct vmt_shard_sample *shard; /* NULL: the detail is of the source itself */
    size_t views[DETAIL_VIEWS];           /* sources in the snapshot that are other providers' views of sample */
    size_t view_count;
    size_t lookups;
};

/* What finds the same line again: by its kind and name, and by what else tells it from others. */
uint64_t detail_key_of(enum detail_kind kind, const char *name, uint64_t seed);

/* Room for count more lines, all 0; NULL without memory, which the detail then remembers. They are not counted yet. */
struct detail_line *detail_lines_new(struct detail *d, size_t count);

void detail_add_facts(const struct build *b);

#endif
