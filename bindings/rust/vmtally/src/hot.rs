// SPDX-License-Identifier: MIT
//! The one instruction.

#[cfg(target_arch = "x86_64")]
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Add 1 to what one context writes and others read. On x86-64 it is one `add` to memory, without a lock prefix: whole
/// for its own CPU, so that a signal handler can't split it. With optimisation rustc makes that of a load and a store
/// (tests/abi/disassemble_rust.sh looks); with debug assertions, which builds that are not optimised have, it is told
/// to.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn inc(cell: &AtomicU64) {
    if cfg!(debug_assertions) {
        add_whole(cell, 1);
    } else {
        // Acquire only so that this is another load than that of get(), with which it could be made one, earlier.
        cell.store(cell.load(Acquire).wrapping_add(1), Relaxed);
    }
}

/// The same of n.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn add(cell: &AtomicU64, n: u64) {
    if cfg!(debug_assertions) {
        add_whole(cell, n);
    } else {
        let mut n = n;
        // Not an instruction. rustc must not know where n comes from, or it makes load + (a + 1) (load + a) + 1, which
        // is no `add` to memory; nor may it make one load of those at the beginning of two branches.
        // SAFETY: it does nothing.
        unsafe { std::arch::asm!("/* {n} */", n = inout(reg) n, options(nomem, nostack, preserves_flags)) };
        cell.store(cell.load(Acquire).wrapping_add(n), Relaxed);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn add_whole(cell: &AtomicU64, n: u64) {
    let cell: *const AtomicU64 = cell;
    // SAFETY: the cell is there, and aligned.
    unsafe { std::arch::asm!("add qword ptr [{cell}], {n}", cell = in(reg) cell, n = in(reg) n, options(nostack)) };
}

/// Elsewhere a relaxed atomic add (`stadd` on ARM with LSE).
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn add(cell: &AtomicU64, n: u64) {
    cell.fetch_add(n, Relaxed);
}

/// The same of 1.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn inc(cell: &AtomicU64) {
    add(cell, 1);
}

/// Add to what any thread may write.
#[inline(always)]
pub(crate) fn add_shared(cell: &AtomicU64, n: u64) {
    cell.fetch_add(n, Relaxed);
}

#[inline(always)]
pub(crate) fn get(cell: &AtomicU64) -> u64 {
    cell.load(Relaxed)
}

#[inline(always)]
pub(crate) fn set(cell: &AtomicU64, value: u64) {
    cell.store(value, Relaxed);
}
