#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Decode a msgpack stream as lib/export/STREAM.md describes it, and nothing else.

decode_stream.py [--example] FILE: print what each frame says as one line of JSON. FILE may be "-".
--example: FILE is STREAM.md itself; decode the bytes of its example.
"""
import json
import re
import sys

import msgpack

VERSION = 1


class Damaged(Exception):
    pass


def time_ns(timestamp):
    if not isinstance(timestamp, msgpack.Timestamp):
        raise Damaged(f"{timestamp!r} is no timestamp")
    return timestamp.seconds * 1000000000 + timestamp.nanoseconds


def bin16(data):
    if not isinstance(data, bytes) or len(data) != 16:
        raise Damaged(f"{data!r} is not bin of 16 bytes")
    return data.hex()


def name_values(schema, values):
    """An array of values as {name: value or list}."""
    if values is None:
        return None
    named, at = {}, 0
    for d in schema["descriptors"]:
        size = d.get("size", 1)
        part = values[at : at + size]
        if len(part) != size:
            raise Damaged("fewer values than the schema has")
        if not all(v is None or type(v) is int and (v >= 0 or d.get("signed", False)) for v in part):
            raise Damaged(f"{d['name']} is {part}")
        histogram = d["type"] in ("linear-histogram", "log2-histogram")
        named[d["name"]] = part if histogram or size != 1 else part[0]
        at += size
    if at != len(values):
        raise Damaged("more values than the schema has")
    return named


class Decoder:
    def __init__(self):
        self.stream = None  # number of the last header; None: wait for one
        self.schemas = {}
        self.set = None
        self.sources = {}

    def frame(self, frame):
        """What one frame says, as a dict."""
        if isinstance(frame, dict):
            return {**frame, "frame": "map", "time": time_ns(frame["time"]),
                    "identity": bin16(frame["identity"]), "boot_id": bin16(frame["boot_id"])}
        if not isinstance(frame, list) or len(frame) < 4 or type(frame[0]) is not int or type(frame[1]) is not int:
            raise Damaged(f"{frame!r} is no frame")
        if frame[0] == 0:
            return self.header(frame)
        if frame[2] != self.stream or frame[1] != VERSION:
            return self.skipped("another stream")
        kinds = {1: self.schema, 2: self.source_set, 3: self.sample}
        return kinds[frame[0]](frame) if frame[0] in kinds else self.skipped("unknown kind")

    @staticmethod
    def skipped(why):
        return {"frame": "skipped", "why": why}

    def header(self, frame):
        self.__init__()
        if frame[1] != VERSION or frame[2] != "VMTALLY":
            return self.skipped("unknown version")
        self.stream = frame[3]
        return {"frame": "header", "stream": frame[3], "identity": bin16(frame[4]), "boot_id": bin16(frame[5]),
                "incarnation": frame[6], "pid": frame[7], "pid_start": frame[8], "name": frame[9],
                "labels": frame[10], "created_ns": time_ns(frame[11]), "path": frame[12], "format": frame[13]}

    def schema(self, frame):
        schema = dict(zip(("number", "name", "provider", "target", "descriptors"), frame[3:]))
        self.schemas[schema["number"]] = schema
        return {"frame": "schema", **schema}

    def source_set(self, frame):
        keys = ("number", "id", "parent", "schema", "generation", "created_ns", "entry")
        sources = [dict(zip(keys, source)) for source in frame[4]]
        self.set, self.sources = None, {}
        if any(source["schema"] not in self.schemas for source in sources):
            return self.skipped("unknown schema")
        self.set = frame[3]
        for source in sources:
            source["created_ns"] = time_ns(source["created_ns"])
            self.sources[source["number"]] = source
        return {"frame": "sources", "set": self.set, "sources": sources}

    def sample(self, frame):
        if frame[3] != self.set:
            return self.skipped("unknown set")
        if any(total[1] not in self.schemas for total in frame[13]):
            return self.skipped("unknown schema")
        return {"frame": "sample", "set": frame[3], "time_ns": time_ns(frame[4]), "begin_ns": frame[5],
                "end_ns": frame[6], "state": frame[7], "flags": frame[8],
                "closed_ns": None if frame[9] is None else time_ns(frame[9]), "heartbeat_ns": frame[10],
                "file_bytes": frame[11], "sources": [self.source(s) for s in frame[12]],
                "totals": [self.total(t) for t in frame[13]]}

    def source(self, sample):
        source = self.sources[sample[0]]
        schema = self.schemas[source["schema"]]
        shards = sample[3] if len(sample) > 3 else []
        return {"id": source["id"], "generation": source["generation"], "schema": schema["name"],
                "flags": sample[2] if len(sample) > 2 else 0, "stats": name_values(schema, sample[1]),
                "shards": [{"owner": s[0], "held": s[1], "stats": name_values(schema, s[2]),
                            "flags": s[3] if len(s) > 3 else 0} for s in shards]}

    def total(self, total):
        schema = self.schemas[total[1]]
        return {"id": self.sources[total[0]]["id"], "schema": schema["name"], "live": total[2],
                "stats": name_values(schema, total[3]), "flags": total[4] if len(total) > 4 else 0,
                "departed": name_values(schema, total[5]) if len(total) > 5 else None}


def main(arguments):
    example = arguments[:1] == ["--example"]
    path = arguments[example]
    data = sys.stdin.buffer.read() if path == "-" else open(path, "rb").read()
    if example:
        data = bytes.fromhex(re.search(rb"```hex\n(.*?)```", data, re.DOTALL).group(1).decode())

    decoder = Decoder()
    unpacker = msgpack.Unpacker(raw=False, timestamp=0, max_buffer_size=len(data) + 1)
    unpacker.feed(data)
    end = 0  # of the last whole frame
    try:
        for frame in unpacker:
            print(json.dumps(decoder.frame(frame)))
            end = unpacker.tell()
    except (Damaged, ValueError, KeyError, IndexError, TypeError) as error:
        print(json.dumps({"frame": "damaged", "why": str(error), "at": end}))
        return 1
    print(json.dumps({"frame": "end", "rest": len(data) - end}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
