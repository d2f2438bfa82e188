# SPDX-License-Identifier: MIT
"""vmtally: what virtual machines count, read (and written) from Python.

    import vmtally

    for found in vmtally.discover():
        with found.attach() as vm:
            snapshot = vm.snapshot()
            for id, sample in snapshot.items():
                print(found.name, id, sample.as_dict())

Readers: discover(), attach() -> Reader -> Snapshot -> Sample -> numbers and Histograms; newer - older is a Delta, with
rates; Reader.samples() is a loop over time; Host adds what the kernel counts. Writers: Segment -> Source -> Shard.

All values are exact integers in raw units: a Descriptor says what they are, scaled() gives floats in seconds, bytes or
cycles. All errors are vmtally.Error, an OSError that names the segment. numpy is used where it is there.
"""

from . import _errors, _kinds, _writer, schemas
from ._delta import Change, Delta
from ._errors import *  # noqa: F401,F403
from ._find import Found, Verdict, attach, check, discover
from ._histogram import Bucket, Histogram
from ._host import Host
from ._info import SegmentInfo, State
from ._kinds import *  # noqa: F401,F403
from ._reader import Reader
from ._samples import Samples, Tick
from ._schema import Descriptor, Schema
from ._snapshot import Sample, ShardSample, Snapshot, Table, Total
from ._values import Value, Values
from ._writer import *  # noqa: F401,F403

__version__ = "1.0.0"

__all__ = [
    *_errors.__all__,
    *_kinds.__all__,
    *_writer.__all__,
    "Bucket",
    "Change",
    "Delta",
    "Descriptor",
    "Found",
    "Histogram",
    "Host",
    "Reader",
    "Sample",
    "Samples",
    "Schema",
    "SegmentInfo",
    "ShardSample",
    "Snapshot",
    "State",
    "Table",
    "Tick",
    "Total",
    "Value",
    "Values",
    "Verdict",
    "attach",
    "check",
    "discover",
    "schemas",
]
