// SPDX-License-Identifier: MIT
//! From the field of a schema to what a reader found of it.

use crate::kinds::*;
use crate::schema::{Descriptor, Schema};
use crate::shape::Row;
use crate::units::Unit;
use crate::value::{Histogram, Statistic, Value, Values};
use std::ffi::CStr;
use vmtally_sys as sys;

/// What a reader has of a field of this kind.
pub trait Shown<'a>: Kind {
    /// Its value.
    type Value;

    #[doc(hidden)]
    fn show(found: &[Statistic<'a>]) -> Option<Self::Value>;
}

/// What a reader has of a [`Latency`]. All is in the field's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latencies<'a> {
    /// How many were recorded.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The lowest; None where nothing was recorded.
    pub min: Option<u64>,
    /// The highest.
    pub max: u64,
    /// How many of each size.
    pub histogram: Histogram<'a>,
}

impl Latencies<'_> {
    /// The mean; None where nothing was recorded.
    pub fn mean(&self) -> Option<f64> {
        (self.count != 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// See [`Histogram::quantile`].
    pub fn quantile(&self, q: f64) -> Option<(u64, u64)> {
        self.histogram.quantile(q)
    }
}

/// The row of that slot, and the number of its first descriptor.
fn row_at(rows: &'static [Row], slot: usize) -> Option<(&'static Row, usize)> {
    let mut at = 0;
    let mut first = 0;
    for row in rows {
        if at == slot {
            return Some((row, first));
        }
        at += row.shape.slots();
        first += row.shape.descriptors();
    }
    None
}

/// What of a descriptor's flags has to agree.
const SAME: u32 = sys::VMT_TYPE_MASK | sys::VMT_UNIT_MASK | sys::VMT_BASE_MASK | sys::VMT_SIGNED;

/// The row's descriptor number i in that schema; where it should be, or anywhere.
fn find<'a>(values: &Values<'a>, row: &Row, i: usize, likely: usize) -> Option<Descriptor<'a>> {
    // SAFETY: names of rows end with a NUL.
    let name = unsafe { CStr::from_ptr(row.name(i)) };
    let schema = values.schema();
    let found = match schema.descriptor(likely) {
        // SAFETY: a checked descriptor has a name.
        Some(there) if unsafe { CStr::from_ptr(there.0.name) } == name => there,
        _ => schema.find(name.to_str().ok()?)?,
    };
    let (flags, exponent, _) = row.shape.descriptor(i);
    (found.flags() & SAME == flags & SAME && found.exponent() == i32::from(exponent)).then_some(found)
}

pub(crate) fn get<'a, S: Schema, K: Shown<'a>, const SLOT: usize>(values: &Values<'a>) -> Option<K::Value> {
    if !values.schema().is_same(&S::schema()) {
        return None;
    }
    let (row, first) = row_at(S::ROWS, SLOT)?;
    let mut found = [None; 5];
    for (i, found) in found.iter_mut().enumerate().take(row.shape.descriptors()) {
        *found = Some(values.of(find(values, row, i, first + i)?));
    }
    match found {
        [Some(a), Some(b), Some(c), Some(d), Some(e)] => K::show(&[a, b, c, d, e]),
        [Some(one), ..] => K::show(&[one]),
        _ => None,
    }
}

fn one<'a>(found: &[Statistic<'a>]) -> Value<'a> {
    found.first().map_or(Value::Absent, Statistic::value)
}

macro_rules! numbers {
    ($($kind:ident $number:ty, $as_number:ident;)*) => { $(
        impl<U: Unit> Shown<'_> for $kind<U> {
            type Value = $number;

            fn show(found: &[Statistic<'_>]) -> Option<$number> {
                one(found).$as_number()
            }
        }
    )* };
}
numbers! {
    Cumulative u64, as_u64;
    Instant u64, as_u64;
    Peak u64, as_u64;
    Minimum u64, as_u64;
    SignedInstant i64, as_i64;
    SignedPeak i64, as_i64;
    SignedMinimum i64, as_i64;
    InstantMax u64, as_u64;
    InstantAverage u64, as_u64;
    InstantCountZero u64, as_u64;
    SharedIncMetric u64, as_u64;
    SharedStoreMetric u64, as_u64;
}

impl Shown<'_> for Boolean {
    /// Over several shards or sources it is how many are 1.
    type Value = u64;

    fn show(found: &[Statistic<'_>]) -> Option<u64> {
        one(found).as_u64()
    }
}

impl<'a, const N: usize, const BUCKET: u32, U: Unit> Shown<'a> for Linear<N, BUCKET, U> {
    type Value = Histogram<'a>;

    fn show(found: &[Statistic<'a>]) -> Option<Histogram<'a>> {
        one(found).as_histogram()
    }
}

impl<'a, const N: usize, U: Unit> Shown<'a> for Log<N, U> {
    type Value = Histogram<'a>;

    fn show(found: &[Statistic<'a>]) -> Option<Histogram<'a>> {
        one(found).as_histogram()
    }
}

impl<'a, const N: usize, U: Unit> Shown<'a> for Latency<N, U> {
    type Value = Latencies<'a>;

    fn show(found: &[Statistic<'a>]) -> Option<Latencies<'a>> {
        match found {
            [count, sum, min, max, histogram] => Some(Latencies {
                count: count.value().as_u64()?,
                sum: sum.value().as_u64()?,
                min: min.value().as_u64(),
                max: max.value().as_u64()?,
                histogram: histogram.value().as_histogram()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    use crate::schema::{Schema, SchemaRef};
    use crate::value::Values;
    use vmtally_sys as sys;

    crate::schema! {
        struct Own("own", provider = "test", target = "typed") {
            first: Cumulative,
            bytes: Instant<Bytes>,
        }
    }

    /// What `bytes` gives where another version's differs from this one's in that.
    fn read(change: impl Fn(&mut sys::vmt_descriptor)) -> Option<u64> {
        let own = Own::schema();
        let mut descriptors = [0, 1].map(|i| *own.descriptor(i).unwrap().0);
        change(&mut descriptors[1]);
        let raw = sys::vmt_schema {
            descriptors: descriptors.as_ptr(),
            ..*own.raw()
        };
        // SAFETY: schema and values are there, and are as the schema says.
        unsafe { Values::new(SchemaRef::new(&raw), [1, 7].as_ptr()) }.get(|m: &Own| &m.bytes)
    }

    #[test]
    fn a_field_is_read_only_as_the_same_thing() {
        let with = |mask: u32, flags: u32| read(move |d| d.flags = d.flags & !mask | flags);
        assert_eq!(read(|_| ()), Some(7));
        assert_eq!(read(|d| d.help = b"Another text\0".as_ptr().cast()), Some(7));
        assert_eq!(with(sys::VMT_TYPE_MASK, sys::VMT_TYPE_PEAK), None, "another type");
        assert_eq!(with(sys::VMT_UNIT_MASK, sys::VMT_UNIT_CYCLES), None, "another unit");
        assert_eq!(with(sys::VMT_BASE_MASK, sys::VMT_BASE_POW10), None, "another base");
        assert_eq!(with(0, sys::VMT_SIGNED), None, "signed");
        assert_eq!(read(|d| d.exponent = 10), None, "1024 times as much");
    }
}
