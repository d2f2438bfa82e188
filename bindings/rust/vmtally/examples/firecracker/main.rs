// SPDX-License-Identifier: MIT
//! Firecracker's metrics with vmtally: METRICS is a static, devices and vCPUs have metrics of their own, a signal
//! handler counts, and each flush writes one line of Firecracker's JSON, to the file that is named, else to standard
//! output.
//!
//!     cargo run --example firecracker --features export [METRICS_PATH]

mod devices;
mod metrics;

use devices::{start_vcpu, BlockDevice, Exit, Request};
use metrics::{MetricsError, METRICS};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;
use vmtally::schemas::Vm;
use vmtally::{Segment, Source};

const SIGHUP: i32 = 1;
const SIGPIPE: i32 = 13;

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn raise(number: i32) -> i32;
}

/// Counting is one instruction on memory that is there: a handler may do that.
extern "C" fn count_signal(number: i32) {
    match number {
        SIGPIPE => METRICS.signals.sigpipe.inc(),
        _ => METRICS.signals.sighup.store(1),
    }
}

fn destination() -> io::Result<Box<dyn Write + Send>> {
    Ok(match std::env::args_os().nth(1) {
        Some(path) => Box::new(OpenOptions::new().append(true).create(true).open(path)?),
        None => Box::new(io::stdout()),
    })
}

/// A guest that kicks its disk now and then.
fn exits(count: usize) -> Vec<Exit> {
    [Exit::IoOut, Exit::MmioWrite, Exit::MmioRead, Exit::Halt]
        .iter()
        .copied()
        .cycle()
        .take(count)
        .collect()
}

fn run() -> Result<(), MetricsError> {
    let start = Instant::now();
    let segment = Segment::builder().label("vmm", "firecracker").create()?;
    let vm: Source<Vm> = segment.add("vm")?;
    METRICS.init(&segment, &vm, destination().map_err(MetricsError::Write)?)?;
    // SAFETY: the handler only counts.
    unsafe {
        signal(SIGPIPE, count_signal);
        signal(SIGHUP, count_signal);
    }
    METRICS
        .api_server
        .process_startup_time_us
        .store(start.elapsed().as_micros() as u64 + 1);
    METRICS.write()?;

    // The machine runs: two vCPUs, which share a disk, and another disk, which is unplugged.
    let rootfs = BlockDevice::new(&vm, "rootfs")?;
    let scratch = BlockDevice::new(&vm, "scratch")?;
    scratch
        .lock()
        .expect("poisoned lock")
        .process_queue_event(&[Request::Write(100), Request::Unknown]);
    let vcpus = [
        start_vcpu(&vm, 0, exits(400), rootfs.clone())?,
        start_vcpu(&vm, 1, exits(200), rootfs.clone())?,
    ];
    METRICS.get_api_requests.instance_info_count.inc();
    let vcpus = vcpus.map(|vcpu| vcpu.join().expect("a vCPU does not panic"));
    // SAFETY: there is a handler.
    unsafe { raise(SIGPIPE) };
    METRICS.write()?;

    // What a device has counted is not lost with it.
    scratch
        .lock()
        .expect("poisoned lock")
        .process_queue_event(&[Request::Write(11)]);
    drop(scratch);
    drop(vcpus);
    rootfs.lock().expect("poisoned lock").process_queue_event(&[]);
    // SAFETY: as above.
    unsafe { raise(SIGHUP) };
    METRICS.write()?;
    segment.close();
    Ok(())
}

fn main() -> ExitCode {
    if let Err(error) = run() {
        eprintln!("firecracker: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
