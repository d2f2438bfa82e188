// SPDX-License-Identifier: MIT
//! Options are those of the segment and of the reader that they were given to.
#![deny(unsafe_code)]

mod common;

use common::{snapshot, Directory};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use vmtally::prelude::*;
use vmtally::schemas::SegmentOwn;
use vmtally::{HostOptions, ReaderOptions, Snapshot};

vmtally::schema! {
    struct Large("large", provider = "test", target = "block") {
        sizes: Linear<4000, 1, Bytes>,
    }
}

/// Of a snapshot that was read through a mapping: `VMT_SNAPSHOT_MAPPED`.
const MAPPED: u32 = 4;

#[test]
fn a_file_has_the_permissions_that_were_asked_for() {
    let dir = Directory::new();
    for (asked, mode) in [(0, 0o640), (0o600, 0o600), (0o644, 0o644)] {
        let segment = dir.builder().mode(asked).create().unwrap();
        let permissions = fs::metadata(segment.path()).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o7777, mode, "{asked:o} was asked for");
    }
}

#[test]
fn a_segment_takes_no_more_memory_than_it_may() {
    let dir = Directory::new();
    let dropped = |max_bytes: u64| {
        let segment = dir.builder().max_bytes(max_bytes).create().unwrap();
        let source: Source<Large> = segment.add("large").unwrap();
        let shards = source.acquire_each(100); // of 32,000 bytes
        let taken = snapshot(&segment);
        assert!(fs::metadata(segment.path()).unwrap().len() <= max_bytes);
        drop(shards);
        taken.find("").unwrap().get(|m: &SegmentOwn| &m.dropped_shards).unwrap()
    };
    let some = dropped(1 << 20);
    assert!((67..100).contains(&some), "{some} shards did not fit");
    assert_eq!(dropped(16 << 20), 0);
}

/// A segment that half of its bytes do not tell all of.
fn full(dir: &Directory) -> (Segment, Vec<Source<Large>>) {
    let segment = dir.builder().create().unwrap();
    let sources: Vec<Source<Large>> = (0..50).map(|i| segment.add(&format!("large-{i}")).unwrap()).collect();
    (sources.iter()).for_each(|source| source.acquire().sizes.record(7));
    (segment, sources)
}

#[test]
fn a_reader_maps_a_segment_only_if_it_is_asked_to() {
    let dir = Directory::new();
    let (segment, _sources) = full(&dir);
    let empty = dir.path().join("proc");
    fs::create_dir(&empty).unwrap();
    let host = HostOptions::new().proc(&empty).debugfs(&empty).open().unwrap();
    for guarded in [false, true] {
        let options = ReaderOptions::new().guarded(guarded);
        let taken = Snapshot::of(&mut options.attach(segment.path()).unwrap()).unwrap();
        assert_eq!(taken.segment().flags() & MAPPED != 0, guarded);
        let taken = Snapshot::of(&mut host.attach_with(segment.path(), &options).unwrap()).unwrap();
        assert_eq!(taken.segment().flags() & MAPPED != 0, guarded, "a host's");
    }
}

#[test]
fn a_reader_reads_no_more_of_a_file_than_it_may() {
    let dir = Directory::new();
    let (segment, sources) = full(&dir);
    let half = fs::metadata(segment.path()).unwrap().len() / 2;
    for guarded in [false, true] {
        let options = ReaderOptions::new().guarded(guarded);
        let whole = Snapshot::of(&mut options.attach(segment.path()).unwrap()).unwrap();
        assert!(!whole.is_partial() && whole.len() == 1 + sources.len());
        let options = options.max_bytes(half);
        let part = Snapshot::of(&mut options.attach(segment.path()).unwrap()).unwrap();
        assert!(part.is_partial() && (1..whole.len()).contains(&part.len()), "{part:?}");
    }
}
