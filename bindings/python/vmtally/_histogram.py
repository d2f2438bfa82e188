# SPDX-License-Identifier: MIT
"""Histograms, by value."""

from __future__ import annotations

import ctypes
import errno
import functools
from typing import Any, Iterator, NamedTuple, Optional, Sequence, Tuple

from ._html import table
from ._library import lib
from ._schema import Descriptor

__all__ = ["Bucket", "Histogram"]

_UINT64_MAX = (1 << 64) - 1


class Bucket(NamedTuple):
    """So many values v with low <= v < high; of the last bucket, whose high is 2**64 - 1, low <= v <= high. In the
    descriptor's raw unit."""

    low: int
    high: int
    values: int


@functools.lru_cache(maxsize=256)
def _bounds(type_: int, bucket_size: int, size: int) -> Tuple[Tuple[int, int], ...]:
    d = Descriptor("", flags=type_, bucket_size=bucket_size, size=size).structure()
    low, high = ctypes.c_uint64(), ctypes.c_uint64()
    bounds = []
    for i in range(size):
        lib.vmt_bucket_bounds(d, i, low, high)
        bounds.append((low.value, high.value))
    return tuple(bounds)


class Histogram:
    """How often values of what size were recorded. An immutable value: comparable, hashable, picklable, independent of
    the snapshot it is from. All bounds, quantiles and means are in the descriptor's raw unit (nanoseconds, where its
    unit is "seconds" and its exponent -9); times descriptor.scale they are in the unit.
    """

    __slots__ = ("descriptor", "buckets", "sum", "_beside")

    descriptor: Descriptor
    buckets: Tuple[int, ...]
    """How many values were recorded in each."""
    sum: Optional[int]
    """The sum of all values; None where the schema has no NAME_sum beside NAME_hist."""
    _beside: Optional[int]  # NAME_count

    def __init__(
        self, descriptor: Descriptor, buckets: Sequence[int], sum: Optional[int] = None, count: Optional[int] = None
    ) -> None:
        """sum, count: the values of NAME_sum and NAME_count, where there are any. ValueError where descriptor is that
        of no histogram, or of one with another number of buckets."""
        if not descriptor.is_histogram or len(buckets) != descriptor.size:
            raise ValueError(f"{descriptor.name}: {len(buckets)} buckets, of a {descriptor.type} of {descriptor.size}")
        object.__setattr__(self, "descriptor", descriptor)
        object.__setattr__(self, "buckets", tuple(buckets))
        object.__setattr__(self, "sum", sum)
        object.__setattr__(self, "_beside", count)

    @property
    def count(self) -> int:
        """How many values were recorded, by the buckets."""
        return _add_up(self.buckets)

    @property
    def mean(self) -> Optional[float]:
        """The exact mean; None where the schema has no NAME_sum and NAME_count beside NAME_hist, or nothing was
        recorded."""
        return self.sum / self._beside if self.sum is not None and self._beside else None

    @property
    def bounds(self) -> Tuple[Tuple[int, int], ...]:
        """(low, high) of each bucket; see Bucket."""
        d = self.descriptor
        return _bounds(d.flags & 0xF, d.bucket_size, d.size)

    def __iter__(self) -> Iterator[Bucket]:
        return (Bucket(low, high, n) for (low, high), n in zip(self.bounds, self.buckets))

    def quantile(self, q: float) -> Tuple[int, int]:
        """(low, high): the value below or at which the part q (0 to 1) of all values lies is from low to high. A high
        of 2**64 - 1 is the open end of the last bucket. ValueError where q is not in 0 to 1, or nothing was recorded.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"quantile {q!r} is not between 0 and 1")
        low, high = ctypes.c_uint64(), ctypes.c_uint64()
        array = (ctypes.c_uint64 * len(self.buckets))(*self.buckets)
        if lib.vmt_quantile(self.descriptor.structure(), array, q, low, high) == -errno.ENODATA:
            raise ValueError(f"{self.descriptor.name}: nothing was recorded")
        return low.value, high.value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self!r} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self!r} is immutable")

    def _key(self) -> Tuple[Any, ...]:
        return (self.descriptor, self.buckets, self.sum, self._beside)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> Tuple[Any, ...]:
        return (Histogram, self._key())

    def __repr__(self) -> str:
        unit = self.descriptor.unit and f" in {self.descriptor.scale:g} {self.descriptor.unit}"
        text = f"<vmtally.Histogram {self.descriptor.name}: {self.count} values"
        if self.count:
            text += ", " + ", ".join(f"p{q * 100:g} {_range(self.quantile(q))}" for q in (0.5, 0.99)) + unit
        return text + ">"

    def _repr_html_(self) -> str:
        used = [b for b in self if b.values]
        most = max((b.values for b in used), default=1)
        rows = [(_range((b.low, b.high)), str(b.values), "█" * (1 + 39 * b.values // most)) for b in used]
        d = self.descriptor
        unit = f", in {d.scale:g} {d.unit}" if d.unit else ""
        return table(("values", "count", ""), rows, f"{d.name}: {d.help}{unit}")


_add_up = sum  # a class with a member "sum" has its own


def _range(bounds: Tuple[int, int]) -> str:
    low, high = bounds
    return f"{low} and more" if high == _UINT64_MAX else f"{low} to {high}"
