// SPDX-License-Identifier: MIT
//! Units of statistics, as types: `Cumulative<Bytes>`, `Latency<40, Nanoseconds>`.

use vmtally_sys as sys;

mod sealed {
    pub trait Sealed {}
}

/// What the numbers of a statistic are in. KVM's five units with an exponent; the types of this module are all there
/// are.
pub trait Unit: sealed::Sealed + 'static {
    #[doc(hidden)]
    const FLAGS: u32;
    #[doc(hidden)]
    const EXPONENT: i16;
}

/// Units of time.
pub trait TimeUnit: Unit {
    /// How many nanoseconds one of it is.
    const NANOSECONDS: u64;
}

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident: $unit:ident, $base:ident, $exponent:literal $(, $ns:literal)?;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Unit for $name {
            const FLAGS: u32 = sys::$unit | sys::$base;
            const EXPONENT: i16 = $exponent;
        }
        $(impl TimeUnit for $name {
            const NANOSECONDS: u64 = $ns;
        })?
    )* };
}

units! {
    /// A number of things or events. What a kind has where none is given.
    NoUnit: VMT_UNIT_NONE, VMT_BASE_POW10, 0;
    /// Bytes.
    Bytes: VMT_UNIT_BYTES, VMT_BASE_POW2, 0;
    /// 2^10 bytes.
    Kibibytes: VMT_UNIT_BYTES, VMT_BASE_POW2, 10;
    /// 2^20 bytes.
    Mebibytes: VMT_UNIT_BYTES, VMT_BASE_POW2, 20;
    /// Seconds.
    Seconds: VMT_UNIT_SECONDS, VMT_BASE_POW10, 0, 1_000_000_000;
    /// 10^-3 seconds.
    Milliseconds: VMT_UNIT_SECONDS, VMT_BASE_POW10, -3, 1_000_000;
    /// 10^-6 seconds.
    Microseconds: VMT_UNIT_SECONDS, VMT_BASE_POW10, -6, 1_000;
    /// 10^-9 seconds.
    Nanoseconds: VMT_UNIT_SECONDS, VMT_BASE_POW10, -9, 1;
    /// Clock cycles of a CPU.
    Cycles: VMT_UNIT_CYCLES, VMT_BASE_POW10, 0;
}
