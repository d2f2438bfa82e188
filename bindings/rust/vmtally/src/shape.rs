// SPDX-License-Identifier: MIT
//! What `schema!` makes of its rows, while it is compiled: names and helps as C strings, and descriptors.

use std::os::raw::c_char;
use vmtally_sys as sys;

/// What a [`Latency`](crate::kinds::Latency) row is made of: the end of each name, and of its help.
const LATENCY: [(&str, &str); 5] = [
    ("_count", " (count)"),
    ("_sum", " (sum)"),
    ("_min", " (minimum)"),
    ("_max", " (maximum)"),
    ("_hist", " (histogram)"),
];
const SUFFIX_MAX: usize = 6 + 12 + 2; // of both, with their NULs

/// What a kind says of its descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub(crate) flags: u32,
    pub(crate) exponent: i16,
    size: usize,
    bucket_size: u32,
    latency: bool,
    shared: bool,
}

#[allow(non_upper_case_globals)]
impl Shape {
    pub(crate) const One: bool = false;
    pub(crate) const Any: bool = true;

    pub(crate) const fn scalar(flags: u32, exponent: i16) -> Shape {
        Shape {
            flags,
            exponent,
            size: 1,
            bucket_size: 0,
            latency: false,
            shared: false,
        }
    }

    pub(crate) const fn histogram(flags: u32, exponent: i16, size: usize, bucket_size: u32) -> Shape {
        let linear = flags & sys::VMT_TYPE_MASK == sys::VMT_TYPE_LINEAR_HIST;
        assert!(size > 0, "a histogram has at least one bucket");
        assert!(!linear || bucket_size > 0, "a bucket is at least 1 wide");
        Shape {
            flags,
            exponent,
            size,
            bucket_size,
            latency: false,
            shared: false,
        }
    }

    pub(crate) const fn latency(flags: u32, exponent: i16, size: usize) -> Shape {
        assert!(size > 0, "a histogram has at least one bucket");
        Shape {
            flags,
            exponent,
            size,
            bucket_size: 0,
            latency: true,
            shared: false,
        }
    }

    pub(crate) const fn shared(self, shared: bool) -> Shape {
        Shape { shared, ..self }
    }

    pub(crate) const fn slots(&self) -> usize {
        self.size + self.descriptors() - 1
    }

    pub(crate) const fn descriptors(&self) -> usize {
        if self.latency {
            LATENCY.len()
        } else {
            1
        }
    }

    /// Flags, exponent and size of the descriptor with that number.
    pub(crate) const fn descriptor(&self, i: usize) -> (u32, i16, usize) {
        match i {
            _ if !self.latency => (self.flags, self.exponent, self.size),
            0 => (
                sys::VMT_UNIT_NONE | sys::VMT_BASE_POW10 | sys::VMT_TYPE_CUMULATIVE,
                0,
                1,
            ),
            1 => (self.flags | sys::VMT_TYPE_CUMULATIVE, self.exponent, 1),
            2 => (
                self.flags | sys::VMT_TYPE_INSTANT | sys::VMT_AGGREGATION_MIN,
                self.exponent,
                1,
            ),
            3 => (self.flags | sys::VMT_TYPE_PEAK, self.exponent, 1),
            _ => (self.flags | sys::VMT_TYPE_LOG_HIST, self.exponent, self.size),
        }
    }
}

/// The names and helps of a row, each ending with a NUL.
#[derive(Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    names: [usize; LATENCY.len()],
    helps: [usize; LATENCY.len()],
}

/// Room for them.
pub const fn text_bound(field: &str, doc: &str, shape: Shape) -> usize {
    shape.descriptors() * (field.len() + doc.len() + SUFFIX_MAX)
}

/// The words of text in out[used..], with one space between them.
const fn put_words<const N: usize>(mut out: [u8; N], mut used: usize, text: &[u8]) -> ([u8; N], usize) {
    let start = used;
    let mut i = 0;
    while i < text.len() {
        let word = text[i] > b' ' && text[i] != 0x7f;
        if word && i > 0 && used > start && (text[i - 1] <= b' ' || text[i - 1] == 0x7f) {
            out[used] = b' ';
            used += 1;
        }
        if word {
            out[used] = text[i];
            used += 1;
        }
        i += 1;
    }
    (out, used)
}

const fn put<const N: usize>(mut out: [u8; N], mut used: usize, text: &[u8]) -> ([u8; N], usize) {
    let mut i = 0;
    while i < text.len() {
        out[used] = text[i];
        used += 1;
        i += 1;
    }
    (out, used)
}

/// Where the name of a field begins: behind `r#`.
const fn plain(field: &[u8]) -> usize {
    if field.len() > 2 && field[0] == b'r' && field[1] == b'#' {
        2
    } else {
        0
    }
}

impl<const N: usize> Text<N> {
    /// doc: the field's doc comment, lines and all.
    pub const fn new(field: &str, doc: &str, shape: Shape) -> Text<N> {
        let mut text = Text {
            bytes: [0; N],
            names: [0; LATENCY.len()],
            helps: [0; LATENCY.len()],
        };
        let field = field.as_bytes();
        let mut used = 0;
        let mut i = 0;
        while i < shape.descriptors() {
            let (name_end, help_end) = if shape.latency { LATENCY[i] } else { ("", "") };
            text.names[i] = used;
            let mut at = plain(field);
            while at < field.len() {
                text.bytes[used] = field[at];
                used += 1;
                at += 1;
            }
            let (bytes, end) = put(text.bytes, used, name_end.as_bytes());
            assert!(
                end - text.names[i] < sys::VMT_NAME_SIZE as usize,
                "the name of a statistic is too long"
            );
            used = end + 1;
            text.helps[i] = used;
            let (bytes, end) = put_words(bytes, used, doc.as_bytes());
            let (bytes, end) = if end > used {
                put(bytes, end, help_end.as_bytes())
            } else {
                (bytes, end)
            };
            assert!(end - used < sys::VMT_HELP_MAX as usize, "a help text is too long");
            text.bytes = bytes;
            used = end + 1;
            i += 1;
        }
        text
    }

    /// The field that it is the text of.
    pub const fn row(&'static self, field: &'static str, shape: Shape) -> Row {
        Row {
            field,
            shape,
            text: &self.bytes,
            names: self.names,
            helps: self.helps,
        }
    }
}

/// A field of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    field: &'static str,
    pub(crate) shape: Shape,
    text: &'static [u8],
    names: [usize; LATENCY.len()],
    helps: [usize; LATENCY.len()],
}

impl Row {
    pub(crate) const fn name(&self, i: usize) -> *const c_char {
        // SAFETY: inside of text, which ends with a NUL.
        unsafe { self.text.as_ptr().add(self.names[i]).cast() }
    }

    const fn help(&self, i: usize) -> *const c_char {
        // SAFETY: as above.
        unsafe { self.text.as_ptr().add(self.helps[i]).cast() }
    }
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    ends_with(a, b, 0)
}

/// Whether b is a's bytes from there.
const fn ends_with(a: &[u8], b: &[u8], from: usize) -> bool {
    if a.len() != from + b.len() {
        return false;
    }
    let mut i = 0;
    while i < b.len() {
        if a[from + i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The first slot of the field.
pub const fn slot_of(rows: &[Row], field: &str) -> usize {
    let mut slot = 0;
    let mut i = 0;
    while i < rows.len() {
        if equal(rows[i].field.as_bytes(), field.as_bytes()) {
            return slot;
        }
        slot += rows[i].shape.slots();
        i += 1;
    }
    panic!("no such field")
}

/// Whether there is a field of that shape at that slot.
pub const fn has(rows: &[Row], slot: usize, shape: &Shape) -> bool {
    let mut at = 0;
    let mut i = 0;
    while i < rows.len() && at < slot {
        at += rows[i].shape.slots();
        i += 1;
    }
    if i == rows.len() || at != slot {
        return false;
    }
    let found = &rows[i].shape;
    found.flags == shape.flags && found.size == shape.size && found.latency == shape.latency
}

/// How many slots they take.
pub const fn slots(rows: &[Row]) -> usize {
    let mut slots = 0;
    let mut i = 0;
    while i < rows.len() {
        slots += rows[i].shape.slots();
        i += 1;
    }
    slots
}

/// How many descriptors they make.
pub const fn descriptors(rows: &[Row]) -> usize {
    let mut count = 0;
    let mut i = 0;
    while i < rows.len() {
        count += rows[i].shape.descriptors();
        i += 1;
    }
    count
}

/// How many fields are such that any thread may write them.
const fn shared(rows: &[Row]) -> usize {
    let mut count = 0;
    let mut i = 0;
    while i < rows.len() {
        count += rows[i].shape.shared as usize;
        i += 1;
    }
    count
}

/// Whether one is such.
pub const fn any_shared(rows: &[Row]) -> bool {
    shared(rows) > 0
}

/// Whether all are such.
pub const fn all_shared(rows: &[Row]) -> bool {
    shared(rows) == rows.len()
}

/// What the library would refuse of a schema as a whole.
pub const fn check_schema(rows: &[Row], name: &str, provider: &str, target: &str) {
    assert!(!rows.is_empty(), "a schema has at least one field");
    assert!(
        slots(rows) <= sys::VMT_SLOTS_MAX as usize,
        "a schema has at most 4096 slots"
    );
    assert!(
        descriptors(rows) <= sys::VMT_DESCRIPTORS_MAX as usize,
        "a schema has at most 1024 statistics"
    );
    check_word(name);
    check_word(provider);
    check_word(target);
}

const fn check_word(word: &str) {
    let bytes = word.as_bytes();
    assert!(
        !bytes.is_empty() && bytes.len() < 24,
        "a schema's name, provider and target have 1 to 23 bytes"
    );
    let mut i = 0;
    while i < bytes.len() {
        assert!(
            bytes[i] > b' ' && bytes[i] <= b'~',
            "a schema's name, provider and target are ASCII without spaces"
        );
        i += 1;
    }
}

/// A statistic must be known by its name.
pub const fn check_row(rows: &[Row], field: &str) {
    let name = field.as_bytes();
    let start = plain(name);
    let mut i = 0;
    while i < name.len() {
        assert!(name[i] > b' ' && name[i] <= b'~', "names of statistics are ASCII");
        i += 1;
    }
    i = 0;
    while i < rows.len() {
        let other = rows[i].field.as_bytes();
        let at = plain(other);
        let mut k = 0;
        while rows[i].shape.latency && k < LATENCY.len() {
            let split = start + (other.len() - at);
            let same = split <= name.len() && ends_with(name, LATENCY[k].0.as_bytes(), split);
            assert!(
                !same || !begins_with(name, start, other, at),
                "two statistics of the schema have the same name"
            );
            k += 1;
        }
        i += 1;
    }
}

const fn begins_with(name: &[u8], mut start: usize, other: &[u8], mut at: usize) -> bool {
    while at < other.len() {
        if start >= name.len() || name[start] != other[at] {
            return false;
        }
        start += 1;
        at += 1;
    }
    true
}

/// The descriptors of all rows; N is how many there are.
pub const fn describe<const N: usize>(rows: &[Row]) -> [sys::vmt_descriptor; N] {
    let mut table = [sys::vmt_descriptor {
        name: std::ptr::null(),
        help: std::ptr::null(),
        flags: 0,
        slot: 0,
        bucket_size: 0,
        exponent: 0,
        size: 0,
        group: 0,
        minuend: 0,
        level: sys::VMT_LEVEL_INFO as u8,
        reserved: [0; 3],
    }; N];
    let mut used = 0;
    let mut first = 0;
    let mut i = 0;
    while i < rows.len() {
        let row = &rows[i];
        let mut slot = first;
        let mut k = 0;
        while k < row.shape.descriptors() {
            let (flags, exponent, size) = row.shape.descriptor(k);
            table[used].name = row.name(k);
            table[used].help = row.help(k);
            table[used].flags = flags;
            table[used].exponent = exponent;
            table[used].slot = slot as u32;
            table[used].size = size as u16;
            table[used].bucket_size = row.shape.bucket_size;
            table[used].group = if row.shape.latency { first as u16 + 1 } else { 0 };
            slot += size;
            used += 1;
            k += 1;
        }
        first = slot;
        i += 1;
    }
    table
}
