// SPDX-License-Identifier: MIT
//! Segments come and go, and handles outlive them.

mod common;

use common::{snapshot, wait_until, Directory};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::io::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use vmtally::prelude::*;
use vmtally::{ErrorKind, Reader, Snapshot, State};

vmtally::schema! {
    struct Disk("disk", provider = "test", target = "block") {
        /// Reads completed
        reads: Cumulative,
        depth: Instant,
    }
}

fn reads(snapshot: &Snapshot, id: &str) -> Option<u64> {
    snapshot.find(id)?.get(|m: &Disk| &m.reads)
}

#[test]
fn a_segment_has_the_name_and_labels_that_it_was_given() {
    let dir = Directory::new();
    let segment = dir.builder().label("rack", "b7").label("team", "öl").create().unwrap();
    assert_eq!(segment.name(), "test-1");
    assert_eq!(segment.path(), dir.path().join("test-1.vmt"));
    let snapshot = snapshot(&segment);
    let info = snapshot.segment();
    assert_eq!(
        (info.name(), info.path(), info.state()),
        ("test-1", segment.path(), State::Live)
    );
    assert_eq!(info.labels().collect::<Vec<_>>(), ["rack=b7", "team=öl"]);
    assert_eq!(
        (info.pid(), info.incarnation(), info.version()),
        (std::process::id(), 1, (1, info.version().1))
    );
    assert!(info.begin_ns() <= info.end_ns() && info.created_ns() <= info.realtime_ns());
    assert!(!info.is_foreign() && info.file_bytes() > 0 && info.closed_ns() == 0);
}

#[test]
fn errors_name_what_failed_and_why() {
    let dir = Directory::new();
    let segment = dir.segment();
    let taken = dir.builder().create().unwrap_err();
    assert_eq!((taken.kind(), taken.errno()), (ErrorKind::AlreadyExists, 17));
    assert_eq!(taken.context(), "create segment test-1");
    assert!(taken.to_string().starts_with("create segment test-1: "), "{taken}");
    let nul = dir.builder().name("a\0b").create().unwrap_err();
    assert_eq!(nul.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        dir.builder().name("a b").create().unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        dir.builder().label("a", "b\0").create().unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        dir.builder().dir("/no/such").name("x").create().unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        dir.builder()
            .heartbeat_interval(Duration::MAX)
            .create()
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );

    let vm: Source<Disk> = segment.add("vm").unwrap();
    let twice = segment.add::<Disk>("vm").unwrap_err();
    assert_eq!(
        (twice.kind(), twice.context()),
        (ErrorKind::AlreadyExists, "add vm to test-1")
    );
    let child: Source<Disk> = vm.add("disk").unwrap();
    assert_eq!(child.id(), "vm/disk");
    assert_eq!(vm.add::<Disk>("disk").unwrap_err().context(), "add vm/disk to test-1");
    for id in ["", "a/b", "a b", "a\0b", "ö"] {
        assert_eq!(
            vm.add::<Disk>(id).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{id:?}"
        );
    }
    assert_eq!(vm.add::<Disk>(&"x".repeat(48)).unwrap_err().errno(), 36);

    let error = io::Error::from(twice.clone());
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), twice.to_string());
    assert_eq!(error.get_ref().unwrap().downcast_ref::<vmtally::Error>(), Some(&twice));
}

#[test]
fn a_full_table_is_an_error_and_counting_goes_on_in_scratch() {
    let dir = Directory::new();
    let segment = dir.builder().max_sources(3).create().unwrap();
    let sources: Vec<_> = (0..2)
        .map(|i| segment.add::<Disk>(&format!("disk-{i}")).unwrap())
        .collect();
    let full = segment.add::<Disk>("disk-2").unwrap_err();
    assert_eq!((full.kind(), full.errno()), (ErrorKind::NoRoom, 23));
    let own = snapshot(&segment);
    assert_eq!(
        own.find("")
            .unwrap()
            .get(|m: &vmtally::schemas::SegmentOwn| &m.dropped_sources),
        Some(1)
    );
    drop(sources);
}

#[test]
fn closing_says_goodbye_and_removes_the_file() {
    let dir = Directory::new();
    let segment = dir.segment();
    let path = segment.path().to_owned();
    let mut reader = Reader::attach(&path).unwrap();
    assert_eq!(reader.state(), State::Live);
    segment.close();
    assert_eq!(reader.state(), State::Closed);
    assert!(!path.exists());
    segment.close(); // again is nothing
    assert_eq!(segment.path(), path, "what it is called it knows still");

    let kept = dir.builder().keep(true).create().unwrap();
    kept.close();
    assert!(path.exists());
    vmtally::remove_dead(&path).unwrap();
    assert!(!path.exists());
}

#[test]
fn handles_outlive_the_segment() {
    let dir = Directory::new();
    let segment = dir.builder().keep(true).create().unwrap();
    let vm: Source<Disk> = segment.add("vm").unwrap();
    let child: Source<Disk> = vm.add("child").unwrap();
    let shard = vm.acquire();
    shard.reads.add(3);
    vm.count(|m| &m.reads, 1);
    segment.close();
    shard.reads.add(100); // into private memory
    vm.count(|m| &m.reads, 100);
    vm.acquire().reads.add(100);
    for error in [
        segment.add::<Disk>("x").unwrap_err(),
        vm.add::<Disk>("x").unwrap_err(),
        segment.sample_kvm().unwrap_err(),
        segment.hand_over().unwrap_err(),
        Reader::of(&segment).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    segment.heartbeat();
    segment.ready();
    let path = segment.path().to_owned();
    drop(vm); // the parent before its child
    drop(segment);
    drop(shard);
    drop(child);
    assert_eq!(
        reads(&Snapshot::of(&mut Reader::attach(path).unwrap()).unwrap(), "vm"),
        Some(4)
    );
}

#[test]
fn the_last_handle_closes_the_segment() {
    let dir = Directory::new();
    let segment = dir.segment();
    let mut reader = Reader::attach(segment.path()).unwrap();
    let source: Source<Disk> = segment.add("disk").unwrap();
    let shard = source.acquire();
    drop(segment);
    assert_eq!(reader.state(), State::Live, "a source keeps it open");
    shard.reads.inc();
    assert_eq!(reads(&Snapshot::of(&mut reader).unwrap(), "disk"), Some(1));
    drop(source);
    assert_eq!(reader.state(), State::Closed, "a shard does not");
    shard.reads.inc();
}

#[test]
fn dropping_a_source_leaves_its_counts_to_its_parent() {
    let dir = Directory::new();
    let segment = dir.segment();
    let vm: Source<Disk> = segment.add("vm").unwrap();
    let disk: Source<Disk> = vm.add("disk").unwrap();
    let shard = disk.acquire();
    shard.reads.add(5);
    disk.remove();
    let leaving = snapshot(&segment);
    assert!(leaving.find("vm/disk").unwrap().is_leaving(), "while a shard is held");
    let again: Source<Disk> = vm.add("disk").unwrap();
    again.count(|m| &m.reads, 2);
    shard.release();
    let after = snapshot(&segment);
    assert_eq!(reads(&after, "vm/disk"), Some(2), "another one of this name");
    let vm_sample = after.find("vm").unwrap();
    let total = vm_sample.totals().next().unwrap();
    assert_eq!(total.values().get(|m: &Disk| &m.reads), Some(7));
    assert_eq!(total.departed().get(|m: &Disk| &m.reads), Some(5));
    assert_eq!(total.sources(), 1);
    assert_eq!(vm_sample.total("reads").unwrap().value().as_u64(), Some(7));
    assert!(vm_sample.total("nothing").is_none());
}

#[test]
fn closing_waits_for_calls_of_other_threads() {
    let dir = Directory::new();
    for _ in 0..20 {
        let segment = dir.segment();
        let source: Source<Disk> = segment.add("disk").unwrap();
        let stop = AtomicBool::new(false);
        let (started, wait) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (started, source, stop) = (started.clone(), &source, &stop);
                scope.spawn(move || {
                    started.send(()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        source.count(|m| &m.reads, 1);
                        source.acquire().reads.inc();
                        let _ = source.add::<Disk>("child");
                    }
                });
            }
            wait.recv().unwrap();
            wait.recv().unwrap();
            segment.close();
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_reader_of_its_own_process_ends_with_the_segment() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Disk> = segment.add("disk").unwrap();
    source.count(|m| &m.reads, 4);
    let mut reader = Reader::of(&segment).unwrap();
    let mut taken = Snapshot::of(&mut reader).unwrap();
    assert_eq!(reads(&taken, "disk"), Some(4));
    assert_eq!(reader.state(), State::Live);
    segment.close();
    let error = taken.take(&mut reader).unwrap_err();
    assert_eq!(
        (error.kind(), error.context()),
        (ErrorKind::Closed, "snapshot of test-1")
    );
    assert_eq!(reader.state(), State::Closed);
    assert_eq!(reads(&taken, "disk"), Some(4), "what was taken stays");
    drop(segment);
    drop(source);
    drop(reader);
    assert_eq!(reads(&taken, "disk"), Some(4));
}

#[test]
fn an_earlier_segment_is_gone_on_with() {
    let dir = Directory::new();
    let first = dir.builder().keep(true).create().unwrap();
    let sources = ["disk", "other"].map(|id| first.add::<Disk>(id).unwrap());
    sources.iter().for_each(|source| source.count(|m| &m.reads, 3));
    first.close();
    drop(sources); // after closing that removes nothing
    let second = dir.builder().resume(true).create().unwrap();
    assert_eq!(second.why_not_resumed(), "");
    let source: Source<Disk> = second.add("disk").unwrap();
    second.ready();
    source.count(|m| &m.reads, 4);
    let after = snapshot(&second);
    assert_eq!((reads(&after, "disk"), after.segment().incarnation()), (Some(7), 2));
    assert!(after.find("other").is_none(), "what was not added again is removed");
}

#[test]
fn what_can_not_be_gone_on_with_is_said() {
    let dir = Directory::new();
    std::fs::write(dir.path().join("test-1.vmt"), [7; 8192]).unwrap();
    let segment = dir.builder().resume(true).create().unwrap();
    assert_ne!(segment.why_not_resumed(), "");
    let file = dir.path().join("no-segment.vmt");
    std::fs::write(&file, [7; 8192]).unwrap();
    let error = Segment::builder().path(&file).resume(true).create().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotASegment);
    assert!(error.to_string().contains("no-segment.vmt: "), "{error}");
}

#[test]
fn a_segment_is_handed_over() {
    let dir = Directory::new();
    let first = dir.builder().create().unwrap();
    let mut reader = Reader::attach(first.path()).unwrap();
    let source: Source<Disk> = first.add("disk").unwrap();
    source.count(|m| &m.reads, 3);
    let fd = first.hand_over().unwrap();
    drop(source); // it is not this one's any more: nothing is removed
    assert_eq!(reader.state(), State::Live, "readers see no gap");
    assert_eq!(first.add::<Disk>("x").unwrap_err().kind(), ErrorKind::Closed);
    let second = Segment::builder()
        .name("test-1")
        .dir(dir.path())
        .fd(fd)
        .resume(true)
        .create()
        .unwrap();
    let source: Source<Disk> = second.add("disk").unwrap();
    second.ready();
    source.count(|m| &m.reads, 1);
    assert_eq!(reads(&Snapshot::of(&mut reader).unwrap(), "disk"), Some(4));
}

#[test]
fn a_jail_needs_a_file_descriptor_only() {
    let dir = Directory::new();
    let path = dir.path().join("jail");
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let number = file.as_raw_fd();
    let segment = Segment::builder()
        .name("jailed")
        .fd(file)
        .fixed_bytes(1 << 20)
        .create()
        .unwrap();
    assert!(std::fs::read_link(format!("/proc/self/fd/{number}")).map_or(true, |target| target != path));
    assert_eq!(segment.path(), std::path::Path::new(""));
    let source: Source<Disk> = segment.add("disk").unwrap();
    let shards = source.acquire_each(3);
    for shard in &shards {
        shard.reads.add(2);
        shard.depth.store(1);
    }
    let taken = Snapshot::of(&mut Reader::attach(&path).unwrap()).unwrap();
    let disk = taken.find("disk").unwrap();
    assert_eq!(
        (disk.get(|m: &Disk| &m.reads), disk.get(|m: &Disk| &m.depth)),
        (Some(6), Some(3))
    );
}

#[test]
fn a_missing_heartbeat_is_seen() {
    let dir = Directory::new();
    let segment = dir
        .builder()
        .heartbeat_interval(Duration::from_millis(50))
        .create()
        .unwrap();
    segment.heartbeat();
    let mut reader = Reader::attach(segment.path()).unwrap();
    wait_until("a stall", || reader.state() == State::Stalled);
    wait_until("life", || {
        segment.heartbeat();
        reader.state() == State::Live
    });
}
