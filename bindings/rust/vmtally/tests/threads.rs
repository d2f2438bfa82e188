// SPDX-License-Identifier: MIT
//! Shards and threads: nothing is lost, whoever counts where.

mod common;

use common::{snapshot, wait_until, Directory};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::thread;
use vmtally::prelude::*;
use vmtally::{Reader, Snapshot};

vmtally::schema! {
    struct Worker("worker", provider = "test", target = "worker") {
        jobs: Cumulative,
        busy: Instant,
    }
}

vmtally::schema! {
    struct Api("api", provider = "test", target = "api") {
        requests: SharedIncMetric,
        version: SharedStoreMetric,
    }
}

fn jobs(snapshot: &Snapshot, id: &str) -> Option<u64> {
    snapshot.find(id)?.get(|m: &Worker| &m.jobs)
}

#[test]
fn each_thread_counts_in_a_shard_of_its_own() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Worker> = segment.add("pool").unwrap();
    thread::scope(|scope| {
        for shard in source.acquire_each(4) {
            scope.spawn(move || (0..100_000).for_each(|_| shard.jobs.inc()));
        }
    });
    assert_eq!(jobs(&snapshot(&segment), "pool"), Some(400_000));
}

#[test]
fn totals_never_fall_while_shards_and_sources_come_and_go() {
    let dir = Directory::new();
    let segment = dir.segment();
    let parent: Source<Worker> = segment.add("pool").unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (parent, stop) = (&parent, &stop);
            scope.spawn(move || {
                for round in 0u64.. {
                    let source: Source<Worker> = parent.add(&format!("worker-{thread}-{round}")).unwrap();
                    let shard = source.acquire();
                    drop(source);
                    (0..100).for_each(|_| shard.jobs.inc());
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let mut reader = Reader::attach(segment.path()).unwrap();
        let mut taken = Snapshot::new().unwrap();
        let mut last = 0;
        let mut rises = 0;
        wait_until("counting", || {
            taken.take(&mut reader).unwrap();
            let total = taken
                .find("pool")
                .unwrap()
                .total("jobs")
                .and_then(|total| total.value().as_u64());
            if let Some(total) = total {
                assert!(total >= last, "{total} after {last}");
                rises += u32::from(total > last);
                last = total;
            }
            rises >= 100
        });
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_shard_goes_from_thread_to_thread() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Worker> = segment.add("machine").unwrap();
    let (give, take) = mpsc::channel::<Shard<Worker>>();
    let (back, returned) = mpsc::channel();
    let worker = thread::spawn(move || {
        for shard in take {
            shard.jobs.inc();
            back.send(shard).unwrap();
        }
    });
    let mut shard = source.acquire();
    for _ in 0..1000 {
        shard.jobs.inc();
        give.send(shard).unwrap();
        shard = returned.recv().unwrap();
    }
    drop(give);
    worker.join().unwrap();
    assert_eq!(jobs(&snapshot(&segment), "machine"), Some(2000));
}

#[test]
fn a_released_shard_is_gone_on_with() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Worker> = segment.add("pool").unwrap();
    for _ in 0..10 {
        let shard = source.acquire();
        shard.jobs.inc();
        shard.busy.store(1);
    }
    let taken = snapshot(&segment);
    assert_eq!(jobs(&taken, "pool"), Some(10));
    assert_eq!(
        taken.find("pool").unwrap().get(|m: &Worker| &m.busy),
        Some(0),
        "nobody is busy now"
    );
    let own = taken.find("").unwrap();
    assert_eq!(own.get(|m: &vmtally::schemas::SegmentOwn| &m.shards_created), Some(1));
}

#[test]
fn the_shard_of_a_thread_that_dies_is_taken_over() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Arc<Source<Worker>> = Arc::new(segment.add("pool").unwrap());
    for _ in 0..3 {
        let source = source.clone();
        thread::spawn(move || {
            let shard = source.acquire_thread();
            shard.jobs.inc();
            shard.busy.store(1);
            shard.group(|m| m.jobs.inc());
            std::mem::forget(shard); // as a thread that is cancelled
        })
        .join()
        .unwrap();
    }
    // The kernel says so a moment after join().
    wait_until("taking over", || {
        let shard = source.acquire_thread();
        shard.release();
        let taken = snapshot(&segment);
        taken.find("pool").unwrap().get(|m: &Worker| &m.busy) == Some(0)
    });
    let taken = snapshot(&segment);
    assert_eq!(jobs(&taken, "pool"), Some(6));
}

#[test]
fn a_static_is_there_before_the_segment() {
    static METRICS: Global<Api> = Global::new();
    METRICS.requests.add(1000); // nobody reads that
    let dir = Directory::new();
    let closed = dir.segment();
    let gone: Source<Api> = closed.add("api").unwrap();
    closed.close();
    let refused = METRICS.attach(&gone).unwrap_err();
    assert_eq!(refused.kind(), vmtally::ErrorKind::Closed, "{refused}");
    let segment = dir.segment();
    let source: Source<Api> = segment.add("api").unwrap();
    METRICS.attach(&source).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| METRICS.requests.inc()));
        }
    });
    METRICS.version.store(7);
    assert_eq!((METRICS.requests.count(), METRICS.version.fetch()), (40_000, 7));
    let taken = snapshot(&segment);
    assert_eq!(taken.find("api").unwrap().get(|m: &Api| &m.requests), Some(40_000));
    let again = METRICS.attach(&source).unwrap_err();
    assert_eq!((again.kind(), again.errno()), (vmtally::ErrorKind::AlreadyExists, 114));
    let mut shards = vmtally::Snapshot::new().unwrap();
    shards.want_shards(true);
    shards
        .take(&mut vmtally::Reader::attach(segment.path()).unwrap())
        .unwrap();
    let held = |shard: &vmtally::ShardSample<'_>| shard.holder() == vmtally::Holder::Held;
    assert_eq!(
        shards.find("api").unwrap().shards().filter(held).count(),
        1,
        "the second one was given back"
    );
    drop(source);
    METRICS.requests.inc();
    segment.close();
    METRICS.requests.inc(); // private memory from here on
}

#[test]
fn a_shard_of_shared_fields_is_shared() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source: Source<Api> = segment.add("api").unwrap();
    let shard = source.acquire();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| shard.requests.inc()));
        }
    });
    assert_eq!(
        snapshot(&segment).find("api").unwrap().get(|m: &Api| &m.requests),
        Some(40_000)
    );
}
