// SPDX-License-Identifier: MIT
//! Fields of schemas, and what can be done with each.

use crate::hot;
use crate::kinds::*;
use crate::timer::Timer;
use crate::units::{TimeUnit, Unit};
use std::fmt;
use std::mem::size_of;
use std::time::Duration;
use vmtally_sys as sys;

/// A field of a schema: kind `K`, first slot `SLOT`. It lies in a shard, in shared memory, and is only ever seen by
/// reference: `shard.read_count.inc()`.
///
/// What it has of methods depends on its kind. All are for the shard's one writer, except those of
/// [`SharedIncMetric`] and [`SharedStoreMetric`], which any thread may call. None ever fails or makes a system call
/// (times are read through the vDSO); all may be called from a signal handler that interrupts the shard's writer.
#[repr(C)]
pub struct At<K: Kind, const SLOT: usize> {
    cells: K::Cells,
    writer: K::Writer,
}

/// Bytes before a shard's values.
const HEADER: usize = size_of::<sys::vmt_shard>() - size_of::<u64>();

impl<K: Kind, const SLOT: usize> At<K, SLOT> {
    /// The shard that it lies in. There is no At but in a shard, at its slot.
    fn shard(&self) -> *mut sys::vmt_shard {
        (self as *const Self as usize - SLOT * size_of::<u64>() - HEADER) as *mut sys::vmt_shard
    }
}

impl<K: Kind, const SLOT: usize> fmt::Debug for At<K, SLOT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first: *const u64 = (self as *const Self).cast();
        let values = (0..K::SLOTS).map(|i| {
            // SAFETY: it has so many cells, of which each is an AtomicU64.
            hot::get(unsafe { &*first.add(i).cast() })
        });
        f.debug_list().entries(values).finish()
    }
}

impl<U: Unit, const SLOT: usize> At<Cumulative<U>, SLOT> {
    /// Count 1. One instruction on x86-64.
    #[inline(always)]
    pub fn inc(&self) {
        hot::inc(&self.cells);
    }

    /// Count n. One instruction on x86-64.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        hot::add(&self.cells, n);
    }

    /// What this shard has counted, its earlier owners included; readers see the sum over all shards.
    #[inline]
    pub fn count(&self) -> u64 {
        hot::get(&self.cells)
    }
}

impl<U: Unit, const SLOT: usize> At<SharedIncMetric<U>, SLOT> {
    /// Count 1, from any thread.
    #[inline(always)]
    pub fn inc(&self) {
        hot::add_shared(&self.cells, 1);
    }

    /// Count n, from any thread.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        hot::add_shared(&self.cells, n);
    }

    /// What this shard has counted.
    #[inline]
    pub fn count(&self) -> u64 {
        hot::get(&self.cells)
    }
}

macro_rules! stored {
    ($($kind:ident),*) => { $(
        impl<U: Unit, const SLOT: usize> At<$kind<U>, SLOT> {
            /// Set it. One instruction.
            #[inline(always)]
            pub fn store(&self, value: u64) {
                hot::set(&self.cells, value);
            }

            /// What was stored.
            #[inline]
            pub fn fetch(&self) -> u64 {
                hot::get(&self.cells)
            }
        }
    )* };
}
stored!(Instant, InstantMax, InstantAverage, InstantCountZero, SharedStoreMetric);

macro_rules! levels {
    ($($kind:ident),*) => { $(
        impl<U: Unit, const SLOT: usize> At<$kind<U>, SLOT> {
            /// Raise it by n. One instruction on x86-64.
            #[inline(always)]
            pub fn add(&self, n: u64) {
                hot::add(&self.cells, n);
            }

            /// Lower it by n. One instruction on x86-64. Where another shard of the source was raised, this one may
            /// wrap: readers see the sum.
            #[inline(always)]
            pub fn sub(&self, n: u64) {
                hot::add(&self.cells, n.wrapping_neg());
            }
        }
    )* };
}
levels!(Instant, InstantAverage, InstantCountZero);

impl<const SLOT: usize> At<Boolean, SLOT> {
    /// Set it. One instruction.
    #[inline(always)]
    pub fn store(&self, value: bool) {
        hot::set(&self.cells, value.into());
    }

    /// What was stored.
    #[inline]
    pub fn fetch(&self) -> bool {
        hot::get(&self.cells) != 0
    }
}

impl<U: Unit, const SLOT: usize> At<SignedInstant<U>, SLOT> {
    /// Set it. One instruction.
    #[inline(always)]
    pub fn store(&self, value: i64) {
        hot::set(&self.cells, value as u64);
    }

    /// Raise it by n, which may be negative. One instruction on x86-64.
    #[inline(always)]
    pub fn add(&self, n: i64) {
        hot::add(&self.cells, n as u64);
    }

    /// What was stored.
    #[inline]
    pub fn fetch(&self) -> i64 {
        hot::get(&self.cells) as i64
    }
}

/// (kind, type, method, the library's function, whether what is there is to be replaced, docs)
macro_rules! extremes {
    ($($kind:ident $number:ty, $method:ident, $function:ident, $replaces:tt, $doc:literal;)*) => { $(
        impl<U: Unit, const SLOT: usize> At<$kind<U>, SLOT> {
            #[doc = $doc]
            #[inline]
            pub fn $method(&self, value: $number) {
                if value $replaces self.fetch() {
                    // SAFETY: the slot is one of the shard's.
                    unsafe { sys::$function(self.shard(), SLOT as u32, value) };
                }
            }

            /// What this shard has.
            #[inline]
            pub fn fetch(&self) -> $number {
                hot::get(&self.cells) as $number
            }
        }
    )* };
}
extremes! {
    Peak u64, peak, vmt_peak_ext, >, "Raise it to value, if that is higher.";
    Minimum u64, minimum, vmt_minimum_ext, <, "Lower it to value, if that is lower.";
    SignedPeak i64, peak, vmt_peak_signed_ext, >, "Raise it to value, if that is higher.";
    SignedMinimum i64, minimum, vmt_minimum_signed_ext, <, "Lower it to value, if that is lower.";
}

impl<const N: usize, const BUCKET: u32, U: Unit, const SLOT: usize> At<Linear<N, BUCKET, U>, SLOT> {
    /// Count value in its bucket.
    #[inline]
    pub fn record(&self, value: u64) {
        // SAFETY: the slots are the shard's, and neither N nor BUCKET is 0.
        unsafe { sys::vmt_record_linear_ext(self.shard(), SLOT as u32, N as u32, BUCKET, value) };
    }
}

impl<const N: usize, U: Unit, const SLOT: usize> At<Log<N, U>, SLOT> {
    /// Count value in its bucket.
    #[inline]
    pub fn record(&self, value: u64) {
        // SAFETY: as above.
        unsafe { sys::vmt_record_log_ext(self.shard(), SLOT as u32, N as u32, value) };
    }
}

impl<const N: usize, U: Unit, const SLOT: usize> At<Latency<N, U>, SLOT> {
    /// Count one that took value, in the field's unit. Readers see its five statistics change together.
    #[inline]
    pub fn record(&self, value: u64) {
        // SAFETY: as above.
        unsafe { sys::vmt_latency_ext(self.shard(), SLOT as u32, N as u32, value) };
    }

    /// How many were recorded in this shard.
    #[inline]
    pub fn count(&self) -> u64 {
        hot::get(&self.cells.count)
    }

    /// The sum of what was recorded in this shard, in the field's unit.
    #[inline]
    pub fn sum(&self) -> u64 {
        hot::get(&self.cells.sum)
    }
}

impl<const N: usize, U: TimeUnit, const SLOT: usize> At<Latency<N, U>, SLOT> {
    /// Count one that took so long, rounded down to the field's unit.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        self.record((duration.as_nanos() / u128::from(U::NANOSECONDS)).min(u64::MAX.into()) as u64);
    }

    /// Count the time until what it returns is dropped: at the end of a scope, also by an error or a panic.
    ///
    /// ```
    /// # use vmtally::prelude::*;
    /// # vmtally::schema! {
    /// #     pub struct Disk("disk", provider = "doc", target = "block") { read: Latency<32, Nanoseconds> }
    /// # }
    /// # let shard = vmtally::Shard::<Disk>::default();
    /// {
    ///     let _timer = shard.read.time();
    ///     // what is timed
    /// }
    /// ```
    #[inline]
    pub fn time(&self) -> Timer<'_, N, U, SLOT> {
        Timer::new(self)
    }
}
