# SPDX-License-Identifier: MIT
"""Who waits for whom: threads that share a reader, and threads that have nothing to do with it."""
import ctypes
import os
import re
import sys
import threading
import time
from unittest import mock

import helper
import vmtally
from vmtally import _library, schemas
from vmtally._library import lib

PATIENCE_S = 30


class TellingLock:
    """A lock that says how many have come to it, also while they wait."""

    def __init__(self):
        self.lock = threading.RLock()
        self.came = []

    def __enter__(self):
        self.came.append(1)
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()


class Sharing(helper.SegmentTest):
    """Threads that use one reader at the same time wait for each other."""

    def setUp(self):
        super().setUp()
        segment = vmtally.Segment("web-1")
        self.addCleanup(segment.close)
        segment.add(schemas.vcpu, "vcpu-0")

    def while_a_snapshot_is_taken(self, reader, second):
        """Another thread does second() meanwhile. Gives how many were in the library at once, and whether the reader
        was closed while it was used."""
        lock = reader._lock = TellingLock()
        inside, most, closed = [], [], []
        thread = threading.Thread(target=second)

        def telling(function):
            def call(*arguments):
                inside.append(1)
                most.append(len(inside))
                if len(most) == 1:
                    thread.start()
                    self.wait_for(lambda: len(lock.came) == 2 or len(most) == 2 or not thread.is_alive())
                closed.append(reader.closed)
                inside.pop()
                return function(*arguments)
            return call

        functions = ("vmt_snapshot_take", "vmt_reader_state", "vmt_reader_sample")
        patches = [mock.patch.object(lib, name, telling(getattr(lib, name))) for name in functions]
        for patch in patches:
            patch.start()
        try:
            reader.snapshot()
            thread.join(helper.WAIT_S)
        finally:
            for patch in patches:
                patch.stop()
        self.assertFalse(thread.is_alive())
        return max(most), any(closed)

    def test_one_at_a_time_is_in_the_library_and_close_waits(self):
        for name in ("snapshot", "state", "sample", "close"):
            with self.subTest(name), vmtally.attach("web-1") as reader:
                sample = reader.snapshot()["vcpu-0"]
                second = {"snapshot": reader.snapshot, "state": lambda: reader.state, "close": reader.close,
                          "sample": lambda: reader.sample(sample)}[name]
                self.assertEqual(self.while_a_snapshot_is_taken(reader, second), (1, False))
                self.assertEqual(reader.closed, name == "close")


class Meanwhile(helper.SegmentTest):
    """What may take long lets other Python threads run; what counts or changes a segment does not."""

    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        for i in range(200):
            self.segment.add(schemas.vcpu, f"vcpu-{i}")

    def others_run(self, operation):
        """Whether another thread comes to run while operation is done again and again: only where it lets others run,
        as nobody is told to make room before 1,000 s."""
        go, ran = threading.Lock(), []
        go.acquire()
        thread = threading.Thread(target=lambda: (go.acquire(), ran.append(1)))
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        try:
            thread.start()  # comes back once the other one waits
            go.release()
            end_s = time.monotonic() + PATIENCE_S
            while not ran and time.monotonic() < end_s:
                operation()
            return bool(ran)
        finally:
            sys.setswitchinterval(interval_s)
            thread.join()

    def test_others_run_while_segments_are_looked_for_and_read(self):
        path = self.segment.path

        def nobody(attach):
            try:
                attach("nobody")
            except vmtally.NotFound:
                pass

        with vmtally.attach(path) as vm, vmtally.Host(pid=os.getpid()) as host:
            sample = vm.snapshot()["vcpu-0"]
            table = {
                "snapshot": vm.snapshot, "state": lambda: vm.state, "sample": lambda: vm.sample(sample),
                "attach by path": lambda: vmtally.attach(path), "attach by name": lambda: nobody(vmtally.attach),
                "discover": vmtally.discover, "check": lambda: vmtally.check(path),
                "look": host.look, "what a host discovers": host.discover,
                "attach with a host": lambda: host.attach(path), "by name": lambda: nobody(host.attach),
            }  # fmt: skip
            for name, operation in table.items():
                with self.subTest(name):
                    self.assertTrue(self.others_run(operation))

    def test_nobody_comes_between_while_it_is_written(self):
        names = set()
        for header in ("segment.h", "count.h"):
            with open(os.path.join(helper.ROOT, "lib", "vmtally", header), encoding="ascii") as file:
                names |= set(re.findall(r"\b(vmt_\w+)\(", file.read()))
        used = names & {*_library._LONG, *_library._SHORT}
        self.assertLessEqual({"vmt_segment_close", "vmt_source_add", "vmt_shard_release", "vmt_add_ext"}, used)
        keeping = {name for name in used if getattr(lib, name)._flags_ & ctypes._FUNCFLAG_PYTHONAPI}
        self.assertEqual(keeping, used, "these keep the GIL")
