# SPDX-License-Identifier: MIT
"""Which VMs there are, and which of them a name means."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Callable, List, NamedTuple, Optional, Union

from ._errors import ensure, ensure_opened, failure, path_bytes
from ._info import State
from ._library import lib
from ._reader import Reader, open_reader, options
from ._structures import vmt_found, vmt_reader_options

__all__ = ["Found", "Verdict", "attach", "check", "discover"]

Path = Union[str, "os.PathLike[str]"]
_Open = Callable[[str], Reader]
_Search = Callable[[Optional[bytes], bytes, vmt_reader_options, object], int]  # the directory, the name, how to read

_PLACES_BYTES = 4096


class Found(NamedTuple):
    """A file that may be a segment; nothing was opened yet. A value."""

    name: str
    """The file's name without its suffix: most often the VM's."""
    path: str

    def attach(self, *, guarded: bool = False, max_bytes: int = 0) -> Reader:
        """See vmtally.attach()."""
        return open_reader(self.path, guarded, max_bytes)


def found_by(ask: Callable[[Optional[bytes], object], int], dir: Optional[Path]) -> List[Found]:
    """What one of the library's functions finds in dir."""
    array = ctypes.POINTER(vmt_found)()
    place = None if dir is None else os.fspath(dir)
    count = ensure(ask(None if place is None else path_bytes(place), array), "look for VMs in", place or places())
    try:
        return [Found(os.fsdecode(array[i].name), os.fsdecode(array[i].path)) for i in range(count)]
    finally:
        lib.vmt_found_free(array, count)


def discover(dir: Optional[Path] = None) -> List[Found]:
    """All segments in dir, or in $VMTALLY_DIR, or where that is not set in all of /run/vmtally,
    $XDG_RUNTIME_DIR/vmtally and /dev/shm/vmtally-UID; sorted by name. Directories that do not exist have none. NotFound
    (dir was named and does not exist); Denied; OSError."""
    return found_by(lib.vmt_discover, dir)


def places() -> str:
    """Where discover() looks, in words."""
    text = ctypes.create_string_buffer(_PLACES_BYTES)
    lib.vmt_discover_places(None, text, len(text))
    return text.value.decode("utf-8", "replace")


def attach(vm: Path, *, dir: Optional[Path] = None, guarded: bool = False, max_bytes: int = 0) -> Reader:
    """Attach, read-only, to the VM that vm names: a path if it contains a "/" (or is a pathlib.Path), else the whole
    name of a VM in dir (as for discover()): of its file, else the name that stands in it. A file of somebody who may
    not give names there (SegmentInfo.foreign) is taken only where there is no other. Needs read permission only.

    guarded: map the file instead of copying it, some ten times faster; takes the process's SIGBUS handler, and falls
    back to copying where that has been replaced. max_bytes: of a file that is read at most, 0: 256 MiB.

    NotFound; Denied; NotASegment; NotReady; Damaged; OtherVersion; NoMemory; Error with errno ENOTUNIQ where several
    VMs have that name; OSError.
    """

    def search(place: Optional[bytes], name: bytes, how: vmt_reader_options, array: object) -> int:
        return int(lib.vmt_host_find(None, place, name, how, array))

    return attach_by(vm, search, lambda path: open_reader(path, guarded, max_bytes), dir, options(guarded, max_bytes))


def attach_by(vm: Path, search: _Search, open_: _Open, dir: Optional[Path], how: vmt_reader_options) -> Reader:
    """attach(), with other ways to search and to open."""
    if not isinstance(vm, str) or "/" in vm:
        return open_(os.fsdecode(vm))
    name = path_bytes(vm)
    found = found_by(lambda place, array: search(place, name, how, array), dir)
    if len(found) == 1:
        return open_(found[0].path)
    if found:
        paths = ", ".join(f.path for f in found)
        raise failure(errno.ENOTUNIQ, "attach", vm, f"several VMs have this name: {paths}; attach to a path")
    words = f"no such VM in {places() if dir is None else os.fspath(dir)}; discover() has those that there are"
    raise failure(errno.ENOENT, "attach", vm, words)


class Verdict(NamedTuple):
    """What check() says. A value."""

    state: State
    why: str
    """What is wrong, in one line; "" if nothing."""


def check(path: Path) -> Verdict:
    """The verdict on the segment at path, every block of it looked at. Takes 0.6 s where a change is under way, to tell
    a stall from a moment. What attach() raises, where it is no segment."""
    why = ctypes.create_string_buffer(512)
    state = ensure_opened(lib.vmt_check(path_bytes(path), why, len(why)), "check", os.fspath(path))
    return Verdict(State(state), why.value.decode("utf-8", "replace"))
