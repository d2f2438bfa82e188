// SPDX-License-Identifier: MIT
//! Shards: the values of one source as written by one execution context.

use crate::schema::Schema;
use crate::shape;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use vmtally_sys as sys;

/// What both kinds of shards are: held until it is dropped.
struct Held<S> {
    raw: NonNull<sys::vmt_shard>,
    schema: PhantomData<S>,
}

impl<S: Schema> Held<S> {
    /// # Safety
    ///
    /// raw is a shard with S's slots, or scratch, and this one's to release.
    unsafe fn new(raw: *mut sys::vmt_shard) -> Self {
        // SAFETY: acquiring never gives NULL.
        Held {
            raw: unsafe { NonNull::new_unchecked(raw) },
            schema: PhantomData,
        }
    }

    #[inline(always)]
    fn fields(&self) -> &S {
        // SAFETY: a shard's values are S's slots; they are there until it is released, also if the segment is closed;
        // they are all atomics.
        unsafe { &*std::ptr::addr_of!((*self.raw.as_ptr()).value_).cast() }
    }

    fn group<R>(&self, change: impl FnOnce(&S) -> R) -> R {
        struct Open(*mut sys::vmt_shard);
        impl Drop for Open {
            fn drop(&mut self) {
                // SAFETY: as below. Also where the closure panics.
                unsafe { sys::vmt_end_ext(self.0) };
            }
        }
        // SAFETY: it is a shard that is held.
        unsafe { sys::vmt_begin_ext(self.raw.as_ptr()) };
        let _open = Open(self.raw.as_ptr());
        change(self.fields())
    }
}

impl<S> Drop for Held<S> {
    fn drop(&mut self) {
        // SAFETY: it is held, and this is its one handle.
        unsafe { sys::vmt_shard_release(self.raw.as_ptr()) };
    }
}

/// A shard of a source with schema `S`, whose fields it has: `shard.read_count.inc()`.
///
/// It can be sent to another thread, which then is its one writer, but not shared (unless all fields of `S` may be
/// written by any thread). Dropping it gives it back: the next [`Source::acquire`](crate::Source::acquire) goes on with
/// it. It stays valid when its source is removed and when the segment is closed; then it is private memory.
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// # vmtally::schema! { pub struct Disk("disk", provider = "doc", target = "block") { reads: Cumulative } }
/// let shard = vmtally::Shard::<Disk>::default();
/// std::thread::scope(|scope| {
///     scope.spawn(|| shard.reads.inc()); // two writers
///     shard.reads.inc();
/// });
/// ```
pub struct Shard<S: Schema>(Held<S>);

// SAFETY: a shard's writer may be any thread, one at a time.
unsafe impl<S: Schema> Send for Shard<S> {}
// SAFETY: all that a shared one gives is &S.
unsafe impl<S: Schema + Sync> Sync for Shard<S> {}

impl<S: Schema> Shard<S> {
    /// # Safety
    ///
    /// As of Held::new().
    pub(crate) unsafe fn new(raw: *mut sys::vmt_shard) -> Self {
        // SAFETY: the caller says so.
        Shard(unsafe { Held::new(raw) })
    }

    /// What the closure changes is seen by readers all or not at all, or flagged: two more adds.
    ///
    /// ```
    /// # use vmtally::prelude::*;
    /// # vmtally::schema! {
    /// #     pub struct Disk("disk", provider = "doc", target = "block") { reads: Cumulative, bytes: Cumulative }
    /// # }
    /// # let shard = vmtally::Shard::<Disk>::default();
    /// shard.group(|m| {
    ///     m.reads.inc();
    ///     m.bytes.add(512);
    /// });
    /// ```
    ///
    /// Not for schemas of which all fields are shared by threads, as that needs one writer:
    ///
    /// ```compile_fail
    /// # use vmtally::prelude::*;
    /// # vmtally::schema! { pub struct Api("api", provider = "doc", target = "api") { gets: SharedIncMetric } }
    /// # let shard = vmtally::Shard::<Api>::default();
    /// shard.group(|m| m.gets.inc());
    /// ```
    #[allow(clippy::let_unit_value)] // evaluated by the compiler
    pub fn group<R>(&self, change: impl FnOnce(&S) -> R) -> R {
        let () = OneWriter::<S>::CHECKED;
        self.0.group(change)
    }

    /// The same as dropping it.
    pub fn release(self) {}

    /// A shard that C code has acquired (`vmt_shard_acquire`), to be released by this one.
    ///
    /// # Safety
    ///
    /// It is held, of a source with `S`'s schema, and nobody else's.
    pub unsafe fn from_raw(raw: NonNull<sys::vmt_shard>) -> Self {
        // SAFETY: the caller says so.
        unsafe { Self::new(raw.as_ptr()) }
    }

    /// For C code, which then has to release it (`vmt_shard_release`).
    pub fn into_raw(self) -> NonNull<sys::vmt_shard> {
        let raw = self.0.raw;
        std::mem::forget(self);
        raw
    }
}

/// Whether `Shard<S>` can't be shared by threads.
struct OneWriter<S>(PhantomData<S>);

impl<S: Schema> OneWriter<S> {
    const CHECKED: () = assert!(
        !shape::all_shared(S::ROWS),
        "group() is for schemas with a field of one writer"
    );
}

impl<S: Schema> Default for Shard<S> {
    /// Scratch memory, which counts nothing: what a shard is before there is a segment.
    fn default() -> Self {
        // SAFETY: scratch has room for any schema, and to release it does nothing.
        unsafe { Self::new(sys::vmt_scratch_shard()) }
    }
}

impl<S: Schema> Deref for Shard<S> {
    type Target = S;

    #[inline(always)]
    fn deref(&self) -> &S {
        self.0.fields()
    }
}

/// A [`Shard`] of the thread that has acquired it
/// ([`Source::acquire_thread`](crate::Source::acquire_thread)): it can't be sent to another one.
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// # vmtally::schema! { pub struct Disk("disk", provider = "doc", target = "block") { reads: Cumulative } }
/// let shard = vmtally::ThreadShard::<Disk>::default();
/// std::thread::spawn(move || shard.reads.inc());
/// ```
pub struct ThreadShard<S: Schema> {
    held: Held<S>,
    one_thread: PhantomData<*const ()>,
}

impl<S: Schema> ThreadShard<S> {
    /// # Safety
    ///
    /// As of Held::new(), and acquired by this thread.
    pub(crate) unsafe fn new(raw: *mut sys::vmt_shard) -> Self {
        // SAFETY: the caller says so.
        ThreadShard {
            held: unsafe { Held::new(raw) },
            one_thread: PhantomData,
        }
    }

    /// As [`Shard::group`].
    pub fn group<R>(&self, change: impl FnOnce(&S) -> R) -> R {
        self.held.group(change)
    }

    /// The same as dropping it.
    pub fn release(self) {}
}

impl<S: Schema> Default for ThreadShard<S> {
    /// Scratch memory.
    fn default() -> Self {
        // SAFETY: as above.
        unsafe { Self::new(sys::vmt_scratch_shard()) }
    }
}

impl<S: Schema> Deref for ThreadShard<S> {
    type Target = S;

    #[inline(always)]
    fn deref(&self) -> &S {
        self.held.fields()
    }
}

impl<S: Schema + fmt::Debug> fmt::Debug for Shard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shard").field(&**self).finish()
    }
}

impl<S: Schema + fmt::Debug> fmt::Debug for ThreadShard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadShard").field(&**self).finish()
    }
}
