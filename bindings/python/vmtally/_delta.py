# SPDX-License-Identifier: MIT
"""What changed between two snapshots of one VM."""

from __future__ import annotations

import ctypes
import math
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from ._errors import ensure
from ._histogram import Histogram
from ._html import table
from ._library import lib
from ._memory import Memory
from ._snapshot import Sample, Snapshot, Taken
from ._structures import vmt_change
from ._values import Value, Values, in_unit, member, value_text

__all__ = ["Change", "Delta"]


class Change(Values):
    """By how much each statistic of a source that only grows (cumulative ones and histograms; others are not in it) has
    grown. See Values for units."""

    __slots__ = ("_seconds", "_about")
    _ONLY_COUNTS = True

    seconds: float = member("_seconds", "Between the two snapshots; 0 where they can't be compared.")

    def __init__(self, taken: Taken, memory: Memory, address: int, seconds: float, about: str) -> None:
        c = vmt_change.from_address(address)
        super().__init__(taken.schemas[c.schema], c.values, memory, c.flags)
        self._seconds = seconds
        self._about = about

    def _what(self) -> str:
        return self._about

    @property
    def absent(self) -> bool:
        """Never: where there is nothing to compare with, reset is true and all is 0."""
        return False

    @property
    def new(self) -> bool:
        """Not in the older snapshot: the change is all that was counted since the source was added."""
        return bool(self.flags & 1)

    @property
    def reset(self) -> bool:
        """Nothing to compare with: another segment, values absent, missing in a partial older snapshot, or one that
        fell. All is 0."""
        return bool(self.flags & 2)

    def _why_not(self, name: str) -> str:
        if name in self.schema:
            return f"{name} of {self._about} is {self.schema[name].type}: it has no change and no rate"
        return super()._why_not(name)

    def rate(self, name: str) -> float:
        """Change per second in raw units (values per second, of a histogram); 0 where there is none to tell. KeyError
        where the source has no such statistic or it does not only grow."""
        value = self[name]
        grown = value.count if isinstance(value, Histogram) else value or 0
        return grown / self.seconds if self.seconds > 0 else 0.0

    def rates(self) -> Dict[str, float]:
        """rate() of all, by name."""
        return {name: self.rate(name) for name in self}

    def scaled_rate(self, name: str) -> float:
        """rate() in the statistic's unit: bytes per second, or of a time in seconds the share of it that passed."""
        d = self.schema[name]
        return self.rate(name) if d.is_histogram else in_unit(d, self.rate(name))

    def _repr_html_(self) -> str:
        rows = [(n, value_text(self.schema[n], v), f"{self.scaled_rate(n):.6g}/s") for n, v in self.items()]
        return table(("statistic", "change", "rate"), rows, f"{self._about}, {self.seconds:.3f} s")

    def __repr__(self) -> str:
        flags = ", new" if self.new else ", reset" if self.reset else ""
        return f"<vmtally.Change of {self._about} in {self.seconds:.3f} s{flags}>"


class Delta(Mapping[str, Change]):
    """newer - older: the Change of each source of the newer snapshot, by its id. Sources are matched by entry and
    generation, so one that was removed and added again under its id is new. Immutable; keeps both snapshots.

    older None: there is nothing to compare with; all is reset.
    """

    __slots__ = ("_older", "_newer", "_seconds", "_memory", "_changes", "__weakref__")

    older: Optional[Snapshot] = member("_older", "None: there was none.")
    newer: Snapshot = member("_newer", "What was compared with it.")
    seconds: float = member(
        "_seconds", "Between the two; 0 where they can't be compared (another segment, or older is the newer one)."
    )

    def __init__(self, older: Optional[Snapshot], newer: Snapshot) -> None:
        address = ctypes.c_void_p()
        ensure(lib.vmt_delta_new(address), "delta of", newer._taken.path)
        self._memory = Memory(address.value or 0, lib.vmt_delta_free)
        before = None if older is None else older._taken.memory.address
        r = lib.vmt_delta_compute(self._memory.address, before, newer._taken.memory.address)
        ensure(r, "delta of", newer._taken.path)
        self._older = older
        self._newer = newer
        self._seconds = lib.vmt_delta_seconds(self._memory.address)
        self._changes: Dict[int, Change] = {}

    def _at(self, i: int) -> Change:
        change = self._changes.get(i)
        if change is None:
            taken = self.newer._taken
            about = f"{taken.ids[i] or 'the segment itself'} in {taken.path}"
            address = lib.vmt_delta_source(self._memory.address, i)
            change = self._changes.setdefault(i, Change(taken, self._memory, address, self.seconds, about))
        return change

    def of(self, sample: Sample) -> Change:
        """The change of that sample of the newer snapshot, also where two have one id. ValueError: of another one."""
        if sample._taken is not self.newer._taken:
            raise ValueError(f"{sample!r} is not of the newer snapshot of this delta")
        return self._at(sample.index)

    def totals(self, id: str) -> Tuple[Change, ...]:
        """The changes of the totals of the source with that id, in the order of newer[id].totals. KeyError."""
        sample = self.newer[id]
        taken = self.newer._taken
        about = f"totals below {id or 'the segment itself'} in {taken.path}"
        addresses = [
            lib.vmt_delta_total(self._memory.address, sample.index, t) for t in range(len(sample.totals))
        ]
        return tuple(Change(taken, self._memory, a, self.seconds, about) for a in addresses)

    def __getitem__(self, id: str) -> Change:
        return self._at(self.newer[id].index)

    def __iter__(self) -> Iterator[str]:
        return iter(self.newer)

    def __len__(self) -> int:
        return len(self.newer)

    def __contains__(self, id: object) -> bool:
        return id in self.newer

    def as_dict(self) -> Dict[str, Dict[str, Value]]:
        """All changes, as dicts of one's own."""
        return {id: change.as_dict() for id, change in self.items()}

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("Delta can't be pickled: it is memory of the C library; as_dict() can")

    def __copy__(self) -> Delta:
        return self

    def __deepcopy__(self, memo: object) -> Delta:
        return self

    def __repr__(self) -> str:
        return f"<vmtally.Delta of {self.newer._taken.path} over {self.seconds:.3f} s>"

    def _repr_html_(self) -> str:
        rows = (
            (id, "new" if c.new else "reset" if c.reset else "", ", ".join(_fastest(c)))
            for id, c in self.items()
            if c
        )
        return table(("source", "", "what grows"), rows, f"{self.newer.segment.name}, {self.seconds:.3f} s")


def _fastest(change: Change, most: int = 4) -> Iterator[str]:
    """The statistics that grew most, for people."""
    rates = {n: r for n, r in change.rates().items() if r > 0 and math.isfinite(r)}
    for name in sorted(rates, key=lambda n: rates[n], reverse=True)[:most]:
        yield f"{name} {change.scaled_rate(name):.6g}/s"
