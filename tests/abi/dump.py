#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dump.py FILE: one snapshot of a segment as one JSON object, as dump.c prints it, by the package vmtally.
dump.py -: reads names of files from standard input and answers each with one line, as dump.c does."""
import json
import sys

import vmtally

INFO = ("name", "incarnation", "created_ns", "closed_ns", "heartbeat_ns", "pid", "pid_start", "major", "minor", "flags")


def slots(values):
    return {d.name: values.raw[d.slot : d.slot + d.size] for d in values.schema}


def total(one):
    return {
        "schema": one.schema.label, "sources": one.sources, "flags": one.flags,
        "values": slots(one), "departed": slots(one.departed),
    }  # fmt: skip


def source(sample):
    names = ("id", "name", "entry", "generation", "created_ns", "depth", "flags")
    return {
        **{name: getattr(sample, name) for name in names},
        "parent": sample.parent.id if sample.parent else None,
        "schema": sample.schema.label,
        "values": slots(sample),
        "totals": [total(one) for one in sample.totals],
    }


def schemas(snapshot):
    all_ = {one.schema for sample in snapshot.sources() for one in (sample, *sample.totals)}
    return {schema.label: [d._asdict() for d in schema] for schema in all_}


def dump(path):
    with vmtally.attach(path if "/" in path else "./" + path) as vm:
        snapshot = vm.snapshot()
    info = snapshot.segment
    return {
        **{name: getattr(info, name) for name in INFO},
        "labels": info.label_texts,
        "identity": info.identity.hex(),
        "boot_id": info.boot_id.hex(),
        "state": str(info.state),
        "sources": [source(sample) for sample in snapshot.sources()],
        "schemas": schemas(snapshot),
    }


def answer(path):
    """An object for a sound file, else {"error": why}."""
    try:
        verdict = vmtally.check(path)
        if verdict.why or verdict.state in (vmtally.State.DAMAGED, vmtally.State.OTHER_VERSION):
            return {"error": verdict.why or str(verdict.state)}
        return dump(path)
    except vmtally.Error as e:
        return {"error": str(e)}


def main():
    if len(sys.argv) != 2:
        print("usage: dump.py FILE, or dump.py - < NAMES", file=sys.stderr)
        sys.exit(2)
    if sys.argv[1] == "-":
        for line in sys.stdin:
            print(json.dumps(answer(line.rstrip("\n"))), flush=True)
        return
    try:
        print(json.dumps(dump(sys.argv[1])))
    except vmtally.Error as e:
        sys.exit(f"dump.py: {e}")


if __name__ == "__main__":
    main()
