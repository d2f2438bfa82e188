# SPDX-License-Identifier: MIT
"""The writer: for programs in Python that want to be seen by kvmtop, and for tests of readers.

    with vmtally.Segment("web-1", labels={"rack": "b7"}) as segment:
        source = segment.add(vmtally.schemas.block, "block-0")
        shard = source.acquire()
        shard.add("read_count")
        shard.add("read_bytes", 4096)

Lifetimes. A segment is there until close(), the end of its with block, or until nothing refers to it, its sources and
shards any more; at the latest until the interpreter exits. A source is there until remove() or the end of its with
block; not referring to it changes nothing. A shard is held until release(), the end of its with block, or until nothing
refers to it. Whatever is used after its end raises vmtally.Closed, or counts into nothing; it never harms.

Threads. Any thread may call anything. But a shard has one writer at a time, as in all languages: give each thread its
own, source.acquire() costs microseconds. source.count() is for all. (In a Python without the GIL one thing harms: to
end what another thread is just using.)

fork(). What a child counts reaches nobody, and whatever would change the segment raises vmtally.Error (ECHILD) there.
"""

from __future__ import annotations

import math
import os
import weakref
from ctypes import POINTER, addressof, byref, c_char_p, c_void_p, cast, create_string_buffer, sizeof
from errno import EBADF, EEXIST, EINVAL, ELOOP, ENAMETOOLONG, ENFILE, ENOTSUP
from operator import index
from types import TracebackType
from typing import Dict, List, Mapping, NoReturn, Optional, Set, Type, Union

from ._errors import Error, failure
from ._kinds import check_schema, check_word
from ._library import lib
from ._operations import Operations
from ._schema import Schema
from ._scopes import Group, Timer
from ._structures import vmt_segment_options

__all__ = ["Segment", "Shard", "Source"]

_SCRATCH = lib.address_of("vmt_scratch")
_RELEASED = Operations()
_WHY_BYTES = 256
_NAME = "a name is 1 to 63 of A-Z a-z 0-9 . _ : @ + - and does not begin with a dot"
_CREATING = {
    EEXIST: "a live writer has that name, or the file is not empty",
    EBADF: "not open for reading and writing",
    EINVAL: f"{_NAME}; a label is KEY=VALUE, on one line; max_bytes or fixed_bytes leave no room for max_sources, or"
    " are beyond all limits; of path, fd and dir only one can be",
    ENAMETOOLONG: f"{_NAME}; labels have 1,023 bytes together, with one for the end of each; or the path is too long",
    ENOTSUP: "not a memory file system; any_filesystem=True allows others",
}
_ADDING = {
    EINVAL: "its schema breaks a rule of <vmtally/schema.h>",
    EEXIST: "there is such a source already",
    ELOOP: "too deep: eight levels below the segment are all there are",
    ENFILE: "there are max_sources of them already",
}

# A handle is a _Cell: it lives as long as any object that uses it, and holds what the C functions take: they keep
# the GIL (_library.py), and read it only once they are called. So whoever ends the handle, be it another thread, a
# signal's handler or the garbage collector, takes the address away from all who would use it, in time: what stands
# there then (NULL, or scratch memory for shards) the C library takes and does nothing. That needs no lock, which a fork
# or a handler could leave locked.
class _Cell(c_void_p):
    __hash__ = object.__hash__


def _bytes(what: str, text: Union[str, bytes, os.PathLike[str], None]) -> Optional[bytes]:
    if text is None:
        return None
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError as e:
        raise ValueError(f"{what} {text!r}: no text: {e.reason}") from None
    if b"\0" in data:
        raise ValueError(f"{what} {text!r} has a NUL in it")
    return data


class _Owner:
    """Of a handle: there is one, here."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{self!r} can't be copied or pickled: it is of this process")


def _close(handle: _Cell, sources: Set[_Cell]) -> None:
    """In this order: no source is added after the first step, and all there are stand in sources."""
    segment, handle.value = handle.value, None
    for cell in list(sources):
        cell.value = None
    sources.clear()
    lib.vmt_segment_close(segment)


class Segment(_Owner):
    """One file in memory that this process writes and any other reads.

    name: the VM's or program's name, 1 to 63 of A-Z a-z 0-9 . _ : @ + - and no dot first; None: program and pid.
    labels: what readers show beside it, by keys without "=". dir: where; None: $VMTALLY_DIR, else /run/vmtally where it
    may be written, else $XDG_RUNTIME_DIR/vmtally, else /dev/shm/vmtally-UID. path or fd (not 0): an existing empty
    file, used in place (fd stays the caller's; close it after the segment).
    heartbeat_interval: in seconds; not 0: heartbeat() will be called at least this often, else readers say "stalled".
    max_sources, max_bytes: limits, 0: 16,384 and 256 MiB. fixed_bytes: not 0: all memory is allocated now.
    mode: of the file, 0: 0o640. keep: close() leaves the file. any_filesystem: allow others than memory file systems.
    resume: go on in what an earlier writer of this name left; see ready(), and why for why it could not be.

    Raises vmtally.Exists (a live writer has that name), vmtally.NoSpace, vmtally.Denied, other vmtally.Errors that name
    the segment; ValueError for strings that can't be.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        labels: Optional[Mapping[str, str]] = None,
        dir: Union[str, os.PathLike[str], None] = None,
        path: Union[str, os.PathLike[str], None] = None,
        fd: Optional[int] = None,
        heartbeat_interval: float = 0.0,
        max_sources: int = 0,
        max_bytes: int = 0,
        fixed_bytes: int = 0,
        mode: int = 0,
        keep: bool = False,
        any_filesystem: bool = False,
        resume: bool = False,
    ) -> None:
        for key in labels or ():
            if "=" in key:
                raise ValueError(f"label {key!r}: no '=' in its key")
        strings = [_bytes("label", f"{key}={value}") for key, value in (labels or {}).items()]
        why = create_string_buffer(_WHY_BYTES)
        options = vmt_segment_options(
            struct_size=sizeof(vmt_segment_options),
            name=_bytes("name", name),
            dir=_bytes("dir", dir),
            path=_bytes("path", path),
            fd=0 if fd is None else _limit("fd", fd, 31, 1),
            max_sources=_limit("max_sources", max_sources, 32),
            max_bytes=_limit("max_bytes", max_bytes, 64),
            fixed_bytes=_limit("fixed_bytes", fixed_bytes, 64),
            labels=cast((c_char_p * (len(strings) + 1))(*strings, None), POINTER(c_char_p)),
            heartbeat_interval_ns=_nanoseconds("heartbeat_interval", heartbeat_interval),
            mode=_limit("mode", mode, 32),
            keep=keep,
            any_filesystem=any_filesystem,
            resume=resume,
            why=addressof(why),
            why_size=_WHY_BYTES,
        )
        self._handle: _Cell = _Cell()
        self._sources: Set[_Cell] = set()
        self._operations: Dict[Schema, Operations] = {}  # also: schemas stay as long as the segment
        error = lib.vmt_segment_create(byref(options), byref(self._handle))
        if error < 0:
            subject = os.fspath(path) if path else name or (f"fd {fd}" if fd is not None else "segment")
            raise failure(error, "create", subject, _CREATING.get(-error), Error if error == -EBADF else None)
        self._end = weakref.finalize(self, _close, self._handle, self._sources)
        self.name: str = lib.vmt_segment_name(self._handle).decode()
        """Its name, also where none was given."""
        self.path: str = os.fsdecode(lib.vmt_segment_path(self._handle))
        """The file's path; "" where it is an fd."""
        self.why: str = why.value.decode("utf-8", "replace")
        """With resume: why what was found could not be gone on with; else ""."""

    @property
    def closed(self) -> bool:
        """Whether it has been closed or handed over."""
        return self._handle.value is None

    def add(self, schema: Schema, id: str, parent: Optional[Source] = None) -> Source:
        """A new source called id (1 to 47 printable ASCII characters, no space and no "/") below parent, or below the
        segment itself. With resume: the one that an earlier writer left, if it has this schema.

        Raises vmtally.Exists, NoSpace (also where max_sources is reached), Closed, ValueError (id, schema)."""
        check_word("source", id, 47)
        if "/" in id:
            raise ValueError(f"source {id!r}: no '/': a source below another is added to that one")
        if parent is not None and parent._segment is not self:
            raise ValueError(f"{parent!r} is in another segment than {self!r}")
        if parent is not None:
            parent._check()
        operations = self._operations.get(schema)
        if operations is None:
            check_schema(schema)
            operations = self._operations.setdefault(schema, Operations(schema))
        full = f"{parent.id}/{id}" if parent else id
        cell = _Cell()
        self._sources.add(cell)  # before it is: who closes the segment finds it
        known = operations.schema
        assert known is not None
        error = lib.vmt_source_add(
            self._handle, byref(known.structure()), parent._cell if parent else None, id.encode(), byref(cell)
        )
        if error < 0:
            self._sources.discard(cell)
            self._fail(error, f"add {full}", _ADDING.get(-error))
        return Source(self, operations, full, cell)

    def ready(self) -> None:
        """With resume: all sources have been added again. Those that were not are removed: their parents keep what they
        had counted. Else this does nothing."""
        lib.vmt_segment_ready(self._handle)

    def heartbeat(self) -> None:
        """Tell readers that this program's own loop turns."""
        lib.vmt_segment_heartbeat(self._handle)

    def hand_over(self) -> int:
        """Stop being the writer without saying goodbye, for another program to go on with fd and resume, by exec or
        sent over a socket; readers see it live all the while. The segment is closed here; what is counted from now on
        reaches nobody. Returns an inheritable descriptor, the caller's, that keeps the writer's lock."""
        addresses = [(cell, cell.value) for cell in list(self._sources)]
        for cell, _ in addresses:
            cell.value = None
        fd: int = lib.vmt_segment_hand_over(self._handle)
        if fd < 0:
            for cell, address in addresses:
                cell.value = address
            self._fail(fd, "hand over", None)
        self.close()
        return fd

    def close(self) -> None:
        """Say goodbye: readers see "closed". The file is removed, unless keep. Sources need not be removed before, and
        shards still held count into nothing from now on. A second time does nothing."""
        self._end()

    def _fail(self, error: int, action: str, words: Optional[str]) -> None:
        subject = self.path or self.name
        if self.closed:
            raise failure(EBADF, action, subject, "the segment is closed")
        raise failure(error, action, subject, words)

    def __enter__(self) -> Segment:
        if self.closed:
            self._fail(EBADF, "enter", None)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<vmtally.Segment {self.path or self.name}{' (closed)' if self.closed else ''}>"


def _limit(what: str, n: int, bits: int, least: int = 0) -> int:
    if not least <= index(n) < 1 << bits:
        raise ValueError(f"{what} {n}: {least} to 2**{bits} - 1")
    return index(n)


def _nanoseconds(what: str, seconds: float) -> int:
    if not (seconds >= 0 and seconds * 1e9 < 1 << 64):
        raise ValueError(f"{what} {seconds!r}: 0 to 1.8e10 seconds")
    return math.ceil(seconds * 1e9)  # not 0 where it was not


class Source(_Owner):
    """A thing that has values: a VM, a vCPU, a disk, whatever a program counts. Made by Segment.add() and Source.add().

    As a context manager it is removed at the end of the block.
    """

    __slots__ = ("_segment", "_operations", "_cell", "_there", "id", "__weakref__")

    id: str
    """Its parents' ids and its own, joined with "/"."""

    def __init__(self, segment: Segment, operations: Operations, id: str, cell: _Cell) -> None:
        self._segment = segment
        self._operations = operations
        self._cell = cell
        self._there = [True]
        self.id = id

    @property
    def schema(self) -> Schema:
        """What it counts."""
        assert self._operations.schema is not None
        return self._operations.schema

    @property
    def segment(self) -> Segment:
        """The segment that it is in."""
        return self._segment

    def add(self, schema: Schema, id: str) -> Source:
        """A new source below this one: Segment.add() with this one as parent."""
        return self._segment.add(schema, id, self)

    def acquire(self) -> Shard:
        """A shard, for one thread (or whoever counts) at a time. It goes on from where its last owner stopped. Never
        fails for want of memory, nor after the segment was closed: then it counts into nothing (and the segment's own
        "dropped_shards" says so). vmtally.Closed: the source was removed."""
        self._check()
        return Shard(self, lib.vmt_shard_acquire(self._cell))

    def count(self, name: str, n: int = 1) -> None:
        """Add n, 0 to 2**64 - 1, to the cumulative statistic of that name: for rare events, from any thread. Errors are
        those of Shard.add()."""
        row = self._operations.count.get(name) or self._operations.refuse("count", name)
        self._check()
        row.function(self._cell, row.slot, row.checked(n))

    def remove(self) -> None:
        """Remove it: its parent keeps what it had counted. While shards of it are held or it has children it is still
        counted, as leaving; its id may be added again at once. A second time does nothing."""
        try:
            self._there.pop()  # one of all who do so at the same time
        except IndexError:
            return
        lib.vmt_source_remove(self._cell)
        self._cell.value = None
        self._segment._sources.discard(self._cell)

    def _check(self) -> None:
        if not self._there:
            raise failure(EBADF, f"source {self.id}", self._segment.path, "it was removed")

    def __enter__(self) -> Source:
        self._check()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<vmtally.Source {self.id} of {self._segment.name}{'' if self._there else ' (removed)'}>"


class Shard(_Owner):
    """The values of one source as counted by one thread, or whoever else counts, at a time. Made by Source.acquire().

    Statistics go by their names; a latency by its row's: record("io_latency", ns) changes io_latency_count, _sum, _min,
    _max and _hist, all at once. KeyError: there is no such statistic. TypeError: it can't be counted so, or the value
    is no integer. OverflowError: the value is out of range. vmtally.Closed: the shard was released. All but the last
    name the statistic. Once the segment is closed it counts into nothing.

    As a context manager it is released at the end of the block.
    """

    __slots__ = ("_source", "_operations", "_cell", "_held", "__weakref__")

    def __init__(self, source: Source, address: int) -> None:
        self._source = source
        self._cell = _Cell(address)
        self._held: List[int] = [address]
        self._operations = source._operations

    @property
    def source(self) -> Source:
        """Whose values these are."""
        return self._source

    def add(self, name: str, n: int = 1) -> None:
        """Add n to a cumulative statistic (0 to 2**64 - 1), or to an instant that is a sum (n may be negative then)."""
        row = self._operations.add.get(name) or self._refuse("add", name)
        row.function(self._cell, row.slot, n if type(n) is int and row.low <= n <= row.high else row.checked(n))

    def set(self, name: str, value: int) -> None:
        """Set an instant. Where several shards of a source set it, readers show the sum (or as its kind says). It is 0
        again once the shard is released."""
        row = self._operations.set.get(name) or self._refuse("set", name)
        row.function(self._cell, row.slot, row.checked(value))

    def peak(self, name: str, value: int) -> None:
        """Raise a peak to value, if that is higher."""
        row = self._operations.peak.get(name) or self._refuse("peak", name)
        row.function(self._cell, row.slot, row.checked(value))

    def minimum(self, name: str, value: int) -> None:
        """Lower a minimum to value, if that is lower."""
        row = self._operations.minimum.get(name) or self._refuse("minimum", name)
        row.function(self._cell, row.slot, row.checked(value))

    def record(self, name: str, value: int) -> None:
        """Count value, 0 to 2**64 - 1 in the statistic's unit, in a histogram or a latency."""
        row = self._operations.record.get(name) or self._refuse("record", name)
        row.function(self._cell, *row.arguments, row.checked(value))

    def time(self, name: str) -> Timer:
        """with shard.time("read"): the time that the block takes, by the monotonic clock, is recorded in this latency,
        also where the block raises."""
        return Timer(self, self._operations.time.get(name) or self._refuse("time", name))

    def group(self) -> Group:
        """with shard.group(): what is counted in the block is seen by readers all or not at all. Keep it short: readers
        wait for its end for a moment only, then say that the values are unconfirmed."""
        if not self._held:
            self._refuse("group", "")
        return Group(self)

    def release(self) -> None:
        """Give it back: the next Source.acquire() may have it, and goes on from these values. Instants that are sums
        become 0. A second time does nothing."""
        try:
            address = self._held.pop()  # one of all who do so at the same time
        except IndexError:
            return
        self._operations = _RELEASED
        self._cell.value = _SCRATCH  # from here on nobody counts into it, and it is still held: so it is there
        lib.vmt_shard_release(address)

    def _refuse(self, operation: str, name: str) -> NoReturn:
        if not self._held:
            raise failure(EBADF, f"shard of {self._source.id}", self._source.segment.path, "it was released")
        self._operations.refuse(operation, name)

    def __enter__(self) -> Shard:
        if not self._held:
            self._refuse("enter", "")
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.release()

    def __del__(self) -> None:
        if hasattr(self, "_held"):
            self.release()

    def __repr__(self) -> str:
        return f"<vmtally.Shard of {self._source.id}{'' if self._held else ' (released)'}>"
