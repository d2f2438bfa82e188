// SPDX-License-Identifier: MIT
//! Snapshots in other programs' formats.
#![cfg(feature = "export")]

mod common;

use common::{snapshot, Directory};
use vmtally::export::{self, FirecrackerLines, Metrics, MetricsFormat, MsgpackStream};
use vmtally::prelude::*;
use vmtally::schemas::{Program, Vcpu, Vm};
use vmtally::{ErrorKind, Reader, Snapshot};

fn segment_of(dir: &Directory) -> (Segment, Source<Vm>, Source<Vcpu>) {
    let segment = dir.segment();
    let vm: Source<Vm> = segment.add("vm").unwrap();
    let vcpu: Source<Vcpu> = vm.add("vcpu-0").unwrap();
    vcpu.count(|m| &m.exit_io_in, (1 << 60) + 1);
    (segment, vm, vcpu)
}

#[test]
fn json_is_exact() {
    let dir = Directory::new();
    let (segment, _vm, _vcpu) = segment_of(&dir);
    let taken = snapshot(&segment);
    let line = export::json(&taken, false).unwrap();
    assert!(line.contains("1152921504606846977") && line.ends_with("}\n"), "{line}");
    assert_eq!(line.lines().count(), 1);
    assert!(export::json(&taken, true).unwrap().lines().count() > 10);
}

#[test]
fn msgpack_sends_names_once() {
    let dir = Directory::new();
    let (segment, _vm, _vcpu) = segment_of(&dir);
    let taken = snapshot(&segment);
    let mut stream = MsgpackStream::new().unwrap();
    let first = stream.encode(&taken).unwrap();
    let second = stream.encode(&taken).unwrap();
    assert!(first.len() > 2 * second.len() && !second.is_empty());
    stream.reset();
    assert_eq!(stream.encode(&taken).unwrap().len(), first.len());
    let name = b"exit_io_in";
    assert!(export::msgpack(&taken)
        .unwrap()
        .windows(name.len())
        .any(|bytes| bytes == name));
}

#[test]
fn metrics_are_in_both_formats() {
    let dir = Directory::new();
    let (segment, _vm, _vcpu) = segment_of(&dir);
    let mut metrics = Metrics::new().unwrap();
    metrics.add(&snapshot(&segment), Some("another-name")).unwrap();
    let open = metrics.write(MetricsFormat::OpenMetrics).unwrap();
    assert!(
        open.ends_with("# EOF\n") && open.contains("vm=\"another-name\""),
        "{open}"
    );
    assert!(!metrics.write(MetricsFormat::Prometheus).unwrap().contains("# EOF"));
    metrics.clear();
    assert!(!metrics
        .write(MetricsFormat::OpenMetrics)
        .unwrap()
        .contains("another-name"));
    assert_eq!(
        metrics.add(&snapshot(&segment), Some("a\0")).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn a_line_that_was_not_kept_is_told_by_the_next() {
    let dir = Directory::new();
    let (segment, _vm, vcpu) = segment_of(&dir);
    let mut lines = FirecrackerLines::new().unwrap();
    lines.encode(&snapshot(&segment), None).unwrap().keep();
    vcpu.count(|m| &m.exit_io_in, 4);
    drop(lines.encode(&snapshot(&segment), None).unwrap());
    let line = lines.encode(&snapshot(&segment), Some("vm-7")).unwrap();
    assert!(line.text().contains("\"id\":\"vm-7\""), "{}", line.text());
    assert!(line.text().contains("\"exit_io_in\":4,"), "{}", line.text());
    assert!(line.text().contains("\"missed_metrics_count\":1,"), "{}", line.text());
    line.keep();
    let next = lines.encode(&snapshot(&segment), None).unwrap();
    assert!(next.text().contains("\"exit_io_in\":0,"), "{}", next.text());
}

#[test]
fn programs_make_tinykvms_document() {
    let dir = Directory::new();
    let segment = dir.segment();
    let _program: Source<Program> = segment.add("hello.com").unwrap();
    let mut taken = Snapshot::new().unwrap();
    taken.want_shards(true);
    taken.take(&mut Reader::attach(segment.path()).unwrap()).unwrap();
    assert!(export::tinykvm(&taken, None, false).unwrap().contains("\"hello.com\""));
    assert_eq!(export::tinykvm(&taken, Some("no.*"), false).unwrap(), "");
    assert_eq!(
        export::tinykvm(&taken, Some("("), false).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn a_source_is_a_statistics_file_of_kvms() {
    let dir = Directory::new();
    let (segment, _vm, _vcpu) = segment_of(&dir);
    let taken = snapshot(&segment);
    let file = export::kvm(&taken, &taken.find("vm/vcpu-0").unwrap()).unwrap();
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(
        (word(0), word(4)),
        (0, 48),
        "flags and name_size of struct kvm_stats_header"
    );
    assert_eq!(word(8) as usize, taken.find("vm/vcpu-0").unwrap().schema().len());
}
