/* SPDX-License-Identifier: MIT */
/* vmtally/export.h: snapshots encoded as msgpack, JSON, OpenMetrics, Prometheus' text, Firecracker's lines, TinyKVM's
 * document, records for Fluent Forward and KVM statistics files; schemas as msgpack and JSON; and msgpack decoded.
 * libvmtally-export; lib/export/STREAM.md is the format of the first two.
 * Errors are negative errno. One thread at a time per object.
 */
#ifndef VMTALLY_EXPORT_H
#define VMTALLY_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include <vmtally/delta.h>
#include <vmtally/reader.h>
#include <vmtally/recorded.h>

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

/* ---- msgpack, read back ---- */

struct vmt_decoder; /* of one stream, or of several one after the other, or woven into one (STREAM.md, section 5) */

/* *ret is the caller's. 0 or -ENOMEM. */
int vmt_decoder_new(struct vmt_decoder **ret);
void vmt_decoder_free(struct vmt_decoder *decoder); /* NULL is allowed */

/* Append what follows in the stream, however it is cut. 0 or -ENOMEM. */
int vmt_decoder_feed(struct vmt_decoder *decoder, const void *bytes, size_t size);

/* The next snapshot, of a sample frame or of a self-contained map. The bytes are not trusted: a frame has at most 64 MiB and
 * is at most 16 deep, to read one takes up to 20 times its size, and at most 65,536 streams and VMT_BUFFER_MAX bytes of
 * them are remembered (that which was in use the longest time ago is forgotten).
 * 1: *ret is valid until the next call about this decoder. 0: what is there is not a whole frame: feed more. -EBADMSG:
 * there is no frame where one should be; what follows is skipped up to what may be one: call again. -ENOMEM: call again when
 * there is memory. */
int vmt_decoder_next(struct vmt_decoder *decoder, const struct vmt_snapshot **ret);

/* Nothing follows. What waits is no whole frame, then, but was cut off; if whole ones stand behind its beginning (somebody
 * went on writing where another one was killed), vmt_decoder_next() gives them, too. Feeding more takes it back. */
void vmt_decoder_end(struct vmt_decoder *decoder);

/* So far. */
struct vmt_decoder_state {
    uint64_t bytes;         /* fed */
    uint64_t waiting;       /* of them not looked at yet: at the end of a stream that was not cut in the middle, 0 */
    uint64_t snapshots;     /* given */
    uint64_t skipped;       /* frames: their header or schemas were cut off, or they are of a kind not known here */
    uint64_t damaged_bytes; /* that were no frames */
};
void vmt_decoder_state(const struct vmt_decoder *decoder, struct vmt_decoder_state *ret);

/* ---- what is chosen ---- */

/* Which sources and statistics are encoded. NULL instead of it, and NULL functions: all. Not 0: this one. */
struct vmt_choice {
    int (*source)(void *arg, const struct vmt_snapshot *snapshot, size_t i);
    int (*statistic)(void *arg, const struct vmt_schema *schema, const struct vmt_descriptor *d);
    void *arg;
};

/* ---- for Prometheus ---- */

enum vmt_metrics_format {
    VMT_OPENMETRICS = 0, /* OpenMetrics 1.0: application/openmetrics-text; version=1.0.0; charset=utf-8 */
    VMT_PROMETHEUS = 1   /* Prometheus' text format 0.0.4: text/plain; version=0.0.4; charset=utf-8 */
};

struct vmt_metrics; /* one scrape: the snapshots of all VMs, sorted into metric families; reusable memory */

/* *ret is the caller's. 0 or -ENOMEM. */
int vmt_metrics_new(struct vmt_metrics **ret);
void vmt_metrics_free(struct vmt_metrics *metrics);  /* NULL is allowed */
void vmt_metrics_clear(struct vmt_metrics *metrics); /* for the next scrape */

/* After that: about so many VMs will be added. For each of them its share of what a scrape may have is kept until it is
 * added, whatever those before it would take. Without it, who comes first is served first. */
void vmt_metrics_expect(struct vmt_metrics *metrics, size_t vms);

/* Add a VM: a sample for each statistic of each source that is chosen; vm is the value of the label "vm" (NULL: the segment's
 * name). A second VM of one name gets "~2" behind it, a source whose labels another one has already gets one more label.
 * A VM whose writer is gone (closed, died) has its state only: its series end. Schemas are remembered by content. The
 * snapshot is not needed afterwards. lib/export/METRICS.md has the names. 0, -ENOMEM, -EFBIG. */
int vmt_metrics_add(struct vmt_metrics *metrics, const struct vmt_snapshot *snapshot, const char *vm,
                    const struct vmt_choice *choice);

/* One of the exporter's own: a counter or a gauge, with one label at most. */
struct vmt_metric {
    const char *name; /* "scrape_duration_seconds": without "kvmtop_exporter_" before it and "_total" behind it */
    const char *unit; /* "seconds", "bytes", NULL; the end of the name */
    const char *help;
    int counter;
    double value;
    const char *label; /* NULL: none */
    const char *label_value;
};

/* Add it, or give what was added of that name and label before its new value. Those of one name come one after the other. 0;
 * -EINVAL (the value is not finite); -ENOMEM. */
int vmt_metrics_add_own(struct vmt_metrics *metrics, const struct vmt_metric *metric);

/* Append the scrape; it may be written in both formats, and again. 0, -ENOMEM, -EFBIG. */
int vmt_metrics_write(const struct vmt_metrics *metrics, enum vmt_metrics_format format, struct vmt_buffer *out);

/* ---- for those who parse Firecracker's and TinyKVM's ---- */

struct vmt_firecracker; /* the lines of one VM for one reader: what the last one that was written has counted */

/* *ret is the caller's. 0 or -ENOMEM. */
int vmt_firecracker_new(struct vmt_firecracker **ret);
void vmt_firecracker_free(struct vmt_firecracker *lines); /* NULL is allowed */

/* Append one line of Firecracker's metrics: its groups and names, utc_timestamp_ms first, counters as what was counted since
 * the last line that was kept (before that: since the VM began), stored metrics as they are. vm not NULL: the line has
 * "id" with it as its second key, as Firecracker's has with emit_id. lib/export/FIRECRACKER.md has the groups. What was counted is not taken as told before vmt_firecracker_keep(). 0, -ENOMEM, -EFBIG. */
int vmt_firecracker_encode(struct vmt_firecracker *lines, const struct vmt_snapshot *snapshot, const char *vm,
                           struct vmt_buffer *out);

/* What became of the line that was encoded last: it was written; or it was missed, which the next one says in
 * logger.missed_metrics_count, with all that this one would have told. One of the two after each line. */
void vmt_firecracker_keep(struct vmt_firecracker *lines);
void vmt_firecracker_miss(struct vmt_firecracker *lines);

/* Append TinyKVM's JSON document (tinykvm.stats()) of the programs in the snapshot, which was taken with
 * vmt_snapshot_want_shards(): a machine each. pattern: a POSIX extended regular expression that names of programs match as a
 * whole; NULL: all. Its key "VMOD_KVM" has the counters over all programs. 0 (also where no program matches, then nothing is
 * appended); -EINVAL: the pattern is none, or might take too long: longer than 256 bytes, with back-references, word
 * boundaries, anchors inside, "{n}" behind anything but one character, or of more than 512 in all; -ENOMEM, -EFBIG. */
int vmt_tinykvm_encode(const struct vmt_snapshot *snapshot, const char *pattern, int pretty, struct vmt_buffer *out);

/* ---- for Fluent Forward ---- */

struct vmt_records; /* remembers how records of each schema look */

struct vmt_records_options {
    size_t struct_size;
    const char *host;   /* value of "host" */
    const char *sender; /* value of "sender": another one for each run, so that seq may begin again */
    uint32_t strings;   /* not 0: all integers but that of "schema" are decimal strings, for who cuts off above 2^53 */
    uint32_t deltas;    /* not 0: counters and histograms as what changed, from the delta */
};

/* *ret is the caller's. 0, -EINVAL, -ENOMEM. */
int vmt_records_new(const struct vmt_records_options *options, struct vmt_records **ret);
void vmt_records_free(struct vmt_records *records); /* NULL is allowed */

/* One entry of Fluent Forward, [EventTime, record], as msgpack: of source i of the snapshot, or with schema of what it had below
 * it (then i is 0). Not 0 ends the encoding. */
typedef int vmt_record_fn(void *arg, const struct vmt_snapshot *snapshot, size_t i, const struct vmt_schema *schema,
                          const void *entry, size_t size);

/* Give an entry for each source that is chosen and counts anything; then, with the segment (source 0), one for each schema of
 * whose sources some that are gone have counted something. delta: what changed since the sample before, needed only
 * with .deltas (sources whose change is RESET then have their totals, and say so). vm NULL: the segment's name. seq:
 * value of "seq", one higher with each sample. lib/export/RECORDS.md has the keys. 0, -ENOMEM, -EFBIG, or what record
 * gave. */
int vmt_records_encode(struct vmt_records *records, const struct vmt_snapshot *snapshot, const struct vmt_delta *delta,
                       const char *vm, uint64_t seq, const struct vmt_choice *choice, vmt_record_fn *record, void *arg);

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
