// SPDX-License-Identifier: MIT
//! How a segment is created.

use crate::error::{check, errno, Error, ErrorKind, Result};
use crate::text;
use crate::Segment;
use std::ffi::CString;
use std::mem::size_of;
use std::os::raw::c_char;
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::time::Duration;
use vmtally_sys as sys;

/// What [`Segment::builder`] gives. All of it is optional.
#[derive(Debug, Default)]
#[must_use = "it does nothing before create()"]
pub struct SegmentBuilder {
    name: Option<String>,
    dir: Option<PathBuf>,
    path: Option<PathBuf>,
    fd: Option<OwnedFd>,
    labels: Vec<String>,
    max_sources: u32,
    max_bytes: u64,
    fixed_bytes: u64,
    heartbeat_interval: Duration,
    mode: u32,
    keep: bool,
    any_filesystem: bool,
    resume: bool,
}

impl SegmentBuilder {
    /// The VM's name: 1 to 63 of `[A-Za-z0-9._:@+-]`, no '.' first. Without it: the program's name and pid.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The directory. Without it: `$VMTALLY_DIR`, else /run/vmtally where it may be written, else
    /// `$XDG_RUNTIME_DIR/vmtally`, else /dev/shm/vmtally-UID.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// An existing empty file that is used in place, neither renamed nor removed.
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// The same, already open for reading and writing. It is closed with the segment, or (with
    /// [`SegmentBuilder::fixed_bytes`]) as soon as that is created. A child of `fork()` that inherits it holds the
    /// writer's lock as long as it has it.
    pub fn fd(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.fd = Some(fd.into());
        self
    }

    /// A label "key=value".
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push(format!("{key}={value}"));
        self
    }

    /// How many sources at most; 0: 16,384, or what `fixed_bytes` leaves room for.
    pub fn max_sources(mut self, sources: u32) -> Self {
        self.max_sources = sources;
        self
    }

    /// The file's size at most, and address space reserved; 0: 256 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Jail mode, if not 0: so much memory is allocated and mapped now, and later calls make no system call but private
    /// futex wait and wake (but for closing and KVM's counters).
    pub fn fixed_bytes(mut self, bytes: u64) -> Self {
        self.fixed_bytes = bytes;
        self
    }

    /// [`Segment::heartbeat`] will be called at least this often; if it is not, readers see "stalled".
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// Permissions of the file; 0: 0640.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Closing leaves the file, for `vmtally gc` to remove.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Allow other file systems than those in memory, where writing to the disk makes counting wait.
    pub fn any_filesystem(mut self, any: bool) -> Self {
        self.any_filesystem = any;
        self
    }

    /// Go on in the segment that an earlier writer left under this name, path or file descriptor: totals continue. Add
    /// all sources as always, then call [`Segment::ready`].
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    fn what(&self) -> String {
        match (&self.name, &self.path) {
            (Some(name), _) => format!("create segment {name}"),
            (None, Some(path)) => format!("create segment {}", path.display()),
            _ => "create segment".into(),
        }
    }

    /// Create it: this process is its one writer from then on. On failure nothing is left behind.
    ///
    /// Errors: EINVAL (name, option, label), EEXIST (a live writer has that name, or path is not empty), ENAMETOOLONG,
    /// ENOTSUP (not a memory file system), ENOSPC, EFBIG (RLIMIT_FSIZE), ENOMEM; with `resume` also EMEDIUMTYPE,
    /// EBADMSG, EPROTONOSUPPORT, EBUSY; and what open, fcntl and mmap give.
    pub fn create(self) -> Result<Segment> {
        let context = || self.what();
        let c = |s: Option<&Path>| s.map(|s| text::to_c(s, context)).transpose();
        let name = c(self.name.as_deref().map(Path::new))?;
        let dir = c(self.dir.as_deref())?;
        let path = c(self.path.as_deref())?;
        let labels: Vec<CString> = self
            .labels
            .iter()
            .map(|label| text::to_c(label, context))
            .collect::<Result<_>>()?;
        let mut label_pointers: Vec<*const c_char> = labels.iter().map(|label| label.as_ptr()).collect();
        label_pointers.push(ptr::null());
        let invalid = |why| Error::new(errno::EINVAL, context()).because(why);
        let heartbeat_interval_ns = u64::try_from(self.heartbeat_interval.as_nanos())
            .map_err(|_| invalid("a heartbeat_interval of more than 584 years"))?;
        if self.fd.as_ref().map_or(false, |fd| fd.as_raw_fd() == 0) {
            // To the library that means none.
            return Err(invalid("file descriptor 0 is not taken"));
        }
        let mut why = [0u8; 256];
        let options = sys::vmt_segment_options {
            struct_size: size_of::<sys::vmt_segment_options>(),
            name: text::pointer(&name),
            dir: text::pointer(&dir),
            path: text::pointer(&path),
            fd: self.fd.as_ref().map_or(0, |fd| fd.as_raw_fd()),
            max_sources: self.max_sources,
            max_bytes: self.max_bytes,
            fixed_bytes: self.fixed_bytes,
            labels: label_pointers.as_ptr(),
            heartbeat_interval_ns,
            mode: self.mode,
            keep: self.keep.into(),
            any_filesystem: self.any_filesystem.into(),
            resume: self.resume.into(),
            why: why.as_mut_ptr().cast(),
            why_size: why.len(),
        };
        let mut raw = ptr::null_mut();
        // SAFETY: all that the options point to is there until it returns.
        let result = unsafe { sys::vmt_segment_create(&options, &mut raw) };
        let why = text::of_buffer(&why);
        check(result, context).map_err(|error| found_before(error, &why))?;
        let fd = self.fd.filter(|_| self.fixed_bytes == 0);
        // SAFETY: it was just created.
        Ok(unsafe { Segment::new(NonNull::new_unchecked(raw), why, fd) })
    }
}

/// The error with why what was found could not be gone on with, which may not be why it failed: that is set aside.
fn found_before(error: Error, why: &str) -> Error {
    match error.kind() {
        _ if why.is_empty() => error,
        ErrorKind::NotASegment | ErrorKind::Damaged | ErrorKind::OtherVersion => error.because(why.to_owned()),
        _ => {
            let both = format!("{}; {why}", error.reason());
            error.because(both)
        }
    }
}
