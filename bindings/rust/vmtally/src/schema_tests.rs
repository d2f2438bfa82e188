// SPDX-License-Identifier: MIT
//! What `schema!` makes is what C's macros make of the same rows.

use crate::prelude::*;
use crate::schemas;
use crate::{Aggregation, BaseUnit, Descriptor, Schema, SchemaRef, StatisticType};
use std::mem::{align_of, size_of};

fn all_of(d: &Descriptor<'_>) -> (String, String, u32, u32, u32, i16, u16, u16, u16, u8) {
    let raw = d.0;
    let (name, help) = (d.name().to_owned(), d.help().to_owned());
    (
        name,
        help,
        raw.flags,
        raw.slot,
        raw.bucket_size,
        raw.exponent,
        raw.size,
        raw.group,
        raw.minuend,
        raw.level,
    )
}

#[test]
fn ready_made_schemas_equal_those_of_the_library() {
    let pairs = schemas::pairs();
    assert_eq!(pairs.len(), 10);
    for (ours, theirs) in pairs {
        // SAFETY: static.
        let theirs = unsafe { SchemaRef::new(theirs) };
        assert!(ours.is_same(&theirs), "{ours:?} is not {theirs:?}");
        assert_eq!((ours.slots(), ours.len()), (theirs.slots(), theirs.len()), "{ours:?}");
        for (our, their) in ours.descriptors().zip(theirs.descriptors()) {
            assert_eq!(all_of(&our), all_of(&their), "{ours:?}");
        }
    }
}

crate::schema! {
    /// All that a field may have.
    #[allow(dead_code)]
    pub(crate) struct Fields("fields", provider = "test", target = "test",) {
        /// A help text
        /// that goes on,
        ///
        ///    with  "quotes", a \ and an ö.
        #[doc = "And	this."]
        #[allow(dead_code)]
        pub(crate) joined: Cumulative,
        none: Peak<Kibibytes>,
        /** Of a block. */
        pub r#type: SignedMinimum<Milliseconds>,
        /// A
        lat: Latency<3, crate::units::Cycles>,
        nameless: Latency<1>,
        #[doc = concat!("made", " of two")]
        linear: Linear<{ 1 + 2 }, 512, Bytes>,
        /// z
        last: InstantAverage
    }
}

fn descriptor(name: &str) -> Descriptor<'static> {
    Fields::schema().find(name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn doc_comments_are_help_on_one_line() {
    assert_eq!(
        descriptor("joined").help(),
        "A help text that goes on, with \"quotes\", a \\ and an ö. And this."
    );
    assert_eq!(descriptor("none").help(), "");
    assert_eq!(descriptor("type").help(), "Of a block.");
    assert_eq!(descriptor("lat_min").help(), "A (minimum)");
    assert_eq!(descriptor("nameless_min").help(), "");
    assert_eq!(descriptor("linear").help(), "made of two");
}

#[test]
fn fields_lie_where_their_slots_are() {
    assert_eq!(Fields::SLOTS, 3 + 7 + 5 + 3 + 1);
    assert_eq!((size_of::<Fields>(), align_of::<Fields>()), (8 * Fields::SLOTS, 8));
    let shard = Shard::<Fields>::default();
    let first = &*shard as *const Fields as usize;
    let slot_of = |field: usize| (field - first) / 8;
    for (field, name) in [
        (&shard.joined as *const _ as usize, "joined"),
        (&shard.r#type as *const _ as usize, "type"),
        (&shard.lat as *const _ as usize, "lat_count"),
        (&shard.nameless as *const _ as usize, "nameless_count"),
        (&shard.linear as *const _ as usize, "linear"),
        (&shard.last as *const _ as usize, "last"),
    ] {
        assert_eq!(slot_of(field), descriptor(name).slot(), "{name}");
    }
}

#[test]
fn descriptors_say_what_a_field_is() {
    let minimum = descriptor("type");
    assert_eq!(
        (minimum.statistic_type(), minimum.aggregation()),
        (StatisticType::Instant, Aggregation::Min)
    );
    assert_eq!(
        (minimum.unit(), minimum.base(), minimum.exponent()),
        (BaseUnit::Seconds, 10, -3)
    );
    assert!(minimum.is_signed() && (minimum.scale() - 1e-3).abs() < 1e-12);
    let peak = descriptor("none");
    assert_eq!((peak.unit(), peak.base(), peak.scale()), (BaseUnit::Bytes, 2, 1024.0));
    assert_eq!((peak.aggregation(), peak.is_signed()), (Aggregation::Max, false));
    let linear = descriptor("linear");
    assert_eq!((linear.size(), linear.bucket_size(), linear.group()), (3, 512, 0));
    assert!(linear.is_histogram());
    let histogram = descriptor("lat_hist");
    assert_eq!(
        (histogram.statistic_type(), histogram.unit()),
        (StatisticType::LogHistogram, BaseUnit::Cycles)
    );
    assert_eq!((histogram.slot(), histogram.size(), histogram.group()), (7, 3, 4));
    assert_eq!(descriptor("lat_count").unit(), BaseUnit::None);
    assert_eq!(descriptor("last").aggregation(), Aggregation::Average);
    assert_eq!((linear.minuend(), linear.level()), (None, 0));
    assert_eq!(format!("{:?}", Fields::schema()), "fields/test/test");
}
