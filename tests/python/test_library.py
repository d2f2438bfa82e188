# SPDX-License-Identifier: MIT
"""Finding libvmtally: each way in which it can be missing has a message that says what to do."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import helper

IMPORT = "import vmtally"


class Library(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.mkdtemp(prefix="vmtally-test.", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.place)

    def imported(self, program=IMPORT, **environment):
        """The last line on stderr, "" if it went well."""
        kept = {k: v for k, v in os.environ.items() if k not in ("VMTALLY_LIBRARY_PATH", "LD_LIBRARY_PATH")}
        done = subprocess.run([sys.executable, "-c", program], env={**kept, **environment}, capture_output=True,
                              text=True, timeout=helper.WAIT_S)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.stderr.strip().splitlines()[-1] if done.stderr else ""

    def test_the_directory_of_the_variable_comes_first(self):
        here = os.environ.get("VMTALLY_LIBRARY_PATH") or self.skipTest("needs $VMTALLY_LIBRARY_PATH")
        program = f"from vmtally._library import lib; assert lib.path == {here!r} + '/libvmtally.so.1', lib.path"
        self.assertEqual(self.imported(program, VMTALLY_LIBRARY_PATH=here, LD_LIBRARY_PATH=self.place), "")

    def test_without_the_variable_the_loader_looks(self):
        here = os.environ.get("VMTALLY_LIBRARY_PATH") or self.skipTest("needs $VMTALLY_LIBRARY_PATH")
        program = "from vmtally._library import lib; assert lib.path == 'libvmtally.so.1', lib.path"
        self.assertEqual(self.imported(program, LD_LIBRARY_PATH=here), "")

    def test_where_there_is_none_the_message_names_the_package_and_the_variable(self):
        said = self.imported()
        if not said:
            self.skipTest("libvmtally is installed here")
        self.assertIn("ImportError: libvmtally.so.1, which vmtally needs, is not found", said)
        self.assertIn("Install libvmtally", said)
        self.assertIn("run ldconfig", said)
        self.assertIn("$VMTALLY_LIBRARY_PATH", said)

    def test_an_empty_directory_is_named(self):
        said = self.imported(VMTALLY_LIBRARY_PATH=self.place)
        self.assertEqual(said, f"ImportError: no libvmtally.so.1 in {self.place} ($VMTALLY_LIBRARY_PATH)")

    def test_one_of_another_major_version_is_named_and_not_used(self):
        open(os.path.join(self.place, "libvmtally.so.2"), "w").close()
        said = self.imported(VMTALLY_LIBRARY_PATH=self.place)
        self.assertIn("there is libvmtally.so.2, of another major version", said)

    def test_a_file_that_is_no_library_is_said_to_be_none(self):
        with open(os.path.join(self.place, "libvmtally.so.1"), "w") as f:
            f.write("not a library\n")
        said = self.imported(VMTALLY_LIBRARY_PATH=self.place)
        self.assertTrue(said.startswith(f"ImportError: {self.place}/libvmtally.so.1 can't be loaded: "), said)

    def test_an_older_one_that_lacks_a_function_is_said_to_be_older(self):
        cc = os.environ.get("CC", "cc").split()
        if not shutil.which(cc[0]):
            self.skipTest(f"needs {cc[0]}")
        library = os.path.join(self.place, "libvmtally.so.1")
        source = "int vmt_discover(void); int vmt_discover(void) { return 0; }"
        subprocess.run([*cc, "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source, text=True, check=True)
        said = self.imported(VMTALLY_LIBRARY_PATH=self.place)
        self.assertIn(f"ImportError: {library} is older than this package", said)
        self.assertIn("undefined symbol: vmt_", said)

    def test_numpy_is_not_imported_before_it_is_needed(self):
        program = "import sys, vmtally; assert 'numpy' not in sys.modules"
        self.assertEqual(self.imported(program, VMTALLY_LIBRARY_PATH=os.environ.get("VMTALLY_LIBRARY_PATH", "")), "")
