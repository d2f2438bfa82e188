// SPDX-License-Identifier: MIT
//! A child of fork() counts into private memory, and can't harm its parent's segment. A test binary of its own: what a
//! child of a process with threads may do is little.

mod common;

use common::{snapshot, Directory};
use vmtally::prelude::*;
use vmtally::{ErrorKind, Reader, State};

extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

vmtally::schema! {
    struct Disk("disk", provider = "test", target = "block") {
        reads: Cumulative,
        read: Latency<8, Nanoseconds>,
    }
}

/// What the child finds wrong, as its exit status.
fn child(segment: Segment, source: Source<Disk>, shard: Shard<Disk>, mut reader: Reader) -> i32 {
    shard.reads.add(1000);
    shard.read.record(7);
    source.count(|m| &m.reads, 1000);
    source.acquire().reads.add(1000);
    let forked = |result: vmtally::Result<()>| result.unwrap_err().kind() == ErrorKind::Forked;
    let wrong = [
        !forked(segment.add::<Disk>("x").map(drop)),
        !forked(source.add::<Disk>("x").map(drop)),
        !forked(segment.hand_over().map(drop)),
        !forked(segment.sample_kvm()),
        !forked(vmtally::Snapshot::of(&mut reader).map(drop)),
        reader.state() != State::Closed,
    ];
    drop(shard);
    drop(source);
    segment.close();
    drop(segment);
    wrong.iter().position(|&wrong| wrong).map_or(0, |at| at as i32 + 1)
}

#[test]
fn a_child_counts_for_nobody() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Disk> = segment.add("disk").unwrap();
    let shard = source.acquire();
    let reader = Reader::of(&segment).unwrap();
    shard.reads.inc();
    let mut status = 0;
    // SAFETY: the child calls little, and ends by _exit().
    unsafe {
        let pid = fork();
        assert!(pid >= 0);
        if pid == 0 {
            _exit(child(segment, source, shard, reader));
        }
        assert_eq!(waitpid(pid, &mut status, 0), pid);
    }
    assert_eq!(status, 0, "exit status {}", status >> 8);
    shard.reads.inc();
    let taken = snapshot(&segment);
    let disk = taken.find("disk").unwrap();
    assert_eq!(disk.get(|m: &Disk| &m.reads), Some(2));
    assert_eq!(disk.get(|m: &Disk| &m.read).unwrap().count, 0);
    let mut reader = Reader::attach(segment.path()).unwrap();
    assert_eq!(reader.state(), State::Live);
    drop(shard);
    drop(source);
    segment.close();
    assert_eq!(reader.state(), State::Closed);
}
