// SPDX-License-Identifier: MIT
//! What a snapshot has of one source.

use crate::at::At;
use crate::error::{check, errno, Result};
use crate::schema::{Descriptor, Schema, SchemaRef};
use crate::snapshot::Snapshot;
use crate::text;
use crate::typed::Shown;
use crate::value::{Statistic, Value, Values};
use std::fmt;
use std::marker::PhantomData;
use vmtally_sys as sys;

/// One source in a snapshot.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    snapshot: &'a Snapshot,
    index: usize,
    raw: &'a sys::vmt_sample,
}

impl<'a> Sample<'a> {
    /// # Safety
    ///
    /// raw is source number index of the snapshot.
    pub(crate) unsafe fn new(snapshot: &'a Snapshot, index: usize, raw: &'a sys::vmt_sample) -> Self {
        Sample { snapshot, index, raw }
    }

    pub(crate) fn raw(&self) -> &'a sys::vmt_sample {
        self.raw
    }

    pub(crate) fn reader(&self) -> u64 {
        self.snapshot.reader()
    }

    /// Its number in the snapshot.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its full id: `vm/vcpu-2`; "" for the segment itself.
    pub fn id(&self) -> &'a str {
        // SAFETY: its strings live as long as the snapshot is not taken anew.
        unsafe { text::of(self.raw.id) }
    }

    /// The last part of the id; the segment's name for the segment itself.
    pub fn name(&self) -> &'a str {
        // SAFETY: as above.
        unsafe { text::of(self.raw.name) }
    }

    /// Its schema.
    pub fn schema(&self) -> SchemaRef<'a> {
        // SAFETY: it is there as long as the snapshot.
        unsafe { SchemaRef::new(self.raw.schema) }
    }

    /// Its values: sums over its shards.
    pub fn values(&self) -> Values<'a> {
        let slots = if self.is_absent() {
            std::ptr::null()
        } else {
            self.raw.values
        };
        // SAFETY: as above; they are as many as its schema has slots.
        unsafe { Values::new(self.schema(), slots) }
    }

    /// Its statistics, in the order of the schema.
    pub fn statistics(&self) -> impl ExactSizeIterator<Item = Statistic<'a>> + 'a {
        self.values().statistics()
    }

    /// The statistic of that name.
    pub fn statistic(&self, name: &str) -> Option<Statistic<'a>> {
        self.values().statistic(name)
    }

    /// The value of a field of a schema of this program: `sample.get(|m: &BlockMetrics| &m.read_count)`. See
    /// [`Values::get`].
    pub fn get<S: Schema, K: Shown<'a>, const SLOT: usize>(
        &self,
        field: impl Fn(&S) -> &At<K, SLOT>,
    ) -> Option<K::Value> {
        self.values().get(field)
    }

    /// It seen through a schema of this program; None if it is of another one.
    ///
    /// ```compile_fail
    /// # use vmtally::prelude::*;
    /// # vmtally::schema! { pub struct Disk("disk", provider = "doc", target = "block") { reads: Cumulative } }
    /// # vmtally::schema! { pub struct Net("net", provider = "doc", target = "net") { packets: Cumulative } }
    /// # fn f(sample: vmtally::Sample) {
    /// if let Some(disk) = sample.of::<Disk>() {
    ///     disk.get(|m| &m.packets); // has no such field
    ///     disk.get(|m: &Net| &m.packets);
    /// }
    /// # }
    /// ```
    pub fn of<S: Schema>(&self) -> Option<Typed<'a, S>> {
        self.schema().is_same(&S::schema()).then(|| Typed {
            values: self.values(),
            schema: PhantomData,
        })
    }

    /// The source above it; None for the segment itself.
    pub fn parent(&self) -> Option<Sample<'a>> {
        self.snapshot.source(self.raw.parent as usize)
    }

    /// The sources right below it.
    pub fn children(&self) -> impl Iterator<Item = Sample<'a>> + 'a {
        let index = self.index;
        self.snapshot
            .sources()
            .filter(move |sample| sample.raw.parent as usize == index)
    }

    /// How deep it is; 0 for the segment itself.
    pub fn depth(&self) -> u32 {
        self.raw.depth
    }

    /// What all that is below it has counted, and had counted before it went: one for each schema.
    pub fn totals(&self) -> impl ExactSizeIterator<Item = Total<'a>> + 'a {
        let totals = self.raw.totals;
        // SAFETY: there are so many, as long as the snapshot is not taken anew.
        (0..self.raw.total_count as usize).map(move |i| Total(unsafe { &*totals.add(i) }))
    }

    /// The total of one statistic over all that is below it, whatever schemas have it with this name, and the type and
    /// unit that it has in the first of them. None: none has it; or it is not known.
    pub fn total(&self, name: &str) -> Option<Sum<'a>> {
        let descriptor = self.totals().find_map(|total| total.schema().find(name))?;
        self.total_of(descriptor).ok().flatten()
    }

    fn total_of(&self, descriptor: Descriptor<'a>) -> Result<Option<Sum<'a>>> {
        let mut slots = vec![0; descriptor.size()];
        // SAFETY: there is room for what the descriptor says.
        let result = unsafe { sys::vmt_sample_total(self.raw, descriptor.0, slots.as_mut_ptr()) };
        if result == -errno::ENOENT || result == -errno::ENODATA {
            return Ok(None);
        }
        check(result, || format!("total of {} below {}", descriptor.name(), self.id()))?;
        Ok(Some(Sum { descriptor, slots }))
    }

    /// Its shards; none without [`Snapshot::want_shards`].
    pub fn shards(&self) -> impl ExactSizeIterator<Item = ShardSample<'a>> + 'a {
        let (shards, schema) = (self.raw.shards, self.schema());
        // SAFETY: as for totals.
        (0..self.raw.shard_count as usize).map(move |i| ShardSample {
            raw: unsafe { &*shards.add(i) },
            schema,
        })
    }

    /// With [`Sample::generation`]: this incarnation of the source in this segment.
    pub fn entry(&self) -> u32 {
        self.raw.entry
    }

    /// Another one where an id was removed and added again.
    pub fn generation(&self) -> u64 {
        self.raw.generation
    }

    /// When it was added: CLOCK_REALTIME in nanoseconds.
    pub fn created_ns(&self) -> u64 {
        self.raw.created_ns
    }

    /// Whether the kernel counts it, not the segment.
    pub fn is_kernel(&self) -> bool {
        self.raw.entry & sys::VMT_ENTRY_KERNEL != 0
    }

    /// Whether it was removed, but a shard of it is still held or it has children.
    pub fn is_leaving(&self) -> bool {
        self.raw.flags & sys::VMT_SAMPLE_LEAVING != 0
    }

    /// Whether a group was being changed, by a stopped or dead writer: its values may disagree.
    pub fn is_unconfirmed(&self) -> bool {
        self.raw.flags & sys::VMT_SAMPLE_UNCONFIRMED != 0
    }

    /// Whether a group was cut short by a dead owner: its values disagree for good.
    pub fn is_torn(&self) -> bool {
        self.raw.flags & sys::VMT_SAMPLE_TORN != 0
    }

    /// Whether its values could not be read whole: then it has none.
    pub fn is_absent(&self) -> bool {
        self.raw.flags & sys::VMT_SAMPLE_ABSENT != 0
    }

    /// `VMT_SAMPLE_...`: 1 leaving, 2 unconfirmed, 4 torn, 8 absent.
    pub fn flags(&self) -> u32 {
        self.raw.flags
    }
}

impl fmt::Debug for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("id", &self.id())
            .field("schema", &self.schema())
            .field("values", &self.values())
            .finish_non_exhaustive()
    }
}

/// A [`Sample`] seen through a schema of this program.
pub struct Typed<'a, S> {
    values: Values<'a>,
    schema: PhantomData<fn() -> S>,
}

impl<'a, S: Schema> Typed<'a, S> {
    /// The value of a field: `disk.get(|m| &m.read_count)`. None: another version of the program has counted it, and
    /// has no such field, or as something else; or its values are absent; or nothing was recorded.
    pub fn get<K: Shown<'a>, const SLOT: usize>(&self, field: impl Fn(&S) -> &At<K, SLOT>) -> Option<K::Value> {
        self.values.get(field)
    }
}

impl<S> fmt::Debug for Typed<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.fmt(f)
    }
}

/// What all descendants of a source with one schema have counted.
#[derive(Clone, Copy)]
pub struct Total<'a>(&'a sys::vmt_total);

impl<'a> Total<'a> {
    /// Their schema.
    pub fn schema(&self) -> SchemaRef<'a> {
        // SAFETY: it is there as long as the snapshot.
        unsafe { SchemaRef::new(self.0.schema) }
    }

    /// Their sums, of those that live and those that departed; averages and counts of zeros of those that live.
    pub fn values(&self) -> Values<'a> {
        let slots = if self.is_absent() {
            std::ptr::null()
        } else {
            self.0.values
        };
        // SAFETY: as above; they are as many as the schema has slots.
        unsafe { Values::new(self.schema(), slots) }
    }

    /// The part of those that departed; 0 for instants.
    pub fn departed(&self) -> Values<'a> {
        let slots = if self.is_absent() {
            std::ptr::null()
        } else {
            self.0.departed
        };
        // SAFETY: as above.
        unsafe { Values::new(self.schema(), slots) }
    }

    /// How many live.
    pub fn sources(&self) -> u32 {
        self.0.sources
    }

    /// Whether they are not known: then there are no values.
    pub fn is_absent(&self) -> bool {
        self.0.flags & sys::VMT_SAMPLE_ABSENT != 0
    }

    /// `VMT_SAMPLE_...`: 8 absent.
    pub fn flags(&self) -> u32 {
        self.0.flags
    }
}

impl fmt::Debug for Total<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Total")
            .field("schema", &self.schema())
            .field("sources", &self.sources())
            .field("values", &self.values())
            .finish()
    }
}

/// The total of one statistic, over several schemas.
#[derive(Clone)]
pub struct Sum<'a> {
    descriptor: Descriptor<'a>,
    slots: Vec<u64>,
}

impl Sum<'_> {
    /// It as a statistic.
    pub fn statistic(&self) -> Statistic<'_> {
        Statistic::new(self.descriptor, &self.slots)
    }

    /// Its value.
    pub fn value(&self) -> Value<'_> {
        self.statistic().value()
    }
}

impl fmt::Debug for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statistic().fmt(f)
    }
}

/// Whose a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody's at the moment.
    Nobody,
    /// Somebody holds it.
    Held,
    /// All share it: [`Source::count`](crate::Source::count).
    Shared,
}

/// One shard of a source.
#[derive(Clone, Copy)]
pub struct ShardSample<'a> {
    raw: &'a sys::vmt_shard_sample,
    schema: SchemaRef<'a>,
}

impl<'a> ShardSample<'a> {
    /// What was counted in it.
    pub fn values(&self) -> Values<'a> {
        // SAFETY: they are as many as the source's schema has slots, as long as the snapshot is not taken anew.
        unsafe { Values::new(self.schema, self.raw.values) }
    }

    /// Who holds it.
    pub fn holder(&self) -> Holder {
        match self.raw.held {
            0 => Holder::Nobody,
            2 => Holder::Shared,
            _ => Holder::Held,
        }
    }

    /// The thread that has acquired it, as its own PID namespace has it; None: not known.
    pub fn owner(&self) -> Option<u32> {
        (self.raw.owner != 0).then_some(self.raw.owner)
    }

    /// The same in all snapshots of the same incarnation of its source, and another one for each of its shards.
    pub fn id(&self) -> u32 {
        self.raw.id
    }

    /// `VMT_SAMPLE_...`: 2 unconfirmed, 4 torn.
    pub fn flags(&self) -> u32 {
        self.raw.flags
    }
}

impl fmt::Debug for ShardSample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardSample")
            .field("holder", &self.holder())
            .field("owner", &self.owner())
            .field("values", &self.values())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::schemas::Vcpu;
    use crate::{Snapshot, Value};
    use std::ptr;
    use vmtally_sys as sys;

    #[test]
    fn what_could_not_be_read_has_no_values() {
        let snapshot = Snapshot::new().unwrap();
        let no_labels = [ptr::null()];
        let (mut info, mut samples) = (sys::vmt_segment_info::default(), [sys::vmt_sample::default(); 2]);
        let mut recorded = ptr::null_mut();
        (info.path, info.name, info.labels) = (b"w\0".as_ptr().cast(), b"w\0".as_ptr().cast(), no_labels.as_ptr());
        (samples[0].id, samples[0].parent) = (b"\0".as_ptr().cast(), u32::MAX);
        (samples[1].id, samples[1].entry) = (b"vcpu-0\0".as_ptr().cast(), 1);
        // SAFETY: all that is pointed to is there; samples without values are those that could not be read.
        unsafe {
            assert_eq!(sys::vmt_recorded_new(&mut recorded), 0);
            for (sample, schema) in samples
                .iter_mut()
                .zip([&sys::vmt_schema_segment, &sys::vmt_schema_vcpu])
            {
                assert_eq!(sys::vmt_recorded_schema(recorded, schema, &mut sample.schema), 0);
            }
            assert_eq!(
                sys::vmt_snapshot_rebuild(snapshot.raw(), recorded, &info, samples.as_ptr(), 2),
                0
            );
            sys::vmt_recorded_free(recorded);
        }
        let vcpu = snapshot.find("vcpu-0").unwrap();
        assert!(vcpu.is_absent());
        assert!(vcpu
            .statistics()
            .all(|statistic| matches!(statistic.value(), Value::Absent)));
        assert_eq!(vcpu.get(|m: &Vcpu| &m.exits), None);
    }
}
