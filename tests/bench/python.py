#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python.py [SOURCES COUNTERS]: what a snapshot of a large segment takes from Python.

Makes a segment of SOURCES (1,000) sources of COUNTERS (64) counters that all differ, and reads it by the package
vmtally of bindings/python (PYTHONPATH; VMTALLY_LIBRARY_PATH says where the library is), in several ways in turn. A time
is CPU time of the thread, median of the rounds. Exit status 0 whatever the times are: machines differ."""
import gc
import os
import shutil
import statistics
import sys
import tempfile
import time

import vmtally

LIMIT_MS = 10
ROUNDS = 31


def verdict(value, limit):
    return "within" if value <= limit else "MISSED"


def fill(segment, sources, counters):
    rows = [vmtally.Cumulative(f"counter_{i}") for i in range(counters)]
    schema = vmtally.Schema.declare("counters", provider="bench", target="bench", statistics=rows)
    shards = [segment.add(schema, f"source-{i}").acquire() for i in range(sources)]
    for i, shard in enumerate(shards):
        for k in range(counters):
            shard.add(f"counter_{k}", (i << 40) + k)
    return shards, sum((i << 40) + k for i in range(sources) for k in range(counters))


def measured(ways, rounds):
    """Milliseconds each, median; the ways take turns."""
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            start = time.thread_time_ns()
            way()
            times[name].append((time.thread_time_ns() - start) / 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    sources, counters = (int(a) for a in sys.argv[1:3]) if len(sys.argv) > 2 else (1000, 64)
    directory = tempfile.mkdtemp(prefix="vmtally-test.", dir="/dev/shm")
    os.environ["VMTALLY_DIR"] = directory
    try:
        with vmtally.Segment("bench") as segment:
            shards, expected = fill(segment, sources, counters)
            with vmtally.attach("bench") as vm:
                good = compare(vm, sources, counters, expected)
            del shards
        return 0 if good else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def compare(vm, sources, counters, expected):
    def added_up():
        return sum(sum(s.raw) for s in vm.snapshot().sources(target="bench"))

    def by_name():
        return sum(sum(values.values()) for id, values in vm.snapshot().as_dict().items() if id)

    ways = {"taken": vm.snapshot, "taken, all values as ints, added up": added_up,
            "taken, all values as ints by name, added up": by_name}
    try:
        import numpy

        def arrays():
            return sum(int(s.array.sum(dtype=numpy.uint64)) for s in vm.snapshot().sources(target="bench"))

        ways["taken, all values as numpy arrays, added up"] = arrays
    except ImportError:
        print("python: numpy is not installed: no row of arrays", file=sys.stderr)
    wrong = [name for name, way in ways.items() if name != "taken" and way() != expected]
    for name in wrong:
        print(f"python: {name}: the values are not what was counted", file=sys.stderr)
    times = measured(ways, ROUNDS)
    print(f"a snapshot of {sources:,} sources of {counters} counters from Python {sys.version.split()[0]}")
    for name, ms in times.items():
        limited = f"   limit {LIMIT_MS}: {verdict(ms, LIMIT_MS)}" if "ints" in name else ""
        print(f"  {name:<46}{ms:8.2f} ms{limited}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
