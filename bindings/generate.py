#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""generate.py [--check] OUTPUT...: makes what the bindings take over from the C headers.

OUTPUT:
  cpp       cpp/vmtally/schemas.hpp               the ready-made schemas for C++
  rust      rust/vmtally/src/schemas.rs           the same for Rust
  bindings  rust/vmtally-sys/src/{bindings,export}.rs   all declarations for Rust, by bindgen 0.60

With --check nothing is written: it prints what would change, and ends with 1 if anything would. It ends with 3, and
says why, where a tool is missing. The tools: a C preprocessor ($CC, else cc), rustfmt, bindgen.
"""

import ast
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
INCLUDES = ["-I", str(ROOT / "lib"), "-I", str(ROOT / "shm")]
BINDGEN_VERSION = "0.60"
RUSTFMT = HERE / "rust/rustfmt.toml"
COMMENT = r"/\*((?:[^*]|\*(?!/))*)\*/"


class Missing(Exception):
    """A tool that is needed is not there."""


def run(command: List[str], text: str = "") -> str:
    if not shutil.which(command[0]):
        raise Missing(f"{command[0]} is not installed")
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout


# ---- the ready-made schemas ----

class Row(NamedTuple):
    """A row of a list macro of lib/vmtally/schemas.h."""
    kind: str  # in upper case
    id: str
    name: str
    unit: str  # in upper case
    size: int
    bucket_size: int
    help: str


class Schema(NamedTuple):
    name: str  # vcpu, of vmt_schema_vcpu
    provider: str
    target: str
    comment: str  # what stands above it in the header
    rows: List[Row]


def read_schemas() -> List[Schema]:
    header = (ROOT / "lib/vmtally/schemas.h").read_text(encoding="utf-8")
    prefixes = re.findall(r"^VMT_SCHEMA_ENUM\((\w+), \1_STATISTICS\)$", header, re.M)
    program = "#include <vmtally/schemas.h>\n#define ROW(kind, id, name, unit, size, bucket, help) "
    program += "(#kind, #id, name, #unit, size, bucket, help),\n"
    program += "".join(f"@@ [{prefix}_STATISTICS(ROW)]\n" for prefix in prefixes)
    lists = run(os.environ.get("CC", "cc").split() + ["-E", "-P", *INCLUDES, "-xc", "-"], program).split("@@")[1:]
    definitions = (ROOT / "lib/schemas.c").read_text(encoding="utf-8")
    names = {prefix: (name, provider, target) for name, provider, target, prefix in re.findall(
        r'^VMT_SCHEMA_DEFINE\(vmt_schema_\w+,\s*"(\w+)",\s*"(\w+)",\s*"(\w+)",\s*(\w+),', definitions, re.M)}
    return [Schema(*names[prefix], comment_of(header, prefix),
                   [Row(*row) for row in ast.literal_eval(rows.strip())])
            for prefix, rows in zip(prefixes, lists)]


def comment_of(header: str, prefix: str) -> str:
    found = re.search(COMMENT + rf"\n#define {prefix}_STATISTICS\(", header)
    return plain(found[1]) if found else ""


def plain(comment: str) -> str:
    return " ".join(line.strip(" *") for line in comment.splitlines()).strip()


def wrap(text: str, prefix: str) -> str:
    """As comment lines, each with a newline."""
    lines = textwrap.wrap(text, 120, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)
    return "".join(line + "\n" for line in lines)


CPP_HEAD = """\
// SPDX-License-Identifier: MIT
// vmtally/schemas.hpp: the ready-made schemas of <vmtally/schemas.h>, typed. Made by bindings/generate.py: don't edit.
#ifndef VMTALLY_SCHEMAS_HPP
#define VMTALLY_SCHEMAS_HPP

#include <vmtally/schema.hpp>
#include <vmtally/schemas.h>

namespace vmtally::schemas
{
"""
CPP_TAIL = "\n} // namespace vmtally::schemas\n\n#endif\n"


def make_cpp() -> Dict[str, str]:
    return {"cpp/vmtally/schemas.hpp": CPP_HEAD + "".join(map(cpp_schema, read_schemas())) + CPP_TAIL}


def cpp_schema(schema: Schema) -> str:
    return (f"\n{wrap(schema.comment, '// ')}struct {schema.name} {{\n"
            + "".join(cpp_row(schema, row) for row in schema.rows) +
            f"    static const vmt_schema &schema() noexcept {{ return vmt_schema_{schema.name}; }}\n}};\n")


def cpp_row(schema: Schema, row: Row) -> str:
    start = f"    static constexpr slot<{schema.name}, kind::{cpp_kind(row)}> {row.name}{{"
    line = f"{start} {row.id} }};\n"
    return line if len(line) <= 121 else f"{start}\n        {row.id}\n    }};\n"  # as clang-format has it


def cpp_kind(row: Row) -> str:
    arguments = {"LINEAR": f"<{row.id}_BUCKETS, {row.id}_BUCKET_SIZE>", "LOG": f"<{row.id}_BUCKETS>",
                 "LATENCY": f"<{row.id}_BUCKETS>"}
    return row.kind.lower() + arguments.get(row.kind, "")


RUST_HEAD = """\
// SPDX-License-Identifier: MIT
//! Ready-made schemas, so that different VMMs count the same things under the same names: those of
//! `vmtally/schemas.h`. Made by bindings/generate.py: don't edit.

use crate::kinds::*;
use crate::units::*;
"""
RUST_TAIL = """
/// Each of them, and what it must be equal to.
#[cfg(test)]
pub(crate) fn pairs() -> Vec<(crate::SchemaRef<'static>, &'static vmtally_sys::vmt_schema)> {
    // SAFETY: immutable statics of the C library.
    unsafe {
        vec![
"""


def make_rust() -> Dict[str, str]:
    schemas = read_schemas()
    pairs = "".join(f"            (<{rust_type(schema)} as crate::Schema>::schema(), "
                    f"&vmtally_sys::vmt_schema_{schema.name}),\n" for schema in schemas)
    text = RUST_HEAD + "".join(map(rust_schema, schemas)) + RUST_TAIL + pairs + "        ]\n    }\n}\n"
    return {"rust/vmtally/src/schemas.rs": rustfmt(text)}


def rust_type(schema: Schema) -> str:
    """Segment is the writer's segment itself."""
    return {"segment": "SegmentOwn"}.get(schema.name, schema.name.capitalize())


def rust_schema(schema: Schema) -> str:
    rows = "".join(f"{wrap(row.help, '        /// ')}        pub {row.name}: {rust_kind(row)},\n"
                   for row in schema.rows)
    names = f'"{schema.name}", provider = "{schema.provider}", target = "{schema.target}"'
    return (f"\ncrate::schema! {{\n{wrap(schema.comment, '    /// ')}    #[derive(Debug)]\n"
            f"    pub struct {rust_type(schema)}({names}) {{\n{rows}    }}\n}}\n")


def rust_kind(row: Row) -> str:
    arguments = {"LINEAR": [str(row.size), str(row.bucket_size)], "LOG": [str(row.size)],
                 "LATENCY": [str(row.size)]}.get(row.kind, [])
    if row.unit != "NONE" and row.kind != "BOOLEAN":
        arguments.append(row.unit.capitalize())
    name = "".join(word.capitalize() for word in row.kind.split("_"))
    return name + (f"<{', '.join(arguments)}>" if arguments else "")


# ---- all declarations, by bindgen ----

CORE = """\
#include <vmtally.h>
#include <vmtally/delta.h>
#include <vmtally/host.h>
#include <vmtally/reader.h>
#include <vmtally/recorded.h>
"""
EXPORT = "#include <vmtally/export.h>\n"
# What is the compiler's, the header's own, or of no use: a scalar has one bucket.
LEFT_OUT = re.compile(r"pub (const \w+_: .*|const VMT_\w+_BUCKETS: _bindgen_ty_\d+ = 1|type (_bindgen_ty_|__)\w+ .*"
                      r"|const VMT_\w+_BUCKET_SIZE: _bindgen_ty_\d+ = 0);")


def make_bindings() -> Dict[str, str]:
    said = run(["bindgen", "--version"]).split()
    if not said[-1].startswith(BINDGEN_VERSION + "."):
        raise Missing(f"bindgen is {said[-1]}, and another one than {BINDGEN_VERSION} writes other lines")
    folder = "rust/vmtally-sys/src/"
    core = sorted({path.stem for path in ROOT.glob("*/vmtally/*.h")} - {"export"})
    return {
        folder + "bindings.rs": rust_file("What the public headers declare, <vmtally/export.h> aside.",
                                          bindgen(CORE, rf".*/vmtally(/({'|'.join(core)}))?\.h")),
        folder + "export.rs": rust_file("What <vmtally/export.h> declares.",
                                        bindgen(EXPORT, r".*/vmtally/export\.h", "--no-recursive-allowlist"),
                                        "use crate::*;\n"),
    }


def bindgen(program: str, files: str, *options: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        header = Path(directory) / "all.h"
        header.write_text(program, encoding="utf-8")
        command = ["bindgen", str(header), "--no-layout-tests", "--disable-header-comment", "--size_t-is-usize",
                   "--default-enum-style", "consts", "--no-prepend-enum-name", "--with-derive-default",
                   "--rustfmt-configuration-file", str(RUSTFMT), "--allowlist-file", files, *options]
        return run(command + ["--", *INCLUDES, "-fparse-all-comments"])


def rust_file(what: str, code: str, uses: str = "") -> str:
    """What bindgen made, with the words of the headers as rustdoc, types that don't depend on the machine, and without
    what is nobody's business."""
    kept = [tidy(line) for line in code.splitlines() if not LEFT_OUT.fullmatch(line.strip())]
    code = "\n".join(line for line in kept if line is not None).replace("::std::option::Option", "Option")
    code = re.sub(r'(extern "C" \{\n(?:    .*\n)*)\}\n(?=extern)', r"\1@join@\n", code)
    code = code.replace('@join@\nextern "C" {', "").replace("\n}\n", "\n}\n\n")
    code = re.sub(r"::std::os::raw::(\w+)", r"\1", code)
    types = sorted(set(re.findall(r"\bc_\w+", code)))
    return rustfmt(f"// SPDX-License-Identifier: MIT\n//! {escape(what)} Made by bindings/generate.py: don't edit.\n\n"
                   f"{uses}use std::os::raw::{{{', '.join(types)}}};\n\n{code}\n")


def twin_comment(name: str) -> str:
    """Of what is inline in C and called NAME_ext here."""
    header = (ROOT / "lib/vmtally/count.h").read_text(encoding="utf-8")
    found = re.search(COMMENT + rf"\nstatic __inline__ [^\n(]*\b{name}\(", header)
    return plain(found[1]) if found else ""


def tidy(line: str) -> Optional[str]:
    twin = re.match(r" +pub fn (\w+)_ext\(", line)
    if twin:
        return wrap(escape(twin_comment(twin[1])), "    /// ") + line
    doc = re.fullmatch(r'(\s*)#\[doc = (".*")\]', line)
    if doc:
        text = ast.literal_eval(doc[2]).strip()
        if re.fullmatch(r"-+ .* -+|The twins\.", text):
            return None  # a heading of the header's
        return doc[1] + "/// " + escape(text)
    line = re.sub(r"_bindgen_ty_\d+", "u32", line).replace(" proc_:", " proc:")  # no keyword any more
    return re.sub(r"(VMT_EXPONENT_\w+): [iu]32", r"\1: i16", line)


def escape(text: str) -> str:
    """What would mean something in Markdown."""
    return re.sub(r"([\\\[*`]|<(?=[A-Za-z/!])|^>|^[-+#]+(?= ))", r"\\\1", text)


def rustfmt(code: str) -> str:
    return run(["rustfmt", "--edition", "2021", "--config-path", str(RUSTFMT)], code)


# ---- the outputs ----

MAKERS = {"cpp": make_cpp, "rust": make_rust, "bindings": make_bindings}


def main() -> int:
    arguments = sys.argv[1:]
    check = arguments[:1] == ["--check"]
    wanted = arguments[1:] if check else arguments
    if not wanted or not set(wanted) <= set(MAKERS):
        sys.exit(__doc__)
    differs = False
    try:
        for output in wanted:
            for name, text in MAKERS[output]().items():
                path = HERE / name
                there = path.read_text(encoding="utf-8") if path.exists() else ""
                changes = list(difflib.unified_diff(there.splitlines(True), text.splitlines(True), name, "made anew"))
                differs = differs or bool(changes)
                if check:
                    sys.stdout.writelines(changes)
                elif changes:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, encoding="utf-8")
    except Missing as missing:
        print(missing)
        return 3
    return 1 if check and differs else 0


if __name__ == "__main__":
    sys.exit(main())
