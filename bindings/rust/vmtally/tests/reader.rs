// SPDX-License-Identifier: MIT
//! Readers find segments, attach to what is one, and survive what is none.

mod common;

use common::{snapshot, Directory, PATIENCE};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{symlink, FileExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant as Clock;
use vmtally::prelude::*;
use vmtally::schemas::{Vcpu, Vm};
use vmtally::{ErrorKind, Holder, Reader, ReaderOptions, Snapshot, State, Value};

vmtally::schema! {
    #[derive(Debug)]
    struct Disk("disk", provider = "test", target = "block") {
        /// Reads completed
        reads: Cumulative,
        /// Bytes read
        bytes: Cumulative<Bytes>,
        depth: Instant,
        read: Latency<20, Nanoseconds>,
    }
}

mod later {
    use vmtally::prelude::*;

    vmtally::schema! {
        /// The same schema as a later version has it.
        #[derive(Debug)]
        pub struct Disk("disk", provider = "test", target = "block") {
            pub added_before: Cumulative,
            pub reads: Cumulative,
            pub bytes: Cumulative<Kibibytes>,
            pub depth: Peak,
            pub read: Latency<24, Nanoseconds>,
        }
    }
}

#[test]
fn segments_are_found_by_directory_and_name() {
    let dir = Directory::new();
    let _b = Segment::builder()
        .name("b")
        .dir(dir.path())
        .max_bytes(1 << 20)
        .create()
        .unwrap();
    let _a = Segment::builder()
        .name("a")
        .dir(dir.path())
        .max_bytes(1 << 20)
        .create()
        .unwrap();
    let found = vmtally::discover(Some(dir.path())).unwrap();
    let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(found[0].path, dir.path().join("a.vmt"));
    assert_eq!(
        Snapshot::of(&mut found[1].attach().unwrap()).unwrap().segment().name(),
        "b"
    );
    let none = vmtally::discover(Some(&dir.path().join("none"))).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound, "{none}");
    assert_eq!(
        vmtally::discover(Some("a\0b".as_ref())).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn what_is_no_segment_is_an_error_that_names_it() {
    let dir = Directory::new();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("text"), "hello, this is no segment").unwrap();
    fs::write(path("empty"), "").unwrap();
    symlink(path("text"), path("link")).unwrap();
    for (name, kind) in [
        ("text", ErrorKind::NotASegment),
        ("empty", ErrorKind::NotPublished),
        ("link", ErrorKind::NotSupported),
        ("missing", ErrorKind::NotFound),
        ("nul\0", ErrorKind::InvalidInput),
    ] {
        let error = Reader::attach(path(name)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("attach {}: ", path(name).display())),
            "{error}"
        );
    }
    assert_eq!(
        Reader::attach(path("text")).unwrap_err().to_string(),
        format!("attach {}: not a segment", path("text").display())
    );
    for (path, advice) in [
        (dir.path().to_owned(), "not a regular file"),
        (path("link"), "a symbolic link: name the segment file itself"),
    ] {
        let error = Reader::attach(&path).unwrap_err().to_string();
        assert_eq!(error, format!("attach {}: {advice}", path.display()));
    }
}

#[test]
fn a_tree_of_sources_is_walked() {
    let dir = Directory::new();
    let segment = dir.segment();
    let vm: Source<Vm> = segment.add("vm").unwrap();
    let vcpus: Vec<Source<Vcpu>> = (0..3).map(|i| vm.add(&format!("vcpu-{i}")).unwrap()).collect();
    for (i, vcpu) in vcpus.iter().enumerate() {
        vcpu.acquire().exits.add(10 + i as u64);
    }
    let taken = snapshot(&segment);
    assert_eq!(taken.len(), 5);
    let ids: Vec<_> = taken.sources().map(|sample| sample.id()).collect();
    assert_eq!(ids, ["", "vm", "vm/vcpu-0", "vm/vcpu-1", "vm/vcpu-2"]);
    let sample = taken.find("vm").unwrap();
    let children: Vec<_> = sample.children().map(|child| child.name()).collect();
    assert_eq!(children, ["vcpu-0", "vcpu-1", "vcpu-2"]);
    let child = taken.find("vm/vcpu-1").unwrap();
    assert_eq!(
        (child.depth(), child.parent().unwrap().id(), child.index()),
        (2, "vm", 3)
    );
    assert_eq!(
        (
            child.schema().name(),
            child.schema().provider(),
            child.schema().target()
        ),
        ("vcpu", "vmm", "vcpu")
    );
    assert!(child.parent().unwrap().parent().unwrap().parent().is_none());
    assert_eq!(sample.total("exits").unwrap().value(), Value::Unsigned(33));
    assert_eq!(taken.find("").unwrap().name(), "test-1");
    assert!(taken.find("vm/vcpu-3").is_none() && taken.find("v\0").is_none() && taken.source(5).is_none());
    assert!(!taken.is_partial() && !taken.is_empty());
    assert_eq!(taken.subject(&child).unwrap().id(), "vm/vcpu-1");
    assert_eq!(taken.pid(), std::process::id());
    drop(vcpus);
    assert_eq!(
        snapshot(&segment).find("vm").unwrap().total("exits").unwrap().value(),
        Value::Unsigned(33)
    );
}

#[test]
fn shards_are_seen_one_by_one() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Disk> = segment.add("disk").unwrap();
    let held = source.acquire();
    held.reads.add(1);
    let released = source.acquire();
    released.reads.add(2);
    drop(released);
    source.count(|m| &m.reads, 4);
    let mut taken = snapshot(&segment);
    assert_eq!(taken.find("disk").unwrap().shards().len(), 0, "they were not asked for");
    taken.want_shards(true);
    taken.take(&mut Reader::attach(segment.path()).unwrap()).unwrap();
    let mut shards: Vec<_> = taken.find("disk").unwrap().shards().collect();
    shards.sort_by_key(|shard| shard.values().get(|m: &Disk| &m.reads));
    let holders: Vec<_> = shards.iter().map(|shard| shard.holder()).collect();
    assert_eq!(holders, [Holder::Held, Holder::Nobody, Holder::Shared]);
    assert!(shards[0].owner().is_some() && shards[0].id() != shards[1].id());
}

#[test]
fn fields_are_found_by_name_in_another_version_of_a_schema() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<later::Disk> = segment.add("disk").unwrap();
    let shard = source.acquire();
    shard.added_before.add(1);
    shard.reads.add(2);
    shard.bytes.add(3);
    shard.depth.peak(4);
    shard.read.record(1 << 22);
    let taken = snapshot(&segment);
    let sample = taken.find("disk").unwrap();
    assert_eq!(sample.get(|m: &Disk| &m.reads), Some(2));
    assert_eq!(sample.get(|m: &Disk| &m.bytes), None, "it is in another unit");
    assert_eq!(sample.get(|m: &Disk| &m.depth), None, "it is of another type");
    let read = sample.get(|m: &Disk| &m.read).unwrap();
    assert_eq!((read.count, read.quantile(0.5)), (1, Some((1 << 22, u64::MAX))));
    assert_eq!(sample.get(|m: &Vcpu| &m.exits), None, "it is of another schema");
    assert!(sample.of::<Vcpu>().is_none());
    vmtally::schema! {
        struct Other("other", provider = "test", target = "block") {
            reads: Cumulative,
        }
    }
    assert_eq!(
        sample.get(|m: &Other| &m.reads),
        None,
        "the field is the same, but not the schema"
    );
}

#[test]
fn histograms_have_buckets_and_quantiles() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Disk> = segment.add("disk").unwrap();
    let shard = source.acquire();
    for value in [100, 100, 100, 5000] {
        shard.read.record(value);
    }
    let taken = snapshot(&segment);
    let read = taken.find("disk").unwrap().get(|m: &Disk| &m.read).unwrap();
    let filled: Vec<_> = read.histogram.buckets().filter(|bucket| bucket.count > 0).collect();
    assert_eq!(filled.len(), 2);
    assert_eq!((filled[0].low, filled[0].high, filled[0].count), (64, 128, 3));
    assert_eq!((filled[1].low, filled[1].high, filled[1].count), (4096, 8192, 1));
    assert_eq!(read.histogram.count(), 4);
    assert_eq!(
        (read.quantile(0.5), read.quantile(1.0)),
        (Some((64, 128)), Some((4096, 8192)))
    );
}

#[test]
fn one_source_is_read_alone() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Disk> = segment.add("disk").unwrap();
    let shard = source.acquire();
    let mut reader = ReaderOptions::new().guarded(true).attach(segment.path()).unwrap();
    let taken = Snapshot::of(&mut reader).unwrap();
    let disk = taken.find("disk").unwrap();
    let mut values = [0; <Disk as vmtally::Schema>::SLOTS];
    for reads in 1..=3 {
        shard.reads.inc();
        assert!(!reader.sample(&disk, &mut values).unwrap());
        assert_eq!(values[disk.statistic("reads").unwrap().descriptor().slot()], reads);
    }
    assert_eq!(
        reader.sample(&disk, &mut values[1..]).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let mut other = Reader::attach(segment.path()).unwrap();
    assert_eq!(
        other.sample(&disk, &mut values).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    drop(shard);
    drop(source);
    let gone = reader.sample(&disk, &mut values).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Gone, "{gone}");
    assert!(gone.to_string().starts_with("sample disk of "), "{gone}");
}

#[test]
fn snapshots_outlive_their_reader_and_are_copied() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Disk> = segment.add("disk").unwrap();
    source.count(|m| &m.reads, 1);
    let mut reader = Reader::attach(segment.path()).unwrap();
    let mut taken = Snapshot::of(&mut reader).unwrap();
    let copy = taken.try_clone().unwrap();
    source.count(|m| &m.reads, 1);
    taken.take(&mut reader).unwrap();
    drop(reader);
    segment.close();
    let reads = |snapshot: &Snapshot| snapshot.find("disk").unwrap().get(|m: &Disk| &m.reads);
    assert_eq!((reads(&copy), reads(&taken)), (Some(1), Some(2)));
    let sent = thread::spawn(move || reads(&copy)).join().unwrap();
    assert_eq!(sent, Some(1));
    let empty = Snapshot::new().unwrap();
    assert!(empty.is_empty() && empty.find("").is_none() && empty.segment().name().is_empty());
    assert_eq!(empty.segment().labels().count(), 0);
    assert!(format!("{empty:?} {taken:?}").contains("\"reads\": Unsigned(2)"));
}

#[test]
fn a_file_is_judged_without_taking_a_snapshot() {
    let dir = Directory::new();
    let segment = dir.segment();
    let path = segment.path().to_owned();
    assert_eq!(vmtally::check(&path).unwrap(), (State::Live, String::new()));
    assert_eq!(vmtally::remove_dead(&path).unwrap_err().kind(), ErrorKind::Busy);
    let copy = dir.path().join("copy.vmt");
    fs::copy(&path, &copy).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&copy)
        .unwrap()
        .set_len(fs::metadata(&copy).unwrap().len() / 2)
        .unwrap();
    let (state, why) = vmtally::check(&copy).unwrap();
    assert_eq!(state, State::Damaged);
    assert_ne!(why, "");
}

/// Whoever can write the file does so while it is read: cut off, filled with anything, made good again.
fn scribble(path: &Path, good: &[u8], stop: &AtomicBool) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let used: Vec<u64> = (0..good.len() as u64 / 8)
        .filter(|&i| good[i as usize * 8..][..8] != [0; 8])
        .collect();
    let mut seed = 1u64;
    while !stop.load(Ordering::Relaxed) {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = used[(seed >> 33) as usize % used.len()] * 8;
        match seed >> 60 {
            0 => file.set_len(at).unwrap(),
            1..=7 => file.write_all_at(good, 0).unwrap(),
            _ => file.write_all_at(&seed.to_le_bytes(), at).unwrap(),
        }
    }
}

#[test]
fn a_hostile_file_is_read_without_harm() {
    let dir = Directory::new();
    let segment = dir.builder().keep(true).create().unwrap();
    let sources: Vec<Source<Disk>> = (0..50).map(|i| segment.add(&format!("disk-{i}")).unwrap()).collect();
    sources.iter().for_each(|source| source.count(|m| &m.reads, 1));
    let path = dir.path().join("hostile.vmt");
    let good = fs::read(segment.path()).unwrap();
    fs::write(&path, &good).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| scribble(&path, &good, &stop));
        for guarded in [false, true] {
            let start = Clock::now();
            for _ in 0..100 {
                assert!(start.elapsed() < PATIENCE, "reading takes too long");
                if let Ok(mut reader) = ReaderOptions::new().guarded(guarded).attach(&path) {
                    (0..5).for_each(|_| look_at_all(&mut reader));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_file_that_is_cut_off_while_it_is_read_is_damaged() {
    let dir = Directory::new();
    let segment = dir.builder().keep(true).create().unwrap();
    let _source: Source<Disk> = segment.add("disk").unwrap();
    let bytes = fs::read(segment.path()).unwrap();
    let path = dir.path().join("hostile.vmt");
    for guarded in [false, true] {
        for size in [0, 100, 4096, bytes.len() as u64 - 4096] {
            fs::write(&path, &bytes).unwrap();
            let mut reader = ReaderOptions::new().guarded(guarded).attach(&path).unwrap();
            let mut taken = Snapshot::of(&mut reader).unwrap();
            let before = taken.try_clone().unwrap();
            OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(size)
                .unwrap();
            look_at_all(&mut reader);
            let error = taken.take(&mut reader).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{size} bytes: {error}");
            assert_eq!(
                error.to_string(),
                format!("snapshot of {}: damaged: check() says where", path.display())
            );
            assert!(taken.is_empty());
            assert_eq!(reader.state(), State::Damaged);
            assert_eq!(before.find("disk").unwrap().id(), "disk");
        }
    }
}

fn look_at_all(reader: &mut Reader) {
    let mut taken = Snapshot::new().unwrap();
    taken.want_shards(true);
    let result = taken.take(reader);
    assert!(result.is_ok() || taken.is_empty(), "an error has no sources");
    let mut shown = format!("{:?} {:?} {taken:?}", taken.segment(), reader.state()).len();
    for sample in taken.sources() {
        let mut values = vec![0; sample.schema().slots()];
        let _ = reader.sample(&sample, &mut values);
        shown += sample
            .get(|m: &Disk| &m.read)
            .map_or(0, |read| read.histogram.buckets().len());
        shown += sample
            .totals()
            .map(|total| total.departed().statistics().len())
            .sum::<usize>();
        shown += sample.shards().map(|shard| shard.values().slots().len()).sum::<usize>();
    }
    assert!(shown > 0);
}
