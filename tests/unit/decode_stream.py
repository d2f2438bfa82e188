#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Decode a msgpack stream as lib/export/STREAM.md describes it, and nothing else.

decode_stream.py [--example] FILE: print what each frame says as one line of JSON. FILE may be "-".
--example: FILE is STREAM.md itself; decode the bytes of its example.
--documents: print each sample and each self-contained map as a document of section 6, one line of JSON; for damage a
line "damaged", and at the end "rest N", the bytes that are no whole frame.
"""
import copy
import datetime
import json
import re
import sys

import msgpack

VERSION = 1
FRAME_BYTES, FRAME_DEPTH = 64 << 20, 16
TYPES = ("cumulative", "instant", "peak", "linear-histogram", "log2-histogram")
UNITS = (None, "bytes", "seconds", "cycles", "boolean")
AGGREGATIONS = (None, "sum", "min", "max", "average", "count-zero")
STATES = ("live", "closed", "died", "died mid-change", "stalled", "damaged", "other version")
KEYS = ("name", "type", "unit", "base", "exponent", "size", "bucket-size", "signed", "aggregation", "group", "minuend",
        "level", "help")


class Damaged(Exception):
    pass


class More(Exception):
    """There is no whole frame yet."""


def check(condition, what):
    if not condition:
        raise Damaged(what)


def uint(value, most=2**64 - 1):
    check(type(value) is int and 0 <= value <= most, f"{value!r} is no uint up to {most}")
    return value


def u32(value):
    return uint(value, 2**32 - 1)


def text(value):
    """UTF-8 without control characters, nor what turns the direction of writing around."""
    check(isinstance(value, str), f"{value!r} is no str")
    check(not re.search("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", value),
          f"{value!r} may not be shown")
    return value


def plain(value):
    """Names are of printable ASCII: each byte that is not is shown as a '?'."""
    return re.sub(rb"[^!-~]", b"?", value.encode()).decode()


def time_ns(timestamp):
    check(isinstance(timestamp, msgpack.Timestamp), f"{timestamp!r} is no timestamp")
    return uint(timestamp.seconds * 1000000000 + timestamp.nanoseconds)


def bin16(data):
    check(isinstance(data, bytes) and len(data) == 16, f"{data!r} is not bin of 16 bytes")
    return data.hex()


def elements(array, least):
    check(isinstance(array, list) and len(array) >= least, f"{array!r} is no array of {least} elements")
    return array


# ---- schemas and values ----


def is_known(d):
    """A later version may have kinds that this one has not."""
    histogram = d["type"] in TYPES[3:]
    return d["type"] in TYPES and d.get("unit") in UNITS and d.get("base", 10) in (2, 10) \
        and d.get("aggregation") in AGGREGATIONS and (histogram or d.get("size", 1) == 1) \
        and (d.get("bucket-size", 0) != 0) == (d["type"] == TYPES[3]) and -30 <= d["exponent"] <= 60


def may_be_nil(d):
    how = d.get("aggregation")
    highest = how == "max" or (how is None and d["type"] == "peak")
    return how == "min" or (highest and d.get("signed", False))


def read_descriptor(d):
    check(isinstance(d, dict) and all(k in d for k in ("name", "type", "exponent")), f"{d!r} is no descriptor")
    for key in d:
        text(key)
    for key in ("name", "type", "unit", "aggregation", "minuend", "level", "help"):
        text(d.get(key, ""))
    for key, most in (("size", 4096), ("bucket-size", 2**32 - 1), ("group", 65535), ("base", 2**64 - 1)):
        uint(d.get(key, 1), most)
    check(type(d["exponent"]) is int and abs(d["exponent"]) < 32768, "exponent")
    check(d.get("size", 1) > 0 and type(d.get("signed", False)) is bool, "size or signed")
    check(len(d["name"].encode()) < 48, "name")
    check(len(d.get("help", "").encode()) < 1024, "help")
    return d


def read_values(schema, values):
    """An array of values, checked."""
    if values is None:
        return None
    at = 0
    check(isinstance(values, list), "values are no array")
    for d in schema["descriptors"]:
        part = values[at : at + d.get("size", 1)]
        check(len(part) == d.get("size", 1), "fewer values than the schema has")
        at += len(part)
        low, high = (-(2**63), 2**63) if d.get("signed") else (0, 2**64)
        for v in part if is_known(d) else ():
            check(may_be_nil(d) if v is None else type(v) is int and low <= v < high, f"{d['name']} is {part}")
    check(at == len(values), "more values than the schema has")
    return values


def parts(schema, values):
    """Each descriptor with its value or list; None for all where they are absent."""
    at = 0
    for d in schema["descriptors"]:
        size, histogram = d.get("size", 1), d["type"] in TYPES[3:]
        part = None if values is None else values[at : at + size] if histogram or size != 1 else values[at]
        at += size
        yield d, part


def name_values(schema, values):
    return None if values is None else {d["name"]: part for d, part in parts(schema, values)}


# ---- frames ----


class Stream:
    def __init__(self, header):
        self.header = header
        self.schemas = {}
        self.set = None
        self.sources = []


class Decoder:
    def __init__(self):
        self.streams = {}  # by number

    def frame(self, frame):
        """What one frame says, as a dict."""
        if isinstance(frame, dict):
            return {**frame, "frame": "map", "time": time_ns(frame["time"]),
                    "identity": bin16(frame["identity"]), "boot_id": bin16(frame["boot_id"])}
        check(isinstance(frame, list) and len(frame) >= 2 and uint(frame[0]) + uint(frame[1]) + 1, "no frame")
        if frame[1] != VERSION or frame[0] > 3:
            return self.skipped("unknown version or kind")
        if frame[0] == 0:
            return self.header(frame)
        stream = self.streams.get(uint(elements(frame, 3)[2]))
        if not stream:
            return self.skipped("another stream")
        return (self.schema, self.source_set, self.sample)[frame[0] - 1](stream, frame)

    @staticmethod
    def skipped(why):
        return {"frame": "skipped", "why": why}

    def header(self, frame):
        check(elements(frame, 14)[2] == "VMTALLY", "no header")
        check(isinstance(frame[10], dict), "labels")
        header = {"frame": "header", "stream": uint(frame[3]), "identity": bin16(frame[4]), "boot_id": bin16(frame[5]),
                  "incarnation": uint(frame[6]), "pid": u32(frame[7]), "pid_start": uint(frame[8]),
                  "name": text(frame[9]), "labels": {text(k): text(v) for k, v in frame[10].items()},
                  "created_ns": time_ns(frame[11]), "path": text(frame[12]),
                  "format": [uint(n, 65535) for n in elements(frame[13], 2)]}
        same = ("identity", "boot_id", "path")
        for number, stream in list(self.streams.items()):
            if all(stream.header[key] == header[key] for key in same):
                del self.streams[number]
        self.streams[frame[3]] = Stream(header)
        return header

    def schema(self, stream, frame):
        schema = dict(zip(("number", "name", "provider", "target", "descriptors"), elements(frame, 8)[3:]))
        check(all(len(text(schema[k]).encode()) < 24 for k in ("name", "provider", "target")),
              "schema")
        check(isinstance(schema["descriptors"], list) and len(schema["descriptors"]) <= 1024, "descriptors")
        for d in schema["descriptors"]:
            read_descriptor(d)
        check(sum(d.get("size", 1) for d in schema["descriptors"]) <= 4096, "values")
        stream.schemas[uint(schema["number"])] = schema
        return {"frame": "schema", **schema}

    def source_set(self, stream, frame):
        keys = ("number", "id", "parent", "schema", "generation", "created_ns", "entry")
        sources = [dict(zip(keys, elements(source, 7))) for source in elements(elements(frame, 5)[4], 1)]
        check(uint(frame[3]) > 0, "set")
        for i, source in enumerate(sources):
            check(uint(source["number"]) == i, "number")
            parent = source["parent"]
            check(parent is None if i == 0 else u32(parent) < i, "parent")
            source["depth"] = 0 if i == 0 else sources[parent]["depth"] + 1
            source["created_ns"] = time_ns(source["created_ns"])
            check(len(text(source["id"]).encode()) < 8 * 48 and source["depth"] <= 8, "id")
            uint(source["schema"]), uint(source["generation"]), u32(source["entry"])
        if any(source["schema"] not in stream.schemas for source in sources):
            stream.set = None
            return self.skipped("unknown schema")
        stream.set, stream.sources = frame[3], sources
        return {"frame": "sources", "set": stream.set, "sources": [{k: s[k] for k in keys} for s in sources]}

    def sample(self, stream, frame):
        if uint(elements(frame, 14)[3]) != stream.set:
            return self.skipped("unknown set")
        check(frame[7] in STATES, "state")
        check(isinstance(frame[12], list) and isinstance(frame[13], list), "sources or totals")
        sample = {"frame": "sample", "set": frame[3], "time_ns": time_ns(frame[4]), "begin_ns": uint(frame[5]),
                  "end_ns": uint(frame[6]), "state": frame[7], "flags": u32(frame[8]),
                  "closed_ns": None if frame[9] is None else time_ns(frame[9]), "heartbeat_ns": uint(frame[10]),
                  "file_bytes": uint(frame[11]), "from": u32(frame[14]) if len(frame) > 14 else None,
                  "uid": u32(frame[15]) if len(frame) > 15 else None,
                  "sources": [self.source(stream, s) for s in frame[12]]}
        numbers = [s["number"] for s in sample["sources"]]
        check(len(numbers) == len(set(numbers)), "a source twice")
        for total in frame[13]:
            uint(elements(total, 4)[0], len(stream.sources) - 1), uint(total[1])
        if any(total[1] not in stream.schemas for total in frame[13]):
            return self.skipped("unknown schema")
        sample["totals"] = [self.total(stream, t) for t in frame[13]]
        sample["stream"] = stream
        return sample

    @staticmethod
    def source(stream, sample):
        source = stream.sources[uint(elements(sample, 2)[0], len(stream.sources) - 1)]
        schema = stream.schemas[source["schema"]]
        shards = [{"owner": u32(elements(s, 3)[0]), "held": u32(s[1]), "stats": read_values(schema, elements(s[2], 0)),
                   "flags": u32(s[3]) if len(s) > 3 else 0, "id": 1 + uint(u32(s[4]) - 1) if len(s) > 4 else None}
                  for s in (elements(sample[3], 0) if len(sample) > 3 else [])]
        return {"number": sample[0], "id": source["id"], "generation": source["generation"], "schema": schema["name"],
                "flags": u32(sample[2]) if len(sample) > 2 else 0, "stats": read_values(schema, sample[1]),
                "shards": shards, "of": schema}

    @staticmethod
    def total(stream, total):
        schema = stream.schemas[total[1]]
        return {"number": total[0], "id": stream.sources[total[0]]["id"], "schema": schema["name"],
                "live": u32(total[2]), "stats": read_values(schema, total[3]),
                "flags": u32(total[4]) if len(total) > 4 else 0,
                "departed": read_values(schema, total[5]) if len(total) > 5 else None, "of": schema}


def line(said):
    """A frame as it is printed: values by name."""
    def named(thing):
        of = thing.pop("of")
        thing.pop("number", None)
        for key in ("stats", "departed"):
            if key in thing:
                thing[key] = name_values(of, thing[key])
        for shard in thing.get("shards", []):
            shard["stats"] = name_values(of, shard["stats"])
        return thing

    if said["frame"] == "sample":
        del said["stream"]
        said["sources"] = [named(s) for s in said["sources"]]
        said["totals"] = [named(t) for t in said["totals"]]
    return json.dumps(said)


# ---- documents ----


def document_value(d, value, total):
    largest = d.get("aggregation") in ("min", "max") or ("aggregation" not in d and d["type"] == "peak")
    if d.get("unit") == "boolean" and type(value) is int and (not total or largest):
        return value != 0
    return value


def document_stats(schema, values, total=False):
    names = {d["name"] for d in schema["descriptors"] if is_known(d)}
    stats = []
    for d, value in parts(schema, values):
        if not is_known(d):
            continue
        known = {key: d[key] for key in KEYS if key in d}
        if d["exponent"] == 0:
            known.pop("base", None)
        elif "base" not in d:
            known = {**{k: known[k] for k in KEYS[:3] if k in known}, "base": 2 if d.get("unit") == "bytes" else 10,
                     **known}
        for key, default in (("size", 1), ("bucket-size", 0), ("signed", False), ("group", 0)):
            if known.get(key) == default:
                del known[key]
        if known.get("minuend") not in names:
            known.pop("minuend", None)
        if "level" in known and known["level"] != "diagnostic":
            known["level"] = "debug"
        known["name"] = plain(known["name"]) or "?"
        if known.get("help") == "":
            del known["help"]
        stats.append({**known, "value": document_value(d, value, total)})
    return stats


def words(schema):
    return {key: plain(schema[of]) for key, of in (("provider", "provider"), ("target", "target"),
                                                         ("schema", "name"))}


def document_shard(schema, shard):
    values = [document_value(d, v, False) for d, v in parts(schema, shard["stats"]) if is_known(d)]
    return {"owner": shard["owner"], "held": shard["held"] == 1, "shared": shard["held"] == 2,
            "unconfirmed": bool(shard["flags"] & 2), "torn": bool(shard["flags"] & 4), "values": values}


def document(said):
    stream, header = said["stream"], said["stream"].header
    given = {s["number"]: s for s in said["sources"]}
    totals, sources = {}, []
    for t in said["totals"]:
        absent = t["flags"] & 8
        totals.setdefault(t["number"], []).append(
            {**words(t["of"]), "sources": t["live"],
             "stats": document_stats(t["of"], None if absent else t["stats"], True)})
    for source in stream.sources:
        schema = stream.schemas[source["schema"]]
        sample = given.get(source["number"], {"flags": 8, "stats": None, "shards": []})
        parent = source["parent"]
        one = {"id": plain(source["id"]), **words(schema),
               "parent": None if parent is None else plain(stream.sources[parent]["id"]),
               "entry": source["entry"], "generation": source["generation"], "created_ns": source["created_ns"],
               "leaving": bool(sample["flags"] & 1), "unconfirmed": bool(sample["flags"] & 2),
               "torn": bool(sample["flags"] & 4),
               "stats": document_stats(schema, None if sample["flags"] & 8 else sample["stats"]),
               "totals": totals.get(source["number"], [])}
        if sample["shards"]:
            one["shards"] = [document_shard(schema, s) for s in sample["shards"]]
        sources.append(one)
    return {"name": header["name"], "path": header["path"], "pid": header["pid"], "uid": said["uid"] or 0,
            "identity": header["identity"], "boot_id": header["boot_id"], "incarnation": header["incarnation"],
            "state": said["state"], "time": None, "time_ns": said["time_ns"], "begin_ns": said["begin_ns"],
            "end_ns": said["end_ns"], "created_ns": header["created_ns"],
            "labels": {k: v for k, v in header["labels"].items()},
            "partial": bool(said["flags"] & 1), "foreign": bool(said["flags"] & 8), "sources": sources}


def document_line(said):
    if said["frame"] == "sample":
        said = document(said)
    else:  # a map is one already
        said.pop("frame")
        said["time_ns"] = said["time"]
    seconds, ns = divmod(said["time_ns"], 1000000000)
    time = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    said["time"] = f"{time.isoformat()}.{ns:09}Z"
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


# ---- bytes ----


HEADER = b"\x9e\x00\x01\xa7VMTALLY"


def head(data, at):
    """Of the value there: bytes of its head, bytes of its body, values in it."""
    b = data[at]
    if b < 0x80 or b >= 0xE0 or b in (0xC0, 0xC2, 0xC3):
        return 1, 0, 0
    if b < 0xC0:
        return (1, 0, 2 * (b & 15)) if b < 0x90 else (1, 0, b & 15) if b < 0xA0 else (1, b & 31, 0)
    check(b != 0xC1, "no value")
    if 0xCA <= b <= 0xD3:
        return 1 + (4, 8, 1, 2, 4, 8, 1, 2, 4, 8)[b - 0xCA], 0, 0
    if 0xD4 <= b <= 0xD8:
        return 2, 1 << (b - 0xD4), 0
    size = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}.get(b, 4 if b & 1 else 2)
    if at + 1 + size > len(data):
        raise More()
    n = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    if b >= 0xDC:
        return 1 + size, 0, n if b < 0xDE else 2 * n
    return 1 + size + (0xC7 <= b <= 0xC9), n, 0


def end_of(data, start):
    """Where the frame that begins there ends."""
    at, left = start, []
    while at == start or left:
        if at >= len(data):
            raise More()
        first, body, count = head(data, at)
        check(at != start or 0x80 <= data[at] <= 0x9F or data[at] >= 0xDC and data[at] <= 0xDF, "no array or map")
        check(at - start + first + body + count <= FRAME_BYTES, "too large")
        if at + first + body > len(data):
            raise More()
        check(at == start or data[at : at + 11] != HEADER, "cut off: another header begins in it")
        if at != start and len(data) - at < 11 and HEADER.startswith(data[at:]):
            raise More()
        at += first + body
        if left:
            left[-1] -= 1
        if count:
            check(len(left) < FRAME_DEPTH, "too deep")
            left.append(count)
        while left and left[-1] == 0:
            left.pop()
    return at


def take(data, at):
    """The frame at that offset, and where it ends."""
    plain_frame = (0x90 <= data[at] <= 0x9F or 0xDC <= data[at] <= 0xDD) and not data.startswith(HEADER, at)
    try:
        end = end_of(data, at)
    except More:
        check(not plain_frame or HEADER not in data[at + 1 :], "cut off: another header begins in it")
        raise
    check(not plain_frame or HEADER not in data[at + 1 : end], "cut off: another header begins in it")
    try:
        return msgpack.unpackb(data[at:end], raw=False, unicode_errors="surrogateescape", timestamp=0,
                               strict_map_key=False), end
    except (ValueError, TypeError) as error:  # TypeError: what can't be a key
        raise Damaged(str(error)) from None


def candidates(decoder, data, at):
    """Offsets from there on at which a frame may begin."""
    known = [msgpack.packb(number) for number in decoder.streams]
    for m in re.finditer(rb"(?=((?:[\x95-\x9f]|\xdc..)[\x00-\x03]\x01|\xde..\xa4name))", data[at:], re.DOTALL):
        start, end = at + m.start(), at + m.end(1)
        if data[start] == 0xDE or data.startswith(HEADER, start) or \
                (data[end - 2] and any(data.startswith(number, end) for number in known)):
            yield start


def whole(decoder, data, at):
    """Candidates that decode whole."""
    for start in candidates(decoder, data, at):
        try:
            if copy.deepcopy(decoder).frame(take(data, start)[0])["frame"] != "skipped":
                yield start
        except (More, Damaged, ValueError, KeyError, IndexError, TypeError, OverflowError):
            pass


def decode(data):
    """What each frame says; for damage an Exception, once for each."""
    decoder, at = Decoder(), 0
    while at < len(data):
        try:
            frame, end = take(data, at)
            yield decoder.frame(frame)
            at = end
        except More:
            # Nothing follows: it was cut off, unless a whole frame stands behind its beginning.
            at, end = next(whole(decoder, data, at + 1), at), at
            if at == end:
                break
        except (Damaged, ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
            yield error
            at = next(candidates(decoder, data, at + 1), len(data))
    yield at


def main(arguments):
    options = [a for a in arguments if a.startswith("--")]
    path = arguments[len(options)]
    data = sys.stdin.buffer.read() if path == "-" else open(path, "rb").read()
    if "--example" in options:
        data = bytes.fromhex(re.search(rb"```hex\n(.*?)```", data, re.DOTALL).group(1).decode())
    documents = "--documents" in options

    status, end = 0, 0
    for said in decode(data):
        if isinstance(said, int):
            end = said
        elif isinstance(said, Exception):
            status = 1
            print("damaged" if documents else json.dumps({"frame": "damaged", "why": str(said)}))
        elif not documents:
            print(line(said))
        elif said["frame"] in ("sample", "map"):
            print(document_line(said))
    print(f"rest {len(data) - end}" if documents else json.dumps({"frame": "end", "rest": len(data) - end}))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
