# SPDX-License-Identifier: MIT
"""The declarations in ctypes beside the public headers: sizes, offsets, arguments, constants."""
import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import helper
from vmtally import _library, _structures

CC = os.environ.get("CC", "cc").split()
HEADERS = ("vmtally.h", "vmtally/delta.h", "vmtally/host.h", "vmtally/reader.h")
INCLUDES = [f"-I{helper.ROOT}/lib", f"-I{helper.ROOT}/shm"]
# What Python has no use for, and why.
LEFT_OUT = {
    "vmt_source_addf",  # variable arguments
    "vmt_shards_acquire", "vmt_shards_release",  # Source.acquire() as often
    "vmt_child_after_fork",  # Python's fork calls the handlers
    "vmt_reader_path", "vmt_snapshot_find", "vmt_schema_find",  # kept, or looked up, in Python
    "vmt_host_split",  # forks with a callback
    "vmt_change_rate",  # one division
    "vmt_clock_ns",  # time.monotonic_ns()
    "vmt_discover_leftovers", "vmt_remove_dead",  # vmtally gc is for that
    "vmt_segment_info_title",  # for the screens of the commands
    "vmt_host_fd", "vmt_host_drop",  # of programs that drop their rights
    "vmt_kvm_add", "vmt_kvm_sample", "vmt_kvm_sample_every",  # of VMMs
    "vmt_reader_open_segment", "vmt_segment_root", "vmt_source_find",  # attach(segment.path); objects are kept
    "vmt_shard_acquire_thread",  # shards are released by whoever collects them
}  # fmt: skip
TYPES = {
    "int": ctypes.c_int, "long": ctypes.c_long, "double": ctypes.c_double, "size_t": ctypes.c_size_t, "void": None,
    "uint8_t": ctypes.c_uint8, "uint32_t": ctypes.c_uint32, "uint64_t": ctypes.c_uint64, "int64_t": ctypes.c_int64,
}  # fmt: skip


def name_in_c(field):
    return field.rstrip("_")


class Structures(unittest.TestCase):
    def setUp(self):
        if not shutil.which(CC[0]):
            self.skipTest(f"needs {CC[0]}")

    def compiled(self, source, *options):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            path = os.path.join(place, "try.c")
            with open(path, "w") as f:
                f.write("".join(f"#include <{h}>\n" for h in HEADERS) + source)
            done = subprocess.run([*CC, "-std=gnu11", *INCLUDES, *options, path, "-o", path + ".out"],
                                  capture_output=True, text=True, timeout=helper.WAIT_S)
            self.assertEqual(done.returncode, 0, done.stderr)
            if "-E" in options:
                with open(path + ".out") as f:
                    return f.read()
            return subprocess.check_output([path + ".out"], text=True, timeout=helper.WAIT_S)

    def test_structures_have_the_sizes_and_offsets_of_the_headers(self):
        lines, expected = [], []
        for name in _structures.__all__:
            structure = getattr(_structures, name)
            if name == "c_enum":
                continue
            lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
            expected.append(f"{name} {ctypes.sizeof(structure)}")
            for field, *_ in structure._fields_:
                c = name_in_c(field)
                both = f"offsetof(struct {name}, {c}), sizeof(((struct {name} *)0)->{c})"
                lines.append(f'printf("{name}.{field} %zu %zu\\n", {both});')
                member = getattr(structure, field)
                expected.append(f"{name}.{field} {member.offset} {member.size}")
        lines.append('printf("enum %zu\\n", sizeof(enum vmt_state));')
        expected.append(f"enum {ctypes.sizeof(_structures.c_enum)}")
        said = self.compiled(f"#include <stdio.h>\nint main(void) {{\n{chr(10).join(lines)}\nreturn 0; }}\n")
        self.assertEqual(said.splitlines(), expected)

    def test_structures_lack_no_field(self):
        text = self.compiled("", "-E", "-P")
        for name in _structures.__all__:
            if name == "c_enum":
                continue
            body = re.search(r"struct %s \{(.*?)\}" % name, text, re.S).group(1)
            parts = [part.strip() for part in body.split(";") if part.strip()]
            fields = [re.search(r"(\w+)(\[[^]]*\])?$", part).group(1) for part in parts]
            ours = [name_in_c(field) for field, *_ in getattr(_structures, name)._fields_]
            self.assertEqual(ours, fields, name)

    def prototypes(self):
        text = self.compiled("", "-E", "-P")
        text = re.sub(r"__attribute__\s*\(\(.*?\)\)\s*(?=[;\s])", "", text, flags=re.S)
        text = re.sub(r"\{[^{}]*\}", ";", re.sub(r"\{[^{}]*\}", ";", text))  # bodies
        found = {}
        for line in re.split(r"[;{}]", text):
            match = re.match(r"\s*((?:const |struct |enum )*\w+[\s*]+)(vmt_\w+)\s*\((.*)\)\s*$", line, re.S)
            if match and "static" not in line:
                found[match.group(2)] = (match.group(1), match.group(3))
        return found

    def same(self, ours, theirs):
        if "*" in theirs or "[" in theirs:
            return ours in (ctypes.c_void_p, ctypes.c_char_p) or issubclass(ours, ctypes._Pointer)
        words = [w for w in theirs.split() if w != "const"]
        return ours is (_structures.c_enum if words[0] == "enum" else TYPES[words[0]])

    def test_functions_take_and_return_what_the_headers_say(self):
        theirs = self.prototypes()
        ours = {**_library._LONG, **_library._SHORT}
        self.assertEqual(sorted(theirs), sorted([*ours, *LEFT_OUT]))
        for name, (restype, argtypes) in ours.items():
            result, arguments = theirs[name]
            parameters = [] if arguments.strip() == "void" else re.split(r",(?![^(]*\))", arguments)
            self.assertEqual(len(parameters), len(argtypes), name)
            for i, (argtype, parameter) in enumerate(zip(argtypes, parameters)):
                self.assertTrue(self.same(argtype, parameter), f"{name}, {i}: {argtype} for {parameter}")
            self.assertTrue(self.same(restype, result), f"{name}: {restype} for {result}")

    def test_constants_are_those_of_the_headers(self):
        import vmtally

        d = vmtally.Descriptor
        states = ["VMT_STATE_" + state.name for state in vmtally.State]
        numbers = [
            *range(len(states)), len(states), 1, 2, 4, 8, 1, 2, 8, 16, 1, 2, 1, 4096,
        ]  # fmt: skip
        names = [
            *states, "VMT_STATE_COUNT", "VMT_SAMPLE_LEAVING", "VMT_SAMPLE_UNCONFIRMED", "VMT_SAMPLE_TORN",
            "VMT_SAMPLE_ABSENT", "VMT_SNAPSHOT_PARTIAL", "VMT_SNAPSHOT_UNLINKED", "VMT_SNAPSHOT_FOREIGN",
            "VMT_SNAPSHOT_SET_ASIDE", "VMT_CHANGE_NEW", "VMT_CHANGE_RESET", "VMT_READ_GUARDED", "VMT_SLOTS_MAX",
        ]  # fmt: skip
        prints = "".join(f'printf("%u\\n", (unsigned)({name}));' for name in names)
        flags = "VMT_TYPE_LOG_HIST | VMT_UNIT_SECONDS | VMT_BASE_POW2 | VMT_AGGREGATION_MIN | VMT_SIGNED"
        prints += f'printf("%u\\n", {flags});'
        *said, flags = map(int, self.compiled(f"#include <stdio.h>\nint main(void) {{ {prints} return 0; }}\n").split())
        self.assertEqual(said, numbers)
        one = d("x", flags=flags, exponent=3)
        self.assertEqual((one.type, one.unit, one.base), ("log", "seconds", 2))
        self.assertEqual((one.aggregation, one.signed), ("min", True))
