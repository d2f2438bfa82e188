#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A VM whose counters are known: fixed_vm.py LIBVMTALLY NAME [keep | stalled]

Says "ready" when it has counted, then stays until its standard input ends. With keep its segment stays, closed; with
stalled it promises a heartbeat each nanosecond, and has only one.
"""
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p


class Options(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("dir", c_char_p), ("path", c_char_p), ("fd", c_int),
                ("max_sources", c_uint32), ("max_bytes", c_uint64), ("fixed_bytes", c_uint64),
                ("labels", POINTER(c_char_p)), ("heartbeat_interval_ns", c_uint64), ("mode", c_uint32),
                ("keep", c_uint32), ("any_filesystem", c_uint32), ("reserved", c_uint32)]


class Descriptor(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("help", c_char_p), ("flags", c_uint32), ("slot", c_uint32),
                ("bucket_size", c_uint32), ("exponent", ctypes.c_int16), ("size", c_uint16)]


lib = ctypes.CDLL(sys.argv[1])
lib.vmt_schema_find.restype = POINTER(Descriptor)
lib.vmt_shard_acquire.restype = c_void_p


def slot(schema, name):
    return lib.vmt_schema_find(schema, name.encode()).contents.slot


def add(segment, schema, parent, name):
    source = c_void_p()
    error = lib.vmt_source_add(segment, schema, parent, name.encode(), byref(source))
    if error:
        sys.exit(f"{name}: {error}")
    return source, c_void_p(lib.vmt_shard_acquire(source))


def count(shard, schema, **values):
    for name, value in values.items():
        lib.vmt_add_ext(shard, c_uint32(slot(schema, name)), c_uint64(value))


def main():
    vm_schema, vcpu_schema = c_void_p.in_dll(lib, "vmt_schema_vm"), c_void_p.in_dll(lib, "vmt_schema_vcpu")
    vm_schema, vcpu_schema = byref(vm_schema), byref(vcpu_schema)
    segment = c_void_p()
    labels = (c_char_p * 3)(b"zone=a", b"owner=tests", None)
    options = Options(struct_size=ctypes.sizeof(Options), name=sys.argv[2].encode(), labels=labels,
                      keep="keep" in sys.argv[3:], heartbeat_interval_ns="stalled" in sys.argv[3:])
    error = lib.vmt_segment_create(byref(options), byref(segment))
    if error:
        sys.exit(f"{sys.argv[2]}: {error}")

    vm, vm_shard = add(segment, vm_schema, None, "vm")
    count(vm_shard, vm_schema, memory_bytes=512 << 20, vcpus=2)
    _, vcpu0 = add(segment, vcpu_schema, vm, "vcpu-0")
    count(vcpu0, vcpu_schema, exits=2**53 + 1, exit_other=2**64 - 1, run_time=1234567890)
    latency = slot(vcpu_schema, "io_latency_count")
    for ns, times in ((0, 1), (700, 97), (3000, 1), (2**45, 1)):
        for _ in range(times):
            lib.vmt_latency_ext(vcpu0, c_uint32(latency), c_uint32(40), c_uint64(ns))
    _, vcpu1 = add(segment, vcpu_schema, vm, "vcpu-1")
    count(vcpu1, vcpu_schema, exits=5, run_time=10)
    departed, shard = add(segment, vcpu_schema, vm, "vcpu-2")
    count(shard, vcpu_schema, exits=100, run_time=100)
    lib.vmt_shard_release(shard)
    lib.vmt_source_remove(departed)

    lib.vmt_segment_heartbeat(segment)
    print("ready", flush=True)
    sys.stdin.read()
    lib.vmt_segment_close(segment)


if __name__ == "__main__":
    main()
