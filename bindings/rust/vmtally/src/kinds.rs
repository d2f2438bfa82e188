// SPDX-License-Identifier: MIT
//! Kinds of statistics: the types of a schema's fields. They only say what a field is; see [`At`](crate::At) for what
//! can be done with one.

use crate::shape::Shape;
use crate::units::{NoUnit, Unit};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use vmtally_sys as sys;

mod sealed {
    pub trait Sealed {}
}

/// What a field of a schema counts. The types of this module are all there are.
pub trait Kind: sealed::Sealed + Sized + 'static {
    /// How many u64 it takes of a shard.
    const SLOTS: usize = Self::SHAPE.slots();
    #[doc(hidden)]
    const SHAPE: Shape;
    #[doc(hidden)]
    type Cells: 'static;
    #[doc(hidden)]
    type Writer: 'static;
}

/// Marks what one context at a time may write: it can be sent to another thread, but not shared.
#[doc(hidden)]
pub type One = PhantomData<Cell<()>>;
/// Marks what any number of threads may write at once.
#[doc(hidden)]
pub type Any = PhantomData<()>;

macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident, $writer:ident, $flags:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<U: Unit = NoUnit>(PhantomData<U>);
        impl<U: Unit> sealed::Sealed for $name<U> {}
        impl<U: Unit> Kind for $name<U> {
            const SHAPE: Shape = Shape::scalar(U::FLAGS | $flags, U::EXPONENT).shared(Shape::$writer);
            type Cells = AtomicU64;
            type Writer = $writer;
        }
    )* };
}

scalars! {
    /// Only grows: events, bytes, time spent.
    Cumulative, One, sys::VMT_TYPE_CUMULATIVE;
    /// Goes up and down; over several shards or sources it is their sum.
    Instant, One, sys::VMT_TYPE_INSTANT;
    /// The highest value ever seen.
    Peak, One, sys::VMT_TYPE_PEAK;
    /// The lowest value ever seen.
    Minimum, One, sys::VMT_TYPE_INSTANT | sys::VMT_AGGREGATION_MIN;
    /// An [`Instant`] that may be negative.
    SignedInstant, One, sys::VMT_TYPE_INSTANT | sys::VMT_SIGNED;
    /// A [`Peak`] that may be negative.
    SignedPeak, One, sys::VMT_TYPE_PEAK | sys::VMT_SIGNED;
    /// A [`Minimum`] that may be negative.
    SignedMinimum, One, sys::VMT_TYPE_INSTANT | sys::VMT_AGGREGATION_MIN | sys::VMT_SIGNED;
    /// An [`Instant`]; over several shards or sources it is the highest of them.
    InstantMax, One, sys::VMT_TYPE_INSTANT | sys::VMT_AGGREGATION_MAX;
    /// An [`Instant`]; over several sources it is their mean.
    InstantAverage, One, sys::VMT_TYPE_INSTANT | sys::VMT_AGGREGATION_AVERAGE;
    /// An [`Instant`]; over several sources it is how many of them are at 0.
    InstantCountZero, One, sys::VMT_TYPE_INSTANT | sys::VMT_AGGREGATION_COUNT_ZERO;
    /// A [`Cumulative`] that any thread may add to at any time, with a locked add: Firecracker's `SharedIncMetric`.
    SharedIncMetric, Any, sys::VMT_TYPE_CUMULATIVE;
    /// An [`Instant`] that any thread may store at any time: Firecracker's `SharedStoreMetric`.
    SharedStoreMetric, Any, sys::VMT_TYPE_INSTANT;
}

/// 0 or 1.
#[derive(Debug)]
pub struct Boolean(());
impl sealed::Sealed for Boolean {}
impl Kind for Boolean {
    const SHAPE: Shape = Shape::scalar(sys::VMT_UNIT_BOOLEAN | sys::VMT_BASE_POW10 | sys::VMT_TYPE_INSTANT, 0);
    type Cells = AtomicU64;
    type Writer = One;
}

/// A histogram of `N` buckets, each `BUCKET` wide; the last one is open.
#[derive(Debug)]
pub struct Linear<const N: usize, const BUCKET: u32, U: Unit = NoUnit>(PhantomData<U>);
impl<const N: usize, const BUCKET: u32, U: Unit> sealed::Sealed for Linear<N, BUCKET, U> {}
impl<const N: usize, const BUCKET: u32, U: Unit> Kind for Linear<N, BUCKET, U> {
    const SHAPE: Shape = Shape::histogram(U::FLAGS | sys::VMT_TYPE_LINEAR_HIST, U::EXPONENT, N, BUCKET);
    type Cells = [AtomicU64; N];
    type Writer = One;
}

/// A histogram of `N` buckets, each twice as wide as the one before: {0}, {1}, [2, 4), [4, 8), ...; the last one is
/// open.
#[derive(Debug)]
pub struct Log<const N: usize, U: Unit = NoUnit>(PhantomData<U>);
impl<const N: usize, U: Unit> sealed::Sealed for Log<N, U> {}
impl<const N: usize, U: Unit> Kind for Log<N, U> {
    const SHAPE: Shape = Shape::histogram(U::FLAGS | sys::VMT_TYPE_LOG_HIST, U::EXPONENT, N, 0);
    type Cells = [AtomicU64; N];
    type Writer = One;
}

/// What something takes each time: how often, the sum, the lowest, the highest and a logarithmic histogram of `N`
/// buckets, which readers see change together. Five statistics: `NAME_count`, `NAME_sum`, `NAME_min`, `NAME_max` and
/// `NAME_hist`.
#[derive(Debug)]
pub struct Latency<const N: usize, U: Unit = NoUnit>(PhantomData<U>);
impl<const N: usize, U: Unit> sealed::Sealed for Latency<N, U> {}
impl<const N: usize, U: Unit> Kind for Latency<N, U> {
    const SHAPE: Shape = Shape::latency(U::FLAGS, U::EXPONENT, N);
    type Cells = LatencyCells<N>;
    type Writer = One;
}

/// As they lie in a shard.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug)]
pub struct LatencyCells<const N: usize> {
    pub(crate) count: AtomicU64,
    pub(crate) sum: AtomicU64,
    pub(crate) min: AtomicU64,
    pub(crate) max: AtomicU64,
    pub(crate) hist: [AtomicU64; N],
}
