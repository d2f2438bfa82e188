// SPDX-License-Identifier: MIT
//! Devices and vCPUs with their metrics: each its own, of one writer at a time. In Firecracker these are fields of
//! `SharedIncMetric` behind an `Arc`, added up over all devices of a kind when they are written; here a device holds a
//! shard, and readers add up.

use std::sync::{Arc, Mutex};
use std::thread;
use vmtally::schemas::{Block, Vcpu, Vm};
use vmtally::{Shard, Source};

/// A virtio block device. Who holds its lock is the one writer of its metrics.
pub struct BlockDevice {
    metrics: Shard<Block>,
    /// As long as this is there, so is the device's group in each line.
    _source: Source<Block>,
}

impl BlockDevice {
    pub fn new(vm: &Source<Vm>, id: &str) -> vmtally::Result<Arc<Mutex<BlockDevice>>> {
        let source = vm.add(&format!("block-{id}"))?;
        Ok(Arc::new(Mutex::new(BlockDevice {
            metrics: source.acquire(),
            _source: source,
        })))
    }

    /// The guest has written to the queue's event.
    pub fn process_queue_event(&mut self, requests: &[Request]) {
        self.metrics.queue_event_count.inc();
        if requests.is_empty() {
            self.metrics.no_avail_buffer.inc();
        }
        for request in requests {
            self.execute(request);
        }
    }

    fn execute(&mut self, request: &Request) {
        match *request {
            Request::Read(bytes) => {
                let _latency = self.metrics.read_agg.time(); // record_latency_metrics()
                self.metrics.read_bytes.add(bytes);
                self.metrics.read_count.inc();
            }
            Request::Write(bytes) => {
                let _latency = self.metrics.write_agg.time();
                self.metrics.write_bytes.add(bytes);
                self.metrics.write_count.inc();
            }
            Request::Flush => self.metrics.flush_count.inc(),
            Request::Unknown => self.metrics.invalid_reqs_count.inc(),
        }
    }
}

/// What a guest asks a block device for.
pub enum Request {
    Read(u64),
    Write(u64),
    Flush,
    Unknown,
}

/// Why KVM_RUN has returned.
#[derive(Clone, Copy)]
pub enum Exit {
    IoOut,
    MmioRead,
    /// The guest has kicked the disk.
    MmioWrite,
    Halt,
}

/// Runs one vCPU in a thread of its own, which is the one writer of its metrics.
pub fn start_vcpu(
    vm: &Source<Vm>,
    index: usize,
    exits: Vec<Exit>,
    disk: Arc<Mutex<BlockDevice>>,
) -> vmtally::Result<thread::JoinHandle<Source<Vcpu>>> {
    let source: Source<Vcpu> = vm.add(&format!("vcpu-{index}"))?;
    let metrics = source.acquire();
    Ok(thread::spawn(move || {
        for exit in exits {
            metrics.exits.inc();
            run_emulation(&metrics, exit, &disk);
        }
        source
    }))
}

fn run_emulation(metrics: &Vcpu, exit: Exit, disk: &Mutex<BlockDevice>) {
    match exit {
        Exit::IoOut => {
            let _latency = metrics.exit_io_out_agg.time();
            metrics.exit_io_out.inc();
        }
        Exit::MmioRead => {
            let _latency = metrics.exit_mmio_read_agg.time();
            metrics.exit_mmio_read.inc();
        }
        Exit::MmioWrite => {
            let _latency = metrics.exit_mmio_write_agg.time();
            metrics.exit_mmio_write.inc();
            let requests = [Request::Read(4096), Request::Write(512), Request::Flush];
            disk.lock().expect("poisoned lock").process_queue_event(&requests);
        }
        Exit::Halt => metrics.exit_hlt.inc(),
    }
}
