/* SPDX-License-Identifier: MIT */
/* filter.h: --source GLOB and --stat GLOB of the commands that go on and on, as what encoders ask. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include <argp.h>

#include <vmtally/export.h>

/* Each may be given several times: one that matches is enough; none: all. A glob that begins with '!' leaves out what it
 * matches. Starts as zeros. */
struct filter {
    const char **sources;
    const char **stats;
    size_t source_count;
    size_t stat_count;
};

/* A child parser for argp, its input is a struct filter. */
extern const struct argp filter_argp;

/* The same as a choice, which has what it needs in *filter; NULL where nothing was filtered. *ret is where it is put. */
const struct vmt_choice *filter_choice(const struct filter *filter, struct vmt_choice *ret);

/* Whether a source of this id is chosen by that alone, whatever the kernel counts for it is called. */
int filter_has_id(const struct filter *filter, const char *id);

void filter_free(struct filter *filter);

#endif
