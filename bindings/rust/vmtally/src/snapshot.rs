// SPDX-License-Identifier: MIT
//! Snapshots: private copies of the sums of all sources at one time.

use crate::error::{check, Result};
use crate::reader::{Attached, State};
use crate::sample::Sample;
use crate::text;
use std::fmt;
use std::path::Path;
use std::ptr::{self, NonNull};
use vmtally_sys as sys;

/// A copy of the sums of all sources of a segment at one time. Its memory is reused by each [`Snapshot::take`]; what is
/// borrowed from it can't outlive that:
///
/// ```compile_fail
/// # fn f(reader: &mut vmtally::Reader) -> vmtally::Result<()> {
/// let mut snapshot = vmtally::Snapshot::new()?;
/// snapshot.take(reader)?;
/// let vm = snapshot.find("vm");
/// snapshot.take(reader)?; // vm is of the snapshot before
/// println!("{:?}", vm);
/// # Ok(())
/// # }
/// ```
///
/// It stays valid when its reader is dropped. One thread at a time uses it, any one.
pub struct Snapshot {
    raw: NonNull<sys::vmt_snapshot>,
    /// Of whom it was taken: Attachment.number.
    reader: u64,
}

// SAFETY: one thread at a time is all the library asks for.
unsafe impl Send for Snapshot {}

impl Snapshot {
    /// An empty one. Errors: ENOMEM.
    pub fn new() -> Result<Snapshot> {
        let mut raw = ptr::null_mut();
        // SAFETY: it has no conditions.
        check(unsafe { sys::vmt_snapshot_new(&mut raw) }, || "new snapshot".into())?;
        // SAFETY: it was just made.
        Ok(Snapshot {
            raw: unsafe { NonNull::new_unchecked(raw) },
            reader: 0,
        })
    }

    /// A new one, taken of reader.
    pub fn of(reader: &mut impl Attached) -> Result<Snapshot> {
        let mut snapshot = Snapshot::new()?;
        snapshot.take(reader)?;
        Ok(snapshot)
    }

    /// From the next take on, keep the values of each shard, too, or not.
    pub fn want_shards(&mut self, want: bool) {
        // SAFETY: it is there.
        unsafe { sys::vmt_snapshot_want_shards(self.raw(), want.into()) };
    }

    /// Take a snapshot; what was in it before is gone. Where something could not be read it [is
    /// partial](Snapshot::is_partial). On error it has no sources, but [`Snapshot::segment`] what is known.
    ///
    /// Errors: EBADMSG (damaged), EPROTONOSUPPORT, ENOMEM, EIO; ENODEV (this process's own segment, closed; then the
    /// snapshot is as it was).
    pub fn take(&mut self, reader: &mut impl Attached) -> Result<()> {
        let raw = self.raw();
        let attachment = reader.attachment();
        // SAFETY: both are there.
        let result = attachment.call("snapshot of", |reader| unsafe { sys::vmt_snapshot_take(raw, reader) })?;
        self.reader = attachment.number;
        check(result, || format!("snapshot of {}", attachment.path().display())).map(drop)
    }

    /// A copy that does not depend on this one: to compare with later, while this one is reused. Errors: ENOMEM.
    pub fn try_clone(&self) -> Result<Snapshot> {
        let mut copy = Snapshot::new()?;
        copy.copy_from(self)?;
        Ok(copy)
    }

    /// The same into memory that is there. On error it is empty.
    pub fn copy_from(&mut self, from: &Snapshot) -> Result<()> {
        // SAFETY: both are there, and not the same.
        let result = unsafe { sys::vmt_snapshot_copy(self.raw(), from.raw()) };
        self.reader = from.reader;
        check(result, || {
            format!("copy of a snapshot of {}", from.segment().path().display())
        })
        .map(drop)
    }

    /// The segment, as of this snapshot.
    pub fn segment(&self) -> SegmentInfo<'_> {
        // SAFETY: it is there as long as the snapshot is, and does not change before the next take.
        SegmentInfo(unsafe { &*sys::vmt_snapshot_segment(self.raw()) })
    }

    /// Whether something could not be read. What is there is right.
    pub fn is_partial(&self) -> bool {
        self.segment().flags() & sys::VMT_SNAPSHOT_PARTIAL != 0
    }

    /// How many sources, the segment itself counted in.
    pub fn len(&self) -> usize {
        // SAFETY: it is there.
        unsafe { sys::vmt_snapshot_count(self.raw()) }
    }

    /// Whether it has none: nothing was taken yet, or taking failed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Source number i; 0 is the segment itself.
    pub fn source(&self, i: usize) -> Option<Sample<'_>> {
        // SAFETY: it is there.
        let raw = unsafe { sys::vmt_snapshot_source(self.raw(), i).as_ref() };
        // SAFETY: it is of this snapshot.
        raw.map(|raw| unsafe { Sample::new(self, i, raw) })
    }

    /// All sources, parents before their children; the first is the segment itself.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = Sample<'_>> + '_ {
        (0..self.len()).map(move |i| self.source(i).expect("it has as many"))
    }

    /// The source with this full id: `vm/vcpu-2`; "" is the segment itself. Not one that is leaving, if there are two.
    pub fn find(&self, id: &str) -> Option<Sample<'_>> {
        let c_id = text::to_c(id, String::new).ok()?;
        // SAFETY: both are there.
        let found = unsafe { sys::vmt_snapshot_find(self.raw(), c_id.as_ptr()).as_ref() }?;
        self.sources().find(|sample| ptr::eq(sample.raw(), found))
    }

    /// The process that writes the segment, as this host sees it, where a [`Host`](crate::Host) knows that process; else
    /// [`SegmentInfo::pid`], which is in the writer's PID namespace.
    pub fn pid(&self) -> u32 {
        // SAFETY: it is there.
        unsafe { sys::vmt_snapshot_pid(self.raw()) }
    }

    /// The source that sample speaks of: its parent, where it is the kernel's view of the same thing; else itself.
    pub fn subject(&self, sample: &Sample<'_>) -> Option<Sample<'_>> {
        // SAFETY: it is there, and any number will do.
        self.source(unsafe { sys::vmt_snapshot_subject(self.raw(), sample.index()) })
    }

    pub(crate) fn raw(&self) -> *mut sys::vmt_snapshot {
        self.raw.as_ptr()
    }

    pub(crate) fn reader(&self) -> u64 {
        self.reader
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: this is its one handle.
        unsafe { sys::vmt_snapshot_free(self.raw()) };
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources()).finish()
    }
}

/// A segment as of a snapshot. Of a process without one (see [`Host`](crate::Host)): its path is /proc/PID, it has no
/// labels, version 0.0, and is live or closed.
#[derive(Clone, Copy)]
pub struct SegmentInfo<'a>(&'a sys::vmt_segment_info);

impl<'a> SegmentInfo<'a> {
    /// Where the file is.
    pub fn path(&self) -> &'a Path {
        // SAFETY: its strings live as long as the snapshot is not taken anew.
        unsafe { text::path_of(self.0.path) }
    }

    /// The VM's name.
    pub fn name(&self) -> &'a str {
        // SAFETY: as above.
        unsafe { text::of(self.0.name) }
    }

    /// Labels, each "key=value".
    pub fn labels(&self) -> impl Iterator<Item = &'a str> + 'a {
        let labels = self.0.labels;
        (0..)
            // SAFETY: the list ends with a NULL, behind which nothing is looked at.
            .map_while(move |i| unsafe { (!labels.is_null() && !(*labels.add(i)).is_null()).then(|| *labels.add(i)) })
            // SAFETY: as above.
            .map(|label| unsafe { text::of(label) })
    }

    /// What its writer was doing.
    pub fn state(&self) -> State {
        State::from_raw(self.0.state)
    }

    /// `VMT_SNAPSHOT_...`: 1 partial, 2 the file has no name any more, 4 read through a mapping, 8 foreign, 16
    /// set aside.
    pub fn flags(&self) -> u32 {
        self.0.flags
    }

    /// Whether who owns the file is neither the reader, nor root, nor the owner of its directory. Who may create files
    /// there can give them any name and identity: show it as such.
    pub fn is_foreign(&self) -> bool {
        self.0.flags & sys::VMT_SNAPSHOT_FOREIGN != 0
    }

    /// Whether the file was set aside for another one of its name, and is called NAME~N.vmt. The name that stands in it
    /// is that one's by now.
    pub fn is_set_aside(&self) -> bool {
        self.0.flags & sys::VMT_SNAPSHOT_SET_ASIDE != 0
    }

    /// Where the values come from, `VMT_FROM_...`: 1 the segment; the kernel's by 2 statistics fds, 4 debugfs, 8
    /// copies.
    pub fn from(&self) -> u32 {
        self.0.from
    }

    /// 16 random bytes: another segment of this name has others.
    pub fn identity(&self) -> [u8; 16] {
        self.0.identity
    }

    /// The boot that it was made in.
    pub fn boot_id(&self) -> [u8; 16] {
        self.0.boot_id
    }

    /// How many writers it has had.
    pub fn incarnation(&self) -> u64 {
        self.0.incarnation
    }

    /// When it was made: CLOCK_REALTIME in nanoseconds.
    pub fn created_ns(&self) -> u64 {
        self.0.created_ns
    }

    /// When it was closed: CLOCK_REALTIME in nanoseconds; 0: it is not.
    pub fn closed_ns(&self) -> u64 {
        self.0.closed_ns
    }

    /// The last heartbeat: CLOCK_MONOTONIC in nanoseconds; 0: none.
    pub fn heartbeat_ns(&self) -> u64 {
        self.0.heartbeat_ns
    }

    /// Before the first value was read: CLOCK_MONOTONIC in nanoseconds.
    pub fn begin_ns(&self) -> u64 {
        self.0.begin_ns
    }

    /// After the last value was read: CLOCK_MONOTONIC in nanoseconds.
    pub fn end_ns(&self) -> u64 {
        self.0.end_ns
    }

    /// The same moment as [`SegmentInfo::begin_ns`]: CLOCK_REALTIME in nanoseconds.
    pub fn realtime_ns(&self) -> u64 {
        self.0.realtime_ns
    }

    /// The writer, as its own PID namespace has it.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// When the writer was started, in the kernel's own count, to tell it from a later process of the same number.
    pub fn pid_start(&self) -> u64 {
        self.0.pid_start
    }

    /// Who owns the file, by the kernel's word.
    pub fn uid(&self) -> u32 {
        self.0.uid
    }

    /// The file's size in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.0.file_bytes
    }

    /// The format's version, major and minor.
    pub fn version(&self) -> (u16, u16) {
        (self.0.major, self.0.minor)
    }
}

impl fmt::Debug for SegmentInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentInfo")
            .field("name", &self.name())
            .field("path", &self.path())
            .field("state", &self.state())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
