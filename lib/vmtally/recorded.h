/* SPDX-License-Identifier: MIT */
/* vmtally/recorded.h: snapshots that were not taken here: made of what was recorded, or copied. Whoever is given one
 * can't tell it from one that was taken.
 *
 *     struct vmt_recorded *segment;                          // one for each segment in the recording
 *     vmt_recorded_new(&segment);
 *     vmt_recorded_schema(segment, &as_it_was_recorded, &schema);
 *     vmt_snapshot_rebuild(snapshot, segment, &info, samples, count);      // samples[i].schema == schema
 *
 * What was recorded is not trusted: it is checked as a segment is. Errors are negative errno. One thread at a time
 * for each object.
 */
#ifndef VMTALLY_RECORDED_H
#define VMTALLY_RECORDED_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/reader.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmt_recorded; /* the schemas of one recorded segment; to its snapshots what a reader is to a live one's */

/* *ret is the caller's. 0 or -ENOMEM. */
int vmt_recorded_new(struct vmt_recorded **ret);

/* NULL is allowed. Snapshots made with it stay valid. */
void vmt_recorded_free(struct vmt_recorded *recorded);

/* A checked copy of schema, *ret, for the samples that are made into snapshots; there as long as recorded is, and any
 * snapshot made with it. What is the same schema to the byte need not, but may, have one address. 0; -EBADMSG (it
 * breaks the rules of a schema block in shm/FORMAT.md); -ENOSPC (more than the 256 that a segment may have); -ENOMEM. */
int vmt_recorded_schema(struct vmt_recorded *recorded, const struct vmt_schema *schema, const struct vmt_schema **ret);

/* Bytes of memory that it and its schemas take, about; those of schemas that others have, too, are counted by each. */
size_t vmt_recorded_bytes(const struct vmt_recorded *recorded);

/* Make snapshot, as vmt_snapshot_take() does, of copies of all that info and the samples point to: values, totals
 * (values, departed) and shards too, text made fit to show. Of each sample these are looked at: id, schema (from
 * vmt_recorded_schema() of recorded), values (NULL: absent), totals, total_count, shards, shard_count, generation,
 * created_ns, entry, parent, flags; name and depth follow from those. Of info all but path, name and labels may be
 * zero. Deltas (delta.h) between two snapshots made with one recorded are as between two of one reader; but that the
 * kernel's counters were not read anew in between is not known of them, then they have not changed. 0; -EINVAL: no
 * source, source 0 has a parent, or another source's parent is not before it, is deeper than VMT_DEPTH_MAX allows, or
 * a schema is not recorded's; then the snapshot is empty. -ENOMEM. */
int vmt_snapshot_rebuild(struct vmt_snapshot *snapshot, struct vmt_recorded *recorded,
                         const struct vmt_segment_info *info, const struct vmt_sample *samples, size_t count);

/* Make to the same as from, which it does not depend on afterwards: to compare with later, while from is reused.
 * Memory of to is reused; a copy of one that has no shards needs about what from has in use. 0 or -ENOMEM, then to is
 * empty. */
int vmt_snapshot_copy(struct vmt_snapshot *to, const struct vmt_snapshot *from);

#ifdef __cplusplus
}
#endif

#endif
