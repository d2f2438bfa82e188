// SPDX-License-Identifier: MIT
//! Attaching to segments.

use crate::error::{check, errno, Error, Result};
use crate::sample::Sample;
use crate::segment::{Inner, Segment};
use crate::text;
use std::fmt;
use std::mem::size_of;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use vmtally_sys as sys;

/// What the writer of a segment is doing, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Its lock is held.
    Live,
    /// It said goodbye.
    Closed,
    /// It is gone, and had not said goodbye.
    Died,
    /// The same, while sources or schemas were being changed.
    DiedMidChange,
    /// It is there, but its heartbeat is overdue or a change does not end.
    Stalled,
    /// The bytes contradict themselves, or the file shrank.
    Damaged,
    /// Written by a version that can't be read.
    OtherVersion,
}

impl State {
    pub(crate) fn from_raw(state: sys::vmt_state) -> State {
        match state {
            sys::VMT_STATE_LIVE => State::Live,
            sys::VMT_STATE_CLOSED => State::Closed,
            sys::VMT_STATE_DIED => State::Died,
            sys::VMT_STATE_DIED_MID_CHANGE => State::DiedMidChange,
            sys::VMT_STATE_STALLED => State::Stalled,
            sys::VMT_STATE_OTHER_VERSION => State::OtherVersion,
            _ => State::Damaged,
        }
    }

    /// "live", "closed", "died", "died mid-change", "stalled", "damaged" or "other version".
    pub fn name(self) -> &'static str {
        let raw = match self {
            State::Live => sys::VMT_STATE_LIVE,
            State::Closed => sys::VMT_STATE_CLOSED,
            State::Died => sys::VMT_STATE_DIED,
            State::DiedMidChange => sys::VMT_STATE_DIED_MID_CHANGE,
            State::Stalled => sys::VMT_STATE_STALLED,
            State::Damaged => sys::VMT_STATE_DAMAGED,
            State::OtherVersion => sys::VMT_STATE_OTHER_VERSION,
        };
        // SAFETY: a constant.
        unsafe { text::of(sys::vmt_state_name(raw)) }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What snapshots are taken of: a [`Reader`] or a [`HostReader`](crate::HostReader).
pub trait Attached: sealed::Sealed {}

pub(crate) mod sealed {
    use super::*;

    pub trait Sealed {
        fn attachment(&mut self) -> &mut Attachment;
    }
}

/// An open reader of the library.
#[derive(Debug)]
pub struct Attachment {
    raw: NonNull<sys::vmt_reader>,
    /// The writer, where it is in this process: not to be closed in the middle of a call.
    own: Option<Arc<Inner>>,
    /// One that no other has.
    pub(crate) number: u64,
}

impl Attachment {
    /// # Safety
    ///
    /// raw is a reader that was opened, and this one's to close.
    pub(crate) unsafe fn new(raw: *mut sys::vmt_reader, own: Option<Arc<Inner>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // SAFETY: it is none.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Attachment {
            raw,
            own,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        // SAFETY: it is open; the string is there as long.
        unsafe { text::path_of(sys::vmt_reader_path(self.raw.as_ptr())) }
    }

    /// Call the library. Where the segment is this process's own: ENODEV if it is closed, ECHILD in a child of fork().
    pub(crate) fn call<R>(&mut self, what: &str, function: impl FnOnce(*mut sys::vmt_reader) -> R) -> Result<R> {
        let _inside = match &self.own {
            Some(own) => Some(own.enter_to_read(|| format!("{what} {}", own.name))?),
            None => None,
        };
        Ok(function(self.raw.as_ptr()))
    }

    pub(crate) fn state(&mut self) -> State {
        // SAFETY: it is open.
        let state = self.call("state of", |raw| unsafe { sys::vmt_reader_state(raw) });
        state.map_or(State::Closed, State::from_raw)
    }

    pub(crate) fn sample(&mut self, sample: &Sample<'_>, values: &mut [u64]) -> Result<bool> {
        let context = format!("sample {} of", sample.id());
        if sample.reader() != self.number || values.len() < sample.schema().slots() {
            return Err(Error::new(
                errno::EINVAL,
                format!("{context} {}", self.path().display()),
            ));
        }
        // SAFETY: the sample is of this reader, and there is room for the values.
        let result = self.call(&context, |raw| unsafe {
            sys::vmt_reader_sample(raw, sample.raw(), values.as_mut_ptr())
        })?;
        check(result, || format!("{context} {}", self.path().display())).map(|unconfirmed| unconfirmed != 0)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: it is open, and this is its one handle. Of a segment that was closed, nothing is looked at.
        unsafe { sys::vmt_reader_close(self.raw.as_ptr()) };
    }
}

/// How to attach.
#[derive(Clone, Debug, Default)]
pub struct ReaderOptions {
    guarded: bool,
    max_bytes: u64,
}

impl ReaderOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Read through a mapping, some ten times as fast as by copying. Takes the process's SIGBUS handler, in a chain:
    /// faults elsewhere go to the one that was there.
    pub fn guarded(mut self, guarded: bool) -> Self {
        self.guarded = guarded;
        self
    }

    /// How much of a file is read at most; 0: 256 MiB. What lies behind is not seen: snapshots are partial.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// As [`Reader::attach`].
    pub fn attach(&self, path: impl AsRef<Path>) -> Result<Reader> {
        let path = path.as_ref();
        let context = || format!("attach {}", path.display());
        let c_path = text::to_c(path, context)?;
        let options = self.raw();
        let mut raw = ptr::null_mut();
        // SAFETY: all it is given is there.
        check(
            unsafe { sys::vmt_reader_open(c_path.as_ptr(), &options, &mut raw) },
            context,
        )?;
        // SAFETY: it was just opened.
        Ok(Reader(unsafe { Attachment::new(raw, None) }))
    }

    pub(crate) fn raw(&self) -> sys::vmt_reader_options {
        sys::vmt_reader_options {
            struct_size: size_of::<sys::vmt_reader_options>(),
            mode: if self.guarded {
                sys::VMT_READ_GUARDED
            } else {
                sys::VMT_READ_COPY
            },
            reserved: 0,
            max_bytes: self.max_bytes,
        }
    }
}

/// Attached to one segment, read-only. The file is not trusted: whatever its bytes are, or become while they are read,
/// the answer is a value, a flag, a state or an error, in bounded time and memory.
///
/// One thread at a time uses it, any one.
pub struct Reader(Attachment);

// SAFETY: one thread at a time is all the library asks for.
unsafe impl Send for Reader {}

impl Reader {
    /// Attach to the segment at path; needs permission to read it.
    ///
    /// Errors: those of open (ENOENT, EACCES, ...), ELOOP (symbolic link), EISDIR, EINVAL (no regular file), ENOTSUP (a
    /// file system on which reading may hang), EXDEV (something is mounted over it), ENODATA (empty or not yet
    /// published), EMEDIUMTYPE (not a segment), EBADMSG (damaged), EPROTONOSUPPORT (another version), ENOMEM.
    pub fn attach(path: impl AsRef<Path>) -> Result<Reader> {
        ReaderOptions::new().attach(path)
    }

    /// A reader of a segment of this process, which needs no file and no permission. Errors: ENODEV (closed), ENOMEM.
    pub fn of(segment: &Segment) -> Result<Reader> {
        let inner = segment.inner();
        let context = || format!("attach {}", inner.name);
        let _inside = inner.enter_for(context)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the segment is open.
        let result = unsafe { sys::vmt_reader_open_segment(inner.raw(), &mut raw) };
        // SAFETY: also where the first look failed it was opened.
        let reader = (!raw.is_null()).then(|| Reader(unsafe { Attachment::new(raw, Some(inner.clone())) }));
        check(result, context)?;
        reader.ok_or_else(|| Error::new(errno::EIO, context()))
    }

    /// The segment's file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// What the writer is doing now. Two looks some time apart are needed to say "stalled".
    pub fn state(&mut self) -> State {
        self.0.state()
    }

    /// The sums of one source only, into `values` (at least as many as its schema has slots), for those who read one
    /// source very often. sample is of a snapshot that was taken of this reader. Whether a group was being changed
    /// meanwhile, so that values may disagree.
    ///
    /// Errors: ESTALE (the source has gone), ENODATA (not known), EBADMSG (damaged), ENOMEM, EINVAL (another reader's
    /// sample, or too few values).
    pub fn sample(&mut self, sample: &Sample<'_>, values: &mut [u64]) -> Result<bool> {
        self.0.sample(sample, values)
    }
}

impl sealed::Sealed for Reader {
    fn attachment(&mut self) -> &mut Attachment {
        &mut self.0
    }
}

impl Attached for Reader {}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.path()).finish()
    }
}
