# SPDX-License-Identifier: MIT
"""The values of one schema, somewhere in the memory of a snapshot or a delta, as a mapping."""

from __future__ import annotations

import array
import ctypes
import math
import operator
import struct
from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional, Tuple, Union

from ._histogram import Histogram
from ._html import table
from ._numpy import load_numpy
from ._schema import Descriptor, Schema

if TYPE_CHECKING:
    import numpy
    import numpy.typing

__all__ = ["Value", "Values"]

Value = Union[int, Histogram, None]
"""An exact integer, a Histogram, or None for a minimum (or signed maximum) that nothing was counted into yet."""

_SIGN, _WRAP = 1 << 63, 1 << 64
_ZEROS = (ctypes.c_uint64 * 4096)()  # as many as a schema may have, where the library has nothing to point to


def member(slot: str, doc: str) -> Any:
    """A member that can be read, but not set."""
    return property(operator.attrgetter(slot), doc=doc)


class _Plan:
    """How the mapping of a schema's values is made of its slots: names and slots of all statistics, of which those that
    are more than an unsigned number are looked at again."""

    def __init__(self, schema: Schema, only_counts: bool) -> None:
        self._memory: Any = ctypes.c_uint64 * schema.slots
        self._unpack = struct.Struct(f"{schema.slots}Q").unpack_from
        chosen = [d for d in schema if schema[d.name] is d and (d.counts or not only_counts)]
        self.names = [d.name for d in chosen]
        self.slots = [d.slot for d in chosen]
        self.dense = self.slots == list(range(schema.slots))
        self.special = [
            (d, *_beside(schema, d)) for d in chosen if d.is_histogram or d.signed or d.nothing is not None
        ]

    def read(self, address: int) -> Tuple[int, ...]:
        """All slots."""
        return self._unpack(self._memory.from_address(address))

    def make(self, raw: Tuple[int, ...]) -> Dict[str, Value]:
        made: Dict[str, Value] = dict(zip(self.names, raw if self.dense else map(raw.__getitem__, self.slots)))
        for d, sum_slot, count_slot in self.special:
            made[d.name] = _value(d, raw, sum_slot, count_slot)
        return made


def _beside(schema: Schema, d: Descriptor) -> Tuple[Optional[int], Optional[int]]:
    """Slots of NAME_sum and NAME_count, which change together with NAME_hist."""
    if not d.is_histogram or not d.group or not d.name.endswith("_hist"):
        return None, None
    stem = d.name[: -len("_hist")]
    total, count = schema.find(stem + "_sum"), schema.find(stem + "_count")
    if not total or not count or total.group != d.group or count.group != d.group or total.size + count.size != 2:
        return None, None
    return total.slot, count.slot


def _value(d: Descriptor, raw: Tuple[int, ...], sum_slot: Optional[int], count_slot: Optional[int]) -> Value:
    if d.is_histogram:
        total = None if sum_slot is None else raw[sum_slot]
        count = None if count_slot is None else raw[count_slot]
        return Histogram(d, raw[d.slot : d.slot + d.size], total, count)
    value = raw[d.slot]
    if value == d.nothing:
        return None
    return value - _WRAP if d.signed and value >= _SIGN else value


def plan_of(schema: Schema, only_counts: bool = False) -> _Plan:
    """only_counts: of a change, which has no other statistics."""
    plan: Optional[_Plan] = schema._plans.get(only_counts)
    if plan is None:
        plan = schema._plans[only_counts] = _Plan(schema, only_counts)
    return plan


def read_value(d: Descriptor, slots: Tuple[int, ...]) -> Value:
    """The value of d alone, whose slots are these."""
    return _value(d._replace(slot=0), slots, None, None)


class Values(Mapping[str, Value]):
    """The values of a schema by the names of its statistics. Immutable.

    Integers are exact (0 to 2**64 - 1, or signed) and raw: times schema[name].scale they are in schema[name].unit;
    scaled() does that. Where absent is true they could not be read whole, and the mapping is empty.
    """

    __slots__ = ("_schema", "_flags", "_address", "_owner", "_raw", "_made", "__weakref__")

    schema: Schema = member("_schema", "What the values are.")
    flags: int = member("_flags", "VMT_SAMPLE_ of <vmtally/reader.h>, or VMT_CHANGE_ of <vmtally/delta.h>.")
    _owner: Any  # as long as something refers to it, the memory at _address is there
    _ONLY_COUNTS = False

    def __init__(self, schema: Schema, address: Optional[int], owner: Any, flags: int) -> None:
        self._schema = schema
        self._flags = flags
        self._address = address or ctypes.addressof(_ZEROS)
        self._owner = owner
        self._raw: Optional[Tuple[int, ...]] = None
        self._made: Optional[Dict[str, Value]] = None

    def _what(self) -> str:
        """In messages."""
        return self.schema.label

    @property
    def absent(self) -> bool:
        """The values could not be read whole: there are none."""
        return bool(self.flags & 8)

    @property
    def raw(self) -> Tuple[int, ...]:
        """All slots as they stand there, unsigned; schema[name].slot and .size say which are whose. If absent they
        mean nothing."""
        if self._raw is None:
            self._raw = plan_of(self.schema).read(self._address)
        return self._raw

    @property
    def view(self) -> memoryview:
        """All slots as a read-only memoryview of unsigned 64-bit integers, without copying. It keeps the memory."""
        if not self.schema.slots:
            return memoryview(array.array("Q")).toreadonly()
        memory: Any = (ctypes.c_uint64 * self.schema.slots).from_address(self._address)
        memory.owner = self._owner
        return memoryview(memory).toreadonly().cast("B").cast("Q")

    @property
    def array(self) -> numpy.typing.NDArray[numpy.uint64]:
        """All slots as a numpy array, read-only, without copying. It keeps the memory. .view(schema.dtype) has names
        and signs. ImportError without numpy."""
        return load_numpy("array").frombuffer(self.view, dtype="uint64")  # type: ignore[no-any-return]

    def _dict(self) -> Dict[str, Value]:
        if self._made is None:
            self._made = {} if self.absent else plan_of(self.schema, self._ONLY_COUNTS).make(self.raw)
        return self._made

    def as_dict(self) -> Dict[str, Value]:
        """A copy, as a dict of its own."""
        return self._dict().copy()

    def __getitem__(self, name: str) -> Value:
        try:
            return self._dict()[name]
        except KeyError:
            raise KeyError(self._why_not(name)) from None

    def _why_not(self, name: str) -> str:
        if self.absent:
            return f"{name}: the values of {self._what()} could not be read whole"
        return f"{self._what()} has no statistic {name}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def __len__(self) -> int:
        return len(self._dict())

    def __contains__(self, name: object) -> bool:
        return name in self._dict()

    def keys(self) -> KeysView[str]:
        """The names of the statistics, in the schema's order."""
        return self._dict().keys()

    def values(self) -> ValuesView[Value]:
        """The value of each, in the same order."""
        return self._dict().values()

    def items(self) -> ItemsView[str, Value]:
        """(name, value) of each, in the same order."""
        return self._dict().items()

    def number(self, name: str) -> int:
        """The value of name where it is an integer. KeyError; ValueError where nothing was counted yet; TypeError
        where it is a histogram."""
        value = self[name]
        if value is None:
            raise ValueError(f"{self._what()}: nothing was counted in {name} yet")
        if isinstance(value, Histogram):
            raise TypeError(f"{self._what()}: {name} is a histogram")
        return value

    def histogram(self, name: str) -> Histogram:
        """The value of name where it is a histogram. KeyError; TypeError where it is a number."""
        value = self[name]
        if not isinstance(value, Histogram):
            raise TypeError(f"{self._what()}: {name} is a number, not a histogram")
        return value

    def scaled(self, name: str) -> float:
        """The value of name in its unit (seconds, bytes, cycles, plain): nan where nothing was counted yet. KeyError;
        TypeError where it is a histogram."""
        value = self[name]
        if isinstance(value, Histogram):
            raise TypeError(f"{self._what()}: {name} is a histogram; its bounds times descriptor.scale are in the unit")
        return math.nan if value is None else in_unit(self.schema[name], value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"{type(self).__name__} can't be pickled: it is memory of a snapshot; as_dict() can")

    def __copy__(self) -> Values:
        return self

    def __deepcopy__(self, memo: object) -> Values:
        return self

    def __repr__(self) -> str:
        return f"<vmtally.{type(self).__name__} of {self._what()}: {len(self)} statistics>"

    def _repr_html_(self) -> str:
        rows = ((name, value_text(self.schema[name], v), self.schema[name].help) for name, v in self.items())
        return table(("statistic", "value", "help"), rows, self._what())


def in_unit(d: Descriptor, value: float) -> float:
    """value in d's unit: divided where that is exact, so that 5 ms are 0.005."""
    return value / float(d.base) ** -d.exponent if d.exponent < 0 else value * float(d.base) ** d.exponent


def value_text(d: Descriptor, value: Value) -> str:
    """For people: in the unit, "-" for what is not there."""
    if value is None:
        return "-"
    if isinstance(value, Histogram):
        if not value.count:
            return "0 values"
        low, high = value.quantile(0.99)
        return f"{value.count} values, 99 % up to {_text(d, high)}"
    return _text(d, value)


def _text(d: Descriptor, value: int) -> str:
    if value == _WRAP - 1 and d.is_histogram:
        return "the open end"
    if d.unit == "boolean" and value in (0, 1):
        return "yes" if value else "no"
    number = str(value) if not d.exponent else f"{in_unit(d, value):.6g}"
    return f"{number} {d.unit}" if d.unit not in ("", "boolean") else number
