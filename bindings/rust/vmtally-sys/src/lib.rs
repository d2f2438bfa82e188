// SPDX-License-Identifier: MIT
#![doc = include_str!("../README.md")]
#![allow(non_camel_case_types)]

mod bindings;
pub use bindings::*;

#[cfg(feature = "export")]
mod export;
#[cfg(feature = "export")]
pub use export::*;

/// What the macro VMT_SCRATCH is in C: memory that counts as a shard for any number of threads at once and that nobody
/// reads; what a shard is as long as there is no segment. To release it does nothing.
#[inline]
#[allow(unused_unsafe)] // since Rust 1.77 the address alone is safe
pub fn vmt_scratch_shard() -> *mut vmt_shard {
    // SAFETY: only the address is taken.
    unsafe { std::ptr::addr_of_mut!(vmt_scratch).cast() }
}

/// Bytes that an encoder makes of one buffer at most; it ends with -EFBIG where it would need more.
#[cfg(feature = "export")]
pub const VMT_BUFFER_MAX: usize = 1 << 30;

// Empty; or, where build.rs has not found the library, what stops the compiler with words that say what to do. That is
// an error of its last stage, so that rustdoc and cargo check do without the library.
include!(concat!(env!("OUT_DIR"), "/missing.rs"));
