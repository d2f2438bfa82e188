// SPDX-License-Identifier: MIT
//! `schema!` relies on nothing of the crate that it is used in, and can be used in one that has no unsafe code.
#![forbid(unsafe_code)]
#![no_implicit_prelude]
#![allow(dead_code, non_camel_case_types, unused_macros)]

extern crate vmtally;

use ::std::prelude::v1::{test, Default, Iterator, Vec};

mod core {}
mod std {}
struct Option;
struct Result;
struct str;
struct u64;
struct usize;
trait Kind {}
trait Schema {}

#[allow(unused_macro_rules)]
macro_rules! assert {
    () => {};
}
macro_rules! concat {
    () => {};
}
macro_rules! stringify {
    () => {};
}

mod kinds {
    pub use ::vmtally::kinds::*;
    pub use ::vmtally::units::*;
}

const BOUND: ::core::primitive::usize = 24;
const COUNT: ::core::primitive::usize = 24;
const DOC: ::core::primitive::usize = 24;
const ROWS: ::core::primitive::usize = 24;
const SHAPE: ::core::primitive::usize = 24;
const SLOTS: ::core::primitive::usize = 24;
const TEXT: ::core::primitive::usize = 24;

::vmtally::schema! {
    /// Its names are those of the macro's insides.
    pub struct Odd("odd", provider = "tests", target = "hygiene") {
        /// Two
        /// lines
        reads: kinds::Cumulative<kinds::Bytes>,
        r#type: kinds::Log<BOUND>,
        a: kinds::Log<COUNT>,
        b: kinds::Log<DOC>,
        c: kinds::Log<ROWS>,
        d: kinds::Log<SHAPE>,
        e: kinds::Log<SLOTS>,
        f: kinds::Log<TEXT>,
        /** A block
        of help, ünïcode */
        #[doc(hidden)]
        #[allow(dead_code)]
        time: kinds::Latency<{ 8 + 4 }, kinds::Nanoseconds>,
        #[doc = ::core::concat!("made ", "up")]
        g: kinds::Boolean,
    }
}

mod outer {
    mod inner {
        ::vmtally::schema! {
            pub(super) struct Odd("odd", provider = "tests", target = "inner") {
                pub(in crate::outer) reads: ::vmtally::kinds::Cumulative,
            }
        }
    }

    pub fn count() {
        let shard: ::vmtally::Shard<inner::Odd> = ::std::default::Default::default();
        shard.reads.inc();
    }
}

#[test]
fn a_schema_compiles_wherever_it_is() {
    let shard = ::vmtally::Shard::<Odd>::default();
    shard.r#type.record(5);
    shard.time.record(5);
    outer::count();
    let found: Vec<_> = <Odd as ::vmtally::Schema>::schema()
        .descriptors()
        .map(|d| (d.name(), d.help(), d.size()))
        .collect();
    ::std::assert_eq!(found[0], ("reads", "Two lines", 1));
    ::std::assert_eq!(found[1], ("type", "", 24));
    ::std::assert_eq!(found[12], ("time_hist", "A block of help, ünïcode (histogram)", 12));
    ::std::assert_eq!(found[13], ("g", "made up", 1));
}
