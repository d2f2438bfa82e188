// SPDX-License-Identifier: MIT
//! The writer: creating a segment, and what is done with it as a whole.

use crate::error::{check, errno, Error, Result};
use crate::gate::{Gate, Inside};
use crate::schema::Schema;
use crate::source::Source;
use crate::text;
use crate::SegmentBuilder;
use std::os::unix::io::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;
use vmtally_sys as sys;

/// A segment and all that keeps it: every handle of it and of its sources has a share.
#[derive(Debug)]
pub(crate) struct Inner {
    raw: NonNull<sys::vmt_segment>,
    gate: Gate,
    pub name: String,
    path: PathBuf,
    why: String,
    pid: u32,
    /// What the segment was created in, which the library uses until it is closed.
    _fd: Option<OwnedFd>,
}

// SAFETY: any thread may call any of segment.h's functions at any time.
unsafe impl Send for Inner {}
unsafe impl Sync for Inner {}

impl Inner {
    /// Until what it returns is dropped, the segment is not closed.
    #[inline]
    pub fn enter(&self) -> Option<Inside<'_>> {
        self.gate.enter()
    }

    pub fn enter_for(&self, context: impl FnOnce() -> String) -> Result<Inside<'_>> {
        self.enter().ok_or_else(|| Error::new(errno::ENODEV, context()))
    }

    /// The same for a reader, which in a child of fork() the library does not refuse.
    pub fn enter_to_read(&self, context: impl Fn() -> String) -> Result<Inside<'_>> {
        if process::id() != self.pid {
            return Err(Error::new(errno::ECHILD, context()));
        }
        self.enter_for(context)
    }

    pub fn raw(&self) -> *mut sys::vmt_segment {
        self.raw.as_ptr()
    }

    /// Shut the gate; false where there is nothing to close. In a child of fork() there is not: and threads of its
    /// parent may seem to be inside for ever.
    fn shut(&self) -> bool {
        process::id() == self.pid && self.gate.shut()
    }

    fn close(&self) {
        if self.shut() {
            // SAFETY: nobody is inside, and nobody will be.
            unsafe { sys::vmt_segment_close(self.raw()) };
        }
    }

    fn hand_over(&self) -> Result<OwnedFd> {
        let context = || format!("hand over {}", self.name);
        if process::id() != self.pid {
            return Err(Error::new(errno::ECHILD, context()));
        }
        if !self.shut() {
            return Err(Error::new(errno::ENODEV, context()));
        }
        // SAFETY: as above.
        let fd = check(unsafe { sys::vmt_segment_hand_over(self.raw()) }, context);
        if fd.is_err() {
            self.gate.reopen();
        }
        // SAFETY: the descriptor is the caller's.
        fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    /// Add a source, to parent or (NULL) to the segment itself.
    pub fn add<S: Schema>(
        self: &Arc<Self>,
        parent: *mut sys::vmt_source,
        parent_id: &str,
        id: &str,
    ) -> Result<Source<S>> {
        let full = if parent_id.is_empty() {
            id.to_owned()
        } else {
            format!("{parent_id}/{id}")
        };
        let context = || format!("add {full} to {}", self.name);
        let c_id = text::to_c(id, context)?;
        let mut raw = ptr::null_mut();
        {
            let _inside = self.enter_for(context)?;
            // SAFETY: the schema is static and parent, if any, is not removed while its handle is borrowed.
            let result = unsafe { sys::vmt_source_add(self.raw(), S::schema().raw(), parent, c_id.as_ptr(), &mut raw) };
            check(result, context)?;
        }
        // SAFETY: it is of this segment and of that schema, and the caller's.
        Ok(unsafe { Source::new(NonNull::new_unchecked(raw), self.clone(), full) })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// The segment that this VMM counts into; other processes read it.
///
/// Every call is cold: it may take a mutex, but any thread may call it at any time, only not from a signal handler.
/// The segment is closed by [`Segment::close`], or when it and all of its [`Source`]s have been dropped. After that
/// calls give an error ([`ErrorKind::Closed`](crate::ErrorKind::Closed)), sources count nothing and shards count into
/// private memory. In a child of `fork()` it is the same, with [`ErrorKind::Forked`](crate::ErrorKind::Forked).
#[derive(Debug)]
pub struct Segment {
    inner: Arc<Inner>,
}

impl Segment {
    /// How to create one: `Segment::builder().name("web-1").create()?`.
    pub fn builder() -> SegmentBuilder {
        SegmentBuilder::default()
    }

    /// # Safety
    ///
    /// raw was created and is this one's to close; fd is what it was created in, if it needs that until then.
    pub(crate) unsafe fn new(raw: NonNull<sys::vmt_segment>, why: String, fd: Option<OwnedFd>) -> Self {
        // SAFETY: it was just created; both strings are there as long as it is open.
        let (name, path) = unsafe {
            (
                text::of(sys::vmt_segment_name(raw.as_ptr())),
                text::path_of(sys::vmt_segment_path(raw.as_ptr())),
            )
        };
        let (name, path) = (name.to_owned(), path.to_owned());
        Segment {
            inner: Arc::new(Inner {
                raw,
                gate: Gate::default(),
                name,
                path,
                why,
                pid: process::id(),
                _fd: fd,
            }),
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The VM's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The file; empty where it was made in a file descriptor.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// With [`SegmentBuilder::resume`]: why what was found could not be gone on with; "" if it could, or there was
    /// nothing.
    pub fn why_not_resumed(&self) -> &str {
        &self.inner.why
    }

    /// Add a source called id (1 to 47 bytes of printable ASCII without space and `/`) below the segment itself.
    ///
    /// Errors: EINVAL and ENAMETOOLONG (id), EEXIST (there is one of this id), ENFILE, ENOSPC, EDQUOT, EFBIG and ENOMEM
    /// (no room; counted in the segment's `dropped_sources`), ENODEV (closed), ECHILD.
    pub fn add<S: Schema>(&self, id: &str) -> Result<Source<S>> {
        self.inner.add(ptr::null_mut(), "", id)
    }

    /// Tell readers that the VMM's own loop turns, if the segment was created with
    /// [`SegmentBuilder::heartbeat_interval`].
    pub fn heartbeat(&self) {
        if let Some(_inside) = self.inner.enter() {
            // SAFETY: it is open.
            unsafe { sys::vmt_segment_heartbeat(self.inner.raw()) };
        }
    }

    /// With [`SegmentBuilder::resume`]: all sources have been added. What an earlier writer left and was not added
    /// again is removed now; its parents keep what it had counted.
    pub fn ready(&self) {
        if let Some(_inside) = self.inner.enter() {
            // SAFETY: as above.
            unsafe { sys::vmt_segment_ready(self.inner.raw()) };
        }
    }

    /// Copy what the kernel counts now of all that was given to [`Source::add_kvm`] into the segment, for readers that
    /// may not ask the kernel. Errors: those of [`Segment::add`], of the first that failed.
    pub fn sample_kvm(&self) -> Result<()> {
        let context = || format!("sample KVM's counters for {}", self.name());
        let _inside = self.inner.enter_for(context)?;
        // SAFETY: as above.
        check(unsafe { sys::vmt_kvm_sample(self.inner.raw()) }, context).map(drop)
    }

    /// The same now and every interval (at least 1 ms), by a thread that the library starts for it, until the segment
    /// is closed or this is called with 0. Errors also: EINVAL (interval), ENOTSUP (jail mode).
    pub fn sample_kvm_every(&self, interval: Duration) -> Result<()> {
        let context = || {
            format!(
                "sample KVM's counters for {} every {} ns",
                self.name(),
                interval.as_nanos()
            )
        };
        let ns = u64::try_from(interval.as_nanos()).map_err(|_| Error::new(errno::EINVAL, context()))?;
        let _inside = self.inner.enter_for(context)?;
        // SAFETY: as above.
        check(unsafe { sys::vmt_kvm_sample_every(self.inner.raw(), ns) }, context).map(drop)
    }

    /// Say goodbye: readers see "closed". Waits for calls of other threads that have begun, and removes the file unless
    /// [`SegmentBuilder::keep`]. Sources need not be dropped before. Again it does nothing.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Stop being the writer without saying goodbye, for another program to go on at once with what this returns:
    /// [`SegmentBuilder::fd`] with [`SegmentBuilder::resume`], after exec (it is inherited) or sent over a socket.
    /// Stop counting first. Afterwards this segment is closed. Errors, where nothing has changed: ENODEV, ECHILD,
    /// EMFILE, EBADF.
    pub fn hand_over(&self) -> Result<OwnedFd> {
        self.inner.hand_over()
    }
}

/// What the library's fork handler does, for children that were made without it (raw clone, `_Fork`): first thing in
/// the child. Not needed after `fork()`.
///
/// # Safety
///
/// Only in such a child, while it has one thread.
pub unsafe fn child_after_fork() {
    // SAFETY: the caller says so.
    unsafe { sys::vmt_child_after_fork() };
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" {
        fn fork() -> i32;
        fn alarm(seconds: u32) -> u32;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
        fn _exit(status: i32) -> !;
    }

    #[test]
    fn a_child_does_not_wait_for_threads_that_it_has_not() {
        let dir = std::env::var_os("VMTALLY_DIR").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
        let name = format!("vmtally-test-gate.{}", process::id());
        let segment = Segment::builder().name(name).dir(dir).max_bytes(1 << 20).create();
        let segment = segment.unwrap();
        let mut status = 0;
        let _inside = segment.inner.enter();
        // SAFETY: the child calls little, and ends by _exit().
        unsafe {
            let pid = fork();
            assert!(pid >= 0);
            if pid == 0 {
                alarm(60);
                segment.close();
                _exit(0);
            }
            assert_eq!(waitpid(pid, &mut status, 0), pid);
        }
        assert_eq!(status, 0, "the child waited for ever");
    }
}
