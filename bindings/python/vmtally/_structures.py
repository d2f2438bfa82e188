# SPDX-License-Identifier: MIT
"""The C structures of the public headers, field for field. tests/python/test_structures.py compares sizes and offsets
with what a C compiler says. Pointers to structures that only the library looks into are c_void_p."""

from ctypes import POINTER, Structure, c_char_p, c_int, c_int16, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64
from ctypes import c_void_p

# C's enum: as large as int in all ABIs that libvmtally is built for.
c_enum = c_int

__all__ = [
    "c_enum",
    "vmt_change",
    "vmt_descriptor",
    "vmt_found",
    "vmt_host_options",
    "vmt_reader_options",
    "vmt_sample",
    "vmt_schema",
    "vmt_segment_info",
    "vmt_segment_options",
    "vmt_shard_sample",
    "vmt_total",
]


class vmt_descriptor(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("help", c_char_p),
        ("flags", c_uint32),
        ("slot", c_uint32),
        ("bucket_size", c_uint32),
        ("exponent", c_int16),
        ("size", c_uint16),
        ("group", c_uint16),
        ("minuend", c_uint16),
        ("level", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class vmt_schema(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("provider", c_char_p),
        ("target", c_char_p),
        ("descriptors", POINTER(vmt_descriptor)),
        ("count", c_uint32),
        ("slots", c_uint32),
    ]


class vmt_found(Structure):
    _fields_ = [("path", c_char_p), ("name", c_char_p)]


class vmt_reader_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("mode", c_enum), ("reserved", c_uint32), ("max_bytes", c_uint64)]


class vmt_host_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("proc", c_char_p),
        ("debugfs", c_char_p),
        ("pid", c_uint32),
        ("once", c_uint32),
    ]


# Of these three, values (and schema, id, name) are addresses: they are read in one go, not a value at a time.
class vmt_shard_sample(Structure):
    _fields_ = [
        ("values", c_void_p),
        ("owner", c_uint32),
        ("held", c_uint32),
        ("flags", c_uint32),
        ("id", c_uint32),
    ]


class vmt_total(Structure):
    _fields_ = [
        ("schema", c_void_p),
        ("values", c_void_p),
        ("departed", c_void_p),
        ("sources", c_uint32),
        ("flags", c_uint32),
    ]


class vmt_sample(Structure):
    _fields_ = [
        ("id", c_char_p),
        ("name", c_char_p),
        ("schema", c_void_p),
        ("values", c_void_p),
        ("totals", c_void_p),
        ("shards", c_void_p),
        ("generation", c_uint64),
        ("created_ns", c_uint64),
        ("entry", c_uint32),
        ("parent", c_uint32),
        ("depth", c_uint32),
        ("total_count", c_uint32),
        ("shard_count", c_uint32),
        ("flags", c_uint32),
    ]


class vmt_segment_info(Structure):
    _fields_ = [
        ("path", c_char_p),
        ("name", c_char_p),
        ("labels", POINTER(c_char_p)),
        ("identity", c_uint8 * 16),
        ("boot_id", c_uint8 * 16),
        ("incarnation", c_uint64),
        ("created_ns", c_uint64),
        ("pid_start", c_uint64),
        ("begin_ns", c_uint64),
        ("end_ns", c_uint64),
        ("realtime_ns", c_uint64),
        ("closed_ns", c_uint64),
        ("heartbeat_ns", c_uint64),
        ("file_bytes", c_uint64),
        ("pid", c_uint32),
        ("uid", c_uint32),
        ("major", c_uint16),
        ("minor", c_uint16),
        ("state", c_enum),
        ("flags", c_uint32),
        ("from_", c_uint32),
    ]


class vmt_change(Structure):
    _fields_ = [("schema", c_void_p), ("values", c_void_p), ("flags", c_uint32), ("reserved", c_uint32)]


class vmt_segment_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("dir", c_char_p),
        ("path", c_char_p),
        ("fd", c_int),
        ("max_sources", c_uint32),
        ("max_bytes", c_uint64),
        ("fixed_bytes", c_uint64),
        ("labels", POINTER(c_char_p)),
        ("heartbeat_interval_ns", c_uint64),
        ("mode", c_uint32),
        ("keep", c_uint32),
        ("any_filesystem", c_uint32),
        ("resume", c_uint32),
        ("why", c_void_p),
        ("why_size", c_size_t),
    ]
