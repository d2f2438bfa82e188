/* SPDX-License-Identifier: MIT */
#ifndef LIB_TOTALS_H
#define LIB_TOTALS_H

struct vmt_snapshot;

/* Make samples, in the order of the tree, and totals out of the nodes that were read. 0 or -ENOMEM. */
int totals_and_samples(struct vmt_snapshot *s);

#endif
