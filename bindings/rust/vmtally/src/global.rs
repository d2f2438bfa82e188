// SPDX-License-Identifier: MIT
//! Metrics in a static.

use crate::error::{errno, Error, Result};
use crate::schema::Schema;
use crate::source::Source;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use vmtally_sys as sys;

/// Metrics that are there from the start, for a `static`, as Firecracker's `METRICS`. All of the schema's fields may be
/// written by any thread: [`SharedIncMetric`](crate::kinds::SharedIncMetric) and
/// [`SharedStoreMetric`](crate::kinds::SharedStoreMetric).
///
/// ```
/// use vmtally::prelude::*;
///
/// vmtally::schema! {
///     pub struct ApiMetrics("api", provider = "myvmm", target = "api") {
///         /// Requests answered
///         pub requests: SharedIncMetric,
///     }
/// }
/// static METRICS: Global<ApiMetrics> = Global::new();
///
/// fn main() -> vmtally::Result<()> {
///     METRICS.requests.inc(); // goes nowhere yet
///     let segment = Segment::builder().create()?;
///     METRICS.attach(&segment.add("api")?)?;
///     METRICS.requests.inc(); // readers see this one
///     Ok(())
/// }
/// ```
///
/// Counters of a single writer would lose counts here:
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// vmtally::schema! {
///     pub struct OneWriter("one", provider = "doc", target = "vm") {
///         pub reads: Cumulative,
///     }
/// }
/// static METRICS: Global<OneWriter> = Global::new();
/// ```
pub struct Global<S: Schema> {
    /// A shard that is held for good; NULL: scratch memory.
    shard: AtomicPtr<sys::vmt_shard>,
    schema: PhantomData<S>,
}

impl<S: Schema + Sync> Global<S> {
    /// Counts into scratch memory, which nobody reads.
    pub const fn new() -> Self {
        Global {
            shard: AtomicPtr::new(ptr::null_mut()),
            schema: PhantomData,
        }
    }

    /// From here on it counts into a shard of source, which it holds for good: after the source was dropped that is
    /// leaving until the segment is closed. Errors: EALREADY (it was attached), ENODEV (the segment is closed).
    pub fn attach(&self, source: &Source<S>) -> Result<()> {
        source.check_open(|| format!("attach global metrics to {}", source.id()))?;
        let shard = source.acquire().into_raw().as_ptr();
        // Release: pairs with the acquire in deref().
        let result = self
            .shard
            .compare_exchange(ptr::null_mut(), shard, Ordering::Release, Ordering::Relaxed);
        result.map(drop).map_err(|_| {
            // SAFETY: it was just acquired.
            unsafe { sys::vmt_shard_release(shard) };
            Error::new(errno::EALREADY, format!("attach global metrics to {}", source.id()))
        })
    }
}

impl<S: Schema + Sync> Default for Global<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Schema + Sync> Deref for Global<S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        // Acquire: pairs with the release in attach().
        let mut shard = self.shard.load(Ordering::Acquire);
        if shard.is_null() {
            shard = sys::vmt_scratch_shard();
        }
        // SAFETY: a shard of a source with this schema that is never released, or scratch, which has room for any.
        unsafe { &*ptr::addr_of!((*shard).value_).cast() }
    }
}

impl<S: Schema + Sync + fmt::Debug> fmt::Debug for Global<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Global").field(&**self).finish()
    }
}
