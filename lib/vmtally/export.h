/* SPDX-License-Identifier: MIT */
/* vmtally/export.h: snapshots encoded as msgpack, JSON and KVM statistics files, and schemas as msgpack and JSON.
 * libvmtally-export; lib/export/STREAM.md is the format of the first two.
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

/* ---- for programs that read KVM's statistics ---- */

/* Append what KVM_GET_STATS_FD would give, were source number source of the snapshot one of the kernel's: header, id,
 * descriptors, and the source's sums as data, without gaps (Documentation/virt/kvm/api.rst, 4.134). The id is
 * "kvm-PID/vm/vcpu-2", "kvm-PID/segment" for source 0; for what the kernel counts it is the kernel's: "kvm-PID",
 * "kvm-PID/vcpu-2" (PID as the VMM's PID namespace has it; the kernel's is the host's). One that is too long has "..." in
 * place of its first parts. Descriptors that KVM's rules do not allow are left out, and so is what of the others KVM has no
 * place for: aggregation (a minimum is an instant, UINT64_MAX where nothing was counted), signedness, help. 0; -EINVAL (no
 * such source), -ENOENT (it has no statistics), -ENODATA (its values could not be read: VMT_SAMPLE_ABSENT), -ENOMEM,
 * -EFBIG. */
int vmt_kvm_encode(const struct vmt_snapshot *snapshot, size_t source, struct vmt_buffer *out);

/* The same as a file descriptor, which is the caller's: read it with pread, as one of KVM's. It is a memory file that
 * nobody can change any more, closed on exec. Returns it, or what vmt_kvm_encode() and memfd_create(2) give. */
int vmt_kvm_open(const struct vmt_snapshot *snapshot, size_t source);

/* ---- schemas alone ---- */

/* Append count schemas as one JSON array, on one line with a newline or (pretty not 0) indented: each a map of name,
 * provider, target, "vms" (only with vms not NULL: vms[i], which ends with NULL, are the names of those that have schema i)
 * and "stats". A statistic is a map of name, kind (QEMU's word for its type), unit and scale {base: "pow10" or "pow2",
 * exponent} where they are not 1, count (how many u64), and what it has of bucket-size, signed, aggregation, group, minuend,
 * level and help: as in the document of vmt_json_encode(). 0, -ENOMEM, -EFBIG. */
int vmt_schema_json_encode(const struct vmt_schema *const *schemas, const char *const *const *vms, size_t count,
                           int pretty, struct vmt_buffer *out);

/* The same in msgpack. */
int vmt_schema_msgpack_encode(const struct vmt_schema *const *schemas, const char *const *const *vms, size_t count,
                              struct vmt_buffer *out);

#ifdef __cplusplus
}
#endif

#endif
