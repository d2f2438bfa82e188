# SPDX-License-Identifier: MIT
"""Which VMs there are, and which of them a name means."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from typing import Callable, List, NamedTuple, Optional, Union

from ._errors import Error, ensure, ensure_opened, failure, path_bytes
from ._info import State
from ._library import lib
from ._reader import Reader, open_reader
from ._structures import vmt_found

__all__ = ["Found", "Verdict", "attach", "check", "discover"]

Path = Union[str, "os.PathLike[str]"]
_Open = Callable[[str], Reader]


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
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    usual = ["/run/vmtally", *([f"{runtime}/vmtally"] if runtime else []), f"/dev/shm/vmtally-{os.geteuid()}"]
    return os.environ.get("VMTALLY_DIR") or ", ".join(usual)


def attach(vm: Path, *, dir: Optional[Path] = None, guarded: bool = False, max_bytes: int = 0) -> Reader:
    """Attach, read-only, to the VM that vm names: a path if it contains a "/" (or is a pathlib.Path), else the whole
    name of a VM in dir (as for discover()). Needs read permission only.

    guarded: map the file instead of copying it, some ten times faster; takes the process's SIGBUS handler, and falls
    back to copying where that has been replaced. max_bytes: of a file that is read at most, 0: 256 MiB.

    NotFound; Denied; NotASegment; NotReady; Damaged; OtherVersion; NoMemory; Error with errno ENOTUNIQ where several
    VMs have that name; OSError.
    """
    return attach_by(vm, lambda: discover(dir), lambda path: open_reader(path, guarded, max_bytes), dir)


def attach_by(vm: Path, find: Callable[[], List[Found]], open_: _Open, dir: Optional[Path]) -> Reader:
    """attach(), with other ways to find and to open."""
    if not isinstance(vm, str) or "/" in vm:
        return open_(os.fsdecode(vm))
    found = find()
    named = [f for f in found if f.name == vm]
    chosen = _sure(named, vm, open_) or _sure([f for f in found if f.name != vm], vm, open_) or [f.path for f in named]
    if len(chosen) == 1:
        return open_(chosen[0])
    if chosen:
        words = f"several VMs have this name: {', '.join(chosen)}; attach to a path"
        raise failure(errno.ENOTUNIQ, "attach", vm, words)
    words = f"no such VM in {places() if dir is None else os.fspath(dir)}; discover() has those that there are"
    raise failure(errno.ENOENT, "attach", vm, words)


def _sure(found: List[Found], vm: str, open_: _Open) -> List[str]:
    """Paths of those that are called vm for sure: by the file's name or by what stands in it, and not made by somebody
    who may not give names there. A file that was set aside (NAME~1.vmt) says a name that is another's by now."""
    sure = []
    for f in found:
        try:
            with open_(f.path) as reader:
                info = reader.snapshot().segment
        except (Error, MemoryError):
            continue
        if not info.foreign and (f.name == vm or (info.name == vm and not re.search(r"[^/]~\d+\.vmt$", f.path))):
            sure.append(f.path)
    return sure


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
