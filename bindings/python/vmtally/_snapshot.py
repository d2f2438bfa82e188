# SPDX-License-Identifier: MIT
"""Snapshots: immutable copies of all values of a VM at one time.

Nothing is converted before it is asked for. The memory belongs to the C library; whatever refers to it (a Sample, its
totals and shards, a numpy array, a Delta) keeps it, so the order in which they go does not matter.
"""

from __future__ import annotations

import ctypes
import errno
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

from ._errors import ensure
from ._html import table
from ._info import SegmentInfo, info_at
from ._library import lib
from ._memory import Memory
from ._numpy import load_numpy
from ._schema import Schema
from ._structures import vmt_sample, vmt_shard_sample, vmt_total
from ._values import Value, Values, member, plan_of, read_value

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    from ._delta import Delta

__all__ = ["Sample", "ShardSample", "Snapshot", "Table", "Total"]

_NO_PARENT = (1 << 32) - 1


class Schemas(Dict[int, Schema]):
    """The schemas of one reader by their addresses, which stay as long as the reader or a snapshot of it does."""

    def __missing__(self, address: int) -> Schema:
        schema = self[address] = Schema.from_address(address)
        return schema


class Taken:
    """What all objects of one snapshot share."""

    __slots__ = ("memory", "schemas", "path", "_ids", "_index")

    def __init__(self, schemas: Schemas, path: str) -> None:
        address = ctypes.c_void_p()
        ensure(lib.vmt_snapshot_new(address), "snapshot of", path)
        self.memory = Memory(address.value or 0, lib.vmt_snapshot_free)
        self.schemas = schemas
        self.path = path
        self._ids: Optional[List[str]] = None
        self._index: Optional[Dict[str, int]] = None

    @property
    def count(self) -> int:
        return int(lib.vmt_snapshot_count(self.memory.address))

    def source(self, i: int) -> vmt_sample:
        return vmt_sample.from_address(lib.vmt_snapshot_source(self.memory.address, i))

    @property
    def ids(self) -> List[str]:
        """Of all samples."""
        if self._ids is None:
            self._ids = [self.source(i).id.decode("utf-8", "replace") for i in range(self.count)]
        return self._ids

    @property
    def index(self) -> Dict[str, int]:
        """Where each id is. Of two sources with one id that which is not leaving is meant."""
        if self._index is None:
            index = {id: i for i, id in enumerate(self.ids)}
            if len(index) < len(self.ids):
                for i, id in reversed(list(enumerate(self.ids))):
                    if index[id] != i and not self.source(i).flags & 1:
                        index[id] = i
            self._index = index
        return self._index


class Total(Values):
    """What all descendants of one source with one schema have counted: those that live and those that departed. (Of
    what is read from the kernel only those that live.)"""

    __slots__ = ("_sources", "_departed")

    sources: int = member("_sources", "How many of them live.")
    departed: Values = member("_departed", "The part of those that departed; 0 for instants. Absent as the total is.")

    def __init__(self, taken: Taken, c: vmt_total) -> None:
        super().__init__(taken.schemas[c.schema], c.values, taken.memory, c.flags)
        self._sources = c.sources
        self._departed = Values(self.schema, c.departed, taken.memory, c.flags)

    def __repr__(self) -> str:
        return f"<vmtally.Total of {self.sources} live sources of {self.schema.label}>"


class ShardSample(Values):
    """One shard of a source: the values that one execution context of the writer counted."""

    __slots__ = ("_thread", "_held", "_id")

    owner: int = member("_thread", "Thread id in the writer's PID namespace, 0: not known.")
    held: int = member("_held", "1: held, 0: nobody's at the moment, 2: the shared one, which any thread counts into.")
    id: int = member("_id", "The same in all snapshots, of the same shard of the same incarnation of its source.")

    def __init__(self, taken: Taken, schema: Schema, c: vmt_shard_sample) -> None:
        super().__init__(schema, c.values, taken.memory, c.flags)
        self._thread, self._held, self._id = c.owner, c.held, c.id

    def __repr__(self) -> str:
        return f"<vmtally.ShardSample {self.id} of {self.schema.label}, owner {self.owner}, held {self.held}>"


class Sample(Values):
    """One source in a snapshot: a mapping from the names of its statistics to their values. See Values.

    sample["exits"] is an int, sample["io_latency_hist"] a Histogram.
    """

    __slots__ = ("_taken", "_c", "_index")

    index: int = member("_index", "Its number in the snapshot: parents before children, 0 is the segment itself.")

    def __init__(self, taken: Taken, index: int) -> None:
        c = self._c = taken.source(index)
        super().__init__(taken.schemas[c.schema], c.values, taken.memory, c.flags)
        self._taken = taken
        self._index = index

    def _what(self) -> str:
        return f"{self.id or 'the segment itself'} in {self._taken.path}"

    @property
    def id(self) -> str:
        """"vm/vcpu-2"; "" for the segment itself."""
        return str(self._c.id.decode("utf-8", "replace"))

    @property
    def name(self) -> str:
        """The last part of its id; for the segment itself the VM's name."""
        return str(self._c.name.decode("utf-8", "replace"))

    @property
    def target(self) -> str:
        """What kind of thing it is: "vm", "vcpu", "block", ..."""
        return self.schema.target

    @property
    def provider(self) -> str:
        """Who counts: "vmm", "kvm", ..."""
        return self.schema.provider

    @property
    def entry(self) -> int:
        """With generation: this incarnation of the source in this segment."""
        return int(self._c.entry)

    @property
    def generation(self) -> int:
        """See entry."""
        return int(self._c.generation)

    @property
    def created_ns(self) -> int:
        """When it was added: CLOCK_REALTIME (time.time_ns()), nanoseconds; 0: not known."""
        return int(self._c.created_ns)

    @property
    def depth(self) -> int:
        """0 for the segment itself."""
        return int(self._c.depth)

    @property
    def leaving(self) -> bool:
        """Removed, but a shard of it is still held or it has children."""
        return bool(self.flags & 1)

    @property
    def unconfirmed(self) -> bool:
        """Values that change together may disagree: their writer was stopped, or died, between them."""
        return bool(self.flags & 2)

    @property
    def torn(self) -> bool:
        """Values that change together disagree for good: an owner died between them."""
        return bool(self.flags & 4)

    @property
    def parent(self) -> Optional[Sample]:
        """None for the segment itself."""
        return None if self._c.parent == _NO_PARENT else Sample(self._taken, self._c.parent)

    @property
    def children(self) -> Tuple[Sample, ...]:
        """In the order in which they stand in the snapshot."""
        found = []
        for i in range(self.index + 1, self._taken.count):
            c = self._taken.source(i)
            if c.depth <= self._c.depth:
                break
            if c.parent == self.index:
                found.append(Sample(self._taken, i))
        return tuple(found)

    @property
    def subject(self) -> Sample:
        """The source that this one speaks of: its parent where it is another provider's view of the same thing (the
        kernel's "vm/vcpu-0/kvm" of "vm/vcpu-0"), else itself."""
        i = lib.vmt_snapshot_subject(self._taken.memory.address, self.index)
        return self if i == self.index else Sample(self._taken, i)

    @property
    def totals(self) -> Tuple[Total, ...]:
        """Of each schema that a descendant has or had: what all of them counted."""
        n = self._c.total_count
        return tuple(Total(self._taken, c) for c in (vmt_total * n).from_address(self._c.totals)) if n else ()

    @property
    def shards(self) -> Tuple[ShardSample, ...]:
        """Empty but for snapshot(shards=True)."""
        n = self._c.shard_count
        if not n:
            return ()
        array = (vmt_shard_sample * n).from_address(self._c.shards)
        return tuple(ShardSample(self._taken, self.schema, c) for c in array)

    def total(self, name: str) -> Value:
        """The total of one statistic over all descendants (this source not counted), live and departed, whatever their
        schemas, in the statistic's own way: sum, highest, lowest, mean. None where it could not be read, or nothing was
        counted yet. KeyError where no descendant has it."""
        for total in self.totals:
            d = total.schema.find(name)
            if d:
                break
        else:
            raise KeyError(f"no descendant of {self._what()} has a statistic {name}")
        values = (ctypes.c_uint64 * d.size)()
        r = lib.vmt_sample_total(ctypes.addressof(self._c), d.structure(), values)
        return None if r == -errno.ENODATA else read_value(d, tuple(values))

    def __repr__(self) -> str:
        state = ", absent" if self.absent else ", leaving" if self.leaving else ""
        return f"<vmtally.Sample {self._what()}: {len(self.schema)} statistics of {self.schema.label}{state}>"


class Table(NamedTuple):
    """All sources of one schema, for numpy."""

    ids: List[str]
    """Of the rows."""
    names: List[str]
    """Of the columns, one for each slot: "exits", "io_latency_hist[3]"."""
    array: numpy.typing.NDArray[numpy.uint64]
    """A copy, raw; .view(schema.dtype) has signs."""
    schema: Schema


def _columns(schema: Schema) -> List[str]:
    names = [f"[{slot}]" for slot in range(schema.slots)]  # of what this library does not understand
    for d in schema:
        for k in range(d.size):
            names[d.slot + k] = f"{d.name}[{k}]" if d.is_histogram else d.name
    return names


class Snapshot(Mapping[str, Sample]):
    """All sources of a VM at one time, by their full ids ("vm/vcpu-2"; "" is the segment itself), parents before their
    children. Immutable; stays valid after its reader was closed. newer - older is a Delta.

    A snapshot may be used by several threads. It can be copied (it is the same), but not pickled.
    """

    __slots__ = ("_taken", "_samples", "_info", "_partial", "__weakref__")

    partial: bool = member("_partial", "Something could not be read; what is there is right.")

    def __init__(self, taken: Taken, partial: bool) -> None:
        self._taken = taken
        self._samples: Dict[int, Sample] = {}
        self._info: Optional[SegmentInfo] = None
        self._partial = partial

    @property
    def segment(self) -> SegmentInfo:
        """Name, labels, pid, state, ... at that time."""
        if self._info is None:
            self._info = info_at(lib.vmt_snapshot_segment(self._taken.memory.address))
        return self._info

    @property
    def pid(self) -> int:
        """Of the process that writes the segment, as this host sees it, where a Host knows that process; else
        segment.pid, which is in the writer's PID namespace."""
        return int(lib.vmt_snapshot_pid(self._taken.memory.address))

    @property
    def root(self) -> Sample:
        """The segment itself, source 0: the parent of all that have no other."""
        return self._at(0)

    def _at(self, i: int) -> Sample:
        sample = self._samples.get(i)
        return sample if sample is not None else self._samples.setdefault(i, Sample(self._taken, i))

    def __getitem__(self, id: str) -> Sample:
        try:
            return self._at(self._taken.index[id])
        except KeyError:
            raise KeyError(f"{self._taken.path} has no source {id}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._taken.index)

    def __len__(self) -> int:
        return len(self._taken.index)

    def __contains__(self, id: object) -> bool:
        return id in self._taken.index

    def sources(
        self, *, target: Optional[str] = None, provider: Optional[str] = None, schema: Union[Schema, str, None] = None
    ) -> Iterator[Sample]:
        """Those of that target ("vcpu"), provider and schema (itself, its name, or its label), and with their parents
        all that have one id with another (leaving, and added again)."""
        for i in range(self._taken.count):
            sample = self._at(i)
            own = sample.schema
            if target is not None and own.target != target or provider is not None and own.provider != provider:
                continue
            if schema is None or schema == own or schema in (own.name, own.label):
                yield sample

    def table(self, of: Union[Schema, str]) -> Table:
        """The values of all sources of one schema (itself, its label, its name, or its target where all of that target
        have one schema), a row each; absent ones are left out. KeyError where there are none; ValueError where several
        schemas are meant; ImportError without numpy."""
        numpy = load_numpy("table()")
        chosen = list(self.sources(schema=of)) or list(self.sources(target=str(of)))
        schemas = {sample.schema for sample in chosen}
        if not schemas:
            raise KeyError(f"{self._taken.path} has no source of {of}")
        if len(schemas) > 1:
            raise ValueError(f"{of} are several: {', '.join(sorted(s.label for s in schemas))}; name one")
        schema = schemas.pop()
        rows = [sample for sample in chosen if not sample.absent]
        array = numpy.empty((len(rows), schema.slots), dtype="uint64")
        for i, sample in enumerate(rows):
            array[i] = sample.array
        return Table([sample.id for sample in rows], _columns(schema), array, schema)

    def as_dict(self) -> Dict[str, Dict[str, Value]]:
        """All values, as dicts of one's own."""
        made: Dict[str, Dict[str, Value]] = {}
        for id, i in self._taken.index.items():
            c = self._taken.source(i)
            plan = plan_of(self._taken.schemas[c.schema])
            made[id] = {} if c.flags & 8 or not c.values else plan.make(plan.read(c.values))
        return made

    def __sub__(self, older: Snapshot) -> Delta:
        """What changed since older. See Delta."""
        from ._delta import Delta

        return Delta(older, self) if isinstance(older, Snapshot) else NotImplemented

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("Snapshot can't be pickled: it is memory of the C library; as_dict() and segment can")

    def __copy__(self) -> Snapshot:
        return self

    def __deepcopy__(self, memo: object) -> Snapshot:
        return self

    def __repr__(self) -> str:
        partial = ", partial" if self.partial else ""
        return f"<vmtally.Snapshot of {self._taken.path}: {self._taken.count} sources, {self.segment.state}{partial}>"

    def _repr_html_(self) -> str:
        rows = (
            (sample.id or sample.name, sample.schema.label, str(len(sample)), "leaving" if sample.leaving else "")
            for sample in self.sources()
        )
        s = self.segment
        caption = f"{s.name} ({s.path}): {s.state}, pid {s.pid}" + (", partial" if self.partial else "")
        return table(("source", "schema", "statistics", ""), rows, caption)
