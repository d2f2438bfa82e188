// SPDX-License-Identifier: MIT
//! What \<vmtally/export.h> declares. Made by bindings/generate.py: don't edit.

use crate::*;
use std::os::raw::{c_char, c_int, c_uint, c_void};

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_buffer {
    pub data: *mut c_char,
    pub size: usize,
    pub capacity: usize,
}

impl Default for vmt_buffer {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    pub fn vmt_buffer_clear(buffer: *mut vmt_buffer);

    pub fn vmt_buffer_free(buffer: *mut vmt_buffer);
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_msgpack {
    _unused: [u8; 0],
}

extern "C" {
    /// \*ret is the caller's. 0 or -ENOMEM.
    pub fn vmt_msgpack_new(ret: *mut *mut vmt_msgpack) -> c_int;

    pub fn vmt_msgpack_free(stream: *mut vmt_msgpack);

    /// Start the stream anew: the next frame sends all schemas again.
    pub fn vmt_msgpack_reset(stream: *mut vmt_msgpack);

    /// Append the frames of one snapshot: its schemas not sent before, then its values. 0, -ENOMEM, -EFBIG.
    pub fn vmt_msgpack_encode(stream: *mut vmt_msgpack, snapshot: *const vmt_snapshot, out: *mut vmt_buffer) -> c_int;

    /// Append one self-contained map (names beside values). 0, -ENOMEM, -EFBIG.
    pub fn vmt_msgpack_encode_full(snapshot: *const vmt_snapshot, out: *mut vmt_buffer) -> c_int;

    /// Append the snapshot as one JSON object, on one line with a newline, or (pretty not 0) indented. u64 and int64_t
    /// are exact. 0, -ENOMEM, -EFBIG.
    pub fn vmt_json_encode(snapshot: *const vmt_snapshot, pretty: c_int, out: *mut vmt_buffer) -> c_int;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_decoder {
    _unused: [u8; 0],
}

extern "C" {
    /// \*ret is the caller's. 0 or -ENOMEM.
    pub fn vmt_decoder_new(ret: *mut *mut vmt_decoder) -> c_int;

    pub fn vmt_decoder_free(decoder: *mut vmt_decoder);

    /// Append what follows in the stream, however it is cut. 0 or -ENOMEM.
    pub fn vmt_decoder_feed(decoder: *mut vmt_decoder, bytes: *const c_void, size: usize) -> c_int;

    /// The next snapshot, of a sample frame or of a self-contained map. The bytes are not trusted: a frame has at most 64 MiB and
    /// is at most 16 deep, to read one takes up to 20 times its size, and at most 65,536 streams and VMT_BUFFER_MAX bytes of
    /// them are remembered (that which was in use the longest time ago is forgotten).
    /// 1: \*ret is valid until the next call about this decoder. 0: what is there is not a whole frame: feed more. -EBADMSG:
    /// there is no frame where one should be; what follows is skipped up to what may be one: call again. -ENOMEM: call again when
    /// there is memory.
    pub fn vmt_decoder_next(decoder: *mut vmt_decoder, ret: *mut *const vmt_snapshot) -> c_int;

    /// Nothing follows. What waits is no whole frame, then, but was cut off; if whole ones stand behind its beginning (somebody
    /// went on writing where another one was killed), vmt_decoder_next() gives them, too. Feeding more takes it back.
    pub fn vmt_decoder_end(decoder: *mut vmt_decoder);
}

/// So far.
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vmt_decoder_state {
    /// fed
    pub bytes: u64,
    /// of them not looked at yet: at the end of a stream that was not cut in the middle, 0
    pub waiting: u64,
    /// given
    pub snapshots: u64,
    /// frames: their header or schemas were cut off, or they are of a kind not known here
    pub skipped: u64,
    /// that were no frames
    pub damaged_bytes: u64,
}

extern "C" {
    pub fn vmt_decoder_state(decoder: *const vmt_decoder, ret: *mut vmt_decoder_state);
}

/// Which sources and statistics are encoded. NULL instead of it, and NULL functions: all. Not 0: this one.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_choice {
    pub source: Option<unsafe extern "C" fn(arg: *mut c_void, snapshot: *const vmt_snapshot, i: usize) -> c_int>,
    pub statistic:
        Option<unsafe extern "C" fn(arg: *mut c_void, schema: *const vmt_schema, d: *const vmt_descriptor) -> c_int>,
    pub arg: *mut c_void,
}

impl Default for vmt_choice {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

/// OpenMetrics 1.0: application/openmetrics-text; version=1.0.0; charset=utf-8
pub const VMT_OPENMETRICS: vmt_metrics_format = 0;
/// Prometheus' text format 0.0.4: text/plain; version=0.0.4; charset=utf-8
pub const VMT_PROMETHEUS: vmt_metrics_format = 1;
pub type vmt_metrics_format = c_uint;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_metrics {
    _unused: [u8; 0],
}

extern "C" {
    /// \*ret is the caller's. 0 or -ENOMEM.
    pub fn vmt_metrics_new(ret: *mut *mut vmt_metrics) -> c_int;

    pub fn vmt_metrics_free(metrics: *mut vmt_metrics);

    pub fn vmt_metrics_clear(metrics: *mut vmt_metrics);

    /// After that: about so many VMs will be added. For each of them its share of what a scrape may have is kept until it is
    /// added, whatever those before it would take. Without it, who comes first is served first.
    pub fn vmt_metrics_expect(metrics: *mut vmt_metrics, vms: usize);

    /// Add a VM: a sample for each statistic of each source that is chosen; vm is the value of the label "vm" (NULL: the segment's
    /// name). A second VM of one name gets "~2" behind it, a source whose labels another one has already gets one more label.
    /// A VM whose writer is gone (closed, died) has its state only: its series end. Schemas are remembered by content. The
    /// snapshot is not needed afterwards. lib/export/METRICS.md has the names. 0, -ENOMEM, -EFBIG.
    pub fn vmt_metrics_add(
        metrics: *mut vmt_metrics,
        snapshot: *const vmt_snapshot,
        vm: *const c_char,
        choice: *const vmt_choice,
    ) -> c_int;
}

/// One of the exporter's own: a counter or a gauge, with one label at most.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_metric {
    /// "scrape_duration_seconds": without "kvmtop_exporter_" before it and "_total" behind it
    pub name: *const c_char,
    /// "seconds", "bytes", NULL; the end of the name
    pub unit: *const c_char,
    pub help: *const c_char,
    pub counter: c_int,
    pub value: f64,
    /// NULL: none
    pub label: *const c_char,
    pub label_value: *const c_char,
}

impl Default for vmt_metric {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// Add it, or give what was added of that name and label before its new value. Those of one name come one after the other. 0;
    /// -EINVAL (the value is not finite); -ENOMEM.
    pub fn vmt_metrics_add_own(metrics: *mut vmt_metrics, metric: *const vmt_metric) -> c_int;

    /// Append the scrape; it may be written in both formats, and again. 0, -ENOMEM, -EFBIG.
    pub fn vmt_metrics_write(metrics: *const vmt_metrics, format: vmt_metrics_format, out: *mut vmt_buffer) -> c_int;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_firecracker {
    _unused: [u8; 0],
}

extern "C" {
    /// \*ret is the caller's. 0 or -ENOMEM.
    pub fn vmt_firecracker_new(ret: *mut *mut vmt_firecracker) -> c_int;

    pub fn vmt_firecracker_free(lines: *mut vmt_firecracker);

    /// Append one line of Firecracker's metrics: its groups and names, utc_timestamp_ms first, counters as what was counted since
    /// the last line that was kept (before that: since the VM began), stored metrics as they are. vm not NULL: the line has
    /// "id" with it as its second key, as Firecracker's has with emit_id. lib/export/FIRECRACKER.md has the groups. What was counted is not taken as told before vmt_firecracker_keep(). 0, -ENOMEM, -EFBIG.
    pub fn vmt_firecracker_encode(
        lines: *mut vmt_firecracker,
        snapshot: *const vmt_snapshot,
        vm: *const c_char,
        out: *mut vmt_buffer,
    ) -> c_int;

    /// What became of the line that was encoded last: it was written; or it was missed, which the next one says in
    /// logger.missed_metrics_count, with all that this one would have told. One of the two after each line.
    pub fn vmt_firecracker_keep(lines: *mut vmt_firecracker);

    pub fn vmt_firecracker_miss(lines: *mut vmt_firecracker);

    /// Append TinyKVM's JSON document (tinykvm.stats()) of the programs in the snapshot, which was taken with
    /// vmt_snapshot_want_shards(): a machine each. pattern: a POSIX extended regular expression that names of programs match as a
    /// whole; NULL: all. Its key "VMOD_KVM" has the counters over all programs. 0 (also where no program matches, then nothing is
    /// appended); -EINVAL: the pattern is none, or might take too long: longer than 256 bytes, with back-references, word
    /// boundaries, anchors inside, "{n}" behind anything but one character, or of more than 512 in all; -ENOMEM, -EFBIG.
    pub fn vmt_tinykvm_encode(
        snapshot: *const vmt_snapshot,
        pattern: *const c_char,
        pretty: c_int,
        out: *mut vmt_buffer,
    ) -> c_int;
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_records {
    _unused: [u8; 0],
}

#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vmt_records_options {
    pub struct_size: usize,
    /// value of "host"
    pub host: *const c_char,
    /// value of "sender": another one for each run, so that seq may begin again
    pub sender: *const c_char,
    /// not 0: all integers but that of "schema" are decimal strings, for who cuts off above 2^53
    pub strings: u32,
    /// not 0: counters and histograms as what changed, from the delta
    pub deltas: u32,
}

impl Default for vmt_records_options {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}

extern "C" {
    /// \*ret is the caller's. 0, -EINVAL, -ENOMEM.
    pub fn vmt_records_new(options: *const vmt_records_options, ret: *mut *mut vmt_records) -> c_int;

    pub fn vmt_records_free(records: *mut vmt_records);
}

/// One entry of Fluent Forward, \[EventTime, record], as msgpack: of source i of the snapshot, or with schema of what it had below
/// it (then i is 0). Not 0 ends the encoding.
pub type vmt_record_fn = Option<
    unsafe extern "C" fn(
        arg: *mut c_void,
        snapshot: *const vmt_snapshot,
        i: usize,
        schema: *const vmt_schema,
        entry: *const c_void,
        size: usize,
    ) -> c_int,
>;
extern "C" {
    /// Give an entry for each source that is chosen and counts anything; then, with the segment (source 0), one for each schema of
    /// whose sources some that are gone have counted something. delta: what changed since the sample before, needed only
    /// with .deltas (sources whose change is RESET then have their totals, and say so). vm NULL: the segment's name. seq:
    /// value of "seq", one higher with each sample. lib/export/RECORDS.md has the keys. 0, -ENOMEM, -EFBIG, or what record
    /// gave.
    pub fn vmt_records_encode(
        records: *mut vmt_records,
        snapshot: *const vmt_snapshot,
        delta: *const vmt_delta,
        vm: *const c_char,
        seq: u64,
        choice: *const vmt_choice,
        record: vmt_record_fn,
        arg: *mut c_void,
    ) -> c_int;

    /// Append what KVM_GET_STATS_FD would give, were source number source of the snapshot one of the kernel's: header, id,
    /// descriptors, and the source's sums as data, without gaps (Documentation/virt/kvm/api.rst, 4.134). The id is
    /// "kvm-PID/vm/vcpu-2", "kvm-PID/segment" for source 0; for what the kernel counts it is the kernel's: "kvm-PID",
    /// "kvm-PID/vcpu-2" (PID as the VMM's PID namespace has it; the kernel's is the host's). One that is too long has "..." in
    /// place of its first parts. Descriptors that KVM's rules do not allow are left out, and so is what of the others KVM has no
    /// place for: aggregation (a minimum is an instant, UINT64_MAX where nothing was counted), signedness, help. 0; -EINVAL (no
    /// such source), -ENOENT (it has no statistics), -ENODATA (its values could not be read: VMT_SAMPLE_ABSENT), -ENOMEM,
    /// -EFBIG.
    pub fn vmt_kvm_encode(snapshot: *const vmt_snapshot, source: usize, out: *mut vmt_buffer) -> c_int;

    /// The same as a file descriptor, which is the caller's: read it with pread, as one of KVM's. It is a memory file that
    /// nobody can change any more, closed on exec. Returns it, or what vmt_kvm_encode() and memfd_create(2) give.
    pub fn vmt_kvm_open(snapshot: *const vmt_snapshot, source: usize) -> c_int;

    /// Append count schemas as one JSON array, on one line with a newline or (pretty not 0) indented: each a map of name,
    /// provider, target, "vms" (only with vms not NULL: vms\[i], which ends with NULL, are the names of those that have schema i)
    /// and "stats". A statistic is a map of name, kind (QEMU's word for its type), unit and scale {base: "pow10" or "pow2",
    /// exponent} where they are not 1, count (how many u64), and what it has of bucket-size, signed, aggregation, group, minuend,
    /// level and help: as in the document of vmt_json_encode(). 0, -ENOMEM, -EFBIG.
    pub fn vmt_schema_json_encode(
        schemas: *const *const vmt_schema,
        vms: *const *const *const c_char,
        count: usize,
        pretty: c_int,
        out: *mut vmt_buffer,
    ) -> c_int;

    /// The same in msgpack.
    pub fn vmt_schema_msgpack_encode(
        schemas: *const *const vmt_schema,
        vms: *const *const *const c_char,
        count: usize,
        out: *mut vmt_buffer,
    ) -> c_int;
}
