// SPDX-License-Identifier: MIT
//! Scoped timers.

use crate::at::At;
use crate::kinds::Latency;
use crate::units::TimeUnit;
use vmtally_sys as sys;

/// Nanoseconds of CLOCK_MONOTONIC.
fn now_ns() -> u64 {
    // SAFETY: it has no conditions.
    unsafe { sys::vmt_clock_ns() }
}

/// Measures from [`At::time`] until it is dropped, and records that. Nothing is changed before: the group is opened
/// only at the end.
#[must_use = "it measures until it is dropped"]
#[derive(Debug)]
pub struct Timer<'a, const N: usize, U: TimeUnit, const SLOT: usize> {
    field: Option<&'a At<Latency<N, U>, SLOT>>,
    start_ns: u64,
}

impl<'a, const N: usize, U: TimeUnit, const SLOT: usize> Timer<'a, N, U, SLOT> {
    #[inline]
    pub(crate) fn new(field: &'a At<Latency<N, U>, SLOT>) -> Self {
        Timer {
            field: Some(field),
            start_ns: now_ns(),
        }
    }

    /// End it without recording anything.
    #[inline]
    pub fn cancel(mut self) {
        self.field = None;
    }
}

impl<const N: usize, U: TimeUnit, const SLOT: usize> Drop for Timer<'_, N, U, SLOT> {
    #[inline]
    fn drop(&mut self) {
        if let Some(field) = self.field {
            field.record(now_ns().saturating_sub(self.start_ns) / U::NANOSECONDS);
        }
    }
}
