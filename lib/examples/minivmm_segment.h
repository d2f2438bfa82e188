/* SPDX-License-Identifier: MIT */
/* Where minivmm's segment comes from: by name, or in jail mode in an empty file that is there before. */
#ifndef MINIVMM_SEGMENT_H
#define MINIVMM_SEGMENT_H

#include <vmtally/segment.h>

#include "minivmm_options.h"

/* Create it. *jail_path: in jail mode the file's name, the caller's; nobody removes it from within the jail.
 * 0, -EINVAL (options->name is no name for a VM), or another -errno; said on stderr. */
int segment_create(const struct options *options, struct vmt_segment **ret, char **jail_path);

#endif
