// SPDX-License-Identifier: MIT
//! The host's VMs: segments, and processes where there are such.

mod common;

use common::Directory;
use vmtally::schemas::Vm;
use vmtally::{ErrorKind, HostOptions, Snapshot, Source, State};

#[test]
fn a_host_without_kvm_shows_segments() {
    let dir = Directory::new();
    let segment = dir.segment();
    let vm: Source<Vm> = segment.add("vm").unwrap();
    vm.acquire().interrupts_triggers.add(3);
    let empty = dir.path().join("proc");
    std::fs::create_dir(&empty).unwrap();
    let host = HostOptions::new().proc(&empty).debugfs(&empty).open().unwrap();
    host.look().unwrap();
    let found = host.discover(Some(dir.path())).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].path.as_path()),
        ("test-1", segment.path())
    );
    let mut reader = host.attach(&found[0].path).unwrap();
    assert_eq!(reader.path(), segment.path());
    assert_eq!(reader.state(), State::Live);
    let mut taken = Snapshot::new().unwrap();
    for _ in 0..2 {
        host.look().unwrap();
        taken.take(&mut reader).unwrap();
    }
    drop(reader);
    host.drop_ended();
    assert_eq!(host.trouble(None), "");
    assert_eq!(host.trouble(Some(segment.path())), "");
    drop(host);
    let sample = taken.find("vm").unwrap();
    assert_eq!(sample.get(|m: &Vm| &m.interrupts_triggers), Some(3));
    assert!(!sample.is_kernel());
    assert_eq!(taken.segment().from(), 1);
}

#[test]
fn a_process_without_vms_is_an_error() {
    let dir = Directory::new();
    let empty = dir.path().join("proc");
    std::fs::create_dir(&empty).unwrap();
    let host = HostOptions::new()
        .proc(&empty)
        .debugfs(&empty)
        .once(true)
        .open()
        .unwrap();
    host.look().unwrap();
    let missing = host.attach("/proc/1").unwrap_err();
    assert_eq!((missing.errno(), missing.context()), (3, "attach /proc/1"));
    assert_eq!(host.look().unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(host.attach("/no/such.vmt").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        HostOptions::new().proc("a\0").open().unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn kvm_descriptors_of_another_kind_are_refused() {
    let dir = Directory::new();
    let segment = dir.segment();
    let vm: Source<Vm> = segment.add("vm").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = vm.add_kvm(&file).unwrap_err();
    assert_eq!(error.context(), "add KVM's counters of vm to test-1");
    segment.sample_kvm().unwrap();
    let short = segment
        .sample_kvm_every(std::time::Duration::from_nanos(1))
        .unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidInput);
}
