# SPDX-License-Identifier: MIT
"""expected.py: fixed.json, in the shape that dump programs print. Knows KVM's numbers of types, units and bases from
the kernel's documentation and the aggregations from shm/FORMAT.md, and takes nothing from the library's headers."""
import json
import pathlib

MASK = (1 << 64) - 1
CUMULATIVE, INSTANT, PEAK, LINEAR, LOG = range(5)
MIN, MAX, AVERAGE, COUNT_ZERO = 2, 3, 4, 5
SIGNED = 1 << 28

# kind: type, aggregation (0: the type's own), signed
KINDS = {
    "cumulative": (CUMULATIVE, 0, 0), "instant": (INSTANT, 0, 0), "peak": (PEAK, 0, 0), "minimum": (INSTANT, MIN, 0),
    "boolean": (INSTANT, 0, 0), "signed_instant": (INSTANT, 0, SIGNED), "signed_peak": (PEAK, 0, SIGNED),
    "signed_minimum": (INSTANT, MIN, SIGNED), "instant_max": (INSTANT, MAX, 0),
    "instant_average": (INSTANT, AVERAGE, 0), "instant_count_zero": (INSTANT, COUNT_ZERO, 0), "linear": (LINEAR, 0, 0),
    "log": (LOG, 0, 0),
}
# unit: KVM's unit, base (0: powers of 10, 1: of 2), exponent
UNITS = {
    "none": (0, 0, 0), "bytes": (1, 1, 0), "kibibytes": (1, 1, 10), "mebibytes": (1, 1, 20), "seconds": (2, 0, 0),
    "milliseconds": (2, 0, -3), "microseconds": (2, 0, -6), "nanoseconds": (2, 0, -9), "cycles": (3, 0, 0),
    "bool": (4, 0, 0),
}


def descriptors(rows):
    """The descriptors of a schema given as rows [kind, name, unit, size, bucket_size, help]."""
    found, slot = [], 0

    def add(kind, name, unit, size, bucket_size, text, group):
        nonlocal slot
        (type_, aggregation, signed), (unit_, base, exponent) = KINDS[kind], UNITS[unit]
        found.append({"name": name, "help": text, "flags": type_ | unit_ << 4 | base << 8 | aggregation << 24 | signed,
                      "exponent": exponent, "slot": slot, "size": size, "bucket_size": bucket_size, "group": group,
                      "minuend": 0, "level": 0})
        slot += size

    for kind, name, unit, size, bucket_size, text in rows:
        if kind == "latency":  # five statistics that change as one group
            group = slot + 1
            add("cumulative", name + "_count", "none", 1, 0, text + " (count)", group)
            add("cumulative", name + "_sum", unit, 1, 0, text + " (sum)", group)
            add("minimum", name + "_min", unit, 1, 0, text + " (minimum)", group)
            add("peak", name + "_max", unit, 1, 0, text + " (maximum)", group)
            add("log", name + "_hist", unit, size, 0, text + " (histogram)", group)
        else:
            add(kind, name, unit, size, bucket_size, text, 0)
    return found


def begins_with(descriptor):
    flags = descriptor["flags"]
    aggregation, signed = flags >> 24 & 15, flags & SIGNED
    if aggregation == MIN:
        return (1 << 63) - 1 if signed else MASK
    if aggregation == MAX or aggregation == 0 and flags & 15 == PEAK:
        return 1 << 63 if signed else 0
    return 0


def expand(named, schema):
    """All values of a source or total, of which some are named."""
    values = {d["name"]: [begins_with(d)] * d["size"] for d in schema}
    for name, value in named.items():
        for bucket, count in value.items() if isinstance(value, dict) else ((0, value),):
            values[name][int(bucket)] = count & MASK
    return values


class Expected:
    """fixed.json."""

    def __init__(self):
        path = pathlib.Path(__file__).with_name("fixed.json")
        self.given = json.loads(path.read_text(encoding="utf-8"))
        self.sha256 = self.given.pop("sha256")
        del self.given["about"]
        self.schemas = {key: descriptors(rows) for key, rows in self.given["schemas"].items()}

    def dump(self, schemas=None):
        """What a dump program prints of fixed.vmt; or of a segment with the same counts, whose schemas are these."""
        schemas = schemas or self.schemas
        sources = []
        for source in self.given["sources"]:
            totals = [{**total, "schema": key, "values": expand(total["values"], schemas[key]),
                       "departed": expand(total["departed"], schemas[key])}
                      for key, total in source["totals"].items()]
            sources.append({**source, "values": expand(source["values"], schemas[source["schema"]]),
                            "totals": totals})
        return {**self.given, "sources": sources, "schemas": schemas}
