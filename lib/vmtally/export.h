/* SPDX-License-Identifier: MIT */
/* vmtally/export.h: snapshots encoded as msgpack and JSON. libvmtally-export; lib/export/STREAM.md is the format.
 * Errors are negative errno. One thread at a time per object.
 */
#ifndef VMTALLY_EXPORT_H
#define VMTALLY_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/reader.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Growing memory that an encoder appends to; reusable. Starts as { 0 }. An encoder that would need more than
 * VMT_BUFFER_MAX ends with -EFBIG, and what was in it before is as it was: where names stand beside each value, a small
 * file can make a large document. */
#define VMT_BUFFER_MAX ((size_t)1 << 30)
struct vmt_buffer {
    char *data;
    size_t size;
    size_t capacity;
};
void vmt_buffer_clear(struct vmt_buffer *buffer); /* empty, memory kept */
void vmt_buffer_free(struct vmt_buffer *buffer);  /* empty, memory freed */

struct vmt_msgpack; /* one stream: it remembers which schemas were sent */

/* *ret is the caller's. 0 or -ENOMEM. */
int vmt_msgpack_new(struct vmt_msgpack **ret);
void vmt_msgpack_free(struct vmt_msgpack *stream);

/* Start the stream anew: the next frame sends all schemas again. */
void vmt_msgpack_reset(struct vmt_msgpack *stream);

/* Append the frames of one snapshot: its schemas not sent before, then its values. 0, -ENOMEM, -EFBIG. */
int vmt_msgpack_encode(struct vmt_msgpack *stream, const struct vmt_snapshot *snapshot, struct vmt_buffer *out);

/* Append one self-contained map (names beside values). 0, -ENOMEM, -EFBIG. */
int vmt_msgpack_encode_full(const struct vmt_snapshot *snapshot, struct vmt_buffer *out);

/* Append the snapshot as one JSON object, on one line with a newline, or (pretty not 0) indented. u64 and int64_t
 * are exact. 0, -ENOMEM, -EFBIG. */
int vmt_json_encode(const struct vmt_snapshot *snapshot, int pretty, struct vmt_buffer *out);

#ifdef __cplusplus
}
#endif

#endif
