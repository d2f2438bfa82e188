# SPDX-License-Identifier: MIT
"""plain_layout.py: the structs of a segment as the tables of shm/FORMAT.md have them, and how plain.py reads them from
bytes that are not trusted. Numbers in brackets are sections of FORMAT.md."""
import struct

# Field: (offset, type) as in the tables of FORMAT.md; offsets.py compares them with it and with shm/layout.h.
HEADER = {
    "magic": (0, "u8[8]"), "byte_order": (8, "u32"), "major": (12, "u16"), "minor": (14, "u16"),
    "compatible": (16, "u64"), "incompatible": (24, "u64"), "identity": (32, "u8[16]"), "boot_id": (48, "u8[16]"),
    "created_ns": (64, "u64"), "pid": (72, "u32"), "header_bytes": (76, "u32"), "pid_start": (80, "u64"),
    "max_bytes": (88, "u64"), "source_offset": (96, "u64"), "source_bytes": (104, "u32"), "source_limit": (108, "u32"),
    "heartbeat_interval_ns": (120, "u64"), "name": (128, "char[64]"), "structure": (256, "u64"),
    "file_bytes": (264, "u64"), "source_used": (272, "u32"), "lifecycle": (276, "u32"), "schemas": (280, "u64"),
    "incarnation": (288, "u64"), "closed_ns": (296, "u64"), "handed_ns": (304, "u64"), "heartbeat_ns": (384, "u64"),
    "labels": (512, "char[1024]"),
}
ENTRY = {
    "generation": (0, "u64"), "fold": (8, "u64"), "version": (16, "u64"), "state": (24, "u32"), "parent": (28, "u32"),
    "schema": (32, "u64"), "shards": (40, "u64"), "departed": (48, "u64"), "parent_generation": (56, "u64"),
    "created_ns": (64, "u64"), "flags": (72, "u32"), "shared": (76, "u32"), "name": (80, "char[48]"),
}
SCHEMA = {
    "next": (0, "u64"), "block_bytes": (8, "u32"), "slots": (12, "u32"), "descriptors": (16, "u32"),
    "kvm_offset": (20, "u32"), "side_offset": (24, "u32"), "side_bytes": (28, "u32"), "strings_offset": (32, "u32"),
    "strings_bytes": (36, "u32"), "name": (48, "char[24]"), "provider": (72, "char[24]"), "target": (96, "char[24]"),
}
SIDE = {
    "help_offset": (0, "u32"), "label_offset": (4, "u32"), "group": (8, "u16"), "minuend": (10, "u16"),
    "level": (12, "u8"),
}
SHARD = {
    "next": (0, "u64"), "generation": (8, "u64"), "source": (16, "u32"), "slots": (20, "u32"), "kind": (24, "u32"),
    "owner": (28, "u32"), "torn": (32, "u64"), "begun": (112, "u64"), "ended": (120, "u64"),
}
DEPARTED = {
    "next": (0, "u64"), "schema": (8, "u64"), "generation": (16, "u64"), "source": (24, "u32"), "slots": (28, "u32"),
}
# KVM's own (Documentation/virt/kvm/api.rst of the kernel, "4.134")
KVM_HEADER = {
    "flags": (0, "u32"), "name_size": (4, "u32"), "num_desc": (8, "u32"), "id_offset": (12, "u32"),
    "desc_offset": (16, "u32"), "data_offset": (20, "u32"),
}
KVM_DESCRIPTOR = {
    "flags": (0, "u32"), "exponent": (4, "s16"), "size": (6, "u16"), "offset": (8, "u32"), "bucket_size": (12, "u32"),
    "name": (16, "char[48]"),
}

MASK = (1 << 64) - 1


class Refused(Exception):
    """The file is not a sound segment of a version that this reader knows; the text says why."""


def need(condition, why):
    if not condition:
        raise Refused(why)


def compile_table(table):
    """Of a table of fields: one Struct for all, and their names, in the order of their offsets."""
    codes = {"u8": "B", "u16": "H", "s16": "h", "u32": "I", "u64": "Q"}
    text, at = "=", 0
    for offset, kind in table.values():
        text += f"{offset - at}x"
        text += kind[kind.index("[") + 1:-1] + "s" if "[" in kind else codes[kind]
        at = offset + struct.calcsize("=" + text.rsplit("x", 1)[1])
    return struct.Struct(text), tuple(table)


COMPILED = {id(table): compile_table(table)
            for table in (HEADER, ENTRY, SCHEMA, SIDE, SHARD, DEPARTED, KVM_HEADER, KVM_DESCRIPTOR)}


def fits(data, offset, length, why):
    """Offsets are checked as offset <= size && length <= size - offset (11)."""
    need(offset <= len(data) and length <= len(data) - offset, why)


def read(data, offset, table, why):
    """The fields of one struct, by name."""
    form, names = COMPILED[id(table)]
    fits(data, offset, form.size, why)
    return dict(zip(names, form.unpack_from(data, offset)))


def words(data, offset, count, why):
    fits(data, offset, 8 * count, why)
    return list(struct.unpack_from(f"={count}Q", data, offset))


# What may not be shown (11), and bytes that are part of no character, which decoding makes surrogates.
HIDDEN = ((0, 0x1F), (0x7F, 0x9F), (0x61C, 0x61C), (0x200E, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069))
SHOWN = {code: "?" * len(chr(code).encode()) for low, high in HIDDEN for code in range(low, high + 1)}
SHOWN.update(dict.fromkeys(range(0xDC80, 0xDD00), "?"))


def clean(raw):
    """The same bytes, but each that may not be shown is '?'."""
    return raw.decode("utf-8", "surrogateescape").translate(SHOWN).encode()


def plain_name(raw, empty=""):
    """A name in its field: printable ASCII; the last byte is a NUL, whatever it is (11)."""
    return "".join(chr(c) if 32 < c < 127 else "?" for c in raw[:-1].split(b"\0", 1)[0]) or empty


def signed(value):
    return value - (1 << 64) if value >> 63 else value
