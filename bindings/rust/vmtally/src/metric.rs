// SPDX-License-Identifier: MIT
//! Firecracker's traits, by its names.

use crate::at::At;
use crate::kinds::*;
use crate::units::Unit;

/// What counts. Firecracker's trait of that name, so that code which is written for it needs no change.
///
/// Its `fetch_diff` is left out on purpose: what changed since the last look is each reader's own business
/// ([`Delta`](crate::Delta)), and what Firecracker uses it for, adding up devices when metrics are flushed, is done by
/// the totals of their parent ([`Sample::totals`](crate::Sample::totals)).
pub trait IncMetric {
    /// Count value.
    fn add(&self, value: u64);

    /// Count 1.
    #[inline(always)]
    fn inc(&self) {
        self.add(1);
    }

    /// What was counted, here.
    fn count(&self) -> u64;
}

/// What is stored. Firecracker's trait of that name.
pub trait StoreMetric {
    /// What was stored.
    fn fetch(&self) -> u64;

    /// Store value.
    fn store(&self, value: u64);
}

macro_rules! inc {
    ($($kind:ident),*) => { $(
        impl<U: Unit, const SLOT: usize> IncMetric for At<$kind<U>, SLOT> {
            #[inline(always)]
            fn add(&self, value: u64) {
                At::<$kind<U>, SLOT>::add(self, value);
            }

            #[inline(always)]
            fn inc(&self) {
                At::<$kind<U>, SLOT>::inc(self);
            }

            #[inline]
            fn count(&self) -> u64 {
                At::<$kind<U>, SLOT>::count(self)
            }
        }
    )* };
}
inc!(Cumulative, SharedIncMetric);

macro_rules! store {
    ($($kind:ident),*) => { $(
        impl<U: Unit, const SLOT: usize> StoreMetric for At<$kind<U>, SLOT> {
            #[inline]
            fn fetch(&self) -> u64 {
                At::<$kind<U>, SLOT>::fetch(self)
            }

            #[inline(always)]
            fn store(&self, value: u64) {
                At::<$kind<U>, SLOT>::store(self, value);
            }
        }
    )* };
}
store!(Instant, InstantMax, InstantAverage, InstantCountZero, SharedStoreMetric);
