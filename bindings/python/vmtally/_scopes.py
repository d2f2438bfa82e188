# SPDX-License-Identifier: MIT
"""What is counted at the end of a with block: Shard.time() and Shard.group()."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Type

from ._library import lib
from ._operations import Record

if TYPE_CHECKING:
    from ._writer import Shard

__all__ = ["Group", "Timer"]


class Timer:
    """What Shard.time() gives; cancel() in the block leaves it out."""

    __slots__ = ("_shard", "_row", "_start_ns", "_running")

    def __init__(self, shard: Shard, row: Record) -> None:
        self._shard = shard
        self._row = row
        self._start_ns = 0
        self._running = False

    def cancel(self) -> None:
        """Don't record it."""
        self._running = False

    def __enter__(self) -> Timer:
        self._running = True
        self._start_ns = time.monotonic_ns()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        took = time.monotonic_ns() - self._start_ns
        if self._running:
            self._running = False
            self._row.function(self._shard._cell, *self._row.arguments, took // self._row.ns_per_unit)


class Group:
    """What Shard.group() gives."""

    __slots__ = ("_shard",)

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def __enter__(self) -> Group:
        lib.vmt_begin_ext(self._shard._cell)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        lib.vmt_end_ext(self._shard._cell)  # scratch where it was released in between: then it was ended for it
