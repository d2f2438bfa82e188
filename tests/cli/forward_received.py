#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a collector of tests/cli/fluent_server.js has received, decoded anew: forward_received.py DIR [DOCUMENT
[--strings]] [--killed]

Prints one line: messages, those compressed and those that ask for an ack; records that the collector put out; doubles
of them; samples ("1-6"), and "gaps" where one of a source is missing. With DOCUMENT, of vmtally export --format json,
each sample that arrived whole is compared with it, value by value (as lib/export/RECORDS.md has it): "same" or what
differs. --killed: a collector was. FluentServer acknowledges a message before it puts out what is in it: of each
connection the records of one message may then be in its bytes only. "drops" is what the last record of the sender
about itself says: records it had, less those dropped, less those that were put out."""
import contextlib
import gzip
import io
import json
import os
import sys

import msgpack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit"))
import decode_records  # noqa: E402

OWN = "vmtally.forward"


def objects(data):
    """(object, its bytes) of all that are whole."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, max_buffer_size=1 << 28)
    unpacker.feed(data)
    at = 0
    while True:
        try:
            value = unpacker.unpack()
        except msgpack.OutOfData:
            return
        yield value, data[at : unpacker.tell()]
        at = unpacker.tell()


def messages(directory):
    """Of the transport phase, each checked for its form, with the connection that it came by."""
    for name in sorted(os.listdir(directory)):
        if name.startswith("raw."):
            with open(os.path.join(directory, name), "rb") as f:
                data = f.read()
            for message, _ in objects(data):
                if message[0] == "PING":
                    assert len(message) == 6 and all(isinstance(m, str) for m in message), message
                    continue
                tag, body, options = message
                assert isinstance(tag, str) and isinstance(body, bytes), "PackedForward"
                assert set(options) <= {"size", "chunk", "compressed"}, options
                yield name, tag, body, options


def identity(record):
    """What a receiver knows a double by (RECORDS.md, section 5)."""
    return tuple(str(record.get(k)) for k in ("host", "sender", "seq", "vm", "number"))


def as_numbers(value):
    """As JavaScript has them."""
    if isinstance(value, dict):
        return {k: as_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_numbers(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def span(numbers):
    numbers = sorted(numbers)
    return f"{numbers[0]}-{numbers[-1]}" if numbers else "none"


def compare(samples, path, strings):
    """Each sample of which the collector was given all records."""
    with open(path, encoding="utf-8") as f:
        document = json.load(f)
    result = set()
    for entries in samples.values():
        times = {bytes(entry[0].data) for entry, _ in entries}
        data = times.pop()
        document["time_ns"] = int.from_bytes(data[:4], "big") * 10**9 + int.from_bytes(data[4:], "big")
        out = io.StringIO()
        decode_records.differences.clear()
        with contextlib.redirect_stdout(out):
            decode_records.compare(b"".join(packed for _, packed in entries), document, None, strings)
        result.add("same" if out.getvalue().startswith("same: ") and not times else out.getvalue().strip())
    return "\n".join(sorted(result)) or "nothing"


def put_out(directory):
    for name in sorted(os.listdir(directory)):
        if name.startswith("entries."):
            with open(os.path.join(directory, name), encoding="utf-8") as f:
                for line in f:
                    if line.endswith("\n"):
                        yield json.loads(line)


def main():
    directory = sys.argv[1]
    document = sys.argv[2] if len(sys.argv) > 2 and not sys.argv[2].startswith("--") else None
    counts = {"messages": 0, "gzip": 0, "ack": 0}
    raw, samples, own = {}, {}, None
    came = {}  # connection: of each message what is in it
    for name, tag, body, options in messages(directory):
        counts["messages"] += 1
        counts["ack"] += "chunk" in options
        if "compressed" in options:
            assert options["compressed"] == "gzip"
            counts["gzip"] += 1
            body = gzip.decompress(body)
        entries = list(objects(body))
        assert len(entries) == options["size"], "size is the number of entries"
        if tag != OWN:
            came.setdefault(name, []).append([identity(entry[1]) for entry, _ in entries])
        for entry, packed in entries:
            assert len(entry) == 2 and entry[0].code == 0 and len(entry[0].data) == 8, "EventTime"
            if tag == OWN:
                own = entry[1]
            elif identity(entry[1]) not in raw:
                samples.setdefault(int(entry[1]["seq"]), []).append((entry, packed))
            raw[identity(entry[1])] = (tag, as_numbers(entry[1]))
    records, doubles, told, sources, seqs = 0, 0, set(), set(), set()
    for entry in put_out(directory):
        record = entry["record"]
        key = identity(record)
        same = raw.get(key)
        assert same and same[0] == entry["tag"], f"{entry['tag']} {key} was put out, but not sent"
        assert key[0:3] == identity(record)[0:3] and same[1] == as_numbers(record), f"{record} is not {same[1]}"
        doubles += key in told
        if key not in told and entry["tag"] != OWN:
            records += 1
            seqs.add(int(record["seq"]))
            sources.add(key[3:])
        told.add(key)
    for contents in came.values() if "--killed" in sys.argv else []:
        missing = [keys for keys in contents if not told.issuperset(keys)]
        for key in set(missing[0]) - told if len(missing) == 1 else []:
            records += 1
            seqs.add(int(key[2]))
            sources.add(key[3:])
            told.add(key)
    result = {**counts, "records": records, "doubles": doubles, "samples": span(seqs),
              "gaps": len(sources) * len(seqs) - records + (max(seqs) - min(seqs) + 1 - len(seqs) if seqs else 0)}
    if own:
        result["drops"] = int(own["c"]["records"]) - int(own["c"]["records_dropped"]) - records
        result["dropped"] = int(own["c"]["records_dropped"])
    if document:
        result["values"] = compare(samples, document, "--strings" in sys.argv)
    print(" ".join(f"{k}={v}" for k, v in result.items()))


main()
