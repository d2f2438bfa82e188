// SPDX-License-Identifier: MIT
//! The host's VMs: segments, and processes where there are such.

mod common;

use common::Directory;
use std::fs::File;
use std::os::raw::{c_int, c_ulong};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};
use vmtally::schemas::Vm;
use vmtally::{ErrorKind, HostOptions, Reader, Snapshot, Source, State};

extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
}

const KVM_CREATE_VM: c_ulong = 0xae01;
const KVM_GET_STATS_FD: c_ulong = 0xaece;

/// A VM of the kernel's whose counters can be read; None where there is no KVM, or an old one.
fn kernel_vm() -> Option<OwnedFd> {
    let kvm = File::options().read(true).write(true).open("/dev/kvm").ok()?;
    // SAFETY: what an ioctl gives is the caller's.
    let create = |fd: c_int, request| match unsafe { ioctl(fd, request, 0 as c_ulong) } {
        -1 => None,
        fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
    };
    let vm = create(kvm.as_raw_fd(), KVM_CREATE_VM)?;
    create(vm.as_raw_fd(), KVM_GET_STATS_FD).map(|_| vm)
}

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
    assert_eq!(host.find(Some(dir.path()), "test-1").unwrap(), found);
    assert_eq!(host.find(Some(dir.path()), "test").unwrap(), []);
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
    let file = File::open("/dev/null").unwrap();
    let error = vm.add_kvm(&file).unwrap_err();
    assert_eq!(error.context(), "add KVM's counters of vm to test-1");
    segment.sample_kvm().unwrap();
    let short = segment
        .sample_kvm_every(std::time::Duration::from_nanos(1))
        .unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_the_kernel_counts_stands_beside() {
    let kvm = match kernel_vm() {
        Some(kvm) => kvm,
        None => return eprintln!("left out: no KVM with statistics here"),
    };
    let dir = Directory::new();
    let segment = dir.segment();
    let vm: Source<Vm> = segment.add("vm").unwrap();
    vm.add_kvm(&kvm).unwrap();
    assert_eq!(vm.add_kvm(&kvm).unwrap_err().kind(), ErrorKind::AlreadyExists);

    // Copied by the VMM, for any reader.
    segment.sample_kvm().unwrap();
    let copied = Snapshot::of(&mut Reader::attach(segment.path()).unwrap()).unwrap();
    let copy = copied.find("vm/kvm").unwrap();
    assert_eq!((copy.schema().provider(), copy.schema().target()), ("kvm", "vm"));
    assert!(!copy.is_kernel() && copy.statistics().len() > 0);
    assert_eq!(copied.subject(&copy).unwrap().id(), "vm");

    // Read from the kernel itself, which a process may of its own.
    let host = HostOptions::new().pid(std::process::id()).open().unwrap();
    host.look().unwrap();
    let mut reader = host.attach(segment.path()).unwrap();
    let read = Snapshot::of(&mut reader).unwrap();
    if host.trouble(None).is_empty() {
        assert!(read.find("vm/kvm").unwrap().is_kernel());
    }
    let sample = read.find("vm/kvm").unwrap();
    let mut values = vec![0; sample.schema().slots()];
    reader.sample(&sample, &mut values).unwrap();
    assert_eq!(values, sample.values().slots());
    drop(reader);
    drop(host);
    assert_eq!(
        read.find("vm/kvm").unwrap().schema().provider(),
        "kvm",
        "what was taken stays"
    );
}
