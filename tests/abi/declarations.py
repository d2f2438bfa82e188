#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""declarations.py c|rust|missing: compares what Rust declares (bindings/rust/vmtally-sys) with the C headers.

c        a C program: it compiles only if all functions and objects have the types that Rust gives them, and prints
         sizes, offsets and kinds of the members of all structs, and the constants
rust     a Rust program that prints the same lines
missing  what the headers declare and Rust does not, one a line, as the C preprocessor ($CC, else cc) sees them
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "bindings/rust/vmtally-sys/src"
HEADERS = sorted([*ROOT.glob("lib/vmtally.h"), *ROOT.glob("lib/vmtally/*.h"), *ROOT.glob("shm/vmtally/*.h")])
# Of C macros that are no numbers: what there is instead.
INSTEAD = {"VMT_SCRATCH": "vmt_scratch_shard"}
KINDS = {"int8_t": "i8", "uint8_t": "u8", "int16_t": "i16", "uint16_t": "u16", "int32_t": "i32", "uint32_t": "u32",
         "int64_t": "i64", "uint64_t": "u64", "double": "f64"}
C_TYPES = {"u8": "uint8_t", "i16": "int16_t", "u16": "uint16_t", "u32": "uint32_t", "i64": "int64_t",
           "u64": "uint64_t", "usize": "size_t", "f64": "double", "c_char": "char", "c_int": "int", "c_long": "long",
           "c_uint": "unsigned", "c_void": "void", "vmt_record_fn": "vmt_record_fn *"}


class Struct(NamedTuple):
    name: str
    members: List[str]


def rust_code() -> str:
    return "".join((SOURCES / name).read_text(encoding="utf-8") for name in ("bindings.rs", "export.rs", "lib.rs"))


def structs() -> Iterator[Struct]:
    for name, body in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", rust_code(), re.M | re.S):
        members = re.findall(r"^    pub (\w+):", body, re.M)
        if members:  # else it is one of which only the name is known
            yield Struct(name, members)


def constants() -> List[str]:
    return re.findall(r"^pub const (VMT_\w+):", rust_code(), re.M)


def functions() -> List[Tuple[str, str, str]]:
    return re.findall(r"^    pub fn (\w+)\(([^)]*)\)(?: -> ([^;]+))?;", rust_code(), re.M)


def objects() -> List[Tuple[str, str, str]]:
    return re.findall(r"^    pub static (mut )?(\w+): (.+);", rust_code(), re.M)


def c_type(rust: str) -> str:
    rust = rust.strip()
    pointer = re.match(r"\*(const|mut) (.*)", rust)
    if pointer:
        return c_type(pointer[2]) + (" const *" if pointer[1] == "const" else " *")
    if rust in C_TYPES:
        return C_TYPES[rust]
    enum = re.search(rf"^pub type {rust} = c_uint;", rust_code(), re.M)
    return f"{'enum' if enum else 'struct'} {rust}"


def c_parameters(rust: str) -> str:
    parameters = [parameter.strip() for parameter in rust.split(",") if parameter.strip()]
    return ", ".join(parameter if parameter == "..." else c_type(parameter.split(":")[1]) for parameter in parameters)


def c_program() -> Iterator[str]:
    yield "#include <stdio.h>\n#include <vmtally.h>"
    yield from (f"#include <vmtally/{header.name}>" for header in HEADERS if header.parent.name == "vmtally")
    for name, parameters, result in functions():
        yield f"{c_type(result) if result else 'void'} {name}({c_parameters(parameters) or 'void'});"
    for mut, name, rust in objects():
        element = re.findall(r"[a-z_]\w*", rust)[0]
        length = "".join(f"[{n}]" for n in re.findall(r"; (\d+)usize", rust))
        yield f"extern {c_type(element)}{'' if mut else ' const'} {name}{length};"
    kinds = ", ".join(f'{c}: "{rust}"' for c, rust in KINDS.items())
    yield f'#define KIND(value) _Generic((value), {kinds}, default: "other")\nint main(void)\n{{'
    for struct in structs():
        whole = f"struct {struct.name}"
        yield f'    printf("{struct.name} %zu %zu\\n", sizeof({whole}), _Alignof({whole}));'
        for member in struct.members:
            at = f"(({whole} *)0)->{member}"
            yield (f'    printf("{struct.name}.{member} %zu %zu %s\\n", offsetof({whole}, {member}), sizeof({at}), '
                   f"KIND({at}));")
    for constant in constants():
        yield f'    printf("{constant} %lld\\n", (long long)({constant}));'
    yield "    return 0;\n}"


RUST_HEAD = """\
#![allow(dead_code, non_camel_case_types)]
#[path = "%s/bindings.rs"]
mod bindings;
#[path = "%s/export.rs"]
mod export;
pub use bindings::*;
pub use export::*;

fn kind<T>(_: *const T) -> &'static str {
    match std::any::type_name::<T>() {
        "usize" => "u64",
        name @ (%s) => name,
        _ => "other",
    }
}

fn size<T>(_: *const T) -> usize {
    std::mem::size_of::<T>()
}

fn main() {
"""


def rust_program() -> Iterator[str]:
    yield RUST_HEAD % (SOURCES, SOURCES, " | ".join(f'"{kind}"' for kind in KINDS.values()))
    for struct in structs():
        yield (f'    println!("{struct.name} {{}} {{}}", std::mem::size_of::<{struct.name}>(), '
               f"std::mem::align_of::<{struct.name}>());")
        yield f"    let whole = std::mem::MaybeUninit::<{struct.name}>::uninit();"
        for member in struct.members:
            yield f"    let at = unsafe {{ std::ptr::addr_of!((*whole.as_ptr()).{member}) }};"
            yield (f'    println!("{struct.name}.{member} {{}} {{}} {{}}", at as usize - whole.as_ptr() as usize, '
                   "size(at), kind(at));")
    by_hand = dict(re.findall(r"^pub const (VMT_\w+): \w+ = ([^;]+);", (SOURCES / "lib.rs").read_text(), re.M))
    for constant in constants():
        yield f'    println!("{constant} {{}}", {by_hand.get(constant, constant)});'
    yield "}"


def missing() -> Iterator[str]:
    names = [f"vmtally/{header.name}" for header in HEADERS if header.parent.name == "vmtally"]
    declared = set(output(str(ROOT / "tests/abi/declared.sh"), *names).split())
    compiler = os.environ.get("CC", "cc").split() + ["-I", str(ROOT / "lib"), "-I", str(ROOT / "shm"), "-xc", "-E"]
    include = "".join(f"#include <{name}>\n" for name in names)
    declared |= set(re.findall(r"^#define (VMT_\w*[A-Z0-9]) ", output(*compiler, "-dM", "-", text=include), re.M))
    code = output(*compiler, "-P", "-", text=include)
    declared |= set(re.findall(r"\b(?:struct|enum) (vmt_\w+)", code))
    for enumerators in re.findall(r"\benum\b[^{;()]*\{([^}]*)\}", code):
        # _BUCKETS and _BUCKET_SIZE of a scalar are 1 and 0, and of no use
        declared |= set(re.findall(r"\b(VMT_\w*[A-Z0-9])(?!\w)(?<!_BUCKET_SIZE)(?<!_BUCKETS)", enumerators))
        declared |= set(re.findall(r"\b(VMT_\w*_BUCKETS) = \((?!1\))", enumerators))
    there = set(re.findall(r"\b(?:const|struct|type|fn|static mut|static) (\w+)", rust_code()))
    yield from sorted(name for name in declared if INSTEAD.get(name, name) not in there)


def output(*command: str, text: str = "") -> str:
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout


def main() -> int:
    makers = {"c": c_program, "rust": rust_program, "missing": missing}
    if len(sys.argv) != 2 or sys.argv[1] not in makers:
        sys.exit(__doc__)
    for line in makers[sys.argv[1]]():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
