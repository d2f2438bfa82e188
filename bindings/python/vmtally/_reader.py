# SPDX-License-Identifier: MIT
"""Attached to one VM, read-only."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from types import TracebackType
from typing import Any, Callable, NoReturn, Optional, Type, TypeVar

from ._errors import ensure, ensure_opened, failure, path_bytes
from ._info import State
from ._library import lib
from ._memory import Memory
from ._samples import Samples
from ._snapshot import Sample, Schemas, Snapshot, Taken
from ._structures import vmt_reader_options
from ._values import Values

__all__ = ["Reader"]

_GUARDED = 1


def options(guarded: bool, max_bytes: int) -> vmt_reader_options:
    return vmt_reader_options(ctypes.sizeof(vmt_reader_options), _GUARDED if guarded else 0, 0, max_bytes)


_Self = TypeVar("_Self", bound="Handle")


class Handle:
    """What is open until it is closed, by close() or by the end of a with block."""

    _handle: Optional[Memory]

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._handle is None

    def close(self) -> None:
        """May be called again."""
        self._handle = None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


class Reader(Handle):
    """Attached to one segment (or, with a Host, to a process that has VMs); vmtally.attach() makes them.

    Any thread may use it: those that come at the same time wait for each other, close() too. Snapshots stay valid after
    close(); all else then raises Closed. Leaving a with block closes it. It can't be copied or pickled. In a child of
    fork() it may be used, unless another thread was using it at that moment.
    """

    def __init__(self, path: str, handle: Memory, lock: Optional[threading.RLock] = None) -> None:
        """Use vmtally.attach()."""
        self.path = path
        self._handle = handle
        self._lock = lock or threading.RLock()
        self._schemas = Schemas()

    @property
    def name(self) -> str:
        """The file's name without ".vmt"; most often that of the VM, which is in snapshot().segment.name."""
        name = os.path.basename(self.path)
        return name[: -len(".vmt")] if name.endswith(".vmt") else name

    def _use(self, action: str, call: Callable[[int], int]) -> int:
        """What call() gives for the reader's address, while nobody else uses it. In a function of its own, whose frame
        no traceback keeps: close() shall close at once."""
        with self._lock:
            handle = self._handle  # held here, should a signal's handler close it
            return self._refuse(action) if handle is None else call(handle.address)

    def _refuse(self, action: str) -> NoReturn:
        raise failure(errno.EBADF, action, self.path)

    @property
    def state(self) -> State:
        """What the writer is doing now, by some system calls. It takes two looks some time apart to say STALLED.
        Closed."""
        return State(self._use("state of", lib.vmt_reader_state))

    def snapshot(self, *, shards: bool = False) -> Snapshot:
        """All values now. shards: with those of each shard, as sample.shards.

        Bounded in time and memory whatever the writer does; Snapshot.partial says that something could not be read.
        Damaged, OtherVersion, NoMemory, Closed, or OSError where reading fails. Other Python threads run meanwhile.
        """
        taken = Taken(self._schemas, self.path)
        if shards:
            lib.vmt_snapshot_want_shards(taken.memory.address, 1)
        r = self._use("snapshot of", lambda reader: int(lib.vmt_snapshot_take(taken.memory.address, reader)))
        return Snapshot(taken, ensure(r, "snapshot of", self.path) == 1)

    def sample(self, sample: Sample) -> Values:
        """The values of one source now, which is an earlier sample from this reader: without times and state, for those
        who read one source very often; .flags has VMT_SAMPLE_UNCONFIRMED (2) where values that change together may
        disagree. Gone: the source was removed. NotReady: not to be read whole now. Damaged; Closed; ValueError: the
        sample is from another reader."""
        if sample._taken.schemas is not self._schemas:
            raise ValueError(f"{sample!r} is not from this reader of {self.path}")
        values: Any = (ctypes.c_uint64 * max(1, sample.schema.slots))()
        action = f"sample {sample.id} of"
        r = self._use(action, lambda reader: int(lib.vmt_reader_sample(reader, ctypes.addressof(sample._c), values)))
        if r == -errno.ENODATA:
            raise failure(r, action, self.path, "the values could not be read whole")
        flags = 2 if ensure(r, action, self.path) == 1 else 0
        return Values(sample.schema, ctypes.addressof(values), values, flags)

    def samples(self, interval: float = 1.0, *, shards: bool = False) -> Samples:
        """Snapshots every interval seconds, with what changed in between: "for tick in" waits, "async for tick in"
        lets other tasks run. See Samples. ValueError: interval is not positive."""
        return Samples(self, interval, shards)

    def _look(self) -> None:
        """Before a sample: what the kernel counts has to be read anew (_host.py)."""

    def close(self) -> None:
        """Detach. Waits for a snapshot that is being taken. May be called again."""
        with self._lock:
            super().close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"Reader can't be copied or pickled; attach({self.path!r}) again where it is needed")

    def __repr__(self) -> str:
        return f"<vmtally.Reader of {self.path}{': closed' if self.closed else ''}>"


def open_reader(path: str, guarded: bool, max_bytes: int) -> Reader:
    """Attach to the segment at path."""
    address = ctypes.c_void_p()
    ensure_opened(lib.vmt_reader_open(path_bytes(path), options(guarded, max_bytes), address), "attach", path)
    return Reader(path, Memory(address.value or 0, lib.vmt_reader_close))
