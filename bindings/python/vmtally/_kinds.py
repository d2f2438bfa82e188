# SPDX-License-Identifier: MIT
"""The kinds of statistics that a schema can be declared of: the rows of <vmtally/schema.h>.

    disk = vmtally.Schema.declare("disk", provider="myvmm", target="block", statistics=[
        vmtally.Cumulative("reads", help="Reads completed"),
        vmtally.Cumulative("read_bytes", "bytes", "Bytes read"),
        vmtally.Latency("read", help="Time a read takes"),
    ])

A row takes one slot, a histogram one for each bucket. unit is one of "" (a plain number), "bytes", "kibibytes",
"mebibytes", "seconds", "milliseconds", "microseconds", "nanoseconds", "cycles" and "boolean". A name that breaks the
rules, an unknown unit, or a size that can't be is a ValueError that names the statistic.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Literal, Tuple

from ._schema import Descriptor, Schema

__all__ = [
    "Boolean",
    "Cumulative",
    "Instant",
    "InstantAverage",
    "InstantCountZero",
    "InstantMax",
    "Kind",
    "Latency",
    "Linear",
    "Log",
    "Minimum",
    "Peak",
    "SignedInstant",
    "SignedMinimum",
    "SignedPeak",
    "Unit",
]

Unit = Literal[
    "", "bytes", "kibibytes", "mebibytes", "seconds", "milliseconds", "microseconds", "nanoseconds", "cycles", "boolean"
]

# VMT_UNIT_ and VMT_BASE_ of <vmtally/descriptor.h>, and the exponent.
_UNITS: Dict[str, Tuple[int, int]] = {
    "": (0x000, 0),
    "bytes": (0x110, 0),
    "kibibytes": (0x110, 10),
    "mebibytes": (0x110, 20),
    "seconds": (0x020, 0),
    "milliseconds": (0x020, -3),
    "microseconds": (0x020, -6),
    "nanoseconds": (0x020, -9),
    "cycles": (0x030, 0),
    "boolean": (0x040, 0),
}
_CUMULATIVE, _INSTANT, _PEAK, _LINEAR, _LOG = range(5)
_MIN, _MAX, _AVERAGE, _COUNT_ZERO = 0x02000000, 0x03000000, 0x04000000, 0x05000000
_SIGNED = 0x10000000
_NAME_MAX, _HELP_MAX, _WORD_MAX, _SLOTS_MAX, _STATISTICS_MAX = 47, 1023, 23, 4096, 1024


def check_word(what: str, text: str, most: int = _WORD_MAX) -> str:
    """text, if it is 1 to most printable ASCII characters without space; else ValueError."""
    if not 0 < len(text) <= most or not all("!" <= c <= "~" for c in text):
        raise ValueError(f"{what} {text!r}: 1 to {most} printable ASCII characters without space")
    return text


def check_schema(schema: Schema) -> None:
    """ValueError where its name, provider or target breaks the rules."""
    for what in ("name", "provider", "target"):
        check_word(f"{what} of the schema", getattr(schema, what))


def encoded(what: str, text: str) -> bytes:
    """In UTF-8; ValueError where it has half a surrogate pair in it."""
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise ValueError(f"{what}: {text!r} is no text: {e.reason}") from None


class Kind:
    """One row: a statistic that is to be. unit: what it is counted in; help: one line for who reads it."""

    _flags = _CUMULATIVE

    def __init__(self, name: str, unit: Unit = "", help: str = "") -> None:
        if unit not in _UNITS:
            raise ValueError(f"{name}: no unit is called {unit!r}: {', '.join(map(repr, _UNITS))}")
        self.name = name
        self.unit = unit
        self.help = help
        self.descriptors(0)  # what can't be is said here

    def descriptors(self, slot: int) -> List[Descriptor]:
        """What it is made of, from that slot on."""
        return [self._one(self.name, self.help, self._flags, slot)]

    def _one(
        self, name: str, help: str, flags: int, slot: int, *, size: int = 1, bucket_size: int = 0, group: int = 0
    ) -> Descriptor:
        check_word("statistic", name, _NAME_MAX)
        if len(encoded(f"help of {name}", help)) > _HELP_MAX or any(c < " " or c == "\x7f" for c in help):
            raise ValueError(f"help of {name}: one line of at most {_HELP_MAX} bytes")
        unit, exponent = _UNITS[self.unit]
        return Descriptor(name, help, flags | unit, slot, size, bucket_size, exponent, group)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.unit!r}, {self.help!r})"


class Cumulative(Kind):
    """Only grows: events, bytes, time spent. Counted by add(); the sum over shards and sources."""


class Instant(Kind):
    """Goes up and down: requests in flight. Set, or added to; the sum over shards and sources."""

    _flags = _INSTANT


class Peak(Kind):
    """The highest value ever seen."""

    _flags = _PEAK


class Minimum(Kind):
    """The lowest value ever seen; until there is one, readers see None."""

    _flags = _INSTANT | _MIN


class Boolean(Kind):
    """0 or 1; the sum over sources says how many are at 1."""

    _flags = _INSTANT

    def __init__(self, name: str, help: str = "") -> None:
        super().__init__(name, "boolean", help)


class SignedInstant(Kind):
    """As Instant, -2**63 to 2**63 - 1."""

    _flags = _INSTANT | _SIGNED


class SignedPeak(Kind):
    """As Peak, -2**63 to 2**63 - 1."""

    _flags = _PEAK | _SIGNED


class SignedMinimum(Kind):
    """As Minimum, -2**63 to 2**63 - 1."""

    _flags = _INSTANT | _MIN | _SIGNED


class InstantMax(Kind):
    """As Instant, but the highest over shards and sources."""

    _flags = _INSTANT | _MAX


class InstantAverage(Kind):
    """As Instant, but the mean over sources."""

    _flags = _INSTANT | _AVERAGE


class InstantCountZero(Kind):
    """As Instant, but over sources it says how many are at 0."""

    _flags = _INSTANT | _COUNT_ZERO


class _Buckets(Kind):
    def __init__(self, name: str, size: int, unit: Unit, help: str) -> None:
        if not 1 <= size <= _SLOTS_MAX:
            raise ValueError(f"{name}: {size} buckets: 1 to {_SLOTS_MAX}")
        self.size = size
        super().__init__(name, unit, help)


class Linear(_Buckets):
    """A histogram of size buckets, each bucket_size wide; the last is open."""

    def __init__(self, name: str, size: int, bucket_size: int, unit: Unit = "", help: str = "") -> None:
        if not 1 <= bucket_size < 1 << 32:
            raise ValueError(f"{name}: buckets {bucket_size} wide: 1 to 2**32 - 1")
        self.bucket_size = bucket_size
        super().__init__(name, size, unit, help)

    def descriptors(self, slot: int) -> List[Descriptor]:
        """The one histogram."""
        return [self._one(self.name, self.help, _LINEAR, slot, size=self.size, bucket_size=self.bucket_size)]


class Log(_Buckets):
    """A histogram of size buckets: 0, 1, 2 to 3, 4 to 7, 8 to 15, ...; the last is open."""

    def __init__(self, name: str, size: int, unit: Unit = "", help: str = "") -> None:
        super().__init__(name, size, unit, help)

    def descriptors(self, slot: int) -> List[Descriptor]:
        """The one histogram."""
        return [self._one(self.name, self.help, _LOG, slot, size=self.size)]


class Latency(_Buckets):
    """How long something takes: NAME_count, NAME_sum, NAME_min, NAME_max and the logarithmic histogram NAME_hist of
    size buckets, which change together. 40 buckets of nanoseconds tell times up to nine minutes apart."""

    def __init__(self, name: str, size: int = 40, unit: Unit = "nanoseconds", help: str = "") -> None:
        super().__init__(name, size, unit, help)

    def descriptors(self, slot: int) -> List[Descriptor]:
        """All five, in one group."""
        group = slot + 1
        parts = (
            ("count", "count", _CUMULATIVE),
            ("sum", "sum", _CUMULATIVE),
            ("min", "minimum", _INSTANT | _MIN),
            ("max", "maximum", _PEAK),
            ("hist", "histogram", _LOG),
        )
        made = []
        for i, (part, word, flags) in enumerate(parts):
            size = self.size if part == "hist" else 1
            made.append(
                self._one(f"{self.name}_{part}", f"{self.help} ({word})", flags, slot + i, size=size, group=group)
            )
        made[0] = made[0]._replace(flags=_CUMULATIVE, exponent=0)  # a count has no unit
        return made


def descriptors(rows: Iterable[Kind]) -> List[Descriptor]:
    """Those of all rows, in dense slots. ValueError: two have one name, or there are none, or too many."""
    made: List[Descriptor] = []
    names = set()
    slot = 0
    for row in rows:
        for d in row.descriptors(slot):
            if d.name in names:
                raise ValueError(f"{d.name}: two statistics have this name")
            names.add(d.name)
            made.append(d)
            slot += d.size
    if not 1 <= len(made) <= _STATISTICS_MAX or slot > _SLOTS_MAX:
        raise ValueError(
            f"{len(made)} statistics with {slot} values: 1 to {_STATISTICS_MAX} of at most {_SLOTS_MAX} together"
        )
    return made
