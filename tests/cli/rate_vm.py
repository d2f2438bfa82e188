#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A VM that counts at a known rate: rate_vm.py LIBVMTALLY NAME RATE

Its only vCPU has RATE exits a second, as exactly as its clock is. Says "ready", then counts until its standard input ends.
"""
import ctypes
import select
import sys
import time
from ctypes import byref, c_char_p, c_size_t, c_uint32, c_uint64, c_void_p


class Options(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("rest", c_uint64 * 16)]


class Descriptor(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("help", c_char_p), ("flags", c_uint32), ("slot", c_uint32)]


lib = ctypes.CDLL(sys.argv[1])
lib.vmt_schema_find.restype = ctypes.POINTER(Descriptor)
lib.vmt_shard_acquire.restype = c_void_p


def main():
    schema = byref(c_void_p.in_dll(lib, "vmt_schema_vcpu"))
    segment, vcpu = c_void_p(), c_void_p()
    # No more than what is set: a size that the library knew in its first version.
    options = Options(struct_size=16, name=sys.argv[2].encode())
    error = lib.vmt_segment_create(byref(options), byref(segment))
    error = error or lib.vmt_source_add(segment, schema, None, b"vcpu-0", byref(vcpu))
    if error:
        sys.exit(f"{sys.argv[2]}: {error}")
    shard = c_void_p(lib.vmt_shard_acquire(vcpu))
    slot = c_uint32(lib.vmt_schema_find(schema, b"exits").contents.slot)
    rate, counted, start = int(sys.argv[3]), 0, time.monotonic()
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        due = int((time.monotonic() - start) * rate) - counted
        lib.vmt_add_ext(shard, slot, c_uint64(due))
        counted += due
    lib.vmt_segment_close(segment)


main()
