// SPDX-License-Identifier: MIT
//! write DIR: makes DIR/abi-1.vmt, closes it and leaves it. The twin of tests/abi/write.c.

use std::process::ExitCode;
use vmtally::prelude::*;
use vmtally::schemas::{Vcpu, Vm};

vmtally::schema! {
    struct Everything("abi", provider = "tests", target = "everything") {
        /// Help of cumulative
        cumulative: Cumulative,
        /// Help of instant
        instant: Instant<Bytes>,
        /// Help of peak
        peak: Peak<Kibibytes>,
        /// Help of minimum
        minimum: Minimum<Mebibytes>,
        /// Help of boolean
        boolean: Boolean,
        /// Help of signed_instant
        signed_instant: SignedInstant<Seconds>,
        /// Help of signed_peak
        signed_peak: SignedPeak<Milliseconds>,
        /// Help of signed_minimum
        signed_minimum: SignedMinimum<Microseconds>,
        /// Help of instant_max
        instant_max: InstantMax,
        /// Help of instant_average
        instant_average: InstantAverage<Cycles>,
        /// Help of instant_count_zero
        instant_count_zero: InstantCountZero,
        /// Help of linear
        linear: Linear<10, 512>,
        /// Help of log
        log: Log<24, Bytes>,
        /// Help of latency
        latency: Latency<32, Nanoseconds>,
    }
}

fn count_vm(vm: &Shard<Vm>) {
    vm.vcpus.store(2);
    vm.memory_bytes.store(1 << 40);
    vm.interrupts_triggers.add((1 << 63) + 1);
}

/// Two shards held at once; their sum is what readers show.
fn count_vcpu(shards: &[Shard<Vcpu>], n: u64) {
    shards[0].exits.add(1000 + n);
    for latency in [100, 1000, 100_000] {
        shards[0].io_latency.record(latency);
    }
    shards[1].exits.add(1 << 62);
    shards[1].run_time.add(12345);
}

fn count_all(all: &Shard<Everything>) {
    all.cumulative.add(u64::MAX - 1);
    all.instant.store(4096);
    all.peak.peak(7);
    all.peak.peak(5);
    all.minimum.minimum(9);
    all.minimum.minimum(11);
    all.boolean.store(true);
    all.signed_instant.store(-5);
    all.signed_peak.peak(-3);
    all.signed_peak.peak(-7);
    all.signed_minimum.minimum(-2);
    all.signed_minimum.minimum(-9);
    all.instant_max.store(17);
    all.instant_average.store(6);
    all.instant_count_zero.store(0);
    for value in [0, 511, 512, 99999] {
        all.linear.record(value);
    }
    for value in [0, 1, 2, 3, 4, 1 << 40] {
        all.log.record(value);
    }
    for value in [10, 20, 3000] {
        all.latency.record(value);
    }
}

fn write(dir: &str) -> vmtally::Result<()> {
    let segment = Segment::builder()
        .name("abi-1")
        .dir(dir)
        .label("rack", "b7")
        .label("team", "öl")
        .keep(true)
        .max_sources(32)
        .max_bytes(1 << 20)
        .create()?;
    let vm: Source<Vm> = segment.add("vm")?;
    let vcpus: [Source<Vcpu>; 2] = [vm.add("vcpu-0")?, vm.add("vcpu-1")?];
    let all: Source<Everything> = vm.add("all")?;
    let gone: Source<Everything> = vm.add("gone")?;

    let vm_shard = vm.acquire();
    count_vm(&vm_shard);
    let vcpu_shards = [vcpus[0].acquire_each(2), vcpus[1].acquire_each(2)];
    count_vcpu(&vcpu_shards[0], 0);
    count_vcpu(&vcpu_shards[1], 1);
    let all_shard = all.acquire();
    count_all(&all_shard);
    all.count(|m| &m.cumulative, 1); // into the shared shard: 2^64 - 1 together

    let gone_shard = gone.acquire();
    gone_shard.cumulative.add(41);
    gone_shard.latency.record(77);
    gone.count(|m| &m.cumulative, 1);
    gone_shard.release();
    gone.remove(); // its parent keeps what it had counted

    segment.close(); // with the other shards still held: instants stay
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [dir] => write(dir).map_or_else(
            |error| {
                eprintln!("write: {error}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        ),
        _ => {
            eprintln!("usage: write DIR");
            ExitCode::from(2)
        }
    }
}
