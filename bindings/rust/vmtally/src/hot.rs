// SPDX-License-Identifier: MIT
//! The one instruction.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Add to what one context writes and others read. On x86-64 it is one `add` to memory, without a lock prefix: whole
/// for its own CPU, so that a signal handler can't split it. With optimisation rustc makes that of a relaxed load and
/// store (tests/abi/disassemble_rust.sh looks); where it does not optimise it is told to.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn add(cell: &AtomicU64, n: u64) {
    #[cfg(debug_assertions)]
    // SAFETY: the cell is there, and aligned.
    unsafe {
        let cell: *const AtomicU64 = cell;
        std::arch::asm!("add qword ptr [{cell}], {n}", cell = in(reg) cell, n = in(reg) n, options(nostack));
    }
    #[cfg(not(debug_assertions))]
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Elsewhere a relaxed atomic add (`stadd` on ARM with LSE).
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn add(cell: &AtomicU64, n: u64) {
    cell.fetch_add(n, Relaxed);
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
