#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""offsets.py: the tables of shm/FORMAT.md, the structs of shm/layout.h with their literal asserts, and plain_layout.py
have the same fields of the same types at the same offsets. Prints TAP."""
import pathlib
import re
import sys

import plain_layout

ROOT = pathlib.Path(__file__).resolve().parents[2]
# In the order in which FORMAT.md has them: name there, table of plain_layout.py, struct in C, bytes
TABLES = [
    ("header", plain_layout.HEADER, "shm_header", 4096), ("entry", plain_layout.ENTRY, "shm_entry", 128),
    ("schema block", plain_layout.SCHEMA, "shm_schema", 128),
    ("KVM header", plain_layout.KVM_HEADER, "vmt_kvm_header", 24),
    ("descriptor", plain_layout.KVM_DESCRIPTOR, "vmt_kvm_desc", 64),
    ("row of the side table", plain_layout.SIDE, "shm_side", 32), ("shard", plain_layout.SHARD, "shm_shard", 128),
    ("departed block", plain_layout.DEPARTED, "shm_departed", 128),
]
BYTES = {"u8": 1, "u16": 2, "s16": 2, "u32": 4, "u64": 8, "char": 1}


def tables_of_format():
    """Each table of fields: {field: (offset, type)}, and where its values begin, if there are some behind it."""
    found = []
    for line in (ROOT / "shm/FORMAT.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells[:3] == ["offset", "type", "field"]:
            found.append(({}, []))
        elif found and len(cells) > 2 and cells[1].endswith("[slots]"):
            found[-1][1].append(cells[0])
        elif found and len(cells) > 2 and cells[0].isdigit():
            found[-1][0][cells[2]] = (int(cells[0]), cells[1])
    return found


def structs_of(path):
    """Each struct: {field: (offset, type)} where the compiler puts them, without those reserved; and its size."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)
    found = {}
    for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, flags=re.DOTALL | re.MULTILINE):
        fields, at = {}, 0
        for kind, field, count in re.findall(r"(\w+) (\w+)(?:\[(\w+)\])?;", body):
            kind = re.sub(r"^u?int(\d+)_t$", lambda m: ("u" if m[0][0] == "u" else "s") + str(int(m[1])), kind)
            kind = re.sub(r"\d+", lambda m: str(int(m[0])), kind)
            one = BYTES[kind]
            count = {"VMT_NAME_SIZE": "48"}.get(count, count)
            at = (at + one - 1) // one * one
            if not field.startswith("reserved"):
                fields[field] = (at, f"{kind}[{count}]" if count else kind)
            at += one * int(count or 1)
        found[name] = (fields, at)
    return found


def asserts_of_layout():
    text = (ROOT / "shm/layout.h").read_text(encoding="utf-8")
    found = {}
    for name, field, offset in re.findall(r"^SHM_AT\((\w+), (\w+), (\d+)\);", text, flags=re.MULTILINE):
        found.setdefault(name, {})[field] = int(offset)
    sizes = re.findall(r"static_assert\(sizeof\(struct (\w+)\) == (\d+),", text)
    return found, {name: int(size) for name, size in sizes}


def differences(a, b):
    return sorted(f"{field}: {a.get(field)} and {b.get(field)}" for field in a.keys() | b.keys()
                  if a.get(field) != b.get(field))


def check(problems, name):
    print(f"{'not ok' if problems else 'ok'} - {name}")
    for line in problems:
        print(f"# {line}")
    return bool(problems)


def main():
    of_format, bad = tables_of_format(), 0
    structs = {**structs_of("shm/layout.h"), **structs_of("shm/vmtally/descriptor.h")}
    asserts, sizes = asserts_of_layout()
    bad |= check([] if len(of_format) == len(TABLES) else [f"{len(of_format)} tables"],
                 "FORMAT.md has a table a struct")
    for (name, plain, struct, size), (written, values) in zip(TABLES, of_format):
        fields, struct_bytes = structs[struct]
        bad |= check(differences(written, plain), f"{name}: the decoder's fields are FORMAT.md's")
        bad |= check(differences(written, fields) + ([] if struct_bytes == size else [f"{struct_bytes} bytes"]),
                     f"{name}: struct {struct} has the fields of FORMAT.md")
        if struct.startswith("shm_"):
            where = {field: offset for field, (offset, _) in written.items()}
            bad |= check(differences(where, asserts.get(struct, {})) + differences({0: size}, {0: sizes.get(struct)}),
                         f"{name}: each offset of FORMAT.md is asserted in C")
        if values:
            bad |= check([] if values[0] == str(size) else values, f"{name}: values stand behind it")
    return bad


if __name__ == "__main__":
    sys.exit(main())
