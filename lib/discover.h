/* SPDX-License-Identifier: MIT */
#ifndef LIB_DISCOVER_H
#define LIB_DISCOVER_H

/* For qsort, of struct vmt_found: by name as people count (vm-9 before vm-10), then by path. */
int discover_order(const void *a, const void *b);

#endif
