// SPDX-License-Identifier: MIT
//! The hot path as functions of their own: for disassemble_rust.sh, and for the bench.
#![deny(unsafe_op_in_unsafe_fn)]

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use vmtally::prelude::*;
use vmtally::schemas::Vcpu;

#[no_mangle]
pub extern "C" fn hot_constant(shard: &Shard<Vcpu>) {
    shard.exits.inc();
}

#[no_mangle]
pub extern "C" fn hot_any_n(shard: &Shard<Vcpu>, n: u64) {
    shard.run_time.add(n);
}

#[no_mangle]
pub extern "C" fn hot_field(fields: &Vcpu) {
    fields.exit_hlt.inc();
}

#[no_mangle]
pub extern "C" fn hot_field_any_n(fields: &Vcpu, n: u64) {
    fields.exit_hlt.add(n);
}

/// Through a handle in the caller's struct.
#[repr(C)]
pub struct Worker {
    other: u64,
    shard: Shard<Vcpu>,
}

#[no_mangle]
pub extern "C" fn hot_in_struct(worker: &Worker) {
    worker.shard.exits.inc();
}

/// As generic code over Firecracker's trait.
#[no_mangle]
pub extern "C" fn hot_trait(shard: &Shard<Vcpu>) {
    fn inc(metric: &impl vmtally::IncMetric) {
        metric.inc();
    }
    inc(&shard.exit_intr);
}

vmtally::schema! {
    pub struct Level("level", provider = "tests", target = "hot") {
        depth: Instant,
        shared: SharedIncMetric,
    }
}

#[no_mangle]
pub extern "C" fn hot_set(fields: &Level, value: u64) {
    fields.depth.store(value);
}

#[no_mangle]
pub extern "C" fn hot_sub(fields: &Level) {
    fields.depth.sub(1);
}

#[no_mangle]
pub extern "C" fn hot_shared(fields: &Level) {
    fields.shared.inc();
}

/// Count 1 in `exits`, n times.
///
/// # Safety
///
/// shard is held, of a source with vmt_schema_vcpu, and stays the caller's.
#[no_mangle]
pub unsafe extern "C" fn vmtally_rust_increment(shard: *mut c_void, n: u64) {
    // SAFETY: the caller says so; it is not released here.
    let shard = ManuallyDrop::new(unsafe { Shard::<Vcpu>::from_raw(NonNull::new_unchecked(shard.cast())) });
    for _ in 0..n {
        shard.exits.inc();
    }
}
