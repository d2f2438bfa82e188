// SPDX-License-Identifier: MIT
//! What changed belongs to each reader.
#![deny(unsafe_code)]

mod common;

use common::{snapshot, Directory};
use vmtally::prelude::*;
use vmtally::{Delta, Reader, Snapshot};

vmtally::schema! {
    struct Disk("disk", provider = "test", target = "block") {
        reads: Cumulative,
        depth: Instant,
        sizes: Log<8, Bytes>,
    }
}

#[test]
fn changes_and_rates_are_between_two_snapshots() {
    let dir = Directory::new();
    let segment = dir.segment();
    let vm: Source<Disk> = segment.add("vm").unwrap();
    let disk: Source<Disk> = vm.add("disk").unwrap();
    let shard = disk.acquire();
    shard.reads.add(10);
    let mut reader = Reader::attach(segment.path()).unwrap();
    let older = Snapshot::of(&mut reader).unwrap();
    shard.reads.add(5);
    shard.depth.store(3);
    shard.sizes.record(2);
    let late: Source<Disk> = vm.add("late").unwrap();
    late.count(|m| &m.reads, 2);
    let newer = Snapshot::of(&mut reader).unwrap();

    let mut delta = Delta::new().unwrap();
    let changes = delta.compute(Some(&older), &newer).unwrap();
    assert!(changes.seconds() > 0.0);
    let change = changes.find("vm/disk").unwrap();
    assert!(!change.is_new() && !change.is_reset());
    assert_eq!(change.values().get(|m: &Disk| &m.reads), Some(5));
    assert_eq!(
        change.values().get(|m: &Disk| &m.depth),
        Some(0),
        "an instant has no change"
    );
    assert_eq!(change.values().get(|m: &Disk| &m.sizes).unwrap().count(), 1);
    let rate = change.rate("reads").unwrap();
    assert!((rate * changes.seconds() - 5.0).abs() < 1e-6, "{rate}");
    assert_eq!((change.rate("sizes"), change.rate("nothing")), (None, None));
    let late_change = changes.find("vm/late").unwrap();
    assert!(late_change.is_new());
    assert_eq!(late_change.values().get(|m: &Disk| &m.reads), Some(2));
    let total = changes.total(newer.find("vm").unwrap().index(), 0).unwrap();
    assert_eq!(total.values().get(|m: &Disk| &m.reads), Some(7));
    assert!(changes.total(1, 99).is_none() && changes.total(99, 0).is_none() && changes.source(99).is_none());
    assert_eq!(changes.sources().count(), newer.len());

    let changes = delta.compute(None, &newer).unwrap();
    let change = changes.find("vm/disk").unwrap();
    assert!(change.is_reset());
    assert_eq!((change.rate("reads"), changes.seconds()), (None, 0.0));
}

#[test]
fn another_segment_of_the_name_is_nothing_to_compare_with() {
    let dir = Directory::new();
    let take = || {
        let segment = dir.segment();
        let disk: Source<Disk> = segment.add("disk").unwrap();
        disk.count(|m| &m.reads, 5);
        snapshot(&segment)
    };
    let (older, newer) = (take(), take());
    let mut delta = Delta::new().unwrap();
    assert!(delta
        .compute(Some(&older), &newer)
        .unwrap()
        .find("disk")
        .unwrap()
        .is_reset());
}
