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
pub extern "C" fn hot_sub(fields: &Level, n: u64) {
    fields.depth.sub(n);
}

#[no_mangle]
pub extern "C" fn hot_shared(fields: &Level) {
    fields.shared.inc();
}

// Shapes in which rustc, if it could, would make more of it than an add to memory.

#[no_mangle]
pub extern "C" fn shape_sum(fields: &Vcpu, n: u64) {
    fields.run_time.add(n.wrapping_add(16));
}

#[no_mangle]
pub extern "C" fn shape_difference(fields: &Vcpu, start: u64, end: u64) {
    fields.run_time.add(end.wrapping_sub(start).wrapping_add(1));
}

#[no_mangle]
pub extern "C" fn shape_condition(fields: &Vcpu, a: u64, b: u64) {
    fields.run_time.add((a < b).into());
}

#[no_mangle]
pub extern "C" fn shape_other(fields: &Vcpu) {
    fields.run_time.add(fields.exits.count().wrapping_add(1));
}

#[no_mangle]
pub extern "C" fn shape_level(fields: &Level, n: u64) {
    fields.depth.sub(n.wrapping_add(2));
}

#[no_mangle]
pub extern "C" fn shape_constants(fields: &Vcpu) {
    fields.run_time.add(512);
    fields.halt_time.add(128);
}

#[no_mangle]
pub extern "C" fn shape_branches(fields: &Vcpu, which: bool, then: extern "C" fn(), other: extern "C" fn()) {
    if which {
        fields.run_time.add(4096);
        then();
    } else {
        fields.run_time.add(512);
        other();
    }
}

#[no_mangle]
pub extern "C" fn shape_branches_of_one(
    fields: &Vcpu,
    which: bool,
    n: u64,
    then: extern "C" fn(),
    other: extern "C" fn(),
) {
    if which {
        fields.exits.add(n);
        then();
    } else {
        fields.exits.inc();
        other();
    }
}

#[no_mangle]
pub extern "C" fn shape_branch_that_reads(fields: &Vcpu, which: bool, then: extern "C" fn()) -> u64 {
    if which {
        fields.exits.inc();
        then();
        0
    } else {
        fields.exits.count()
    }
}

#[no_mangle]
pub extern "C" fn shape_match(fields: &Vcpu, reason: u8, n: u64, then: extern "C" fn()) {
    match reason {
        0 => fields.exits.inc(),
        1 => fields.exits.add(n),
        2 => {
            fields.exits.add(n << 1);
            then();
        }
        3 => fields.exit_hlt.add(n.wrapping_add(3)),
        _ => {
            fields.exits.inc();
            fields.exit_hlt.inc();
        }
    }
    then();
}

/// # Safety
///
/// all has count.
#[no_mangle]
pub unsafe extern "C" fn shape_loop(fields: &Vcpu, all: *const u64, count: usize) {
    // SAFETY: the caller says so.
    for x in unsafe { std::slice::from_raw_parts(all, count) } {
        if *x > 5 {
            fields.exits.inc();
        } else {
            fields.exit_hlt.inc();
            fields.run_time.add(x.wrapping_add(3));
        }
    }
}

/// As bench.h's BARRIER(): increments are neither merged nor moved.
fn barrier() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// Count 1 in `exits`, n times: the loop of tests/bench/bindings.c, eight times a turn. n is a multiple of 8.
///
/// # Safety
///
/// shard is held, of a source with vmt_schema_vcpu, and stays the caller's.
#[no_mangle]
pub unsafe extern "C" fn vmtally_rust_increment(shard: *mut c_void, n: u64) {
    // SAFETY: the caller says so; it is not released here.
    let shard = ManuallyDrop::new(unsafe { Shard::<Vcpu>::from_raw(NonNull::new_unchecked(shard.cast())) });
    macro_rules! count {
        ($($field:ident)*) => { $(shard.$field.inc(); barrier();)* };
    }
    for _ in 0..n / 8 {
        count!(exits exits exits exits exits exits exits exits);
    }
}

/// The same in eight slots in turn.
///
/// # Safety
///
/// As vmtally_rust_increment.
#[no_mangle]
pub unsafe extern "C" fn vmtally_rust_increment_eight(shard: *mut c_void, n: u64) {
    // SAFETY: the caller says so; it is not released here.
    let shard = ManuallyDrop::new(unsafe { Shard::<Vcpu>::from_raw(NonNull::new_unchecked(shard.cast())) });
    macro_rules! count {
        ($($field:ident)*) => { $(shard.$field.inc(); barrier();)* };
    }
    for _ in 0..n / 8 {
        count!(exits exit_hlt exit_intr exit_irq_window exit_other run_time halt_time exit_io_in);
    }
}
