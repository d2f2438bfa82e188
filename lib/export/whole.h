/* SPDX-License-Identifier: MIT */
/* Values as whole numbers of the units that a format has. */
#ifndef LIB_EXPORT_WHOLE_H
#define LIB_EXPORT_WHOLE_H

#include <vmtally/reader.h>

#include "shm/layout.h"

/* What a slot of d holds, rounded down: seconds as so many parts of a second (1000000: microseconds), all else in its
 * unit. 0 below 0, and where nothing was counted; UINT64_MAX where it is more. */
static inline uint64_t vmt_export_whole(const struct vmt_descriptor *d, uint64_t value, uint32_t parts)
{
    unsigned base = (d->flags & VMT_BASE_MASK) == VMT_BASE_POW2 ? 2 : 10;
    __extension__ unsigned __int128 whole = value;
    uint64_t none = shm_identity(d->flags);

    if ((none != 0 && value == none) || (d->flags & VMT_SIGNED && (int64_t)value < 0))
        return 0;
    if ((d->flags & VMT_UNIT_MASK) == VMT_UNIT_SECONDS)
        whole *= parts;
    /* Each ends after 128 at the latest, whatever the exponent. */
    for (int e = d->exponent; e < 0 && whole != 0; e++)
        whole /= base;
    for (int e = d->exponent; e > 0 && whole != 0 && whole <= UINT64_MAX; e--)
        whole *= base;
    return whole < UINT64_MAX ? (uint64_t)whole : UINT64_MAX;
}

#endif
