// SPDX-License-Identifier: MIT
//! dump FILE: one snapshot of a segment as one JSON object. dump -: for each name of a file on standard input one line,
//! the object, or {"error": why} where the file is not found sound. The twin of tests/abi/dump.c.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};
use std::process::ExitCode;
use vmtally::{Descriptor, Reader, Sample, SchemaRef, SegmentInfo, Snapshot, State, Total, Values};

/// All that a reader hands out is UTF-8 without control characters.
fn quoted(s: &str) -> String {
    format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""))
}

fn listed<T>(items: impl IntoIterator<Item = T>, one: impl Fn(T) -> String) -> String {
    items.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

fn hexadecimal(id: [u8; 16]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn schema_name(schema: SchemaRef<'_>) -> String {
    quoted(&format!("{}/{}/{}", schema.name(), schema.provider(), schema.target()))
}

fn slots(values: Values<'_>) -> String {
    let one = |descriptor: Descriptor<'_>| {
        let first = descriptor.slot();
        let slots = (first..first + descriptor.size()).map(|slot| values.slots().get(slot).copied().unwrap_or(0));
        format!(
            "{}: [{}]",
            quoted(descriptor.name()),
            listed(slots, |value| value.to_string())
        )
    };
    format!("{{{}}}", listed(values.schema().descriptors(), one))
}

fn total(total: Total<'_>) -> String {
    format!(
        "{{\"schema\": {}, \"sources\": {}, \"flags\": {}, \"values\": {}, \"departed\": {}}}",
        schema_name(total.schema()),
        total.sources(),
        total.flags(),
        slots(total.values()),
        slots(total.departed())
    )
}

fn source(sample: Sample<'_>) -> String {
    format!(
        "{{\"id\": {}, \"name\": {}, \"entry\": {}, \"generation\": {}, \"created_ns\": {}, \"parent\": {}, \
         \"depth\": {}, \"flags\": {}, \"schema\": {}, \"values\": {}, \"totals\": [{}]}}",
        quoted(sample.id()),
        quoted(sample.name()),
        sample.entry(),
        sample.generation(),
        sample.created_ns(),
        sample.parent().map_or("null".to_owned(), |parent| quoted(parent.id())),
        sample.depth(),
        sample.flags(),
        schema_name(sample.schema()),
        slots(sample.values()),
        listed(sample.totals(), total)
    )
}

fn schema(schema: SchemaRef<'_>) -> String {
    let one = |d: Descriptor<'_>| {
        format!(
            "{{\"name\": {}, \"help\": {}, \"flags\": {}, \"exponent\": {}, \"slot\": {}, \"size\": {}, \
             \"bucket_size\": {}, \"group\": {}, \"minuend\": {}, \"level\": {}}}",
            quoted(d.name()),
            quoted(d.help()),
            d.flags(),
            d.exponent(),
            d.slot(),
            d.size(),
            d.bucket_size(),
            d.group(),
            d.minuend().map_or(0, |minuend| minuend + 1),
            d.level()
        )
    };
    format!("{}: [{}]", schema_name(schema), listed(schema.descriptors(), one))
}

/// Each once: a source's own, and those of the totals, of which the departed have no source any more.
fn schemas(snapshot: &Snapshot) -> String {
    let mut seen = Vec::new();
    for sample in snapshot.sources() {
        for found in sample.totals().map(|total| total.schema()).chain([sample.schema()]) {
            let text = schema(found);
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
    }
    seen.join(", ")
}

fn info(info: SegmentInfo<'_>) -> String {
    let (major, minor) = info.version();
    format!(
        "\"name\": {}, \"labels\": [{}], \"identity\": \"{}\", \"boot_id\": \"{}\", \"incarnation\": {}, \
         \"created_ns\": {}, \"closed_ns\": {}, \"heartbeat_ns\": {}, \"pid\": {}, \"pid_start\": {}, \
         \"major\": {major}, \"minor\": {minor}, \"state\": {}, \"flags\": {}",
        quoted(info.name()),
        listed(info.labels(), quoted),
        hexadecimal(info.identity()),
        hexadecimal(info.boot_id()),
        info.incarnation(),
        info.created_ns(),
        info.closed_ns(),
        info.heartbeat_ns(),
        info.pid(),
        info.pid_start(),
        quoted(info.state().name()),
        info.flags()
    )
}

fn dump(path: &str) -> vmtally::Result<String> {
    let snapshot = Snapshot::of(&mut Reader::attach(path)?)?;
    Ok(format!(
        "{{{}, \"sources\": [{}], \"schemas\": {{{}}}}}",
        info(snapshot.segment()),
        listed(snapshot.sources(), source),
        schemas(&snapshot)
    ))
}

fn dump_sound(path: &str) -> Result<String, String> {
    match vmtally::check(path) {
        Ok((_, why)) if !why.is_empty() => Err(why),
        Ok((state @ (State::Damaged | State::OtherVersion), _)) => Err(state.to_string()),
        Ok(_) => dump(path).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn dump_many() -> io::Result<()> {
    for path in io::stdin().lock().lines() {
        let line = dump_sound(&path?).unwrap_or_else(|why| format!("{{\"error\": {}}}", quoted(&why)));
        println!("{line}");
        io::stdout().flush()?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [stdin] if stdin == "-" => dump_many().map_err(|error| error.to_string()),
        [path] => dump(path)
            .map(|object| println!("{object}"))
            .map_err(|error| error.to_string()),
        _ => {
            eprintln!("usage: dump FILE, or dump - < NAMES");
            return ExitCode::from(2);
        }
    };
    if let Err(why) = result {
        eprintln!("dump: {why}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
