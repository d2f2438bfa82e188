# SPDX-License-Identifier: MIT
"""Samples of a VM at regular times, for loops and for asyncio."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, AsyncIterator, Iterator, NamedTuple, Optional

from ._delta import Delta
from ._snapshot import Snapshot

if TYPE_CHECKING:
    from ._reader import Reader

__all__ = ["Samples", "Tick"]


class Tick(NamedTuple):
    """One sample."""

    snapshot: Snapshot
    delta: Delta
    """Since the tick before. Of the first one all is reset, seconds and rates are 0."""


class Samples:
    """What Reader.samples() gives. Each loop over it begins anew.

    The first tick comes at once, the others interval seconds apart by the monotonic clock: what a sample or the body of
    the loop takes does not add up. Who is late by more than an interval misses samples; their changes are in the next
    delta.

    When the VM is gone the last tick has a snapshot.segment.state with is_gone (closed, died), and the loop ends: also
    where another VM has taken its name, which is another segment; attach() finds that one. A segment that is damaged
    while it is watched raises Damaged, a reader that is closed Closed.

    "async for" takes snapshots in the loop's default executor. Cancelling it, or wait_for() around anext(), loses
    nothing: the next tick compares with the last one that was given.
    """

    def __init__(self, reader: Reader, interval: float, shards: bool) -> None:
        if not (interval > 0 and math.isfinite(interval)):
            raise ValueError(f"interval {interval!r} is not a positive number of seconds")
        self.reader = reader
        self.interval = interval
        self.shards = shards

    def __iter__(self) -> Iterator[Tick]:
        return _Ticks(self)

    def __aiter__(self) -> AsyncIterator[Tick]:
        return _AsyncTicks(self)


class _Course:
    """When the next one is due, and what the last one was."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._start: Optional[float] = None
        self._number = 0
        self._last: Optional[Snapshot] = None
        self._ended = False

    def _wait_seconds(self) -> float:
        """Until the next one is due."""
        now = time.monotonic()
        if self._start is None:
            self._start = now
        return max(0.0, self._start + self._number * self._samples.interval - now)

    def _take(self) -> Snapshot:
        self._samples.reader._look()
        return self._samples.reader.snapshot(shards=self._samples.shards)

    def _tick(self, snapshot: Snapshot) -> Tick:
        tick = Tick(snapshot, Delta(self._last, snapshot))
        self._last = snapshot
        self._ended = snapshot.segment.state.is_gone
        late = time.monotonic() - (self._start or 0.0)
        self._number = max(self._number + 1, math.ceil(late / self._samples.interval))
        return tick


class _Ticks(_Course):
    def __iter__(self) -> _Ticks:
        return self

    def __next__(self) -> Tick:
        if self._ended:
            raise StopIteration
        time.sleep(self._wait_seconds())
        return self._tick(self._take())


class _AsyncTicks(_Course):
    def __aiter__(self) -> _AsyncTicks:
        return self

    async def __anext__(self) -> Tick:
        if self._ended:
            raise StopAsyncIteration
        await asyncio.sleep(self._wait_seconds())
        return self._tick(await asyncio.get_running_loop().run_in_executor(None, self._take))
