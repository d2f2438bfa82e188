#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""damaged.py [--reader LANGUAGE=PROGRAM]... [--seed SEED] [--count COUNT]: all readers agree about what is sound.

plain.py was written from shm/FORMAT.md alone; the programs are dump.c and its like in other languages, which answer `-`
with the verdict of vmt_check() and what they read. Damage is a table, a row a case: fixed.vmt with some fields changed
is refused by all of them, or read by all, with every value the same. Then COUNT files with random damage. Prints TAP.
"""
import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import plain
import plain_layout
import same
from plain_layout import DEPARTED, ENTRY, HEADER, KVM_DESCRIPTOR, KVM_HEADER, SCHEMA, SHARD, SIDE

SOUND = (pathlib.Path(__file__).parent / "fixed.vmt").read_bytes()
SIZE = len(SOUND)
CODES = {"u8": "B", "u16": "H", "s16": "h", "u32": "I", "u64": "Q"}
ROOT, VM, VCPU, OTHER, ALL, FREED = range(6)  # entries
EVERYTHING = "abi/tests/everything"


class Map:
    """Where things are in fixed.vmt."""

    def __init__(self):
        segment = plain.Segment(SOUND, SIZE, False)
        self.schemas = {schema.key: offset for offset, schema in segment.schemas.items()}
        self.rows = {key: [d.name for d in segment.schemas[at].descriptors] for key, at in self.schemas.items()}

    def entry(self, i):
        return ENTRY, 4096 + 128 * i

    def schema(self, key=EVERYTHING):
        return SCHEMA, self.schemas[key]

    def of_schema(self, field, key=EVERYTHING):
        return plain_layout.read(SOUND, self.schemas[key], SCHEMA, "")[field]

    def kvm(self):
        return KVM_HEADER, self.schemas[EVERYTHING] + self.of_schema("kvm_offset")

    def descriptor(self, name):
        return KVM_DESCRIPTOR, self.kvm()[1] + 72 + 64 * self.rows[EVERYTHING].index(name)

    def side(self, name):
        return SIDE, self.schemas[EVERYTHING] + self.of_schema("side_offset") + 32 * self.rows[EVERYTHING].index(name)

    def help(self, name):
        table, at = self.side(name)
        return (self.schemas[EVERYTHING] + self.of_schema("strings_offset") +
                plain_layout.read(SOUND, at, table, "")["help_offset"])

    def field(self, where, field):
        return plain_layout.read(SOUND, where[1], where[0], "")[field]

    def shard(self, i, shared=False):
        return SHARD, 128 * self.field(self.entry(i), "shared") if shared else self.field(self.entry(i), "shards")

    def departed(self, i, key):
        at = self.field(self.entry(i), "departed")
        while self.field((DEPARTED, at), "schema") != self.schemas[key]:
            at = self.field((DEPARTED, at), "next")
        return DEPARTED, at


M = Map()
H = (HEADER, 0)


def change(*changes):
    """fixed.vmt with ((table, offset), field, value), or (offset, bytes), put in."""
    data = bytearray(SOUND)
    for each in changes:
        if len(each) == 2:
            at, raw = each
        else:
            (table, offset), field, value = each
            at, kind = offset + table[field][0], table[field][1]
            raw = value if isinstance(value, bytes) else struct.pack("=" + CODES[kind], value)
        data.extend(bytes(max(0, at + len(raw) - len(data))))
        data[at:at + len(raw)] = raw
    return bytes(data)


def one(where, *rows):
    """Rows of cases in which one field of one thing is changed."""
    return [(f"{label}: {field} {value!r}", change((where, field, value))) for label, field, value in rows]


def deep():
    """Nine levels below source 0: eight more entries, each below the one before, the first below vcpu-0."""
    data = bytearray(SOUND)
    for i in range(FREED + 1, FREED + 9):
        entry = bytearray(SOUND[M.entry(VCPU)[1]:][:128])
        struct.pack_into("=I", entry, ENTRY["parent"][0], i - 1 if i > FREED + 1 else VCPU)
        struct.pack_into("=Q", entry, ENTRY["shards"][0], 0)
        data[M.entry(i)[1]:M.entry(i)[1] + 128] = entry
    struct.pack_into("=I", data, HEADER["source_used"][0], FREED + 9)
    return bytes(data)


def one_schema_twice():
    """vm has a second departed block of one schema, behind the end of what the writer knew."""
    first = last = M.departed(VM, EVERYTHING)[1]
    copy_bytes = (8 * M.of_schema("slots") + 63) // 64 * 64
    block = bytes(8) + SOUND[first + 8:first + 128 + 2 * copy_bytes]
    while M.field((DEPARTED, last), "next"):
        last = M.field((DEPARTED, last), "next")
    return change((SIZE, block.ljust(4096, b"\0")), ((DEPARTED, last), "next", SIZE))


def on_top_of_each_other():
    """Shards of vcpu-0 at each multiple of 128 behind the end: each has the headers of others for its values."""
    count, slots = 4000, M.field(M.shard(VCPU), "slots")
    shards = b"".join(struct.pack("=QQIIII", SIZE + 128 * (i + 1) if i < count - 1 else 0, 2, VCPU, slots, 0, 0)
                      .ljust(128, b"\0") for i in range(count))
    return change((SIZE, shards + bytes(8192)), (M.shard(VCPU), "next", SIZE))


REFUSED = [
    *one(H, ("magic", "magic", b"\x7fVMTALLx"), ("no magic", "magic", bytes(8)),
         ("byte order", "byte_order", 0x04030201), ("version", "major", 2), ("feature", "incompatible", 1 << 63),
         ("header", "header_bytes", 4088), ("header", "header_bytes", SIZE + 1), ("table", "source_offset", 4100),
         ("table", "source_offset", 2048), ("table", "source_offset", SIZE), ("table", "source_offset", SIZE - 640),
         ("table", "source_offset", 2**64 - 8), ("table", "source_bytes", 120), ("table", "source_bytes", 132),
         ("table", "source_bytes", 4104), ("table", "source_limit", 0), ("table", "source_limit", 1048577),
         ("table", "source_used", 0), ("table", "source_used", 33), ("table", "source_used", 0xFFFFFFFF),
         ("life", "lifecycle", 3), ("truncated", "file_bytes", SIZE + 4096), ("schemas", "schemas", SIZE),
         ("schemas", "schemas", 8196), ("schemas", "schemas", 2**64 - 128), ("schemas", "schemas", 0)),
    *one(M.schema(), ("circle", "next", M.schemas[EVERYTHING]), ("circle", "next", M.schemas["vm/vmm/vm"]),
         ("outside", "next", SIZE), ("size", "block_bytes", 127), ("size", "block_bytes", (4 << 20) + 1),
         ("size", "block_bytes", SIZE), ("size", "block_bytes", 2000), ("slots", "slots", 0), ("slots", "slots", 4097),
         ("slots", "slots", 80), ("count", "descriptors", 0), ("count", "descriptors", 1025),
         ("count", "descriptors", 17), ("KVM part", "kvm_offset", 124), ("KVM part", "kvm_offset", 120),
         ("KVM part", "kvm_offset", 2**32 - 8), ("side table", "side_offset", 136),
         ("side table", "side_offset", 2**32 - 8), ("side table", "side_bytes", 24), ("side table", "side_bytes", 36),
         ("side table", "side_bytes", 2**32 - 8), ("strings", "strings_offset", 136),
         ("strings", "strings_offset", 2**32 - 1), ("strings", "strings_bytes", 0),
         ("strings", "strings_bytes", 2**32 - 1), ("strings", "strings_bytes", 8)),
    *one(M.kvm(), ("KVM header", "name_size", 32), ("KVM header", "num_desc", 17), ("KVM header", "desc_offset", 16),
         ("KVM header", "desc_offset", 76), ("KVM header", "desc_offset", 2**32 - 8)),
    *one(M.descriptor("linear"), ("descriptor", "size", 0), ("descriptor", "size", 71), ("descriptor", "size", 0xFFFF),
         ("descriptor", "offset", 8 * 10), ("descriptor", "offset", 8 * 72), ("descriptor", "offset", 8 * 11 + 4),
         ("descriptor", "offset", 2**32 - 8)),
    *one(M.side("linear"), ("side", "help_offset", 2**32 - 1), ("side", "label_offset", 2**32 - 1)),
    *one(M.entry(ROOT), ("source 0", "generation", 3), ("source 0", "state", 0), ("source 0", "departed", 0)),
    *one(M.entry(VM), ("parent is free", "state", 0), ("parent is being buried", "generation", 3),
         ("parent is another one", "generation", 4), ("no departed blocks", "departed", 0),
         ("departed", "departed", M.departed(VM, EVERYTHING)[1] + 64), ("departed", "departed", SIZE)),
    *one(M.entry(VCPU), ("source", "state", 3), ("its own parent", "parent", VCPU), ("parent is free", "parent", FREED),
         ("parent is not there", "parent", 6), ("parent is not there", "parent", 2**32 - 1),
         ("parent's generation", "parent_generation", 4), ("parent without a block", "parent", ALL),
         ("schema", "schema", 0), ("schema", "schema", 8192 + 128), ("other schema", "schema", 8192),
         ("shared shard", "shared", 0), ("shared shard", "shared", 2**32 - 1), ("shards", "shards", SIZE),
         ("shards", "shards", 2**64 - 128), ("shards", "shards", M.shard(VCPU)[1] + 64),
         ("shards of another", "shards", M.shard(OTHER)[1]), ("generation", "generation", 4),
         ("departed blocks of another", "departed", M.departed(VM, EVERYTHING)[1])),
    *one(M.shard(VCPU), ("shard", "generation", 4), ("shard", "source", 3), ("shard", "slots", 228),
         ("circle", "next", M.shard(VCPU)[1]), ("outside", "next", SIZE), ("unaligned", "next", 64),
         ("next of another", "next", M.shard(OTHER)[1])),
    *one(M.shard(ALL, True), ("shared shard", "generation", 4), ("shared shard", "source", 3)),
    *one(M.departed(VM, EVERYTHING), ("departed block", "schema", 0), ("departed block", "generation", 4),
         ("departed block", "source", 0), ("departed block", "slots", 80),
         ("departed block", "schema", M.schemas["vcpu/vmm/vcpu"]), ("circle", "next", M.departed(VM, EVERYTHING)[1]),
         ("outside", "next", SIZE), ("of another", "next", M.departed(ROOT, EVERYTHING)[1])),
    ("two departed blocks of one schema", one_schema_twice()),
    ("shards on top of each other", on_top_of_each_other()),
    ("a circle of parents", change((M.entry(VM), "parent", VCPU))),
    ("a parent that its own parent has folded", change((M.entry(ROOT), "version", 2), (M.entry(VM), "fold", 1))),
    ("nine levels", deep()),
    ("empty", b""), ("one byte", b"\x7f"), ("a magic alone", SOUND[:8]), ("half a header", SOUND[:4095]),
    ("a header alone", SOUND[:4096]), ("half a file", SOUND[:SIZE // 2]), ("all but a byte", SOUND[:-1]),
    ("zeros", bytes(8192)), ("text", b"not a segment\n" * 1000), ("all ones", b"\xff" * 8192),
    ("ones behind a magic", SOUND[:8] + b"\xff" * 8192), ("a table of nothing", change((H, "source_limit", 1048576),
     (H, "source_used", 1048576)) + bytes(4096)),
]


def source(dump, name):
    return next((s for s in dump["sources"] if s["id"] == name), None)


def statistic(dump, name):
    return next((d for d in dump["schemas"][EVERYTHING] if d["name"] == name), None)


def flags(name, mask, bits):
    where = M.descriptor(name)
    return where, "flags", M.field(where, "flags") & ~mask | bits


# What is changed, and what is read then.
READ = [
    ("nothing", [], lambda d: len(d["sources"]) == 5),
    ("a later minor version", [(H, "minor", 7), (H, "compatible", 1 << 40)], lambda d: d["minor"] == 7),
    ("a larger file", [(SIZE, bytes(4096))], lambda d: d["state"] == "closed"),
    ("reserved bytes", [(112, b"x" * 8), (320, b"x" * 8), (M.shard(VCPU)[1] + 40, b"x" * 8)], lambda d: True),
    ("not closed", [(H, "lifecycle", 1)], lambda d: d["state"] == "died" and d["closed_ns"] == 0),
    ("not opened", [(H, "lifecycle", 0)], lambda d: d["state"] == "died mid-change"),
    ("in a change", [(H, "lifecycle", 1), (H, "structure", 7)], lambda d: d["state"] == "died mid-change"),
    ("closed in a change", [(H, "structure", 7)], lambda d: d["state"] == "closed"),
    ("a name without an end", [(H, "name", b"n" * 64)], lambda d: d["name"] == "n" * 63),
    ("a name that rings", [(H, "name", b"a\x07 \xc3\xb6.")], lambda d: d["name"] == "a????.1"[:6]),
    ("labels without an end", [(H, "labels", b"k" * 1024)], lambda d: d["labels"] == ["k" * 1022]),
    ("labels that are not UTF-8",
     [(H, "labels", b"a=\xff\xc0\xaf\0b=\xed\xa0\x80\0c=\xc2\x9b\0d=\xe2\x80\xae\0e=\xf4\x90\x80\x80\0f=\xe2\x82\0"
       b"g=\xf0\x9f\x90\xa7\0h=\xc3\0\0")],
     lambda d: d["labels"] == ["a=???", "b=???", "c=??", "d=???", "e=????", "f=??", "g=\U0001F427", "h=?"]),
    ("a source's name with a slash", [(M.entry(VCPU), "name", b"a/b \0x")], lambda d: source(d, "vm/a?b?")),
    ("a source without a name", [(M.entry(VCPU), "name", b"\0")], lambda d: source(d, "vm/?")),
    ("a source's name without an end", [(M.entry(VCPU), "name", b"n" * 48)], lambda d: source(d, "vm/" + "n" * 47)),
    ("a source being born", [(M.entry(VCPU), "generation", 3)],
     lambda d: not source(d, "vm/vcpu-0") and source(d, "vm")["totals"][1]["sources"] == 1),
    ("a source that is free", [(M.entry(VCPU), "state", 0)], lambda d: not source(d, "vm/vcpu-0")),
    ("a source that is leaving", [(M.entry(VCPU), "state", 2)], lambda d: source(d, "vm/vcpu-0")["flags"] == 1),
    ("a source in its parent's blocks", [(M.entry(VCPU), "fold", 1)], lambda d: not source(d, "vm/vcpu-0")),
    ("a source not yet in them", [(M.entry(VCPU), "fold", 2)], lambda d: source(d, "vm/vcpu-0")),
    ("the other copy of what departed", [(M.entry(VM), "version", 2)],
     lambda d: source(d, "vm")["totals"][0]["departed"]["cumulative"] == [0]),
    ("the shared shard not counted in", [(M.entry(ALL), "flags", 0)],
     lambda d: source(d, "vm/all")["values"]["cumulative"] == [2**64 - 2]),
    ("an open group", [(M.shard(ALL), "begun", 99)], lambda d: source(d, "vm/all")["flags"] == 2),
    ("a torn group", [(M.shard(ALL), "torn", 1)], lambda d: source(d, "vm/all")["flags"] == 4),
    ("groups where there are none", [(M.shard(VM), "begun", 99), (M.shard(VM), "torn", 1)],
     lambda d: source(d, "vm")["flags"] == 0),
    ("a shard that nobody holds", [(M.shard(ALL), "kind", 0), (M.shard(ALL), "owner", 1)],
     lambda d: source(d, "vm/all")["values"]["peak"] == [7]),
    ("a type of tomorrow", [flags("peak", 15, 5)], lambda d: not statistic(d, "peak")),
    ("a unit of tomorrow", [flags("peak", 0xF0, 0x50)], lambda d: not statistic(d, "peak")),
    ("a base of tomorrow", [flags("peak", 0xF00, 0x200)], lambda d: not statistic(d, "peak")),
    ("an aggregation of tomorrow", [flags("peak", 0xF << 24, 6 << 24)], lambda d: not statistic(d, "peak")),
    ("bits of tomorrow", [flags("peak", 0, 0xE00FF000)], lambda d: statistic(d, "peak")),
    ("an exponent too small", [(M.descriptor("peak"), "exponent", -31)], lambda d: not statistic(d, "peak")),
    ("an exponent too large", [(M.descriptor("peak"), "exponent", 61)], lambda d: not statistic(d, "peak")),
    ("a wide number", [flags("log", 15, 0)], lambda d: not statistic(d, "log")),
    ("buckets of no width", [(M.descriptor("linear"), "bucket_size", 0)], lambda d: not statistic(d, "linear")),
    ("buckets with a width", [(M.descriptor("log"), "bucket_size", 8)], lambda d: not statistic(d, "log")),
    ("a gap in the data", [(M.descriptor("linear"), "size", 9)], lambda d: statistic(d, "log")["slot"] == 21),
    ("a statistic without a name", [(M.descriptor("peak"), "name", b"\0")], lambda d: statistic(d, "?")),
    ("a level of tomorrow", [(M.side("peak"), "level", 200)], lambda d: statistic(d, "peak")["level"] == 2),
    ("a minuend", [(M.side("instant"), "minuend", 1)],
     lambda d: statistic(d, "instant")["minuend"] == 1 and source(d, "vm/all")["values"]["instant"] == [4096]),
    ("a minuend that is skipped", [(M.side("instant"), "minuend", 3), flags("peak", 15, 5)],
     lambda d: statistic(d, "instant")["minuend"] == 0),
    ("a minuend behind one that is skipped", [(M.side("instant"), "minuend", 4), flags("peak", 15, 5)],
     lambda d: statistic(d, "instant")["minuend"] == 3),
    ("a minuend that is not there", [(M.side("instant"), "minuend", 999)],
     lambda d: statistic(d, "instant")["minuend"] == 0),
    ("a minimum with a minuend", [(M.side("minimum"), "minuend", 1)],
     lambda d: statistic(d, "minimum")["minuend"] == 0 and source(d, "vm/all")["values"]["minimum"] == [9]),
    ("a help text that never ends", [(M.help("cumulative"), b"h" * 200)], lambda d: statistic(d, "cumulative")),
    ("a help text in the middle of a character",
     [(M.help("cumulative") - 1, b"\xc3\xb6")], lambda d: statistic(d, "cumulative")["help"] == ""),
    ("a help text of broken characters", [(M.help("cumulative"), b"\xb6\xc3x\x1b[")],
     lambda d: statistic(d, "cumulative")["help"].startswith("??x?[")),
    ("another source's schema name", [(M.schema(), "name", b"\x01" * 24)], lambda d: d["sources"]),
    ("an average below 0", [flags("signed_instant", 15 << 24, 4 << 24)],
     lambda d: source(d, "vm")["totals"][0]["values"]["signed_instant"] == [2**64 - 5]),
]


class Reader:
    """A dump program: one process for all files."""

    def __init__(self, program):
        self.process = subprocess.Popen([*same.command(program), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, path):
        self.process.stdin.write(os.fsencode(path) + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or '{"error": "it has died"}')

    def close(self):
        self.process.stdin.close()
        return self.process.wait(60)


def ordered(dump):
    dump["sources"].sort(key=lambda source: source["entry"])
    for each in dump["sources"]:
        each["totals"].sort(key=lambda total: total["schema"])
    return dump


def by_plain(path):
    """The dump, or why it is refused."""
    try:
        return ordered(json.loads(json.dumps(plain.load(path).dump()))), None
    except (plain.Refused, OSError) as error:
        return None, str(error)


def by_all(readers, path):
    """The dump that all readers agree about (None: refused), and how they disagree."""
    ours, why = by_plain(path)
    problems = []
    for language, reader in readers.items():
        theirs = reader.read(path)
        if (ours is None) != ("error" in theirs):
            problems.append(f"plain: {why or 'sound'}; {language}: {theirs.get('error', 'sound')}")
        elif ours is not None:
            problems += [f"{language}: {each}" for each in same.differences(ours, ordered(theirs))]
    return ours, problems


def check_table(tap, readers, path):
    for name, data in REFUSED:
        path.write_bytes(data)
        dump, problems = by_all(readers, path)
        tap.check(problems or (["read by all"] if dump else []), f"refused: {name}")
    for name, changes, holds in READ:
        path.write_bytes(change(*changes))
        dump, problems = by_all(readers, path)
        if not problems and not (dump and holds(dump)):
            problems = [f"not what was expected: {by_plain(path)[1] or dump}"[:2000]]
        tap.check(problems, f"read: {name}")


def check_files(tap, readers, directory):
    """What is no file of bytes at all."""
    (directory / "directory").mkdir()
    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to("target")
    (directory / "target").write_bytes(SOUND)
    for name in ("directory", "fifo", "link", "missing"):
        dump, problems = by_all(readers, directory / name)
        tap.check(problems or (["read by all"] if dump else []), f"refused: a {name}")
    hole = directory / "hole"
    hole.write_bytes(change((H, "source_limit", 1048576), (H, "source_used", 1048576)))
    os.truncate(hole, 200 << 20)
    dump, problems = by_all(readers, hole)
    tap.check(problems or (["read by all"] if dump else []), "refused: a table that is all hole")


def damage(rnd, data):
    """A few bytes of a file changed: mostly where something is, mostly of what leads to other bytes."""
    for _ in range(rnd.choice((1, 1, 1, 2, 3))):
        where = rnd.random()
        at = (rnd.randrange(512) if where < 0.2 else 4096 + rnd.randrange(128 * 6) if where < 0.4 else
              rnd.choice(LEADING) + rnd.randrange(8) if where < 0.7 else
              rnd.choice(USED) + rnd.randrange(8) if where < 0.95 else rnd.randrange(SIZE))
        how = rnd.random()
        if how < 0.5:
            data[at] ^= 1 << rnd.randrange(8)
        elif how < 0.7:
            data[at] = rnd.choice((0, 1, 2, 0x7F, 0x80, 0xFF, rnd.randrange(256)))
        elif how < 0.9:
            value = rnd.choice((0, 1, 2, 3, 4, 5, 128, 4096, 2**32 - 1, rnd.randrange(SIZE) // 128 * 128,
                                rnd.getrandbits(32)))
            data[at // 4 * 4:at // 4 * 4 + 4] = struct.pack("=I", value)
        else:
            other = rnd.choice(USED)
            data[at // 8 * 8:at // 8 * 8 + 8] = data[other:other + 8]


def leading():
    """Words of the headers of all blocks, and of what describes the statistics of one."""
    segment = plain.Segment(SOUND, SIZE, False)
    for block in (*segment.visited, *segment.schemas):
        yield from range(block, block + 128, 8)
    yield from range(M.kvm()[1], M.schemas[EVERYTHING] + M.of_schema("strings_offset") - 7, 8)


USED = [at for at in range(0, SIZE, 8) if any(SOUND[at:at + 8])]
LEADING = sorted(leading())


def check_random(tap, readers, path, seed, count):
    rnd, read, problems = random.Random(seed), 0, []
    first = dict(list(readers.items())[:1])  # all share one library: that they do is tried less often
    for i in range(count):
        data = bytearray(SOUND)
        damage(rnd, data)
        path.write_bytes(data)
        dump, wrong = by_all(first if i % 10 else readers, path)
        read += dump is not None
        if wrong:
            at = [f"{k}: {data[k]:02x}" for k in range(SIZE) if data[k] != SOUND[k]]
            problems += [f"seed {seed}, file {i}: {' '.join(at)}", *wrong]
    tap.check(problems, f"{count} files with random damage: all readers agree ({read} of them can be read)")
    tap.check([] if 0 < read < count else [f"{read} can be read"], "random damage is neither all seen nor never")


def check_text(tap, readers, path, seed):
    """Labels of characters of all lengths, of which some bytes are missing or others."""
    rnd, problems = random.Random(seed), []
    last = {1: 0x7F, 2: 0x7FF, 3: 0xFFFF, 4: 0x10FFFF}
    odd = (0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xF5, 0xFF)
    for _ in range(100):
        text = bytearray()
        while len(text) < 1100:
            char = bytearray(chr(rnd.randint(1, last[rnd.randint(1, 4)])).encode("utf-8", "surrogatepass"))
            if rnd.random() < 0.3:
                char[rnd.randrange(len(char))] = rnd.choice(odd)
            elif rnd.random() < 0.3:
                del char[rnd.randrange(len(char))]
            text += char
        path.write_bytes(change((H, "labels", bytes(text[:1024]))))
        dump, wrong = by_all(readers, path)
        problems += wrong or ([] if dump else ["refused"])
    tap.check(problems, "text of broken characters is shown by all readers alike")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reader", action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    readers = {language: Reader(program) for language, program in same.programs(args.reader).items()}
    if not readers:
        parser.error("no reader")
    tap = same.Tap()
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="vmtally-test.", dir=base) as directory:
        path = pathlib.Path(directory) / "damaged.vmt"
        check_table(tap, readers, path)
        check_files(tap, readers, pathlib.Path(directory))
        check_text(tap, readers, path, args.seed)
        check_random(tap, readers, path, args.seed, args.count)
    for language, reader in readers.items():
        tap.check([] if reader.close() == 0 else ["exit status"], f"the reader in {language} has survived all of them")
    return tap.bad


if __name__ == "__main__":
    sys.exit(main())
