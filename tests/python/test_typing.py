# SPDX-License-Identifier: MIT
"""What the package says of itself: its types are right, and strict enough for those who use it; all has its words."""
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

from helper import ROOT, WAIT_S

import vmtally

HERE = os.path.join(ROOT, "bindings", "python")


class Types(unittest.TestCase):
    def setUp(self):
        if importlib.util.find_spec("mypy") is None:
            self.skipTest(f"mypy is not installed for {sys.executable}")
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.dir = temporary.name

    def mypy(self, *arguments):
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.path.join(self.dir, "cache"), *arguments]
        child = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, cwd=HERE)
        return child.returncode, child.stdout + child.stderr

    def test_mypy_strict_finds_nothing_in_the_package_and_its_examples(self):
        status, said = self.mypy("vmtally", "examples/exporter.py", "examples/top_exits.py")
        self.assertEqual(status, 0, said)

    def test_who_uses_it_wrongly_is_told_by_mypy(self):
        program = textwrap.dedent("""
            import vmtally
            vm = vmtally.attach("web-1")
            snapshot = vm.snapshot()
            reveal_type(snapshot["vm"].number("vcpus"))
            reveal_type((snapshot - snapshot)["vm"].rate("x"))
            reveal_type(vmtally.Cumulative("reads"))
            snapshot.nothing
            vmtally.Cumulative("reads", "furlongs")
            vmtally.Segment("a").add("b")
            with vmtally.Segment("a") as segment:
                segment.add(vmtally.schemas.vcpu, "b").acquire().add(1)
        """)
        path = os.path.join(self.dir, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(program)
        status, said = self.mypy(path)
        self.assertEqual(status, 1, said)
        for line in ('4: note: Revealed type is "builtins.int"', '5: note: Revealed type is "builtins.float"',
                     '6: note: Revealed type is "vmtally._kinds.Cumulative"', '7: error: "Snapshot" has no attribute',
                     '8: error: Argument 2 to "Cumulative"', '9: error: Missing positional argument',
                     '11: error: Argument 1 to "add" of "Shard"'):
            number, _, text = line.partition(":")
            self.assertIn(f"program.py:{int(number) + 1}:{text}", said)
        self.assertIn("Found 5 errors", said)


class Words(unittest.TestCase):
    def test_all_that_is_public_is_explained(self):
        silent = []
        for name in vmtally.__all__:
            thing = getattr(vmtally, name)
            if not inspect.isclass(thing) and not inspect.isroutine(thing):
                continue
            members = vars(thing).items() if inspect.isclass(thing) else ()
            explained = [(name, thing), *((f"{name}.{m}", what) for m, what in members if not m.startswith("_")
                                          and (inspect.isroutine(what) or isinstance(what, property)))]  # fmt: skip
            silent += [who for who, what in explained if not (what.__doc__ or "").strip()]
        self.assertEqual(silent, [])
