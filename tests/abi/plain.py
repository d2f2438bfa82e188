#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""plain.py FILE: a reader of segments in plain Python, written from shm/FORMAT.md alone: that page suffices.

Prints one JSON object, the same as dump.c does. Reads a segment that nobody is changing any more: its writer has closed
it or is gone. Shares nothing with the libraries, and trusts no byte: whatever contradicts itself is refused whole, with
one line that says why (Refused), where the C library would go on with the rest and call it partial. Numbers in brackets
are sections of FORMAT.md.
"""
import fcntl
import json
import os
import stat
import struct
import sys

from plain_layout import (DEPARTED, ENTRY, HEADER, KVM_DESCRIPTOR, KVM_HEADER, MASK, SCHEMA, SHARD, SIDE, Refused,
                          clean, fits, need, plain_name, read, signed, words)

MAGIC = b"\x7fVMTALLY"
SIZE_MAX = 256 << 20  # of a file that is read; ours, not the format's
SPARSE = 16  # a block of a file system that compresses may stand for as many (9)
FREE, LIVE, DRAINING = 0, 1, 2
LEAVING, UNCONFIRMED, TORN = 1, 2, 4
SUM, MIN, MAX, AVERAGE, COUNT_ZERO = 1, 2, 3, 4, 5
CUMULATIVE, INSTANT, PEAK, LINEAR, LOG = range(5)


class Descriptor:
    """One statistic, and the rules by which its values are put together."""

    def __init__(self, kvm, side, help_text):
        self.name = plain_name(kvm["name"], "?")
        self.help = help_text
        self.flags, self.exponent, self.size = kvm["flags"], kvm["exponent"], kvm["size"]
        self.slot, self.bucket_size = kvm["offset"] // 8, kvm["bucket_size"]
        self.group, self.minuend, self.level = side["group"], side["minuend"], min(side["level"], 2)
        self.slots = range(self.slot, self.slot + self.size)
        self.type = self.flags & 15
        self.signed = bool(self.flags & 1 << 28)
        aggregation = self.flags >> 24 & 15
        self.aggregation = aggregation or (MAX if self.type == PEAK else SUM)
        # what this version of the format knows (4); others are skipped
        self.known = (self.type <= LOG and self.flags >> 4 & 15 <= 4 and self.flags >> 8 & 15 <= 1 and
                      aggregation <= COUNT_ZERO and (self.bucket_size != 0) == (self.type == LINEAR) and
                      (self.size == 1 or self.type in (LINEAR, LOG)) and -30 <= self.exponent <= 60)
        # what a value begins with (5)
        self.identity = {MAX: 1 << 63 if self.signed else 0, MIN: MASK >> 1 if self.signed else MASK}.get(
            self.aggregation, 0)

    def put_together(self, a, b):
        """Over shards and sources: the least, the highest, or the sum modulo 2^64."""
        if self.aggregation not in (MIN, MAX):
            return a + b & MASK
        pick = min if self.aggregation == MIN else max
        return pick(a, b, key=signed) if self.signed else pick(a, b)

    def mean(self, total, sources):
        """Of a sum, rounded toward zero (4)."""
        if not self.signed:
            return total // sources
        mean = abs(signed(total)) // sources
        return -mean & MASK if signed(total) < 0 else mean

    def row(self):
        return {"name": self.name, "help": self.help, "flags": self.flags, "exponent": self.exponent,
                "slot": self.slot, "size": self.size, "bucket_size": self.bucket_size, "group": self.group,
                "minuend": self.minuend, "level": self.level}


class Schema:
    """A schema block (4), checked whole."""

    def __init__(self, data, offset):
        why = f"schema at {offset}: "
        need(offset % 8 == 0, why + "not on a multiple of 8")
        block = read(data, offset, SCHEMA, why + "outside of the file")
        self.next, self.bytes, self.slots = block["next"], block["block_bytes"], block["slots"]
        need(128 <= self.bytes <= 4 << 20, why + "block_bytes")
        fits(data, offset, (self.bytes + 7) // 8 * 8, why + "block_bytes")
        self.key = "/".join(plain_name(block[part]) for part in ("name", "provider", "target"))
        rows = self.parse(data[offset:offset + self.bytes], block, why)
        self.descriptors = [d for d in rows if d.known]
        for d in self.descriptors:  # among those that are shown
            minuend = rows[d.minuend - 1] if 0 < d.minuend <= len(rows) and d.aggregation not in (MIN, MAX) else None
            d.minuend = 1 + self.descriptors.index(minuend) if minuend and minuend.known else 0
        self.has_groups = any(d.group for d in self.descriptors)
        self.identities = [0] * self.slots
        for d in self.descriptors:
            self.identities[d.slot:d.slot + d.size] = [d.identity] * d.size
        # all but these are added up
        self.specials = [(d, d.slots) for d in self.descriptors if d.aggregation in (MIN, MAX)]
        self.means = [d for d in self.descriptors if d.aggregation == AVERAGE]
        self.zeros = [d for d in self.descriptors if d.aggregation == COUNT_ZERO]

    def parse(self, data, block, why):
        """All descriptors, whether known or not."""
        count, kvm_offset, side_offset = block["descriptors"], block["kvm_offset"], block["side_offset"]
        need(1 <= self.slots <= 4096 and 1 <= count <= 1024, why + "slots or descriptors")
        need(kvm_offset % 8 == 0 and kvm_offset >= 128, why + "kvm_offset")
        kvm = read(data, kvm_offset, KVM_HEADER, why + "KVM header outside of the block")
        need(kvm["name_size"] == 48 and kvm["num_desc"] == count, why + "KVM header")
        need(kvm["desc_offset"] % 8 == 0 and kvm["desc_offset"] >= 24, why + "desc_offset")
        at = kvm_offset + kvm["desc_offset"]
        need(block["side_bytes"] >= 32 and block["side_bytes"] % 8 == 0 and side_offset % 8 == 0, why + "side table")
        need(at + 64 * count <= side_offset and block["strings_bytes"] >= 1 and
             side_offset + block["side_bytes"] * count <= block["strings_offset"] and
             block["strings_offset"] + block["strings_bytes"] <= self.bytes, why + "its parts overlap or stick out")
        strings = data[block["strings_offset"]:][:block["strings_bytes"]]
        strings = b"\0".join(clean(each) for each in strings[:-1].split(b"\0")) + b"\0"
        rows, slot = [], 0
        for i in range(count):
            d = read(data, at + 64 * i, KVM_DESCRIPTOR, why + "descriptor")
            side = read(data, side_offset + block["side_bytes"] * i, SIDE, why + "side table")
            need(d["offset"] % 8 == 0 and d["offset"] // 8 >= slot and d["size"] >= 1 and
                 d["offset"] // 8 + d["size"] <= self.slots, why + f"values of descriptor {i}")
            need(max(side["help_offset"], side["label_offset"]) < len(strings), why + "help or label")
            help_text = strings[side["help_offset"]:strings.index(0, side["help_offset"])]
            if len(help_text) > 1023 or help_text[:1] and 0x80 <= help_text[0] < 0xC0:
                help_text = b""
            rows.append(Descriptor(d, side, help_text.decode()))
            slot = d["offset"] // 8 + d["size"]
        return rows

    def put_together(self, a, b):
        values = [x + y & MASK for x, y in zip(a, b)]
        for d, slots in self.specials:
            for slot in slots:
                values[slot] = d.put_together(a[slot], b[slot])
        return values

    def named(self, values):
        return {d.name: values[d.slot:d.slot + d.size] for d in self.descriptors}


class Source:
    """One source: its entry (3), the sum of its shards (5), and what its departed blocks hold (6)."""

    def __init__(self, segment, number, entry):
        self.number, self.entry = number, entry
        self.name = plain_name(entry["name"], "?").replace("/", "?")
        self.flags = LEAVING if entry["state"] == DRAINING else 0
        self.children = []
        self.schema = segment.schemas[entry["schema"]]
        self.values = self.schema.identities
        if entry["flags"] & 1:
            self.add_shard(segment, 128 * entry["shared"])
        shard = entry["shards"]
        while shard:
            shard = self.add_shard(segment, shard)
        self.departed = self.read_departed(segment)

    def add_shard(self, segment, offset):
        why = f"source {self.number}: shard at {offset}: "
        shard = segment.block(offset, SHARD, why)
        segment.visit(offset, 128 + 8 * self.schema.slots, why)
        need((shard["source"], shard["generation"], shard["slots"]) ==
             (self.number, self.entry["generation"], self.schema.slots), why + "of another source")
        values = words(segment.data, offset + 128, self.schema.slots, why)
        self.values = self.schema.put_together(self.values, values)
        if self.schema.has_groups:
            self.flags |= UNCONFIRMED if shard["begun"] != shard["ended"] else 0
            self.flags |= TORN if shard["torn"] else 0
        return shard["next"]

    def read_departed(self, segment):
        """By schema block: the active copy."""
        found, offset = {}, self.entry["departed"]
        while offset:
            why = f"source {self.number}: departed block at {offset}: "
            block = segment.block(offset, DEPARTED, why)
            need(block["schema"] in segment.schemas and block["schema"] not in found, why + "schema")
            slots = segment.schemas[block["schema"]].slots
            copy_bytes = (8 * slots + 63) // 64 * 64
            segment.visit(offset, 128 + 2 * copy_bytes, why)
            need((block["source"], block["generation"], block["slots"]) ==
                 (self.number, self.entry["generation"], slots), why + "of another source")
            at = offset + 128 + copy_bytes * (self.entry["version"] & 1)
            found[block["schema"]] = words(segment.data, at, slots, why)
            offset = block["next"]
        return found


class Total:
    """What all descendants of one source with one schema have counted."""

    def __init__(self, schema, departed):
        self.schema = schema
        self.values = self.departed = schema.put_together(schema.identities, departed)
        self.sources = 0

    def add_source(self, source):
        """One that lives, leaving ones too."""
        values = source.values
        for d in self.schema.zeros:
            values = [*values[:d.slot], *(int(v == 0) for v in values[d.slot:d.slots.stop]), *values[d.slots.stop:]]
        self.values = self.schema.put_together(self.values, values)
        self.sources += 1

    def add_total(self, below):
        self.values = self.schema.put_together(self.values, below.values)
        self.departed = self.schema.put_together(self.departed, below.departed)
        self.sources += below.sources

    def shown(self):
        values = list(self.values)
        for d in self.schema.means:
            for slot in d.slots if self.sources else ():
                values[slot] = d.mean(values[slot], self.sources)
        return {"schema": self.schema.key, "sources": self.sources, "flags": 0, "values": self.schema.named(values),
                "departed": self.schema.named(self.departed)}


class Segment:
    """All of one file. data is a private copy: what was checked is what is used."""

    def __init__(self, data, occupied, locked):
        self.data, self.occupied = data, min(occupied, len(data))
        self.header = self.check_header()
        self.state = self.find_state(locked)
        self.labels = [clean(label).decode() for label in self.read_labels()]
        self.schemas = self.read_schemas()
        self.visited, self.visits = set(), 3 * self.occupied
        self.sources = {i: Source(self, i, entry) for i, entry in self.read_entries().items()}
        self.paths = {0: ("", 0)}
        self.order = self.arrange()

    def check_header(self):
        need(self.data[:8] == MAGIC, "not a segment: no magic")
        header = read(self.data, 0, HEADER, "shorter than a header")
        need(len(self.data) >= 4096, "shorter than a header")
        need(header["byte_order"] == 0x01020304 and header["major"] == 1, "another version or byte order")
        need(header["incompatible"] == 0, "has a feature that this reader does not know")
        size, offset, stride = len(self.data), header["source_offset"], header["source_bytes"]
        need(4096 <= header["header_bytes"] <= size, "header_bytes")
        need(header["file_bytes"] <= size, "truncated")
        need(128 <= stride <= 4096 and stride % 8 == 0, "source_bytes")
        need(1 <= header["source_used"] <= header["source_limit"] <= 1048576, "source_limit or source_used")
        need(offset % 8 == 0 and 4096 <= offset <= size and header["source_used"] <= (size - offset) // stride,
             "the source table lies outside of the file")
        need(header["source_used"] <= self.occupied // stride, "the source table is larger than what was written")
        need(header["lifecycle"] <= 2, "lifecycle")
        return header

    def find_state(self, locked):
        """Whether the writer is alive (10)."""
        if self.header["lifecycle"] == 2:
            return "closed"
        need(not locked, "its writer is alive: this reader is for segments at rest")
        return "died" if self.header["lifecycle"] == 1 and self.header["structure"] % 2 == 0 else "died mid-change"

    def read_labels(self):
        for label in self.header["labels"][:-2].split(b"\0"):
            if not label:
                return
            yield label

    def read_schemas(self):
        found, offset, total = {}, self.header["schemas"], 0
        while offset:
            need(offset not in found and len(found) < 256, "the chain of schemas is a circle, or too long")
            found[offset] = Schema(self.data, offset)
            total += found[offset].bytes
            need(total <= self.occupied, "the schemas are larger than the file")
            offset = found[offset].next
        return found

    def block(self, offset, table, why):
        """The header of a shard or departed block: on a multiple of 128, met once."""
        need(offset % 128 == 0 and offset, why + "not on a multiple of 128")
        fits(self.data, offset, 128, why + "outside of the file")
        need(offset not in self.visited, why + "met twice")
        self.visited.add(offset)
        return read(self.data, offset, table, why)

    def visit(self, offset, length, why):
        """All of one: in the file, and not too much of them, as they may lie on top of each other (9)."""
        fits(self.data, offset, length, why + "outside of the file")
        self.visits -= length
        need(self.visits >= 0, why + "blocks lie on top of each other")

    def check_entry(self, i, entry):
        """What one entry tells by itself (3)."""
        why = f"source {i}: "
        need(entry["state"] in (LIVE, DRAINING), why + "state")
        need(entry["parent"] < self.header["source_used"] and (i == 0 or entry["parent"] != i), why + "parent")
        need(entry["schema"] in self.schemas, why + "schema")
        for block in (128 * entry["shared"] or 1, entry["shards"], entry["departed"]):
            need(block % 128 == 0, why + "a block that is not on a multiple of 128")
            fits(self.data, block, 128, why + "a block outside of the file")

    def read_entries(self):
        """Of all that count: born, not free, and not yet in their parent's departed blocks (9)."""
        entries, folded = {}, []
        for i in range(self.header["source_used"]):
            at = self.header["source_offset"] + i * self.header["source_bytes"]
            entry = read(self.data, at, ENTRY, f"source {i}: outside of the file")
            if entry["generation"] % 2 == 0 and entry["state"] != FREE:
                self.check_entry(i, entry)
                entries[i] = entry
        need(0 in entries, "source 0 is not there")
        for i, entry in entries.items():
            parent = entries.get(entry["parent"])
            need(i == 0 or parent and parent["generation"] == entry["parent_generation"],
                 f"source {i}: its parent is gone")
            if i and 0 < entry["fold"] <= parent["version"]:
                folded.append(i)
        return {i: entry for i, entry in entries.items() if i not in folded}

    def arrange(self):
        """Numbers of sources, parents before children; all must hang below source 0, at most 8 levels deep."""
        for i, source in self.sources.items():
            if i:
                need(source.entry["parent"] in self.sources, f"source {i}: its parent is gone")
                self.sources[source.entry["parent"]].children.append(i)
        order = [0]
        for number in order:
            path, depth = self.paths[number]
            for child in self.sources[number].children:
                need(depth < 8, "deeper than 8 levels")
                name = self.sources[child].name
                self.paths[child] = (f"{path}/{name}" if path else name, depth + 1)
                order.append(child)
        need(len(order) == len(self.sources), "sources that are their own ancestors")
        return order

    def totals(self):
        """Of each source, by schema block: its departed, its children and their totals (9)."""
        totals = {number: {block: Total(self.schemas[block], values)
                           for block, values in self.sources[number].departed.items()} for number in self.order}
        for number in reversed(self.order[1:]):
            source = self.sources[number]
            above = totals[source.entry["parent"]]
            need(source.entry["schema"] in above and totals[number].keys() <= above.keys(),
                 f"source {number}: its parent has no departed block for what it counts")
            above[source.entry["schema"]].add_source(source)
            for block, total in totals[number].items():
                above[block].add_total(total)
        return totals

    def dump(self):
        header, totals = self.header, self.totals()
        result = {"name": plain_name(header["name"]), "labels": self.labels, "state": self.state, "flags": 0,
                  "identity": header["identity"].hex(), "boot_id": header["boot_id"].hex()}
        for field in ("incarnation", "created_ns", "heartbeat_ns", "pid", "pid_start", "major", "minor"):
            result[field] = header[field]
        result["closed_ns"] = header["closed_ns"] if self.state == "closed" else 0
        result["sources"] = [self.dump_source(number, totals[number]) for number in self.order]
        used = [total.schema for number in self.order for total in totals[number].values()]
        used += [source.schema for source in self.sources.values()]
        result["schemas"] = {schema.key: [d.row() for d in schema.descriptors] for schema in used}
        return result

    def dump_source(self, number, totals):
        source, (path, depth) = self.sources[number], self.paths[number]
        return {
            "id": path, "name": source.name if number else plain_name(self.header["name"]), "entry": number,
            "generation": source.entry["generation"], "created_ns": source.entry["created_ns"],
            "parent": self.paths[source.entry["parent"]][0] if number else None, "depth": depth,
            "flags": source.flags, "schema": source.schema.key, "values": source.schema.named(source.values),
            "totals": [total.shown() for total in totals.values()]}


def is_locked(fd):
    """Whether somebody holds a write lock: asked for as a read lock, on the reader's own descriptor (10)."""
    layout = "hhqqi4x"
    asked = struct.pack(layout, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    return struct.unpack(layout, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0] == fcntl.F_WRLCK


def load(path):
    """The segment in the file at path: a private copy of all of it."""
    need(stat.S_ISREG(os.lstat(path).st_mode), "not a regular file")
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        need(stat.S_ISREG(status.st_mode), "not a regular file")
        need(status.st_size <= SIZE_MAX, f"larger than {SIZE_MAX} bytes")
        locked = is_locked(fd)
        data = b""
        while len(data) < status.st_size:
            part = os.pread(fd, status.st_size - len(data), len(data))
            need(part, "shrank while it was read")
            data += part
    finally:
        os.close(fd)
    return Segment(data, SPARSE * 512 * status.st_blocks, locked)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plain.py FILE")
    try:
        json.dump(load(sys.argv[1]).dump(), sys.stdout, ensure_ascii=False)
        print()
    except (Refused, OSError) as error:
        sys.exit(f"plain.py: {sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
