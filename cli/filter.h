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
    int source_found; /* any was chosen so far */
    int stat_found;
    int said; /* that there was none */
};

/* A child parser for argp, its input is a struct filter. */
extern const struct argp filter_argp;

/* The same as a choice, which has what it needs in *filter, and notes there that it chose something; NULL where nothing was filtered. *ret is where it is put. */
const struct vmt_choice *filter_choice(const struct filter *filter, struct vmt_choice *ret);

/* Whether a source of this id is chosen by that alone, whatever the kernel counts for it is called. */
int filter_has_id(const struct filter *filter, const char *id);

/* After something that counts was asked for: where nothing of it was chosen so far that is said, once. */
void filter_say_none(struct filter *filter);

void filter_free(struct filter *filter);

#endif
