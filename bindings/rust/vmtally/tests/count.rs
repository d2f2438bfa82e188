// SPDX-License-Identifier: MIT
//! What is counted through a shard is what readers see.
#![deny(unsafe_code)]

mod common;

use common::{snapshot, Directory};
use std::time::Duration;
use vmtally::prelude::*;
use vmtally::{IncMetric, StoreMetric, Value};

vmtally::schema! {
    /// One of each kind.
    #[derive(Debug)]
    struct Everything("everything", provider = "test", target = "thing") {
        /// Help of it
        cumulative: Cumulative,
        instant: Instant<Bytes>,
        peak: Peak<Kibibytes>,
        minimum: Minimum<Mebibytes>,
        boolean: Boolean,
        signed_instant: SignedInstant<Seconds>,
        signed_peak: SignedPeak<Milliseconds>,
        signed_minimum: SignedMinimum<Microseconds>,
        instant_max: InstantMax,
        instant_average: InstantAverage<Cycles>,
        instant_count_zero: InstantCountZero,
        linear: Linear<4, 10>,
        log: Log<5, Bytes>,
        latency: Latency<8, Microseconds>,
        shared_inc: SharedIncMetric<Bytes>,
        shared_store: SharedStoreMetric,
    }
}

fn add(segment: &Segment) -> Source<Everything> {
    segment.add("all").unwrap()
}

#[test]
fn a_struct_of_counters_is_as_large_as_its_slots() {
    assert_eq!(
        std::mem::size_of::<Everything>(),
        8 * <Everything as vmtally::Schema>::SLOTS
    );
    assert_eq!(<Everything as vmtally::Schema>::SLOTS, 11 + 4 + 5 + 12 + 2);
}

#[test]
fn readers_see_what_was_counted_in_each_kind() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source = add(&segment);
    let shard = source.acquire();
    shard.cumulative.inc();
    shard.cumulative.add(u64::MAX - 1);
    shard.instant.store(7);
    shard.instant.add(5);
    shard.instant.sub(2);
    shard.peak.peak(9);
    shard.peak.peak(3);
    shard.minimum.minimum(3);
    shard.minimum.minimum(9);
    shard.boolean.store(true);
    shard.signed_instant.store(-5);
    shard.signed_instant.add(-1);
    shard.signed_peak.peak(-7);
    shard.signed_peak.peak(-8);
    shard.signed_minimum.minimum(-2);
    shard.signed_minimum.minimum(-9);
    shard.instant_max.store(17);
    shard.instant_average.store(6);
    shard.instant_count_zero.store(0);
    for value in [0, 9, 10, 1000] {
        shard.linear.record(value);
    }
    for value in [0, 1, 2, 3, 1 << 40] {
        shard.log.record(value);
    }
    shard.latency.record(10);
    shard.latency.record_duration(Duration::from_nanos(3999));
    shard.shared_inc.add(11);
    shard.shared_store.store(12);

    let snapshot = snapshot(&segment);
    let sample = snapshot.find("all").unwrap();
    let all = sample.of::<Everything>().unwrap();
    assert_eq!(all.get(|m| &m.cumulative), Some(u64::MAX));
    assert_eq!(all.get(|m| &m.instant), Some(10));
    assert_eq!(all.get(|m| &m.peak), Some(9));
    assert_eq!(all.get(|m| &m.minimum), Some(3));
    assert_eq!(all.get(|m| &m.boolean), Some(1));
    assert_eq!(all.get(|m| &m.signed_instant), Some(-6));
    assert_eq!(all.get(|m| &m.signed_peak), Some(-7));
    assert_eq!(all.get(|m| &m.signed_minimum), Some(-9));
    assert_eq!(all.get(|m| &m.instant_max), Some(17));
    assert_eq!(all.get(|m| &m.instant_average), Some(6));
    assert_eq!(all.get(|m| &m.instant_count_zero), Some(0));
    assert_eq!(all.get(|m| &m.linear).unwrap().counts(), [2, 1, 0, 1]);
    assert_eq!(all.get(|m| &m.log).unwrap().counts(), [1, 1, 2, 0, 1]);
    assert_eq!(all.get(|m| &m.shared_inc), Some(11));
    assert_eq!(all.get(|m| &m.shared_store), Some(12));
    let latency = all.get(|m| &m.latency).unwrap();
    assert_eq!(
        (latency.count, latency.sum, latency.min, latency.max),
        (2, 13, Some(3), 10)
    );
    assert_eq!(latency.mean(), Some(6.5));
    assert_eq!(latency.histogram.counts(), [0, 0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(latency.quantile(1.0), Some((8, 16)));

    // The same by name.
    assert_eq!(sample.statistic("signed_instant").unwrap().value(), Value::Signed(-6));
    assert_eq!(sample.statistic("latency_sum").unwrap().value().as_u64(), Some(13));
    assert_eq!(sample.statistic("latency_sum").unwrap().scaled(), Some(13e-6));
    assert!(sample.statistic("nothing").is_none());
    assert_eq!(sample.statistics().len(), sample.schema().len());
}

#[test]
fn the_writer_reads_its_own_shard() {
    let shard = Shard::<Everything>::default();
    shard.instant.store(5);
    shard.boolean.store(true);
    shard.signed_instant.store(-5);
    assert_eq!(
        (
            shard.instant.fetch(),
            shard.boolean.fetch(),
            shard.signed_instant.fetch()
        ),
        (5, true, -5)
    );
    assert!(
        format!("{shard:?}").starts_with("Shard(Everything { cumulative: ["),
        "{shard:?}"
    );
}

#[test]
fn where_nothing_was_recorded_extremes_are_absent() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source = add(&segment);
    let _shard = source.acquire();
    let snapshot = snapshot(&segment);
    let all = snapshot.find("all").unwrap();
    for name in ["minimum", "signed_minimum", "signed_peak", "latency_min"] {
        assert_eq!(all.statistic(name).unwrap().value(), Value::Absent, "{name}");
    }
    assert_eq!(all.get(|m: &Everything| &m.minimum), None);
    let latency = all.get(|m: &Everything| &m.latency).unwrap();
    assert_eq!(
        (latency.count, latency.min, latency.mean(), latency.quantile(0.5)),
        (0, None, None, None)
    );
}

#[test]
fn firecrackers_methods_count_and_store() {
    fn inc(metric: &impl IncMetric) -> u64 {
        metric.inc();
        metric.add(2);
        metric.count()
    }
    fn store(metric: &impl StoreMetric) -> u64 {
        metric.store(9);
        metric.fetch()
    }
    let dir = Directory::new();
    let segment = dir.segment();
    let shard = add(&segment).acquire();
    assert_eq!((inc(&shard.cumulative), inc(&shard.shared_inc)), (3, 3));
    assert_eq!(
        (
            store(&shard.instant),
            store(&shard.shared_store),
            store(&shard.instant_max)
        ),
        (9, 9, 9)
    );
}

#[test]
fn timers_record_what_their_scope_took() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source = add(&segment);
    let shard = source.acquire();
    let start = std::time::Instant::now();
    {
        let _timer = shard.latency.time();
        std::thread::sleep(Duration::from_millis(2));
    }
    let most = start.elapsed().as_micros() as u64;
    let sum = shard.latency.sum();
    assert_eq!(shard.latency.count(), 1);
    assert!((2000..=most).contains(&sum), "{sum} of {most} microseconds");
    shard.latency.time().cancel();
    assert_eq!(shard.latency.count(), 1, "what is cancelled is not recorded");
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _timer = shard.latency.time();
        panic!("as a handler might");
    }));
    assert!(unwound.is_err());
    assert_eq!(shard.latency.count(), 2, "a panic is recorded");
}

#[test]
fn groups_end_where_they_should() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source = add(&segment);
    let shard = source.acquire();
    let inside = shard.group(|m| {
        m.cumulative.inc();
        m.instant.store(1);
        vmtally::Snapshot::of(&mut vmtally::Reader::attach(segment.path()).unwrap()).unwrap()
    });
    assert!(
        inside.find("all").unwrap().is_unconfirmed(),
        "a reader sees that it is open"
    );
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shard.group(|_| panic!("inside"))));
    assert!(unwound.is_err());
    let after = snapshot(&segment);
    assert!(
        !after.find("all").unwrap().is_unconfirmed(),
        "it was ended, also by a panic"
    );
    assert_eq!(after.find("all").unwrap().get(|m: &Everything| &m.cumulative), Some(1));
}

#[test]
fn a_group_that_its_writer_never_ended_is_torn() {
    let dir = Directory::new();
    let segment = dir.builder().keep(true).create().unwrap();
    let (cut, whole) = (add(&segment), segment.add::<Everything>("whole").unwrap());
    cut.acquire().group(|m| {
        m.cumulative.inc();
        segment.close(); // what follows, its end too, is counted for nobody
    });
    let taken = snapshot(&segment);
    let all = taken.find("all").unwrap();
    assert!(
        all.is_unconfirmed() && !all.is_torn(),
        "who has it open could still end it"
    );
    drop((cut, whole));
    let segment = dir.builder().resume(true).create().unwrap();
    let (_cut, whole) = (add(&segment), segment.add::<Everything>("whole").unwrap());
    whole.acquire().group(|m| m.cumulative.inc());
    let taken = snapshot(&segment);
    let all = taken.find("all").unwrap();
    assert!(all.is_torn() && !all.is_unconfirmed());
    assert_eq!(all.get(|m: &Everything| &m.cumulative), Some(1));
    assert!(!taken.find("whole").unwrap().is_torn());
}

#[test]
fn rare_events_are_counted_from_any_thread() {
    let dir = Directory::new();
    let segment = dir.segment();
    let source = add(&segment);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| source.count(|m| &m.cumulative, 1)));
        }
    });
    source.count(|m| &m.shared_inc, 5);
    let snapshot = snapshot(&segment);
    let all = snapshot.find("all").unwrap();
    assert_eq!(all.get(|m: &Everything| &m.cumulative), Some(4000));
    assert_eq!(all.get(|m: &Everything| &m.shared_inc), Some(5));
}
