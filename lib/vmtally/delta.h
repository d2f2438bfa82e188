/* SPDX-License-Identifier: MIT */
/* vmtally/delta.h: what changed between two snapshots of one segment. Each reader has its own. */
#ifndef VMTALLY_DELTA_H
#define VMTALLY_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/reader.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmt_delta; /* reusable memory */

/* Not in the older snapshot: values are all that it has counted, since it was added. */
#define VMT_CHANGE_NEW 1U
/* Nothing to compare with: another segment, values absent, missing in a partial older one, or a value that fell; of what
 * the kernel counts, whenever it was not there, or was had in another way, or was not read at about the same time as the
 * rest: nobody knows when it began to count. Values are 0. */
#define VMT_CHANGE_RESET 2U

/* The change of one source, or of one of its totals. */
struct vmt_change {
    const struct vmt_schema *schema;
    const uint64_t *values; /* schema->slots; cumulative and histogram slots: newer - older; others: 0 */
    uint32_t flags;         /* VMT_CHANGE_ */
    uint32_t reserved;
};

int vmt_delta_new(struct vmt_delta **ret); /* 0 or -ENOMEM */
void vmt_delta_free(struct vmt_delta *delta);

/* Compare; both snapshots must stay as they are while the delta is used. older may be NULL: all is RESET. Sources are
 * matched by entry and generation, so an id that was removed and added again is NEW. 0 or -ENOMEM. */
int vmt_delta_compute(struct vmt_delta *delta, const struct vmt_snapshot *older, const struct vmt_snapshot *newer);

/* Seconds between the two, 0 where they can't be compared. */
double vmt_delta_seconds(const struct vmt_delta *delta);

/* Source i of the newer snapshot. */
const struct vmt_change *vmt_delta_source(const struct vmt_delta *delta, size_t i);

/* Total t of source i of the newer snapshot. */
const struct vmt_change *vmt_delta_total(const struct vmt_delta *delta, size_t i, size_t t);

/* Change of a slot per second; 0 where there is none. */
double vmt_change_rate(const struct vmt_delta *delta, const struct vmt_change *change, uint32_t slot);

#ifdef __cplusplus
}
#endif

#endif
