// SPDX-License-Identifier: MIT
#![doc = include_str!("../README.md")]
#![warn(missing_docs, missing_debug_implementations, rust_2018_idioms)]
#![deny(unsafe_op_in_unsafe_fn)]

mod at;
mod builder;
mod delta;
mod discover;
mod error;
#[cfg(feature = "export")]
pub mod export;
mod gate;
mod global;
mod host;
mod hot;
pub mod kinds;
mod macros;
mod metric;
mod reader;
mod sample;
mod schema;
#[cfg(test)]
mod schema_tests;
pub mod schemas;
mod segment;
mod shape;
mod shard;
mod snapshot;
mod source;
mod text;
mod timer;
mod typed;
pub mod units;
mod value;

pub use at::At;
pub use builder::SegmentBuilder;
pub use delta::{Change, Changes, Delta};
pub use discover::{attach, check, discover, find, remove_dead, Found};
pub use error::{Error, ErrorKind, Result};
pub use global::Global;
pub use host::{Host, HostOptions, HostReader};
pub use metric::{IncMetric, StoreMetric};
pub use reader::{Attached, Reader, ReaderOptions, State};
pub use sample::{Holder, Sample, ShardSample, Sum, Total, Typed};
pub use schema::{Aggregation, BaseUnit, Descriptor, Schema, SchemaRef, StatisticType};
pub use segment::{child_after_fork, Segment};
pub use shard::{Shard, ThreadShard};
pub use snapshot::{SegmentInfo, Snapshot};
pub use source::{Counts, Source};
pub use timer::Timer;
pub use typed::{Latencies, Shown};
pub use value::{Bucket, Histogram, Statistic, Value, Values};

/// What a program that counts needs: kinds, units and handles.
///
/// The traits [`IncMetric`] and [`StoreMetric`] are not in it: their methods are there without them.
pub mod prelude {
    pub use crate::kinds::*;
    pub use crate::units::*;
    pub use crate::{Global, Segment, Shard, Source};
}

/// The first slot of a field, for `schema!`.
#[doc(hidden)]
pub const fn slot_of<S: Schema>(field: &str) -> usize {
    shape::slot_of(S::ROWS, field)
}

/// For `schema!`, which relies on no names of the crate that it is used in.
#[doc(hidden)]
pub mod __private {
    pub use crate::schema::{Declared, Table};
    pub use crate::shape::{check_row, check_schema, descriptors, text_bound, Row, Shape, Text};
    pub use std::mem::{align_of, size_of};
    pub use std::{assert, concat, stringify};
    pub type Usize = usize;
}
