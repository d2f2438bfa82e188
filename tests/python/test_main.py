# SPDX-License-Identifier: MIT
"""python -m vmtally, the small demonstration."""
import os
import re
import select
import signal
import subprocess
import sys
import unittest

import helper
import vmtally


class Main(helper.SegmentTest):
    def run_main(self, *words, **options):
        return subprocess.run([sys.executable, "-m", "vmtally", *words], capture_output=True, text=True,
                              timeout=helper.WAIT_S, **options)

    def segment(self, name="web-1"):
        segment = vmtally.Segment(name)
        self.addCleanup(segment.close)
        self.shard = segment.add(vmtally.schemas.vm, "vm").add(vmtally.schemas.vcpu, "vcpu-0").acquire()
        self.shard.add("exits", 4711)
        return segment

    def test_it_lists_the_vms(self):
        self.segment("web-1")
        self.segment("web-2")
        done = self.run_main()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        head, *rows = done.stdout.splitlines()
        self.assertEqual(head.split(), ["NAME", "STATE", "PID", "SOURCES", "PATH"])
        self.assertEqual([row.split() for row in rows], [
            [name, "live", str(os.getpid()), "2", os.path.join(self.dir, name + ".vmt")] for name in ("web-1", "web-2")
        ])  # fmt: skip

    def test_it_shows_a_vm_with_rates(self):
        self.segment()
        done = self.run_main("web-1", "-n", "2", "-d", "0.05")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        samples = done.stdout.split("\n\n")
        self.assertEqual(len(samples), 2)
        for sample in samples:
            self.assertTrue(sample.startswith(f"web-1: live, pid {os.getpid()}, {self.dir}/web-1.vmt\n"))
            self.assertIn("    vcpu-0  (vmm vcpu)\n", sample)
            self.assertRegex(sample, r"(?m)^      exits +4711$")
            self.assertNotIn("exit_hlt", sample)  # 0
        done = self.run_main("web-1", "-n", "1", "--all")
        self.assertRegex(done.stdout, r"(?m)^      exit_hlt +0$")

    def test_a_sample_is_there_at_once_also_in_a_pipe(self):
        self.segment()
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        with subprocess.Popen([sys.executable, "-m", "vmtally", "web-1", "-d", "1000"], stdout=subprocess.PIPE,
                              env=buffered) as child:
            try:
                said = b""
                while not said.endswith(b"\n\n"):
                    self.assertTrue(select.select([child.stdout], [], [], helper.WAIT_S)[0], said)
                    said += os.read(child.stdout.fileno(), 4096)
            finally:
                child.kill()
        self.assertIn(b"exits", said)

    def test_it_goes_on_until_the_vm_is_gone(self):
        segment = self.segment()
        with subprocess.Popen([sys.executable, "-m", "vmtally", segment.path, "-d", "0.05"], stdout=subprocess.PIPE,
                              text=True) as child:
            rates, last = [], ""
            for line in child.stdout:
                match = re.match(r" +exits +(\d+)(  .*/s)?$", line)
                if match:
                    rates.append(match.group(2))
                    self.shard.add("exits", 1000)
                    if len(rates) == 4:
                        segment.close()
                last = line if line.startswith("web-1:") else last
            self.assertEqual(child.wait(helper.WAIT_S), 0)
        self.assertIn("web-1: closed", last)
        self.assertIsNone(rates[0])
        self.assertTrue(any(rates[1:]))

    def test_the_exit_status_is_1_where_it_failed_and_the_message_says_what(self):
        for words, said in ((["nobody"], "attach nobody: no such VM"), ([], "no VMs"),
                            ([os.path.join(self.dir, "x")], "No such file"), (["--dir", "/nowhere"], "/nowhere")):
            done = self.run_main(*words)
            self.assertEqual((done.returncode, done.stdout), (1, ""), words)
            self.assertTrue(done.stderr.startswith("vmtally: ") and said in done.stderr, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_the_exit_status_is_2_where_it_was_used_wrongly(self):
        for words in (["-n", "0", "x"], ["-n", "x"], ["-d", "0"], ["-d", "nan"], ["--nothing"], ["a", "b"]):
            done = self.run_main(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn("usage: python -m vmtally", done.stderr)

    def test_help_and_version_are_there(self):
        done = self.run_main("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("--dir", "-n COUNT", "-d SECONDS", "VM", "Exit status"):
            self.assertIn(word, done.stdout)
        done = self.run_main("--version")
        self.assertEqual((done.returncode, done.stdout), (0, f"vmtally {vmtally.__version__} (Python)\n"))

    def test_names_of_files_can_not_reach_the_terminal(self):
        open(os.path.join(self.dir, "evil\x1b[31m\udcff.vmt"), "w").close()
        done = self.run_main()
        self.assertEqual(done.returncode, 0)
        self.assertIn("evil\ufffd[31m\ufffd", done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        done = self.run_main("evil\x1b[31m")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("\x1b", done.stderr)

    def test_a_reader_that_goes_away_is_no_traceback(self):
        self.segment()
        with subprocess.Popen([sys.executable, "-m", "vmtally", "web-1", "-d", "0.01"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as child:
            child.stdout.readline()
            child.stdout.close()
            self.assertEqual(child.stderr.read(), "")
            self.assertEqual(child.wait(helper.WAIT_S), 1)

    def test_an_interrupt_ends_it_without_a_traceback(self):
        self.segment()
        with subprocess.Popen([sys.executable, "-m", "vmtally", "web-1", "-d", "0.01"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as child:
            child.stdout.readline()
            child.send_signal(signal.SIGINT)
            child.stdout.read()
            self.assertEqual((child.stderr.read(), child.wait(helper.WAIT_S)), ("", 130))

    def test_it_prints_where_the_encoding_has_not_all_letters(self):
        segment = vmtally.Segment("web-1", labels={"team": "öl"})
        self.addCleanup(segment.close)
        schema = vmtally.Schema.declare("s", provider="p", target="t", statistics=[vmtally.Cumulative("x", help="ö")])
        segment.add(schema, "t").acquire().add("x")
        done = self.run_main("web-1", "-n", "1", env={**os.environ, "PYTHONIOENCODING": "ascii"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
