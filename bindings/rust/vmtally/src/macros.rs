// SPDX-License-Identifier: MIT
//! The macro that declares schemas.

/// Declare what is counted, as a struct of counters.
///
/// ```
/// use vmtally::prelude::*;
///
/// vmtally::schema! {
///     /// What a block device counts.
///     pub struct BlockMetrics("block", provider = "myvmm", target = "block") {
///         /// Reads completed
///         pub read_count: Cumulative,
///         /// Bytes read
///         pub read_bytes: Cumulative<Bytes>,
///         /// Requests in flight
///         pub depth: Instant,
///         /// Time that a read takes
///         pub read_time: Latency<40, Nanoseconds>,
///         /// Sizes of reads
///         pub read_size: Log<24, Bytes>,
///     }
/// }
///
/// let shard = Shard::<BlockMetrics>::default(); // scratch memory, until there is a segment
/// shard.read_count.inc();
/// shard.read_time.record(1200);
/// ```
///
/// The struct's name is followed by the schema's name, who counts (`provider`) and what kind of thing is counted
/// (`target`): 1 to 23 bytes of ASCII without spaces each. A field is a statistic of the same name (at most 47 bytes;
/// [`Latency`](crate::kinds::Latency) makes five of it), its type a [kind](crate::kinds) with a [unit](crate::units),
/// its doc comment the help text that readers show, on one line (at most 1,023 bytes; none is allowed). Attributes and
/// visibility are as anywhere, but for `#[cfg]` on fields and `#[repr]`. Order matters: segments of earlier runs that
/// are resumed have to match.
///
/// The struct is what the values of a [`Shard`](crate::Shard) look like; it can't be made otherwise. What the library
/// would refuse does not compile: names that are too long or not ASCII, two statistics of one name, more than 4,096
/// slots, histograms without buckets.
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// vmtally::schema! {
///     struct Twice("twice", provider = "doc", target = "block") {
///         read: Latency<8, Nanoseconds>,
///         read_count: Cumulative, // is already one of the five of "read"
///     }
/// }
/// ```
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// vmtally::schema! {
///     struct TooLarge("large", provider = "doc", target = "block") {
///         sizes: Linear<4097, 512, Bytes>,
///     }
/// }
/// ```
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// vmtally::schema! {
///     struct Spaces("a name", provider = "doc", target = "block") {
///         reads: Cumulative,
///     }
/// }
/// ```
///
/// ```compile_fail
/// # use vmtally::prelude::*;
/// vmtally::schema! {
///     struct LeftOut("left-out", provider = "doc", target = "block") {
///         reads: Cumulative,
///         #[cfg(any())]
///         writes: Cumulative, // the struct has it not, the schema would
///     }
/// }
/// ```
#[macro_export]
macro_rules! schema {
    (
        $(#[$($attribute:tt)*])*
        $visibility:vis struct $schema:ident(
            $name:literal,
            provider = $provider:literal,
            target = $target:literal $(,)?
        ) {
            $(
                $(#[$($of_field:tt)*])*
                $field_visibility:vis $field:ident : $kind:ty
            ),* $(,)?
        }
    ) => {
        $(#[$($attribute)*])*
        #[repr(C)]
        #[allow(missing_debug_implementations)]
        $visibility struct $schema {
            $(
                $(#[$($of_field)*])*
                $field_visibility $field: $crate::At<
                    $kind,
                    { $crate::slot_of::<$schema>($crate::__private::stringify!($field)) },
                >,
            )*
        }

        // SAFETY: each field is an At of its kind, without gaps: the size says so, too.
        unsafe impl $crate::Schema for $schema {
            const ROWS: &'static [$crate::__private::Row] = &[$({
                const __VMTALLY_BOUND: $crate::__private::Usize = $crate::__private::text_bound(
                    $crate::__private::stringify!($field),
                    $crate::__help!($(#[$($of_field)*])*),
                    <$kind as $crate::kinds::Kind>::SHAPE,
                );
                const __VMTALLY_TEXT: $crate::__private::Text<__VMTALLY_BOUND> = $crate::__private::Text::new(
                    $crate::__private::stringify!($field),
                    $crate::__help!($(#[$($of_field)*])*),
                    <$kind as $crate::kinds::Kind>::SHAPE,
                );
                (&__VMTALLY_TEXT).row(
                    $crate::__private::stringify!($field),
                    <$kind as $crate::kinds::Kind>::SHAPE,
                )
            }),*];

            fn schema() -> $crate::SchemaRef<'static> {
                const COUNT: $crate::__private::Usize =
                    $crate::__private::descriptors(<$schema as $crate::Schema>::ROWS);
                static TABLE: $crate::__private::Table<COUNT> =
                    $crate::__private::Table::new(<$schema as $crate::Schema>::ROWS);
                static SCHEMA: $crate::__private::Declared = $crate::__private::Declared::new(
                    $crate::__private::concat!($name, "\0"),
                    $crate::__private::concat!($provider, "\0"),
                    $crate::__private::concat!($target, "\0"),
                    &TABLE,
                    <$schema as $crate::Schema>::SLOTS,
                );
                SCHEMA.get()
            }
        }

        const _: () = {
            $crate::__private::check_schema(<$schema as $crate::Schema>::ROWS, $name, $provider, $target);
            $crate::__private::assert!(
                $crate::__private::size_of::<$schema>() == 8 * <$schema as $crate::Schema>::SLOTS
                    && $crate::__private::align_of::<$schema>() == 8,
                "#[cfg] on a field, or #[repr], and schema! do not go together"
            );
        };
        $(const _: () = $crate::__private::check_row(
            <$schema as $crate::Schema>::ROWS,
            $crate::__private::stringify!($field),
        );)*
    };
}

/// The doc comment among the attributes of a field.
#[doc(hidden)]
#[macro_export]
macro_rules! __help {
    ($(#[$($attribute:tt)*])*) => { $crate::__private::concat!($($crate::__help_line!($($attribute)*)),*) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __help_line {
    (doc = $line:expr) => {
        $crate::__private::concat!($line, "\n")
    };
    ($($other:tt)*) => {
        ""
    };
}
