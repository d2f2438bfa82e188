# SPDX-License-Identifier: MIT
"""What the tests here share: a directory of segments of their own, and programs run beside them."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

WAIT_S = 120  # for what comes sooner or later; other tests run meanwhile
BUILD = os.environ.get("VMT_BUILD", "")
ROOT = os.environ.get("VMT_SOURCE_ROOT") or os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


class SegmentTest(unittest.TestCase):
    """Each test has a VMTALLY_DIR of its own."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="vmtally-test.", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        before = os.environ.get("VMTALLY_DIR")
        os.environ["VMTALLY_DIR"] = self.dir
        self.addCleanup(restore, "VMTALLY_DIR", before)

    def run_python(self, program, *arguments, fails=False):
        """What this program, in a Python of its own, prints. Where fails is not set it must not fail, nor say anything
        on stderr; a signal is a failure in any case."""
        child = subprocess.run([sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program), *arguments],
                               capture_output=True, text=True, timeout=WAIT_S)
        self.assertGreaterEqual(child.returncode, 0, child.stderr)
        if not fails:
            self.assertEqual((child.returncode, child.stderr), (0, ""), child.stdout)
        return child.stdout if not fails else child.stderr

    def start_python(self, program, *arguments):
        """The same beside the test: it talks by stdin and stdout, and is killed at the end if it still runs."""
        child = subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program), *arguments],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(end, child)
        return child

    def command(self, name, *arguments):
        """What one of our commands prints; without it the test is skipped."""
        path = os.path.join(BUILD, "cli", name) if BUILD else shutil.which(name)
        if not path or not os.path.exists(path):
            self.skipTest(f"{name} is not in $VMT_BUILD/cli, nor in PATH")
        return subprocess.run([path, *arguments], capture_output=True, text=True, check=True, timeout=WAIT_S).stdout

    def wait_for(self, condition):
        end_s = time.monotonic() + WAIT_S
        while not condition():
            self.assertLess(time.monotonic(), end_s, "it did not come to that")
            time.sleep(0.01)


def restore(variable, value):
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value


def end(child):
    if child.poll() is None:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
