// SPDX-License-Identifier: MIT
//! What an error says, to people and to programs.
#![deny(unsafe_code)]

mod common;

use common::Directory;
use std::fs::{self, File};
use vmtally::schemas::{Vcpu, Vm};
use vmtally::{ErrorKind, Reader, Segment, Source};

const ID: &str = "an id is 1 to 47 printable characters without '/' and space";
const NUL: &str = "a NUL inside of a string";

#[test]
fn a_main_that_ends_with_one_says_why() {
    let dir = Directory::new();
    let path = dir.path().join("text");
    fs::write(&path, "hello, this is no segment").unwrap();
    let shown = format!("{:?}", Reader::attach(&path).unwrap_err());
    for part in [
        format!("context: \"attach {}\"", path.display()),
        "reason: \"not a segment\"".into(),
        "kind: NotASegment".into(),
        "errno: 124".into(),
    ] {
        assert!(shown.starts_with("Error { ") && shown.contains(&part), "{shown}");
    }
}

#[test]
fn a_nul_is_all_that_is_wrong_with_a_string_that_has_one() {
    let dir = Directory::new();
    let segment = dir.segment();
    for (error, context) in [
        (Reader::attach("a\0b").unwrap_err(), "attach a\0b"),
        (segment.add::<Vm>("x\0y").unwrap_err(), "add x\0y to test-1"),
        (
            Segment::builder().name("a\0b").create().unwrap_err(),
            "create segment a\0b",
        ),
        (vmtally::check("a\0b").unwrap_err(), "check a\0b"),
    ] {
        assert_eq!((error.kind(), error.context()), (ErrorKind::InvalidInput, context));
        assert_eq!(error.to_string(), format!("{context}: {NUL}"));
    }
}

#[test]
fn what_is_too_long_is_told_how_long_it_may_be() {
    let dir = Directory::new();
    let segment = dir.segment();
    for id in ["x".repeat(48), "x y".into()] {
        let error = segment.add::<Vm>(&id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), format!("{}: {ID}", error.context()));
    }
    for (builder, said) in [
        (
            dir.builder().name("x".repeat(64)),
            "too long: a name has at most 63 bytes",
        ),
        (
            dir.builder().label("a", &"x".repeat(1021)),
            "all labels together less than 1 KiB",
        ),
        (dir.builder().dir("/x".repeat(4096)), "a path less than 4 KiB"),
        (dir.builder().name("x y"), "a name is 1 to 63 of [A-Za-z0-9._:@+-]"),
    ] {
        let error = builder.create().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    drop(segment);
    dir.builder().label("a", &"x".repeat(1020)).create().unwrap();
}

#[test]
fn an_option_that_can_not_be_is_named() {
    let dir = Directory::new();
    let error = dir.builder().heartbeat_interval(std::time::Duration::MAX).create();
    assert_eq!(
        error.unwrap_err().to_string(),
        "create segment test-1: a heartbeat_interval of more than 584 years"
    );
    let error = dir.builder().max_bytes(1).create().unwrap_err();
    assert!(error.to_string().contains("max_bytes"), "{error}");
}

#[test]
fn what_is_no_kvm_descriptor_is_told_so() {
    let dir = Directory::new();
    let segment = dir.segment();
    let (file, vm) = (File::open("/dev/null").unwrap(), segment.add("vm").unwrap());
    let vcpu: Source<Vcpu> = Source::<Vm>::add(&vm, "vcpu").unwrap();
    for (error, id) in [(vm.add_kvm(&file), "vm"), (vcpu.add_kvm(&file), "vm/vcpu")] {
        let said = error.unwrap_err().to_string();
        let why = "no KVM file descriptor of this source's kind, \"vm\" or \"vcpu\"";
        assert_eq!(said, format!("add KVM's counters of {id} to test-1: {why}"));
    }
}

#[test]
fn why_what_was_found_can_not_be_gone_on_with_is_said_once() {
    let dir = Directory::new();
    let file = dir.path().join("text.vmt");
    fs::write(&file, [7; 8192]).unwrap();
    let error = Segment::builder().path(&file).resume(true).create().unwrap_err();
    assert_eq!(error.context(), format!("create segment {}", file.display()));
    let said = error.to_string();
    let why = said.strip_prefix(error.context()).unwrap();
    assert!(why.starts_with(": ") && why.contains("wrong magic"), "{said}");
    assert_eq!(why.matches("not a segment").count(), 1, "{said}");
}

#[test]
fn what_failed_is_not_hidden_by_what_was_found_before() {
    let dir = Directory::new();
    fs::write(dir.path().join("test-1.vmt"), [7; 8192]).unwrap();
    let builder = dir.builder().resume(true).max_sources(1 << 20); // which do not fit
    let said = builder.create().unwrap_err().to_string();
    assert!(said.contains("have no room for max_sources"), "{said}");
    assert!(said.ends_with("; test-1~1.vmt: not a segment: wrong magic"), "{said}");
}
