# SPDX-License-Identifier: MIT
"""Segments written from Python: how they are made, gone on with and handed over."""
import errno
import os
import resource
import signal
import struct

from helper import ROOT, SegmentTest

import vmtally
from vmtally import schemas

HEARTBEAT_INTERVAL_AT = 120  # shm/FORMAT.md, section 1


def read(segment):
    with vmtally.attach(segment.path) as vm:
        return vm.snapshot()


class Segment(SegmentTest):
    def test_the_options_are_those_of_the_library(self):
        with vmtally.Segment(None, mode=0o600, heartbeat_interval=3600) as segment:
            self.assertEqual(os.stat(segment.path).st_mode & 0o777, 0o600)
            self.assertTrue(segment.name.endswith(f"-{os.getpid()}"), segment.name)
            self.assertIn(segment.path, repr(segment))
            self.assertEqual(read(segment).segment.heartbeat_ns, 0)
            segment.heartbeat()
            self.assertLess(0, read(segment).segment.heartbeat_ns)
        path = os.path.join(self.dir, "here.vmt")
        with open(path, "w+b") as file:
            with vmtally.Segment("by-path", path=path) as segment:
                self.assertEqual((read(segment).segment.name, segment.path), ("by-path", path))
            self.assertTrue(os.path.exists(path), "a path is used in place: neither renamed nor unlinked")
            file.truncate(0)
            with vmtally.Segment("by-fd", fd=file.fileno()) as segment, vmtally.attach(path) as vm:
                self.assertEqual((vm.snapshot().segment.name, segment.path), ("by-fd", ""))

    def promised_ns(self, segment):
        with open(segment.path, "rb") as file:
            file.seek(HEARTBEAT_INTERVAL_AT)
            return struct.unpack("=Q", file.read(8))[0]

    def test_a_heartbeat_is_promised_in_seconds(self):
        for seconds, ns in ((0, 0), (3600, 3600 * 10**9), (0.05, 50_000_000), (1e-10, 1), (1.8e10, 18 * 10**18)):
            with vmtally.Segment("web-1", heartbeat_interval=seconds) as segment:
                self.assertEqual(self.promised_ns(segment), ns)

    def test_a_missing_heartbeat_is_seen_and_the_next_one_too(self):
        with vmtally.Segment("web-1", heartbeat_interval=0.05) as segment, vmtally.attach("web-1") as vm:
            self.assertEqual(vm.state, vmtally.State.LIVE)
            segment.heartbeat()
            self.wait_for(lambda: vm.state == vmtally.State.STALLED)
            self.wait_for(lambda: segment.heartbeat() or vm.state == vmtally.State.LIVE)

    def test_an_interval_that_can_not_be_is_told_as_it_was_given(self):
        for seconds in (-1, -1e-12, 1.9e10, float("nan"), float("inf"), float("-inf")):
            pattern = f"^heartbeat_interval {seconds!r}: .*seconds"
            with self.subTest(seconds), self.assertRaisesRegex(ValueError, pattern):
                vmtally.Segment("web-1", heartbeat_interval=seconds)
        self.assertEqual(os.listdir(self.dir), [])

    def test_what_is_too_long_is_told_by_how_long_it_may_be(self):
        for options in (dict(name="x" * 64), dict(labels={"a": "b" * 1022}), dict(dir="/dev/shm/" + "x" * 300)):
            with self.assertRaises(vmtally.Error) as caught:
                vmtally.Segment(**{"name": "web-1", **options})
            self.assertEqual(caught.exception.errno, errno.ENAMETOOLONG)
            self.assertRegex(str(caught.exception), "a name is 1 to 63 of .*; labels .* 1,023 bytes .*; or the path")
        with vmtally.Segment("x" * 63, labels={"a": "b" * 1020}) as segment:
            self.assertEqual(read(segment).segment.labels, {"a": "b" * 1020})

    def test_a_program_that_was_killed_goes_on_where_it_was(self):
        program = """
            import sys, vmtally
            from vmtally import schemas
            segment = vmtally.Segment("web-1", resume=True)
            for name in sys.argv[1:]:
                shard = segment.add(schemas.vcpu, name).acquire()
                shard.add("exits", 5)
            segment.ready()
            print(repr(segment.why), flush=True)
            input()
        """
        for names in (["vcpu-0", "vcpu-1"], ["vcpu-0"]):
            child = self.start_python(program, *names)
            self.assertEqual(child.stdout.readline(), "''\n")
            with vmtally.attach("web-1") as vm:
                snapshot = vm.snapshot()
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        self.assertEqual((snapshot["vcpu-0"]["exits"], snapshot[""].total("exits")), (10, 15))
        self.assertNotIn("vcpu-1", snapshot)
        self.assertEqual(snapshot.segment.incarnation, 2)

    def test_what_can_not_be_gone_on_with_is_set_aside_and_why_says_so(self):
        with open(os.path.join(self.dir, "web-1.vmt"), "wb") as file:
            file.write(b"something else" * 1000)
        with vmtally.Segment("web-1", resume=True) as segment:
            self.assertNotEqual(segment.why, "")
            self.assertEqual(sorted(os.listdir(self.dir)), ["web-1.vmt", "web-1~1.vmt"])

    def test_a_segment_that_is_handed_over_is_live_all_the_while(self):
        segment = vmtally.Segment("web-1")
        vcpu = segment.add(schemas.vcpu, "vcpu-0")
        shard = vcpu.acquire()
        shard.add("exits", 3)
        path = segment.path
        with vmtally.attach(path) as vm:
            fd = segment.hand_over()
            self.assertTrue(segment.closed)
            shard.add("exits", 100)
            vcpu.count("exits", 100)
            self.assertEqual(vm.state, vmtally.State.LIVE)
            with vmtally.Segment("web-1", fd=fd, resume=True) as again:
                again.add(schemas.vcpu, "vcpu-0").count("exits", 4)
                again.ready()
                self.assertEqual(vm.state, vmtally.State.LIVE)
                self.assertEqual(vm.snapshot()["vcpu-0"]["exits"], 7)
            os.close(fd)

    def test_a_hand_over_that_fails_changes_nothing(self):
        with vmtally.Segment("web-1") as segment:
            vcpu = segment.add(schemas.vcpu, "vcpu-0")
            shard = vcpu.acquire()
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = os.dup(0)
            self.addCleanup(os.close, lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, limits[1]))
            try:
                with self.assertRaises(vmtally.Error) as caught:
                    segment.hand_over()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.EMFILE, segment.path))
            self.assertFalse(segment.closed)
            shard.add("exits", 3)
            vcpu.count("exits", 4)
            vcpu.acquire().add("exits", 5)
            vcpu.add(schemas.vcpu, "child").count("exits", 6)
            vcpu.remove()
            shard.release()
            self.assertEqual(read(segment)["vcpu-0"]["exits"], 12)
            self.assertTrue(read(segment)["vcpu-0"].leaving)

    def test_the_ready_made_schemas_are_all_those_of_the_library(self):
        with open(os.path.join(ROOT, "lib", "vmtally", "schemas.h"), encoding="ascii") as file:
            declared = {w[len("vmt_schema_"):-1] for w in file.read().split() if w.startswith("vmt_schema_")}
        self.assertEqual(set(schemas.__all__), declared)
        self.assertEqual({getattr(schemas, name).name for name in declared}, declared)
        for name in declared:
            self.assertTrue(all(d.help for d in getattr(schemas, name)), name)

    def test_a_row_declares_what_the_same_row_of_a_c_list_does(self):
        theirs = [d for d in schemas.vcpu if d.name.startswith("io_latency")]
        row = vmtally.Latency("io_latency", theirs[-1].size, help="Time that the VMM takes to handle an exit")
        self.assertEqual(row.descriptors(theirs[0].slot), theirs)
        memory = schemas.vm["memory_bytes"]
        self.assertEqual(vmtally.Instant("memory_bytes", "bytes", memory.help).descriptors(memory.slot), [memory])
