// SPDX-License-Identifier: MIT
//! Values as a reader sees them.

use crate::at::At;
use crate::schema::{Descriptor, Schema, SchemaRef};
use crate::typed::{self, Shown};
use std::fmt;
use vmtally_sys as sys;

/// The values of a source, of one of its totals or shards, or what changed of them: u64 by slot, and the schema that
/// says what they are.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    schema: SchemaRef<'a>,
    slots: &'a [u64],
}

impl<'a> Values<'a> {
    /// # Safety
    ///
    /// slots is NULL (absent) or as many as the schema has, and neither changes for 'a.
    pub(crate) unsafe fn new(schema: SchemaRef<'a>, slots: *const u64) -> Self {
        let slots = if slots.is_null() {
            &[]
        } else {
            // SAFETY: the caller says so.
            unsafe { std::slice::from_raw_parts(slots, schema.slots()) }
        };
        Values { schema, slots }
    }

    /// What they are.
    pub fn schema(&self) -> SchemaRef<'a> {
        self.schema
    }

    /// All of them, by slot; empty where they are absent.
    pub fn slots(&self) -> &'a [u64] {
        self.slots
    }

    /// The statistics, in the order of the schema.
    pub fn statistics(&self) -> impl ExactSizeIterator<Item = Statistic<'a>> + 'a {
        let values = *self;
        self.schema.descriptors().map(move |descriptor| values.of(descriptor))
    }

    /// The statistic of that name.
    pub fn statistic(&self, name: &str) -> Option<Statistic<'a>> {
        self.schema.find(name).map(|descriptor| self.of(descriptor))
    }

    /// The value of a field of a schema of this program: `values.get(|m: &BlockMetrics| &m.read_count)`. The closure
    /// only says which field; it is not called.
    ///
    /// It is found by name, so what another version of the VMM has counted is found, too. None: these are of another
    /// schema, do not have it or have it as something else, or nothing was recorded.
    pub fn get<S: Schema, K: Shown<'a>, const SLOT: usize>(
        &self,
        field: impl Fn(&S) -> &At<K, SLOT>,
    ) -> Option<K::Value> {
        let _ = field;
        typed::get::<S, K, SLOT>(self)
    }

    pub(crate) fn of(&self, descriptor: Descriptor<'a>) -> Statistic<'a> {
        let first = descriptor.slot();
        Statistic {
            descriptor,
            slots: self.slots.get(first..first + descriptor.size()).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.statistics().map(|s| (s.name(), s.value())))
            .finish()
    }
}

/// One statistic with its value.
#[derive(Clone, Copy)]
pub struct Statistic<'a> {
    descriptor: Descriptor<'a>,
    slots: &'a [u64],
}

impl<'a> Statistic<'a> {
    pub(crate) fn new(descriptor: Descriptor<'a>, slots: &'a [u64]) -> Self {
        Statistic { descriptor, slots }
    }

    /// What it is.
    pub fn descriptor(&self) -> Descriptor<'a> {
        self.descriptor
    }

    /// Its name, unique in the schema.
    pub fn name(&self) -> &'a str {
        self.descriptor.name()
    }

    /// Its u64 as they are: one, or a histogram's buckets; none where they are absent.
    pub fn slots(&self) -> &'a [u64] {
        self.slots
    }

    /// Its value, as what it is.
    pub fn value(&self) -> Value<'a> {
        match self.slots {
            [] => Value::Absent,
            buckets if self.descriptor.is_histogram() => Value::Histogram(Histogram {
                descriptor: self.descriptor,
                buckets,
            }),
            [value, ..] if self.descriptor.nothing() == Some(*value) => Value::Absent,
            [value, ..] if self.descriptor.is_signed() => Value::Signed(*value as i64),
            [value, ..] => Value::Unsigned(*value),
        }
    }

    /// Its value in [`Descriptor::unit`]: 1.5 for 1,500,000,000 nanoseconds. None for histograms, and where it is
    /// absent.
    pub fn scaled(&self) -> Option<f64> {
        match self.value() {
            Value::Unsigned(value) => Some(value as f64 * self.descriptor.scale()),
            Value::Signed(value) => Some(value as f64 * self.descriptor.scale()),
            _ => None,
        }
    }
}

impl fmt::Debug for Statistic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name(), self.value())
    }
}

/// A value. Integers are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// Buckets.
    Histogram(Histogram<'a>),
    /// The values could not be read whole, or (of a minimum, or a signed maximum) nothing was recorded yet.
    Absent,
}

impl<'a> Value<'a> {
    /// The number, if it is one and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::Unsigned(value) => Some(value),
            Value::Signed(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The number, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::Unsigned(value) => value.try_into().ok(),
            Value::Signed(value) => Some(value),
            _ => None,
        }
    }

    /// The histogram, if it is one.
    pub fn as_histogram(&self) -> Option<Histogram<'a>> {
        match *self {
            Value::Histogram(histogram) => Some(histogram),
            _ => None,
        }
    }
}

/// How often values of each size were recorded.
#[derive(Clone, Copy)]
pub struct Histogram<'a> {
    descriptor: Descriptor<'a>,
    buckets: &'a [u64],
}

/// One bucket of a [`Histogram`]: `low <= value < high`; of the last one `low <= value`, and `high` is `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The lowest value in it, in the statistic's unit.
    pub low: u64,
    /// The first value above it.
    pub high: u64,
    /// How many were recorded.
    pub count: u64,
}

impl<'a> Histogram<'a> {
    /// What it is.
    pub fn descriptor(&self) -> Descriptor<'a> {
        self.descriptor
    }

    /// How many were recorded in each bucket.
    pub fn counts(&self) -> &'a [u64] {
        self.buckets
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// The buckets with their bounds.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = Bucket> + 'a {
        let descriptor = self.descriptor;
        self.buckets.iter().enumerate().map(move |(i, &count)| {
            let (mut low, mut high) = (0, 0);
            // SAFETY: there are as many buckets as the descriptor says.
            unsafe { sys::vmt_bucket_bounds(descriptor.0, i as u32, &mut low, &mut high) };
            Bucket { low, high, count }
        })
    }

    /// The quantile q (0 to 1) as bounds: it is from the first to the second. None where nothing was recorded.
    pub fn quantile(&self, q: f64) -> Option<(u64, u64)> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: as above.
        let result = unsafe { sys::vmt_quantile(self.descriptor.0, self.buckets.as_ptr(), q, &mut low, &mut high) };
        (result == 0).then_some((low, high))
    }
}

impl fmt::Debug for Histogram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.buckets).finish()
    }
}

impl PartialEq for Histogram<'_> {
    /// Whether both have the same counts in the same buckets.
    fn eq(&self, other: &Self) -> bool {
        self.buckets().eq(other.buckets())
    }
}
