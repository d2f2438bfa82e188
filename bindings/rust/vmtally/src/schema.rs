// SPDX-License-Identifier: MIT
//! Schemas: what `schema!` implements, and what a reader finds.

use crate::shape::{self, Row};
use crate::text;
use std::fmt;
use std::marker::PhantomData;
use vmtally_sys as sys;

/// A struct of counters, as [`schema!`](crate::schema!) makes it.
///
/// # Safety
///
/// The struct has the memory layout of the slots that its rows describe, and `schema()` describes the same rows. Only
/// `schema!` sees to that: don't implement it by hand.
pub unsafe trait Schema: Sized + 'static {
    /// How many u64 a shard of it has.
    const SLOTS: usize = shape::slots(Self::ROWS);

    #[doc(hidden)]
    const ROWS: &'static [Row];

    /// The schema as readers find it in a segment.
    fn schema() -> SchemaRef<'static>;
}

/// Static descriptors of a schema.
#[doc(hidden)]
#[repr(transparent)]
#[derive(Debug)]
pub struct Table<const N: usize>([sys::vmt_descriptor; N]);

// SAFETY: nobody writes what its pointers point to.
unsafe impl<const N: usize> Sync for Table<N> {}

impl<const N: usize> Table<N> {
    pub const fn new(rows: &[Row]) -> Self {
        Table(shape::describe(rows))
    }
}

/// A static schema.
#[doc(hidden)]
#[derive(Debug)]
pub struct Declared(sys::vmt_schema);

// SAFETY: as above.
unsafe impl Sync for Declared {}

impl Declared {
    /// The names end with a NUL.
    pub const fn new<const N: usize>(
        name: &'static str,
        provider: &'static str,
        target: &'static str,
        table: &'static Table<N>,
        slots: usize,
    ) -> Self {
        Declared(sys::vmt_schema {
            name: name.as_ptr().cast(),
            provider: provider.as_ptr().cast(),
            target: target.as_ptr().cast(),
            descriptors: table.0.as_ptr(),
            count: N as u32,
            slots: slots as u32,
        })
    }

    pub fn get(&'static self) -> SchemaRef<'static> {
        // SAFETY: static, and made by `schema!`, as the library wants it.
        unsafe { SchemaRef::new(&self.0) }
    }
}

/// A schema: of this program ([`Schema::schema`]), or as a reader has found it in a segment and checked it.
#[derive(Clone, Copy)]
pub struct SchemaRef<'a> {
    raw: *const sys::vmt_schema,
    lifetime: PhantomData<&'a sys::vmt_schema>,
}

// SAFETY: immutable for as long as it is there.
unsafe impl Send for SchemaRef<'_> {}
unsafe impl Sync for SchemaRef<'_> {}

impl<'a> SchemaRef<'a> {
    /// # Safety
    ///
    /// raw is a good schema for 'a.
    pub(crate) unsafe fn new(raw: *const sys::vmt_schema) -> Self {
        SchemaRef {
            raw,
            lifetime: PhantomData,
        }
    }

    pub(crate) fn raw(&self) -> &'a sys::vmt_schema {
        // SAFETY: see new().
        unsafe { &*self.raw }
    }

    /// Its name, unique together with provider and target.
    pub fn name(&self) -> &'a str {
        // SAFETY: a schema's strings live as long as it does.
        unsafe { text::of(self.raw().name) }
    }

    /// Who counts: `vmm`, `kvm`, ...
    pub fn provider(&self) -> &'a str {
        // SAFETY: as above.
        unsafe { text::of(self.raw().provider) }
    }

    /// What kind of thing is counted: `vm`, `vcpu`, `block`, ...
    pub fn target(&self) -> &'a str {
        // SAFETY: as above.
        unsafe { text::of(self.raw().target) }
    }

    /// How many u64 values.
    pub fn slots(&self) -> usize {
        self.raw().slots as usize
    }

    /// How many statistics.
    pub fn len(&self) -> usize {
        self.raw().count as usize
    }

    /// Whether it has no statistics; only a hostile segment has such a schema.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The statistic with that number, in the order of their slots.
    pub fn descriptor(&self, i: usize) -> Option<Descriptor<'a>> {
        let all = self.raw();
        // SAFETY: descriptors has count of them.
        (i < self.len()).then(|| Descriptor(unsafe { &*all.descriptors.add(i) }))
    }

    /// All statistics.
    pub fn descriptors(&self) -> impl ExactSizeIterator<Item = Descriptor<'a>> + 'a {
        let all = self.raw();
        // SAFETY: as above.
        (0..self.len()).map(move |i| Descriptor(unsafe { &*all.descriptors.add(i) }))
    }

    /// The statistic of that name.
    pub fn find(&self, name: &str) -> Option<Descriptor<'a>> {
        self.descriptors().find(|d| d.name() == name)
    }

    /// Whether both have the same name, provider and target.
    pub fn is_same(&self, other: &SchemaRef<'_>) -> bool {
        self.name() == other.name() && self.provider() == other.provider() && self.target() == other.target()
    }
}

impl fmt::Debug for SchemaRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.name(), self.provider(), self.target())
    }
}

/// What the values of a statistic do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatisticType {
    /// Only grows.
    Cumulative,
    /// Goes up and down.
    Instant,
    /// The highest ever seen.
    Peak,
    /// A histogram of buckets that are equally wide.
    LinearHistogram,
    /// A histogram whose buckets are powers of two wide.
    LogHistogram,
    /// One of a later version.
    Other,
}

/// What its numbers are in, before [`Descriptor::scale`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseUnit {
    /// A number of things or events.
    None,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Clock cycles.
    Cycles,
    /// 0 or 1.
    Boolean,
    /// One of a later version.
    Other,
}

impl BaseUnit {
    /// In lower case; "" for [`BaseUnit::None`].
    pub fn name(self) -> &'static str {
        match self {
            BaseUnit::None => "",
            BaseUnit::Bytes => "bytes",
            BaseUnit::Seconds => "seconds",
            BaseUnit::Cycles => "cycles",
            BaseUnit::Boolean => "boolean",
            BaseUnit::Other => "unknown",
        }
    }
}

/// How values are put together, over the shards of a source and over sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aggregation {
    /// Added up.
    Sum,
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// The mean over live sources.
    Average,
    /// How many live sources are at 0.
    CountZero,
    /// One of a later version.
    Other,
}

/// What one statistic is.
#[derive(Clone, Copy)]
pub struct Descriptor<'a>(pub(crate) &'a sys::vmt_descriptor);

// SAFETY: as of SchemaRef.
unsafe impl Send for Descriptor<'_> {}
unsafe impl Sync for Descriptor<'_> {}

impl<'a> Descriptor<'a> {
    /// Its name, unique in the schema.
    pub fn name(&self) -> &'a str {
        // SAFETY: its strings live as long as the schema.
        unsafe { text::of(self.0.name) }
    }

    /// One line for people; "" where there is none.
    pub fn help(&self) -> &'a str {
        // SAFETY: as above.
        unsafe { text::of(self.0.help) }
    }

    /// What its values do.
    pub fn statistic_type(&self) -> StatisticType {
        match self.0.flags & sys::VMT_TYPE_MASK {
            sys::VMT_TYPE_CUMULATIVE => StatisticType::Cumulative,
            sys::VMT_TYPE_INSTANT => StatisticType::Instant,
            sys::VMT_TYPE_PEAK => StatisticType::Peak,
            sys::VMT_TYPE_LINEAR_HIST => StatisticType::LinearHistogram,
            sys::VMT_TYPE_LOG_HIST => StatisticType::LogHistogram,
            _ => StatisticType::Other,
        }
    }

    /// Whether it is a histogram.
    pub fn is_histogram(&self) -> bool {
        matches!(
            self.statistic_type(),
            StatisticType::LinearHistogram | StatisticType::LogHistogram
        )
    }

    /// What its numbers are in, once multiplied by [`Descriptor::scale`].
    pub fn unit(&self) -> BaseUnit {
        match self.0.flags & sys::VMT_UNIT_MASK {
            sys::VMT_UNIT_NONE => BaseUnit::None,
            sys::VMT_UNIT_BYTES => BaseUnit::Bytes,
            sys::VMT_UNIT_SECONDS => BaseUnit::Seconds,
            sys::VMT_UNIT_CYCLES => BaseUnit::Cycles,
            sys::VMT_UNIT_BOOLEAN => BaseUnit::Boolean,
            _ => BaseUnit::Other,
        }
    }

    /// 2 or 10: a value is in units of `base` to the power of `exponent`.
    pub fn base(&self) -> u32 {
        if self.0.flags & sys::VMT_BASE_MASK == sys::VMT_BASE_POW2 {
            2
        } else {
            10
        }
    }

    /// See [`Descriptor::base`].
    pub fn exponent(&self) -> i32 {
        self.0.exponent.into()
    }

    /// What a value is to be multiplied by to be in [`Descriptor::unit`]: 1e-9 for nanoseconds.
    pub fn scale(&self) -> f64 {
        let size = f64::from(self.base()).powi(self.exponent().abs());
        if self.exponent() < 0 {
            1.0 / size
        } else {
            size
        }
    }

    /// How its values are put together.
    pub fn aggregation(&self) -> Aggregation {
        match self.0.flags & sys::VMT_AGGREGATION_MASK {
            sys::VMT_AGGREGATION_TYPE if self.statistic_type() == StatisticType::Peak => Aggregation::Max,
            sys::VMT_AGGREGATION_TYPE | sys::VMT_AGGREGATION_SUM => Aggregation::Sum,
            sys::VMT_AGGREGATION_MIN => Aggregation::Min,
            sys::VMT_AGGREGATION_MAX => Aggregation::Max,
            sys::VMT_AGGREGATION_AVERAGE => Aggregation::Average,
            sys::VMT_AGGREGATION_COUNT_ZERO => Aggregation::CountZero,
            _ => Aggregation::Other,
        }
    }

    /// Whether its values are `i64`.
    pub fn is_signed(&self) -> bool {
        self.0.flags & sys::VMT_SIGNED != 0
    }

    /// Its first slot.
    pub fn slot(&self) -> usize {
        self.0.slot as usize
    }

    /// How many slots: 1, or the buckets of a histogram.
    pub fn size(&self) -> usize {
        self.0.size.into()
    }

    /// How wide a bucket of a linear histogram is; 0 for all others.
    pub fn bucket_size(&self) -> u32 {
        self.0.bucket_size
    }

    /// Not 0: changes together with the others of the schema that have this number.
    pub fn group(&self) -> u32 {
        self.0.group.into()
    }

    /// The number of the descriptor from which this one is subtracted to give a level.
    pub fn minuend(&self) -> Option<usize> {
        usize::from(self.0.minuend).checked_sub(1)
    }

    /// How much it matters to someone who looks: 0 informs, 1 helps to diagnose, 2 is for debugging.
    pub fn level(&self) -> u8 {
        self.0.level
    }

    /// Type, unit, base, aggregation and sign as bits, as they stand in the segment.
    pub fn flags(&self) -> u32 {
        self.0.flags
    }

    /// What its slot holds where nothing was counted, if that is no value.
    pub(crate) fn nothing(&self) -> Option<u64> {
        match (self.aggregation(), self.is_signed()) {
            (Aggregation::Min, false) => Some(u64::MAX),
            (Aggregation::Min, true) => Some(i64::MAX as u64),
            (Aggregation::Max, true) => Some(i64::MIN as u64),
            _ => None,
        }
    }
}

impl fmt::Debug for Descriptor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor")
            .field("name", &self.name())
            .field("type", &self.statistic_type())
            .field("unit", &self.unit())
            .field("base", &self.base())
            .field("exponent", &self.exponent())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
