// SPDX-License-Identifier: MIT
//! Which thread may have what: who may be sent, and who may be shared. Most of it is said by the compiler.

use vmtally::kinds::*;
use vmtally::units::Nanoseconds;
use vmtally::*;

schema! {
    struct One("one", provider = "tests", target = "bounds") {
        reads: Cumulative,
        time: Latency<8, Nanoseconds>,
    }
}
schema! {
    struct All("all", provider = "tests", target = "bounds") {
        reads: SharedIncMetric,
        depth: SharedStoreMetric,
    }
}
schema! {
    struct Mixed("mixed", provider = "tests", target = "bounds") {
        reads: SharedIncMetric,
        writes: Cumulative,
    }
}
type OneTimer = Timer<'static, 8, Nanoseconds, 1>;

/// Something that one type has for two reasons is ambiguous, and does not compile.
trait NotSend<Why> {
    fn is() {}
}
trait NotSync<Why> {
    fn is() {}
}
struct Else;
impl<T: ?Sized> NotSend<()> for T {}
impl<T: ?Sized + Send> NotSend<Else> for T {}
impl<T: ?Sized> NotSync<()> for T {}
impl<T: ?Sized + Sync> NotSync<Else> for T {}

fn is_send<T: ?Sized + Send>() {}
fn is_sync<T: ?Sized + Sync>() {}

macro_rules! all {
    ($is:ident: $($type:ty),* $(,)?) => { $($is::<$type>();)* };
}
macro_rules! none {
    ($not:ident: $($type:ty),* $(,)?) => { $(<$type as $not<_>>::is();)* };
}

#[test]
fn handles_of_the_writer_are_shared_and_shards_of_one_writer_are_only_sent() {
    all!(
        is_send: Segment,
        SegmentBuilder,
        Source<One>,
        Source<All>,
        Shard<One>,
        Shard<All>,
        Shard<Mixed>,
        Global<All>
    );
    all!(
        is_sync: Segment,
        SegmentBuilder,
        Source<One>,
        Source<All>,
        Shard<All>,
        Global<All>,
        All
    );
    none!(NotSend: ThreadShard<One>, OneTimer);
    none!(
        NotSync: Shard<One>,
        Shard<Mixed>,
        ThreadShard<One>,
        ThreadShard<All>,
        OneTimer,
        One,
        Mixed
    );
}

#[test]
fn one_thread_at_a_time_reads() {
    all!(
        is_send: Reader,
        ReaderOptions,
        Snapshot,
        Delta,
        Host,
        HostOptions,
        Found,
        Error
    );
    all!(is_sync: ReaderOptions, HostOptions, Found, Error);
    none!(
        NotSend: HostReader<'static>,
        Sample<'static>,
        Changes<'static>,
        Change<'static>
    );
    none!(
        NotSync: Reader,
        HostReader<'static>,
        Snapshot,
        Delta,
        Host,
        Sample<'static>,
        Changes<'static>
    );
}

#[test]
fn values_may_be_looked_at_by_any_thread_while_they_are_there() {
    all!(
        is_send: SchemaRef<'static>,
        Descriptor<'static>,
        Values<'static>,
        Statistic<'static>,
        Value<'static>
    );
    all!(is_send: Histogram<'static>, Latencies<'static>, Sum<'static>);
    all!(
        is_sync: SchemaRef<'static>,
        Descriptor<'static>,
        Values<'static>,
        Statistic<'static>,
        Value<'static>
    );
    all!(is_sync: Histogram<'static>, Latencies<'static>, Sum<'static>);
}
