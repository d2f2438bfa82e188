#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A process that has VMs and has never heard of vmtally: kvm_vm.py HOW:VCPUS... [ARGUMENT...]

Makes a VM for each, of so many vCPUs, the first of which makes 100 exits. HOW: "held" keeps the statistics fds of all
open, "vcpus" those of its vCPUs alone, as QEMU 8.1 does, "bare" none. Arguments behind are for those who look at the
command line. KVM is standard input, if that is a device. Says "ready", then stays until its standard output is closed,
or somebody ends it.
"""
import ctypes
import fcntl
import mmap
import os
import select
import stat
import struct
import sys

CREATE_VM, GET_VCPU_MMAP_SIZE = 0xAE01, 0xAE04
CREATE_VCPU, SET_USER_MEMORY_REGION, GET_STATS_FD = 0xAE41, 0x4020AE46, 0xAECE
RUN, SET_REGS, GET_SREGS, SET_SREGS = 0xAE80, 0x4090AE82, 0x8138AE83, 0x4138AE84
EXITS = 100
GUEST = b"\xe6\x10\xeb\xfc"  # out %al, $0x10; and again


def make_exits(kvm, vm, vcpu):
    memory = mmap.mmap(-1, 4096)
    memory[: len(GUEST)] = GUEST
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(vm, SET_USER_MEMORY_REGION, struct.pack("IIQQQ", 0, 0, 0, 4096, address))
    mmap.mmap(vcpu, fcntl.ioctl(kvm, GET_VCPU_MMAP_SIZE, 0))
    segments = bytearray(312)
    fcntl.ioctl(vcpu, GET_SREGS, segments)
    segments[0:8] = bytes(8)  # cs: base 0, selector 0
    segments[12:14] = bytes(2)
    fcntl.ioctl(vcpu, SET_SREGS, bytes(segments))
    fcntl.ioctl(vcpu, SET_REGS, struct.pack("18Q", *[0] * 17, 2))
    for _ in range(EXITS):
        fcntl.ioctl(vcpu, RUN, 0)
    return memory


def main():
    given = stat.S_ISCHR(os.fstat(0).st_mode) and os.readlink("/proc/self/fd/0") == "/dev/kvm"
    kvm = 0 if given else os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    kept = []
    for how, vcpus in (word.split(":") for word in sys.argv[1:] if word.split(":")[0] in ("held", "vcpus", "bare")):
        vm = fcntl.ioctl(kvm, CREATE_VM, 0)
        fds = [fcntl.ioctl(vm, CREATE_VCPU, n) for n in range(int(vcpus))]
        if fds:
            kept.append(make_exits(kvm, vm, fds[0]))
        if how == "held":
            fcntl.ioctl(vm, GET_STATS_FD, 0)
        if how != "bare":
            kept += [fcntl.ioctl(vcpu, GET_STATS_FD, 0) for vcpu in fds]
        print("vm", vm, flush=True)
    print("ready", flush=True)
    poll = select.poll()
    poll.register(1, select.POLLERR)
    poll.poll()


main()
