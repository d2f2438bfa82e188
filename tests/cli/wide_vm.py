#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A VM with many vCPUs whose counters are known: wide_vm.py LIBVMTALLY NAME VCPUS. Otherwise as fixed_vm.py."""
import ctypes
import sys
from ctypes import byref, c_uint64, c_void_p

from fixed_vm import Options, add, count, lib


def main():
    vcpus = int(sys.argv[3])
    schema = byref(c_void_p.in_dll(lib, "vmt_schema_vcpu"))
    segment = c_void_p()
    options = Options(struct_size=ctypes.sizeof(Options), name=sys.argv[2].encode(), max_sources=vcpus + 8,
                      max_bytes=c_uint64(64 << 20).value)
    error = lib.vmt_segment_create(byref(options), byref(segment))
    if error:
        sys.exit(f"{sys.argv[2]}: {error}")
    for i in range(vcpus):
        _, shard = add(segment, schema, None, f"vcpu-{i}")
        count(shard, schema, exits=2**63 + i, run_time=i)
    print("ready", flush=True)
    sys.stdin.read()
    lib.vmt_segment_close(segment)


main()
