#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Decode entries of Fluent Forward as lib/export/RECORDS.md describes them, and compare them with documents of
vmt_json_encode(), value by value.

decode_records.py [--strings] [--any-time] ENTRIES DOCUMENT [OLDER]: entries are of the snapshot of which DOCUMENT is (or of
another one with the same values); with OLDER they are deltas since that one. Prints "same: N records", or what differs, and then ends with status 1.
decode_records.py --example RECORDS.md: the bytes of its example, as JSON.
"""
import json
import re
import sys

import msgpack

KEYS = {"schema", "host", "vm", "sender", "seq", "number", "state", "labels", "kind", "provider", "id", "epoch",
        "start_ns", "since_ns", "reset", "flags", "u", "c", "g", "h"}
differences = []


def differ(*words):
    differences.append(" ".join(str(w) for w in words))


def depth(value):
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth, inner), default=0) if isinstance(value, (dict, list)) else 0


def integers(record):
    """Every one but that of schema, with its key."""
    def walk(key, value):
        if isinstance(value, dict):
            for k, v in value.items():
                yield from walk(k, v)
        elif isinstance(value, list):
            for v in value:
                yield from walk(key, v)
        elif value is not True and value is not False:
            yield key, value
    for key in ("seq", "number", "epoch", "start_ns", "since_ns", "c", "g", "h"):
        yield from walk(key, record.get(key, []))


def as_numbers(value, key=None):
    if isinstance(value, dict):
        return {k: as_numbers(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [as_numbers(v) for v in value]
    return int(value) if isinstance(value, str) and key != "unit" else value


def entries(data, strings=False):
    """(time_ns, record) of each entry."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=True)
    unpacker.feed(data)
    for entry in unpacker:
        time, record = entry
        if not isinstance(time, msgpack.ExtType) or time.code != 0 or len(time.data) != 8:
            differ(f"{time!r} is no event time")
        if set(record) - KEYS or record["schema"] != 1 or depth(record) > 4:
            differ("not a record:", record)
        for key, value in integers(record):
            if key != "unit" and type(value) is not (str if strings else int):
                differ(f"{key} is {value!r}")
        for key in ("seq", "number", "epoch", "start_ns", "since_ns", "c", "g", "h"):
            if key in record:
                record[key] = as_numbers(record[key])
        seconds, ns = int.from_bytes(time.data[:4], "big"), int.from_bytes(time.data[4:], "big")
        yield seconds * 1000000000 + ns, record


def unit_of(stat):
    unit, exponent = stat.get("unit"), stat.get("exponent", 0)
    if exponent == 0:
        return unit
    known = {("seconds", 10, -3): "ms", ("seconds", 10, -6): "us", ("seconds", 10, -9): "ns",
             ("bytes", 2, 10): "KiB", ("bytes", 2, 20): "MiB", ("bytes", 2, 30): "GiB"}
    other = f"{stat['base']}^{exponent}" + (f" {unit}" if unit else "")
    return known.get((unit, stat["base"], exponent), other)


def buckets_of(stat, values):
    """Their bounds and they, up to the last that is not 0."""
    used = len(values)
    while used and values[used - 1] == 0:
        used -= 1
    bounds = range(min(used, stat["size"] - 1))
    if stat["type"] == "linear-histogram":
        return {"le": [(i + 1) * stat["bucket-size"] - 1 for i in bounds], "n": values[:used]}
    return {"le": [(1 << i) - 1 for i in bounds], "n": values[:used]}


def is_histogram(stat):
    return stat["type"].endswith("-histogram")


def counts(stat):
    return stat["type"] == "cumulative" or is_histogram(stat)


def values_of(source):
    return {s["name"]: s["value"] for s in source["stats"]}


def change(new, old):
    if isinstance(new, list):
        return [n - o for n, o in zip(new, old)]
    return new - old


def compare_latency(where, record, stats, values, totals):
    """Take what belongs to a histogram that changes together with others out of values."""
    for stat in list(stats.values()):
        name = stat["name"]
        if not is_histogram(stat) or not stat.get("group") or not name.endswith("_hist"):
            continue
        base = name[: -len("_hist")]
        h = record.get("h", {}).get(base)
        if h is None:
            differ(where, "has no histogram", base)
            continue
        expected = {**buckets_of(stat, values.pop(name)), "count": values.pop(base + "_count"),
                    "sum": values.pop(base + "_sum"), "unit": unit_of(stat)}
        least, most = values.pop(base + "_min"), values.pop(base + "_max")
        if totals[base + "_count"]:
            expected.update(min=least, max=most)
        if h != expected:
            differ(where, base, "is", h, "not", expected)
        del stats[name]
        record["h"].pop(base)
        for end in ("_count", "_sum", "_min", "_max"):
            stats.pop(base + end, None)


def compare_source(record, source, values, totals):
    where = f"{source['provider']} {source['id'] or 'segment'}:"
    stats = {s["name"]: s for s in source["stats"] if s["name"] in values}
    values = dict(values)
    compare_latency(where, record, stats, values, totals)
    for name, stat in stats.items():
        value = values[name]
        if is_histogram(stat):
            expected = {**buckets_of(stat, value), "count": sum(value)}
            if unit_of(stat):
                expected["unit"] = unit_of(stat)
            got = record.get("h", {}).pop(name, None)
        else:
            expected = value if value is None else int(value)
            got = record.get("c" if counts(stat) else "g", {}).pop(name, None)
            if record.get("u", {}).get(name) != unit_of(stat):
                differ(where, name, "has unit", record.get("u", {}).get(name), "not", unit_of(stat))
        if got != expected:
            differ(where, name, "is", got, "not", expected)
    for key in ("c", "g", "h"):
        if record.get(key):
            differ(where, "has more:", record[key])


def compare_header(record, time_ns, source, document):
    expected = {"vm": document["name"], "labels": document["labels"] or None, "kind": source["target"],
                "provider": source["provider"], "id": source["id"], "epoch": source["generation"],
                "start_ns": source["created_ns"] or None,
                "state": None if document["state"] == "live" else document["state"]}
    for key, value in expected.items():
        if record.get(key) != value:
            differ(source["id"], key, "is", record.get(key), "not", value)
    if time_ns != document["time_ns"] and "--any-time" not in sys.argv:
        differ(source["id"], "time is", time_ns, "not", document["time_ns"])


def departed(document, total):
    """What of a total of the segment no living source has."""
    result = {}
    living = [values_of(s) for s in document["sources"]
              if (s["provider"], s["schema"]) == (total["provider"], total["schema"])]
    for stat in total["stats"]:
        if counts(stat):
            value = stat["value"]
            for one in living:
                value = change(value, one[stat["name"]])
            result[stat["name"]] = value
    return result


def is_absent(values):
    return any(v is None or isinstance(v, list) and None in v for v in values)


def compare_departed(records, document):
    """Without minima and maxima, of which what is gone can't be told from the total."""
    for total in document["sources"][0]["totals"]:
        record = records.pop((total["provider"], total["target"], "", True, 0), None)
        if is_absent([s["value"] for s in total["stats"] if counts(s)]):
            continue
        values = departed(document, total)
        got = dict((record or {}).get("c", {}))
        for name, h in (record or {}).get("h", {}).items():
            whole = name + "_hist" if name + "_hist" in values else name
            got[whole] = h["n"] + [0] * (len(values[whole]) - len(h["n"]))
            if name + "_hist" in values:
                got[name + "_count"], got[name + "_sum"] = h["count"], h["sum"]
        if record is None and any(sum(v) if isinstance(v, list) else v for v in values.values()):
            differ("nothing about departed", total["target"])
        elif record is not None and got != values:
            differ("departed", total["target"], got, "not", values)
        elif record is not None and "g" in record:
            differ("departed", total["target"], "has instants")


def compare(data, document, older, strings):
    records, times, numbers = {}, {}, set()
    for time_ns, record in entries(data, strings):
        departed = "departed" in record.get("flags", [])
        key = (record["provider"], record["kind"], record["id"], departed, 0 if departed else record.get("start_ns"))
        if key in records:
            differ("twice:", key)
        if record["number"] in numbers:
            differ("a double by its number:", record)
        numbers.add(record["number"])
        records[key], times[key] = record, time_ns
    count = len(records)
    before = {(s["entry"], s["generation"]): s for s in older["sources"]} if older else {}
    for source in document["sources"]:
        key = (source["provider"], source["target"], source["id"], False, source["created_ns"] or None)
        values = values_of(source)
        if is_absent([v for s, v in zip(source["stats"], values.values()) if counts(s)]):
            if key in records:
                differ(source["id"], "is absent, but there is a record")
            continue
        if key not in records:
            differ("no record of", key)
            continue
        record = records.pop(key)
        totals = dict(values)
        compare_header(record, times[key], source, document)
        for flag in ("leaving", "unconfirmed", "torn"):
            if (flag in record.get("flags", [])) != bool(source.get(flag)):
                differ(source["id"], "flags", record.get("flags"))
        if older:
            old = before.get((source["entry"], source["generation"]))
            since = older["time_ns"] if old else source["created_ns"]
            if record.get("since_ns") != since or "reset" in record:
                differ(source["id"], "since_ns is", record.get("since_ns"), "not", since)
            for stat in source["stats"]:
                if old and counts(stat):
                    values[stat["name"]] = change(values[stat["name"]], values_of(old)[stat["name"]])
        elif "since_ns" in record or "reset" in record:
            differ(source["id"], "is no record of totals")
        compare_source(record, source, values, totals)
    compare_departed(records, document)
    for key in records:
        differ("one too many:", key)
    print(*differences, sep="\n") if differences else print(f"same: {count} records")


def example(path):
    with open(path, encoding="utf-8") as f:
        code = re.search(r"```hex\n(.*?)```", f.read(), re.S).group(1)
    for time_ns, record in entries(bytes.fromhex(code)):
        print(json.dumps([time_ns, record]))
    print(*differences, sep="\n", end="")


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--example":
        example(arguments[1])
    else:
        strings = "--strings" in arguments
        paths = [a for a in arguments if not a.startswith("--")]
        with open(paths[0], "rb") as f:
            data = f.read()
        documents = []
        for path in paths[1:]:
            with open(path, encoding="utf-8") as f:
                documents.append(json.load(f))
        compare(data, documents[0], documents[1] if len(documents) > 1 else None, strings)
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())
