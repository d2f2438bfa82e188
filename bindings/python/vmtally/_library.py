# SPDX-License-Identifier: MIT
"""Finding libvmtally.so.1 and declaring its functions.

It is looked for in the directory $VMTALLY_LIBRARY_PATH where that is set, else wherever the dynamic loader looks. Where
it is missing, importing vmtally raises an ImportError that says what to do.

Functions that may wait or take long let other Python threads run meanwhile; the short ones keep the GIL, which costs
half as much and means that nobody comes between.
"""

import ctypes
import os
import re
from ctypes import POINTER, c_char_p, c_double, c_int, c_int64, c_long, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, List, Tuple

from ._structures import c_enum, vmt_descriptor, vmt_found, vmt_host_options, vmt_reader_options, vmt_segment_options

SONAME = "libvmtally.so.1"
VARIABLE = "VMTALLY_LIBRARY_PATH"

_Prototypes = Dict[str, Tuple[Any, List[Any]]]
_shard, _source, _segment, _out = c_void_p, c_void_p, c_void_p, POINTER(c_void_p)

# Run without the GIL.
_LONG: _Prototypes = {
    "vmt_discover": (c_long, [c_char_p, POINTER(POINTER(vmt_found))]),
    "vmt_check": (c_int, [c_char_p, c_char_p, c_size_t]),
    "vmt_reader_open": (c_int, [c_char_p, POINTER(vmt_reader_options), _out]),
    "vmt_reader_open_host": (c_int, [c_void_p, c_char_p, POINTER(vmt_reader_options), _out]),
    "vmt_reader_state": (c_enum, [c_void_p]),
    "vmt_reader_sample": (c_int, [c_void_p, c_void_p, c_void_p]),
    "vmt_snapshot_take": (c_int, [c_void_p, c_void_p]),
    "vmt_host_look": (c_int, [c_void_p]),
    "vmt_host_discover": (c_long, [c_void_p, c_char_p, POINTER(POINTER(vmt_found))]),
    "vmt_host_find": (
        c_long,
        [c_void_p, c_char_p, c_char_p, POINTER(vmt_reader_options), POINTER(POINTER(vmt_found))],
    ),
}

# Short, or in a place where nobody may come between: with the GIL.
_SHORT: _Prototypes = {
    "vmt_discover_places": (c_char_p, [c_char_p, c_char_p, c_size_t]),
    "vmt_found_free": (None, [POINTER(vmt_found), c_long]),
    "vmt_reader_close": (None, [c_void_p]),
    "vmt_state_name": (c_char_p, [c_enum]),
    "vmt_snapshot_new": (c_int, [_out]),
    "vmt_snapshot_free": (None, [c_void_p]),
    "vmt_snapshot_want_shards": (None, [c_void_p, c_int]),
    "vmt_snapshot_segment": (c_void_p, [c_void_p]),
    "vmt_snapshot_count": (c_size_t, [c_void_p]),
    "vmt_snapshot_source": (c_void_p, [c_void_p, c_size_t]),
    "vmt_snapshot_pid": (c_uint32, [c_void_p]),
    "vmt_snapshot_subject": (c_size_t, [c_void_p, c_size_t]),
    "vmt_sample_total": (c_int, [c_void_p, POINTER(vmt_descriptor), c_void_p]),
    "vmt_bucket_bounds": (None, [POINTER(vmt_descriptor), c_uint32, POINTER(c_uint64), POINTER(c_uint64)]),
    "vmt_quantile": (c_int, [POINTER(vmt_descriptor), c_void_p, c_double, POINTER(c_uint64), POINTER(c_uint64)]),
    "vmt_delta_new": (c_int, [_out]),
    "vmt_delta_free": (None, [c_void_p]),
    "vmt_delta_compute": (c_int, [c_void_p, c_void_p, c_void_p]),
    "vmt_delta_seconds": (c_double, [c_void_p]),
    "vmt_delta_source": (c_void_p, [c_void_p, c_size_t]),
    "vmt_delta_total": (c_void_p, [c_void_p, c_size_t, c_size_t]),
    "vmt_host_new": (c_int, [POINTER(vmt_host_options), _out]),
    "vmt_host_free": (None, [c_void_p]),
    "vmt_host_trouble": (c_uint32, [c_void_p, c_char_p, c_char_p, c_size_t]),
    # the writer's; segment.h
    "vmt_segment_create": (c_int, [POINTER(vmt_segment_options), _out]),
    "vmt_segment_close": (None, [_segment]),
    "vmt_segment_ready": (None, [_segment]),
    "vmt_segment_hand_over": (c_int, [_segment]),
    "vmt_segment_path": (c_char_p, [_segment]),
    "vmt_segment_name": (c_char_p, [_segment]),
    "vmt_segment_heartbeat": (None, [_segment]),
    "vmt_source_add": (c_int, [_segment, c_void_p, _source, c_char_p, _out]),
    "vmt_source_remove": (None, [_source]),
    "vmt_shard_acquire": (_shard, [_source]),
    "vmt_shard_release": (None, [_shard]),
    # the hot path's twins; count.h
    "vmt_count": (None, [_source, c_uint32, c_uint64]),
    "vmt_add_ext": (None, [_shard, c_uint32, c_uint64]),
    "vmt_set_ext": (None, [_shard, c_uint32, c_uint64]),
    "vmt_peak_ext": (None, [_shard, c_uint32, c_uint64]),
    "vmt_minimum_ext": (None, [_shard, c_uint32, c_uint64]),
    "vmt_peak_signed_ext": (None, [_shard, c_uint32, c_int64]),
    "vmt_minimum_signed_ext": (None, [_shard, c_uint32, c_int64]),
    "vmt_record_log_ext": (None, [_shard, c_uint32, c_uint32, c_uint64]),
    "vmt_record_linear_ext": (None, [_shard, c_uint32, c_uint32, c_uint32, c_uint64]),
    "vmt_begin_ext": (None, [_shard]),
    "vmt_end_ext": (None, [_shard]),
    "vmt_latency_ext": (None, [_shard, c_uint32, c_uint32, c_uint64]),
}


class Library:
    """The functions of the headers by their names, and the path by which the library was opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._long = ctypes.CDLL(path)
        self._short = ctypes.PyDLL(path, handle=self._long._handle)
        for loader, prototypes in ((self._long, _LONG), (self._short, _SHORT)):
            for name, (restype, argtypes) in prototypes.items():
                function = loader[name]
                function.restype = restype
                function.argtypes = argtypes
                setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in vmtally._library")

    def address_of(self, symbol: str) -> int:
        """Where the library's data object symbol (vmt_scratch, vmt_schema_vm) is. ValueError where it has none."""
        return ctypes.addressof(ctypes.c_char.in_dll(self._short, symbol))


def _others(directory: str) -> str:
    """What else there is: most often one of another major version."""
    try:
        names = sorted(n for n in os.listdir(directory) if re.match(r"libvmtally\.so\.\d+$", n) and n != SONAME)
    except OSError:
        return ""
    return f"; there is {', '.join(names)}, of another major version, which this package cannot use" if names else ""


def _not_there(error: OSError, path: str) -> ImportError:
    directory = os.path.dirname(path)
    if directory:
        if os.path.exists(path):
            return ImportError(f"{path} can't be loaded: {error}", path=path)
        return ImportError(f"no {SONAME} in {directory} (${VARIABLE}){_others(directory)}", path=path)
    why = "" if "No such file" in str(error) else f": {error}"
    others = "".join(_others(d) for d in ("/usr/local/lib", "/usr/lib", "/lib"))
    return ImportError(
        f"{SONAME}, which vmtally needs, is not found{why}{others}. Install libvmtally 1.x; or run ldconfig, where it"
        f" has just been installed; or set ${VARIABLE} to the directory that it is in"
    )


def open_library(directory: str = "") -> Library:
    """The library in directory, or ("") where the loader finds it. ImportError says what to do."""
    path = os.path.join(directory, SONAME) if directory else SONAME
    try:
        return Library(path)
    except OSError as e:
        raise _not_there(e, path) from None
    except AttributeError as e:
        raise ImportError(f"{path} is older than this package of vmtally, or is something else: {e}") from None


lib = open_library(os.environ.get(VARIABLE, ""))
