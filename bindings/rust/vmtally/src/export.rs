// SPDX-License-Identifier: MIT
//! Snapshots encoded as JSON, msgpack, OpenMetrics, Firecracker's lines, TinyKVM's document and KVM's statistics files.
//! With the feature `export`, which links libvmtally-export.
//!
//! Errors of all: ENOMEM; EFBIG (it would take more than 1 GiB).

use crate::error::{check, errno, Error, Result};
use crate::snapshot::Snapshot;
use crate::text;
use crate::Sample;
use std::fmt;
use std::ptr::{self, NonNull};
use vmtally_sys as sys;

/// Memory that an encoder appends to.
struct Buffer(sys::vmt_buffer);

impl Buffer {
    fn new() -> Self {
        Buffer(sys::vmt_buffer {
            data: ptr::null_mut(),
            size: 0,
            capacity: 0,
        })
    }

    fn bytes(&self) -> &[u8] {
        if self.0.data.is_null() {
            return &[];
        }
        // SAFETY: that is what the library has filled.
        unsafe { std::slice::from_raw_parts(self.0.data.cast(), self.0.size) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it is one that started empty.
        unsafe { sys::vmt_buffer_free(&mut self.0) };
    }
}

fn encode(
    snapshot: &Snapshot,
    format: &str,
    function: impl FnOnce(*const sys::vmt_snapshot, *mut sys::vmt_buffer) -> i32,
) -> Result<Vec<u8>> {
    let mut buffer = Buffer::new();
    let result = function(snapshot.raw(), &mut buffer.0);
    check(result, || format!("{format} of {}", snapshot.segment().name()))?;
    Ok(buffer.bytes().to_owned())
}

fn string(bytes: Vec<u8>, format: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(errno::EBADMSG, format).because("not UTF-8"))
}

/// The snapshot as one JSON object, on one line with a newline, or indented. Integers are exact.
pub fn json(snapshot: &Snapshot, pretty: bool) -> Result<String> {
    // SAFETY: here and in all that follow: what is given is there, and encoders only append to the buffer.
    let bytes = encode(snapshot, "JSON", |s, out| unsafe {
        sys::vmt_json_encode(s, pretty.into(), out)
    })?;
    string(bytes, "JSON")
}

/// The snapshot as one self-contained map in msgpack, names beside values.
pub fn msgpack(snapshot: &Snapshot) -> Result<Vec<u8>> {
    // SAFETY: as above.
    encode(snapshot, "msgpack", |s, out| unsafe {
        sys::vmt_msgpack_encode_full(s, out)
    })
}

/// TinyKVM's JSON document of the programs in the snapshot, which was taken with [`Snapshot::want_shards`]; "" where
/// there are none. pattern: a POSIX extended regular expression that names of programs match as a whole. Errors also:
/// EINVAL (pattern).
pub fn tinykvm(snapshot: &Snapshot, pattern: Option<&str>, pretty: bool) -> Result<String> {
    let c_pattern = pattern
        .map(|pattern| text::to_c(pattern, || "TinyKVM's document".into()))
        .transpose()?;
    let bytes = encode(snapshot, "TinyKVM's document", |s, out| {
        // SAFETY: as above.
        unsafe { sys::vmt_tinykvm_encode(s, text::pointer(&c_pattern), pretty.into(), out) }
    })?;
    string(bytes, "TinyKVM's document")
}

/// What `KVM_GET_STATS_FD` would give, were the source one of the kernel's. Errors also: ENOENT (it has no statistics),
/// ENODATA (its values could not be read).
pub fn kvm(snapshot: &Snapshot, sample: &Sample<'_>) -> Result<Vec<u8>> {
    let i = sample.index();
    // SAFETY: as above; any number will do.
    encode(snapshot, "KVM's statistics", |s, out| unsafe {
        sys::vmt_kvm_encode(s, i, out)
    })
}

macro_rules! object {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $new:ident, $free:ident, $what:literal) => {
        $(#[$doc])*
        pub struct $name {
            raw: NonNull<sys::$raw>,
        }

        // SAFETY: one thread at a time is all the library asks for.
        unsafe impl Send for $name {}

        impl $name {
            /// Errors: ENOMEM.
            pub fn new() -> Result<Self> {
                let mut raw = ptr::null_mut();
                // SAFETY: it has no conditions.
                check(unsafe { sys::$new(&mut raw) }, || $what.into())?;
                // SAFETY: it was just made.
                Ok($name { raw: unsafe { NonNull::new_unchecked(raw) } })
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: this is its one handle.
                unsafe { sys::$free(self.raw.as_ptr()) };
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

object! {
    /// A stream of msgpack: names are sent once, with the first snapshot that has them.
    MsgpackStream, vmt_msgpack, vmt_msgpack_new, vmt_msgpack_free, "msgpack stream"
}

impl MsgpackStream {
    /// The frames of one snapshot: its schemas that were not sent before, then its values.
    pub fn encode(&mut self, snapshot: &Snapshot) -> Result<Vec<u8>> {
        // SAFETY: as above.
        encode(snapshot, "msgpack", |s, out| unsafe {
            sys::vmt_msgpack_encode(self.raw.as_ptr(), s, out)
        })
    }

    /// Start anew: the next frames send all schemas again.
    pub fn reset(&mut self) {
        // SAFETY: as above.
        unsafe { sys::vmt_msgpack_reset(self.raw.as_ptr()) };
    }
}

/// How a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0: `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    OpenMetrics,
    /// Prometheus' text format 0.0.4: `text/plain; version=0.0.4; charset=utf-8`.
    Prometheus,
}

object! {
    /// One scrape: the snapshots of all VMs, sorted into metric families.
    Metrics, vmt_metrics, vmt_metrics_new, vmt_metrics_free, "metrics"
}

impl Metrics {
    /// Add a VM. vm: the value of the label "vm"; None: the segment's name. The snapshot is not needed afterwards.
    pub fn add(&mut self, snapshot: &Snapshot, vm: Option<&str>) -> Result<()> {
        let context = || format!("metrics of {}", snapshot.segment().name());
        let c_vm = vm.map(|vm| text::to_c(vm, context)).transpose()?;
        // SAFETY: as above.
        let result =
            unsafe { sys::vmt_metrics_add(self.raw.as_ptr(), snapshot.raw(), text::pointer(&c_vm), ptr::null()) };
        check(result, context).map(drop)
    }

    /// The scrape.
    pub fn write(&self, format: MetricsFormat) -> Result<String> {
        let mut buffer = Buffer::new();
        let format = match format {
            MetricsFormat::OpenMetrics => sys::VMT_OPENMETRICS,
            MetricsFormat::Prometheus => sys::VMT_PROMETHEUS,
        };
        // SAFETY: as above.
        let result = unsafe { sys::vmt_metrics_write(self.raw.as_ptr(), format, &mut buffer.0) };
        check(result, || "metrics".into())?;
        string(buffer.bytes().to_owned(), "metrics")
    }

    /// For the next scrape.
    pub fn clear(&mut self) {
        // SAFETY: as above.
        unsafe { sys::vmt_metrics_clear(self.raw.as_ptr()) };
    }
}

object! {
    /// The lines of Firecracker's metrics of one VM for one reader: groups, names and order are Firecracker's own,
    /// counters are what was counted since the last line that was kept.
    FirecrackerLines, vmt_firecracker, vmt_firecracker_new, vmt_firecracker_free, "Firecracker's lines"
}

impl FirecrackerLines {
    /// The next line. id: the value of a second key "id", as with Firecracker's `emit_id`.
    pub fn encode(&mut self, snapshot: &Snapshot, id: Option<&str>) -> Result<FirecrackerLine<'_>> {
        let c_id = id
            .map(|id| text::to_c(id, || "Firecracker's line".into()))
            .transpose()?;
        let lines = self.raw.as_ptr();
        let bytes = encode(snapshot, "Firecracker's line", |s, out| {
            // SAFETY: as above.
            unsafe { sys::vmt_firecracker_encode(lines, s, text::pointer(&c_id), out) }
        })?;
        let text = string(bytes, "Firecracker's line")?;
        Ok(FirecrackerLine {
            lines: self,
            text,
            kept: false,
        })
    }
}

/// A line, with its newline. What it tells is taken as told with [`FirecrackerLine::keep`]; dropped without it was
/// missed: the next line tells it, too, and says so in `logger.missed_metrics_count`.
#[derive(Debug)]
#[must_use = "write it, then keep() it"]
pub struct FirecrackerLine<'a> {
    lines: &'a mut FirecrackerLines,
    text: String,
    kept: bool,
}

impl FirecrackerLine<'_> {
    /// What to write.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It was written.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for FirecrackerLine<'_> {
    fn drop(&mut self) {
        let lines = self.lines.raw.as_ptr();
        if self.kept {
            // SAFETY: as above.
            unsafe { sys::vmt_firecracker_keep(lines) };
        } else {
            // SAFETY: as above.
            unsafe { sys::vmt_firecracker_miss(lines) };
        }
    }
}
