# SPDX-License-Identifier: MIT
"""What is counted: schemas and their descriptors, as Python values without ties to where they came from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, NamedTuple, Optional, Tuple

from ._numpy import load_numpy
from ._structures import vmt_descriptor, vmt_schema

if TYPE_CHECKING:
    import numpy

    from ._kinds import Kind

__all__ = ["Descriptor", "Schema"]

_TYPE_MASK, _UNIT_MASK, _BASE_POW2 = 0xF, 0xF0, 0x100
_AGGREGATION_MASK, _AGGREGATION_MIN, _AGGREGATION_MAX, _SIGNED = 0x0F000000, 0x02000000, 0x03000000, 0x10000000
_TYPES = ("cumulative", "instant", "peak", "linear", "log")
_UNITS = ("", "bytes", "seconds", "cycles", "boolean")
_AGGREGATIONS = ("", "sum", "min", "max", "average", "count_zero")
_UINT64_MAX, _INT64_MAX = (1 << 64) - 1, (1 << 63) - 1
_making = threading.Lock()


def _word(words: Tuple[str, ...], i: int) -> str:
    return words[i] if i < len(words) else "unknown"


class Descriptor(NamedTuple):
    """One statistic of a schema. A value: comparable, hashable, picklable."""

    name: str
    """Printable ASCII, up to 47 characters."""
    help: str = ""
    """One line; "" where there is none."""
    flags: int = 0
    """VMT_TYPE_ | VMT_UNIT_ | VMT_BASE_ | VMT_AGGREGATION_ | VMT_SIGNED of <vmtally/descriptor.h>."""
    slot: int = 0
    """The first of its slots."""
    size: int = 1
    """How many slots: 1, or the buckets of a histogram."""
    bucket_size: int = 0
    """Width of a bucket of a linear histogram, else 0."""
    exponent: int = 0
    """value * base ** exponent is in the unit."""
    group: int = 0
    """Not 0: changes together with the others of its schema that have this number."""
    minuend: int = 0
    """Not 0: 1 + index of the descriptor from which this one is subtracted to give a level."""
    level: int = 0
    """How much it matters: 0 info, 1 diagnostic, 2 debug."""

    @property
    def type(self) -> str:
        """"cumulative", "instant", "peak", "linear" or "log" (the last two are histograms)."""
        return _word(_TYPES, self.flags & _TYPE_MASK)

    @property
    def unit(self) -> str:
        """"bytes", "seconds", "cycles", "boolean", or "" for a plain number; before it is scaled."""
        return _word(_UNITS, (self.flags & _UNIT_MASK) >> 4)

    @property
    def base(self) -> int:
        """10 or 2."""
        return 2 if self.flags & _BASE_POW2 else 10

    @property
    def scale(self) -> float:
        """A value times this is in the unit: 1e-09 for nanoseconds, 1024.0 for KiB."""
        return float(self.base) ** self.exponent

    @property
    def aggregation(self) -> str:
        """How values are put together where not by the type's own way: "sum", "min", "max", "average", "count_zero",
        or ""."""
        return _word(_AGGREGATIONS, (self.flags & _AGGREGATION_MASK) >> 24)

    @property
    def signed(self) -> bool:
        """Whether values are signed."""
        return bool(self.flags & _SIGNED)

    @property
    def is_histogram(self) -> bool:
        """Whether its value is a Histogram."""
        return self.flags & _TYPE_MASK >= 3

    @property
    def counts(self) -> bool:
        """Whether it only grows, so that its change per second is of use: cumulative, or a histogram."""
        return self.flags & _TYPE_MASK in (0, 3, 4)

    @property
    def nothing(self) -> Optional[int]:
        """The raw value, as an unsigned integer, that says that nothing was counted yet: a minimum still at its
        highest, a signed maximum at its lowest. None where all are values."""
        how = self.flags & _AGGREGATION_MASK
        if how == _AGGREGATION_MIN:
            return _INT64_MAX if self.signed else _UINT64_MAX
        peak = how == _AGGREGATION_MAX or (how == 0 and self.type == "peak")
        return _INT64_MAX + 1 if peak and self.signed else None

    def structure(self) -> vmt_descriptor:
        """As the C library has it; keeps what it points to."""
        return vmt_descriptor(
            self.name.encode(), self.help.encode(), self.flags, self.slot, self.bucket_size, self.exponent, self.size,
            self.group, self.minuend, self.level,
        )  # fmt: skip


def _text(text: Optional[bytes]) -> str:
    return (text or b"").decode("utf-8", "replace")


def _descriptor(d: vmt_descriptor) -> Descriptor:
    return Descriptor(
        _text(d.name), _text(d.help), d.flags, d.slot, d.size, d.bucket_size, d.exponent, d.group, d.minuend, d.level
    )


class Schema:
    """What a kind of source counts: a name, who counts (provider), what kind of thing is counted (target), and a
    descriptor for each statistic. An immutable value: comparable, hashable, picklable.

    schema["exits"] is the descriptor of that name (KeyError), len() and iteration are over descriptors.
    """

    __slots__ = ("name", "provider", "target", "descriptors", "slots", "_by_name", "_c", "_plans", "__weakref__")

    name: str
    provider: str
    target: str
    descriptors: Tuple[Descriptor, ...]
    slots: int
    """How many values a source has; histograms take one for each bucket."""
    _by_name: Dict[str, Descriptor]
    _c: Any  # vmt_schema, once it was asked for
    _plans: Dict[bool, Any]  # _values.py's

    def __init__(
        self, name: str, provider: str, target: str, descriptors: Iterable[Descriptor], slots: Optional[int] = None
    ) -> None:
        """slots: None where the descriptors cover them all; a reader leaves out those that it does not understand."""
        set_ = object.__setattr__
        set_(self, "name", name)
        set_(self, "provider", provider)
        set_(self, "target", target)
        set_(self, "descriptors", tuple(descriptors))
        set_(self, "slots", sum(d.size for d in self.descriptors) if slots is None else slots)
        # Should two have one name, the first is meant, as in vmt_schema_find().
        set_(self, "_by_name", {d.name: d for d in reversed(self.descriptors)})
        set_(self, "_c", None)
        set_(self, "_plans", {})

    @classmethod
    def declare(cls, name: str, *, provider: str, target: str, statistics: Iterable[Kind]) -> Schema:
        """A schema of one's own, of rows such as vmtally.Cumulative("reads", help="Reads completed"); slots are given
        out in their order. ValueError where a name or a row breaks the rules of <vmtally/schema.h>."""
        from ._kinds import check_schema, descriptors

        schema = cls(name, provider, target, descriptors(statistics))
        check_schema(schema)
        return schema

    @classmethod
    def from_address(cls, address: int) -> Schema:
        """A copy of the struct vmt_schema at address."""
        c = vmt_schema.from_address(address)
        names = (_text(c.name), _text(c.provider), _text(c.target))
        return cls(*names, [_descriptor(c.descriptors[i]) for i in range(c.count)], c.slots)

    def structure(self) -> Any:
        """As the C library has it (a vmt_schema): made once, and there as long as this schema is."""
        with _making:
            if self._c is None:
                array = (vmt_descriptor * len(self.descriptors))(*(d.structure() for d in self.descriptors))
                names = (self.name.encode(), self.provider.encode(), self.target.encode())
                object.__setattr__(self, "_c", vmt_schema(*names, array, len(array), self.slots))
            return self._c

    @property
    def label(self) -> str:
        """"NAME/PROVIDER/TARGET"."""
        return f"{self.name}/{self.provider}/{self.target}"

    @property
    def dtype(self) -> numpy.dtype[Any]:
        """A numpy type whose fields are the statistics, signed where they are, histograms as arrays of buckets:
        sample.array.view(sample.schema.dtype)["exits"]. ImportError without numpy."""
        fields = [d for d in self.descriptors if self._by_name[d.name] is d]
        return load_numpy("dtype").dtype(  # type: ignore[no-any-return]
            {
                "names": [d.name for d in fields],
                "formats": ["i8" if d.signed else ("u8", (d.size,)) if d.is_histogram else "u8" for d in fields],
                "offsets": [8 * d.slot for d in fields],
                "itemsize": 8 * self.slots,
            }
        )

    def find(self, name: str) -> Optional[Descriptor]:
        """The descriptor of that name, or None."""
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> Descriptor:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Descriptor]:
        return iter(self.descriptors)

    def __len__(self) -> int:
        return len(self.descriptors)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self!r} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self!r} is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        return self is other or self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash((self.label, len(self.descriptors)))

    def __reduce__(self) -> Tuple[Any, ...]:
        return (Schema, (self.name, self.provider, self.target, self.descriptors, self.slots))

    def __copy__(self) -> Schema:
        return self

    def __deepcopy__(self, memo: object) -> Schema:
        return self

    def __repr__(self) -> str:
        return f"<vmtally.Schema {self.label}: {len(self.descriptors)} statistics>"
