// SPDX-License-Identifier: MIT
//! Sources: the things that have values.

use crate::at::At;
use crate::error::{check, errno, Result};
use crate::kinds::{Cumulative, Kind, SharedIncMetric};
use crate::schema::Schema;
use crate::segment::Inner;
use crate::shape;
use crate::shard::{Shard, ThreadShard};
use crate::units::Unit;
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::io::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use vmtally_sys as sys;

/// A thing that has values: a VM, a vCPU, a device, a program; `S` is its schema.
///
/// Dropping it removes it from the segment: its parent keeps what it had counted. While shards of it are held or it has
/// children it is leaving: still counted. Any thread may call its methods; all but [`Source::count`] are cold.
pub struct Source<S: Schema> {
    raw: NonNull<sys::vmt_source>,
    segment: Arc<Inner>,
    id: String,
    schema: PhantomData<fn() -> S>,
}

// SAFETY: any thread may call any of segment.h's functions at any time.
unsafe impl<S: Schema> Send for Source<S> {}
unsafe impl<S: Schema> Sync for Source<S> {}

impl<S: Schema> Source<S> {
    /// # Safety
    ///
    /// raw is a live source of that segment and schema, and this one's to remove.
    pub(crate) unsafe fn new(raw: NonNull<sys::vmt_source>, segment: Arc<Inner>, id: String) -> Self {
        Source {
            raw,
            segment,
            id,
            schema: PhantomData,
        }
    }

    /// ENODEV once its segment is closed.
    pub(crate) fn check_open(&self, context: impl FnOnce() -> String) -> Result<()> {
        self.segment.enter_for(context).map(drop)
    }

    /// Its full id: its parents' ids and its own, joined with `/`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Add a source below this one. See [`Segment::add`](crate::Segment::add); errors also: ELOOP (more than 8 levels).
    pub fn add<C: Schema>(&self, id: &str) -> Result<Source<C>> {
        self.segment.add(self.raw.as_ptr(), &self.id, id)
    }

    /// A shard, for one execution context at a time: a thread, a queued job, a guest machine that moves between
    /// threads, or whoever holds a lock. It goes on from where its last owner stopped. Where there is no memory, or the
    /// segment is closed, it is scratch memory that nobody reads; the segment counts that in `dropped_shards`.
    pub fn acquire(&self) -> Shard<S> {
        self.segment.enter().map_or_else(Shard::default, |_inside| {
            // SAFETY: the source is there, and the shard is of its schema.
            unsafe { Shard::new(sys::vmt_shard_acquire(self.raw.as_ptr())) }
        })
    }

    /// One for each of n contexts: `shards[i]` for vCPU i.
    pub fn acquire_each(&self, n: usize) -> Vec<Shard<S>> {
        (0..n).map(|_| self.acquire()).collect()
    }

    /// The same as [`Source::acquire`], for the calling thread only: if that dies without dropping it, the kernel says
    /// so, and the next acquire takes it over. A schema with fields that several threads share does not compile here:
    ///
    /// ```compile_fail
    /// # use vmtally::prelude::*;
    /// vmtally::schema! {
    ///     struct Shared("shared", provider = "doc", target = "vm") {
    ///         reads: SharedIncMetric,
    ///     }
    /// }
    /// let segment = Segment::builder().create().unwrap();
    /// let source: Source<Shared> = segment.add("vm").unwrap();
    /// let shard = source.acquire_thread();
    /// ```
    #[allow(clippy::let_unit_value)] // evaluated by the compiler
    pub fn acquire_thread(&self) -> ThreadShard<S> {
        let () = NotShared::<S>::CHECKED;
        self.segment.enter().map_or_else(ThreadShard::default, |_inside| {
            // SAFETY: as above.
            unsafe { ThreadShard::new(sys::vmt_shard_acquire_thread(self.raw.as_ptr())) }
        })
    }

    /// Count a rare event, from any thread and any signal handler at any time, with a locked add into a shard that all
    /// share: `source.count(|m| &m.flush_count, 1)`. The closure only says which field; it is not called. Nothing is
    /// counted once the segment is closed; that it is not meanwhile takes two more locked adds.
    #[allow(clippy::let_unit_value)] // evaluated by the compiler
    pub fn count<K: Counts, const SLOT: usize>(&self, field: impl Fn(&S) -> &At<K, SLOT>, n: u64) {
        let () = IsField::<S, K, SLOT>::CHECKED;
        let _ = field;
        if let Some(_inside) = self.segment.enter() {
            // SAFETY: the source is there, and the slot one of its schema's, as was checked.
            unsafe { sys::vmt_count(self.raw.as_ptr(), SLOT as u32, n) };
        }
    }

    /// Have readers see what the kernel counts of the VM or vCPU that this source counts. kvm: what `KVM_CREATE_VM` or
    /// `KVM_CREATE_VCPU` gave; it is needed only now. The vCPU must not be in `KVM_RUN` meanwhile.
    ///
    /// Errors: EINVAL (no KVM fd of this source's kind, or its target is neither "vm" nor "vcpu"), ENOTTY (KVM is too
    /// old), EEXIST (it has one), EMFILE, EIO (another process's VM), and those of [`Source::add`].
    pub fn add_kvm(&self, kvm: impl AsFd) -> Result<()> {
        let context = || format!("add KVM's counters of {} to {}", self.id, self.segment.name);
        let kvm = kvm.as_fd(); // not inside: it may be code that closes the segment
        let _inside = self.segment.enter_for(context)?;
        // SAFETY: both are there.
        let added = check(unsafe { sys::vmt_kvm_add(self.raw.as_ptr(), kvm.as_raw_fd()) }, context);
        added.map(drop).map_err(|error| match error.errno() {
            errno::EINVAL => error.because("no KVM file descriptor of this source's kind, \"vm\" or \"vcpu\""),
            errno::EEXIST => error.because("they are there already"),
            _ => error,
        })
    }

    /// The same as dropping it.
    pub fn remove(self) {}
}

impl<S: Schema> Drop for Source<S> {
    fn drop(&mut self) {
        if let Some(_inside) = self.segment.enter() {
            // SAFETY: this is its one handle.
            unsafe { sys::vmt_source_remove(self.raw.as_ptr()) };
        }
    }
}

impl<S: Schema> fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}: {}, {:?})", self.segment.name, self.id, S::schema())
    }
}

/// The shard of a thread is another one's as soon as that ends. A reference to a field that can be sent to other
/// threads might outlive it (with `Box::leak`), so there must be none.
struct NotShared<S>(PhantomData<S>);

impl<S: Schema> NotShared<S> {
    const CHECKED: () = assert!(
        !shape::any_shared(S::ROWS),
        "acquire_thread() is for schemas without shared fields"
    );
}

/// That a field of kind K is at that slot: a closure that never returns could have any type.
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// # vmtally::schema! { pub struct Disk("disk", provider = "doc", target = "block") { reads: Cumulative } }
/// # fn f(source: &Source<Disk>) {
/// source.count(|_| -> &vmtally::At<Cumulative, 4000> { panic!() }, 1);
/// # }
/// # let segment = Segment::builder().create().unwrap();
/// # f(&segment.add("disk").unwrap());
/// ```
struct IsField<S, K, const SLOT: usize>(PhantomData<(S, K)>);

impl<S: Schema, K: Kind, const SLOT: usize> IsField<S, K, SLOT> {
    const CHECKED: () = assert!(shape::has(S::ROWS, SLOT, &K::SHAPE), "the schema has no such field");
}

/// Kinds that [`Source::count`] may add to.
pub trait Counts: Kind {}
impl<U: Unit> Counts for Cumulative<U> {}
impl<U: Unit> Counts for SharedIncMetric<U> {}
