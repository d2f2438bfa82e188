# SPDX-License-Identifier: MIT
"""What may be done to each statistic of a schema, by its name: by which function, to which slot, with which values."""

from __future__ import annotations

import difflib
from operator import index
from typing import Any, Dict, NamedTuple, NoReturn, Optional, Tuple

from ._library import lib
from ._schema import Descriptor, Schema

_UNSIGNED, _SIGNED = (0, (1 << 64) - 1), (-(1 << 63), (1 << 63) - 1)
_PARTS = ("_count", "_sum", "_min", "_max", "_hist")


def _checked(name: str, n: object, low: int, high: int) -> int:
    try:
        number = index(n)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: {n!r} is not an integer") from None
    if not low <= number <= high:
        raise OverflowError(f"{name}: {number} is not in {low} to {high}")
    return number


class Number(NamedTuple):
    """function(shard, slot, n) for low <= n <= high."""

    function: Any
    slot: int
    low: int
    high: int
    name: str

    def checked(self, n: object) -> int:
        """n as an int; TypeError where it is none, OverflowError where it is out of range."""
        return _checked(self.name, n, self.low, self.high)


class Record(NamedTuple):
    """function(shard, *arguments, n) for 0 <= n < 2**64. Where it is of a time there are ns_per_unit, else 0."""

    function: Any
    arguments: Tuple[int, ...]
    ns_per_unit: int
    name: str

    def checked(self, n: object) -> int:
        """As of Number."""
        return _checked(self.name, n, *_UNSIGNED)


class Operations:
    """Those of one schema; a name that an operation does not take is not in its table. An empty one refuses all."""

    __slots__ = ("schema", "add", "set", "peak", "minimum", "record", "time", "count")

    def __init__(self, schema: Optional[Schema] = None) -> None:
        self.schema = schema
        self.add: Dict[str, Number] = {}
        self.set: Dict[str, Number] = {}
        self.peak: Dict[str, Number] = {}
        self.minimum: Dict[str, Number] = {}
        self.record: Dict[str, Record] = {}
        self.time: Dict[str, Record] = {}
        self.count: Dict[str, Number] = {}
        descriptors = schema.descriptors if schema else ()
        for i, d in enumerate(descriptors):
            self._take_latency(descriptors[i : i + len(_PARTS)])
        for d in reversed(descriptors):  # should two have one name, the first is meant
            self._take(d)

    def _take(self, d: Descriptor) -> None:
        assert self.schema is not None
        low, high = _SIGNED if d.signed else _UNSIGNED
        label = f"{self.schema.name}.{d.name}"
        if d.type == "cumulative":
            self.add[d.name] = Number(lib.vmt_add_ext, d.slot, low, high, label)
            self.count[d.name] = Number(lib.vmt_count, d.slot, low, high, label)
        elif d.type == "peak":
            raises = lib.vmt_peak_signed_ext if d.signed else lib.vmt_peak_ext
            self.peak[d.name] = Number(raises, d.slot, low, high, label)
        elif d.type == "instant" and d.aggregation == "min":
            lowers = lib.vmt_minimum_signed_ext if d.signed else lib.vmt_minimum_ext
            self.minimum[d.name] = Number(lowers, d.slot, low, high, label)
        elif d.type == "instant":
            if d.unit == "boolean":
                high = 1
            elif d.aggregation != "max":  # shards are added up
                self.add[d.name] = Number(lib.vmt_add_ext, d.slot, _SIGNED[0], high, label)
            self.set[d.name] = Number(lib.vmt_set_ext, d.slot, low, high, label)
        elif d.type == "linear":
            self.record[d.name] = Record(lib.vmt_record_linear_ext, (d.slot, d.size, d.bucket_size), 0, label)
        elif d.type == "log":
            self.record[d.name] = Record(lib.vmt_record_log_ext, (d.slot, d.size), 0, label)

    def _take_latency(self, parts: Tuple[Descriptor, ...]) -> None:
        """A LATENCY row is known by its five statistics: their names, and that they are one group."""
        assert self.schema is not None
        name = parts[0].name[: -len(_PARTS[0])]
        if not name or [d.name for d in parts] != [name + part for part in _PARTS]:
            return
        if not parts[0].group or any(d.group != parts[0].group for d in parts) or parts[-1].type != "log":
            return
        unit = parts[1]
        ns_per_unit = 10 ** (9 + unit.exponent) if unit.unit == "seconds" and unit.exponent >= -9 else 0
        row = Record(lib.vmt_latency_ext, (parts[0].slot, parts[-1].size), ns_per_unit, f"{self.schema.name}.{name}")
        self.record[name] = row
        if ns_per_unit:
            self.time[name] = row

    def refuse(self, operation: str, name: object) -> NoReturn:
        """Say why name is not in the table of operation: KeyError where there is no such statistic, else TypeError."""
        assert self.schema is not None
        tables = {op: getattr(self, op) for op in ("add", "set", "peak", "minimum", "record", "time", "count")}
        possible = [op + "()" for op, table in tables.items() if name in table]
        if possible:
            raise TypeError(f"{self.schema.name}.{name} has no {operation}(), but {', '.join(possible)}")
        known = {n: None for table in tables.values() for n in table}
        near = difflib.get_close_matches(str(name), known, 1)
        hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(known)
        raise KeyError(f"{self.schema.name} has no statistic {name!r}: {hint}")
