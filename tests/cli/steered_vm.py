#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A VM that counts what it is told: steered_vm.py LIBVMTALLY NAME [keep]

Each line of standard input is done, and answered by a line "done":
    source PARENT-ID SCHEMA NAME   add a source below PARENT-ID ("-": the segment); SCHEMA as in vmt_schema_SCHEMA
    add ID STATISTIC VALUE         count
    set ID STATISTIC VALUE
    remove ID
It ends with its input, and closes its segment; its id is then gone, or (keep) stays.
"""
import ctypes
import sys
from ctypes import byref, c_uint32, c_uint64, c_void_p

import fixed_vm
from fixed_vm import lib


class Steered:
    def __init__(self, name, keep):
        self.segment = c_void_p()
        options = fixed_vm.Options(struct_size=ctypes.sizeof(fixed_vm.Options), name=name.encode(), keep=keep)
        error = lib.vmt_segment_create(byref(options), byref(self.segment))
        if error:
            sys.exit(f"{name}: {error}")
        self.sources = {"-": (None, None, None)}

    def source(self, parent, schema, name):
        schema = byref(c_void_p.in_dll(lib, "vmt_schema_" + schema))
        identity = name if parent == "-" else f"{parent}/{name}"
        handle, shard = fixed_vm.add(self.segment, schema, self.sources[parent][0], name)
        self.sources[identity] = (handle, shard, schema)

    def slot(self, identity, statistic):
        _, shard, schema = self.sources[identity]
        return shard, c_uint32(fixed_vm.slot(schema, statistic))

    def add(self, identity, statistic, value):
        lib.vmt_add_ext(*self.slot(identity, statistic), c_uint64(int(value)))

    def set(self, identity, statistic, value):
        lib.vmt_set_ext(*self.slot(identity, statistic), c_uint64(int(value)))

    def remove(self, identity):
        handle, shard, _ = self.sources.pop(identity)
        lib.vmt_shard_release(shard)
        lib.vmt_source_remove(handle)


def main():
    vm = Steered(sys.argv[2], "keep" in sys.argv[3:])
    print("done", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        getattr(vm, command)(*arguments)
        print("done", flush=True)
    lib.vmt_segment_close(vm.segment)


if __name__ == "__main__":
    main()
