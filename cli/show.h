/* SPDX-License-Identifier: MIT */
/* show.h: what 'vmtally show' was asked for, and what it has shown so far: between its parts. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <vmtally/reader.h>

#include "options.h"
#include "select.h"

struct show {
    struct options *common;
    char *vm;           /* NULL: all */
    const char *source; /* globs, NULL: all */
    const char *stat;
    int shards;
    int json;
    /* how many were shown, of all VMs */
    size_t sources;
    size_t stats;
};

/* Whether source i was asked for: by its full id, or as what the kernel counts of one that was. */
int show_matches(const struct show *show, const struct vmt_snapshot *snapshot, size_t i);

/* Print a VM: for people, or as a line of JSON. 0; -ENOMEM, and what vmt_json_encode() gives. Where writing failed *status
 * becomes 1. */
int show_text(struct show *show, const struct vmt_snapshot *snapshot);
int show_json(struct show *show, const struct vmt_snapshot *snapshot, int *status);

#endif
