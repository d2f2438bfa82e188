// SPDX-License-Identifier: MIT
//! What changed between two snapshots.

use crate::error::{check, Result};
use crate::sample::Sample;
use crate::schema::SchemaRef;
use crate::snapshot::Snapshot;
use crate::value::Values;
use std::fmt;
use std::ptr::{self, NonNull};
use vmtally_sys as sys;

/// Memory for comparing snapshots, to be reused. Each reader has its own: nothing in the segment changes.
pub struct Delta {
    raw: NonNull<sys::vmt_delta>,
}

// SAFETY: one thread at a time is all the library asks for.
unsafe impl Send for Delta {}

impl Delta {
    /// Errors: ENOMEM.
    pub fn new() -> Result<Delta> {
        let mut raw = ptr::null_mut();
        // SAFETY: it has no conditions.
        check(unsafe { sys::vmt_delta_new(&mut raw) }, || "new delta".into())?;
        // SAFETY: it was just made.
        Ok(Delta {
            raw: unsafe { NonNull::new_unchecked(raw) },
        })
    }

    /// What changed from older to newer, which stay as they are as long as that is used. Without older, or where it is
    /// of another segment, all is [reset](Change::is_reset). Sources are matched by entry and generation: an id that
    /// was removed and added again is [new](Change::is_new). Errors: ENOMEM.
    pub fn compute<'a>(&'a mut self, older: Option<&'a Snapshot>, newer: &'a Snapshot) -> Result<Changes<'a>> {
        let before = older.map_or(ptr::null(), |older| older.raw() as *const _);
        // SAFETY: all are there.
        let result = unsafe { sys::vmt_delta_compute(self.raw.as_ptr(), before, newer.raw()) };
        check(result, || format!("what changed of {}", newer.segment().name()))?;
        Ok(Changes { delta: self, newer })
    }
}

impl Drop for Delta {
    fn drop(&mut self) {
        // SAFETY: this is its one handle.
        unsafe { sys::vmt_delta_free(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta").finish_non_exhaustive()
    }
}

/// What changed between two snapshots.
#[derive(Clone, Copy)]
pub struct Changes<'a> {
    delta: &'a Delta,
    newer: &'a Snapshot,
}

impl<'a> Changes<'a> {
    /// Seconds between the two; 0 where they can't be compared.
    pub fn seconds(&self) -> f64 {
        // SAFETY: it is there.
        unsafe { sys::vmt_delta_seconds(self.delta.raw.as_ptr()) }
    }

    /// The newer snapshot.
    pub fn snapshot(&self) -> &'a Snapshot {
        self.newer
    }

    /// The change of source number i of the newer snapshot.
    pub fn source(&self, i: usize) -> Option<Change<'a>> {
        // SAFETY: the library says NULL where there is none; looked at only where there is one.
        let raw = (i < self.newer.len()).then(|| unsafe { sys::vmt_delta_source(self.delta.raw.as_ptr(), i) })?;
        // SAFETY: it is there as long as the delta is not computed anew.
        unsafe { raw.as_ref() }.map(|raw| Change { delta: self.delta, raw })
    }

    /// The change of the source with this id.
    pub fn find(&self, id: &str) -> Option<Change<'a>> {
        self.newer.find(id).and_then(|sample| self.source(sample.index()))
    }

    /// All sources of the newer snapshot, with what changed of them.
    pub fn sources(&self) -> impl Iterator<Item = (Sample<'a>, Change<'a>)> + 'a {
        let changes = *self;
        self.newer
            .sources()
            .filter_map(move |sample| Some((sample, changes.source(sample.index())?)))
    }

    /// The change of total number t of source number i.
    pub fn total(&self, i: usize, t: usize) -> Option<Change<'a>> {
        self.newer.source(i).filter(|sample| t < sample.totals().len())?;
        // SAFETY: there is one.
        let raw = unsafe { sys::vmt_delta_total(self.delta.raw.as_ptr(), i, t).as_ref() };
        raw.map(|raw| Change { delta: self.delta, raw })
    }
}

impl fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.sources().map(|(sample, change)| (sample.id(), change.values())))
            .finish()
    }
}

/// What changed of one source, or of one of its totals.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    delta: &'a Delta,
    raw: &'a sys::vmt_change,
}

impl<'a> Change<'a> {
    /// Cumulative values and histograms: newer - older; all others are 0.
    pub fn values(&self) -> Values<'a> {
        // SAFETY: schema and values are there as long as the snapshots and the delta; as many as it has slots.
        unsafe { Values::new(SchemaRef::new(self.raw.schema), self.raw.values) }
    }

    /// How often per second the statistic of that name was counted. None: there is none of that name, it is a
    /// histogram, or nothing to compare with.
    pub fn rate(&self, name: &str) -> Option<f64> {
        let descriptor = self
            .values()
            .schema()
            .find(name)
            .filter(|descriptor| !descriptor.is_histogram())?;
        // SAFETY: the slot is one of the schema's.
        (!self.is_reset())
            .then(|| unsafe { sys::vmt_change_rate(self.delta.raw.as_ptr(), self.raw, descriptor.slot() as u32) })
    }

    /// Whether it is not in the older snapshot: values are all that it has counted, since it was added.
    pub fn is_new(&self) -> bool {
        self.raw.flags & sys::VMT_CHANGE_NEW != 0
    }

    /// Whether there is nothing to compare with: another segment, values absent, or one that fell. Values are 0.
    pub fn is_reset(&self) -> bool {
        self.raw.flags & sys::VMT_CHANGE_RESET != 0
    }
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values().fmt(f)
    }
}
