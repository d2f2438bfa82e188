/* SPDX-License-Identifier: MIT */
/* places.h: where VMs are looked for, and why they can't be. */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

#define PLACES 4096      /* bytes that hold what vmt_discover_places() says */
#define PLACES_TEXT 4400 /* bytes that hold why they can't be looked into, too */

/* Why VMs can't be looked for: after vmt_discover(), sampler_find() or sampler_take() gave error, with the directories:
 * "/run/vmtally: permission denied; run as root, or join the group that owns the file". before: it went well before, by
 * this process in its sandbox, which then may be what is in the way. Returns buf. */
const char *places_trouble(const struct options *common, int error, bool before, char *buf, size_t n);

#endif
