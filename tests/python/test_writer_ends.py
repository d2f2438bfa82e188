# SPDX-License-Identifier: MIT
"""Segments written from Python: how they end, and what threads, signals and forks do to them."""
import copy
import errno
import gc
import itertools
import os
import pickle
import signal
import sys
import threading
import traceback

from helper import SegmentTest

import vmtally
from vmtally import schemas

DISK = vmtally.Schema.declare("disk", provider="tests", target="block", statistics=[
    vmtally.Cumulative("reads"),
    vmtally.Cumulative("read_bytes", "bytes"),
    vmtally.Instant("depth"),
    vmtally.Peak("deepest"),
    vmtally.Minimum("free"),
    vmtally.Latency("read"),
])


def read(segment):
    with vmtally.attach(segment.path) as vm:
        return vm.snapshot()


class Ending(SegmentTest):
    """Whatever is used after its end raises vmtally.Closed or does nothing. (A crash takes the whole program down.)"""

    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        self.vm = self.segment.add(schemas.vm, "vm")
        self.disk = self.vm.add(DISK, "disk-0")
        self.shard = self.disk.acquire()

    def closed(self, operation):
        with self.assertRaises(vmtally.Closed) as caught:
            operation()
        return str(caught.exception)

    def test_a_segment_and_all_of_it_can_be_used_after_it_was_closed(self):
        path = self.segment.path
        timer, group = self.shard.time("read"), self.shard.group()
        timer.__enter__()
        group.__enter__()
        self.segment.close()
        self.assertFalse(os.path.exists(path))
        self.assertTrue(self.segment.closed)
        for operation in (lambda: self.segment.add(DISK, "x"), lambda: self.disk.add(DISK, "x"),
                          self.segment.hand_over, self.segment.__enter__):
            self.assertIn("web-1", self.closed(operation))
        group.__exit__(None, None, None)
        timer.__exit__(None, None, None)
        self.shard.add("reads")
        self.shard.record("read", 1)
        self.disk.count("reads")
        with self.disk.acquire() as other:
            other.add("reads")
        self.segment.heartbeat()
        self.segment.ready()
        self.disk.remove()
        self.shard.release()
        self.vm.remove()
        self.segment.close()
        self.assertIn("closed", repr(self.segment))

    def test_the_same_where_no_shard_is_held_and_its_memory_is_gone(self):
        self.shard.release()
        idle = self.disk.acquire()
        idle.release()
        self.segment.close()
        self.disk.count("reads")
        with self.disk.acquire() as other:
            other.add("reads")
        self.closed(lambda: idle.add("reads"))
        self.closed(lambda: self.vm.add(DISK, "x"))
        self.segment.heartbeat()
        self.segment.ready()
        self.vm.remove()
        self.disk.remove()
        idle.release()
        self.closed(self.segment.hand_over)

    def test_a_shard_says_so_after_its_release(self):
        timer, group = self.shard.time("read"), self.shard.group()
        timer.__enter__()
        group.__enter__()
        self.shard.release()
        timer.__exit__(None, None, None)
        group.__exit__(None, None, None)
        s = self.shard
        for operation in (lambda: s.add("reads"), lambda: s.set("depth", 1), lambda: s.peak("deepest", 1),
                          lambda: s.minimum("free", 1), lambda: s.record("read", 1), lambda: s.time("read"), s.group,
                          s.__enter__):
            self.assertIn("vm/disk-0", self.closed(operation))
        s.release()
        with self.disk.acquire() as other:  # the same memory
            other.add("reads", 5)
            s.release()
            other.add("reads", 5)
        self.assertEqual(read(self.segment)["vm/disk-0"]["reads"], 10)

    def test_a_group_that_its_shard_left_by_release_is_not_closed_in_the_next_owners(self):
        with self.shard.group():
            self.shard.release()
            other = self.disk.acquire()
            with other.group():
                other.add("reads")
        self.assertFalse(read(self.segment)["vm/disk-0"].unconfirmed)
        self.assertTrue(read(self.segment)["vm/disk-0"].torn)

    def test_a_source_says_so_after_its_removal_while_its_shard_still_counts(self):
        self.disk.remove()
        for operation in (self.disk.acquire, lambda: self.disk.count("reads"), lambda: self.disk.add(DISK, "x"),
                          self.disk.__enter__):
            self.assertIn("vm/disk-0", self.closed(operation))
        self.shard.add("reads", 7)
        self.assertTrue(read(self.segment)["vm/disk-0"].leaving)
        again = self.vm.add(DISK, "disk-0")
        self.disk.remove()  # not the new one
        again.count("reads")
        self.shard.release()
        snapshot = read(self.segment)
        self.assertEqual((snapshot["vm/disk-0"]["reads"], snapshot["vm"].total("reads")), (1, 8))

    def test_a_parent_may_be_removed_before_its_children(self):
        self.vm.remove()
        self.shard.add("reads", 3)
        self.disk.remove()
        self.shard.release()
        self.assertEqual(read(self.segment)[""].total("reads"), 3)

    def test_a_source_stays_without_its_handle_and_a_shard_does_not(self):
        self.segment.add(DISK, "other").acquire().set("depth", 3)
        gc.collect()
        self.assertEqual(read(self.segment)["other"]["depth"], 0)
        self.shard.set("depth", 3)
        self.shard.add("reads", 3)
        del self.shard
        gc.collect()
        disk = read(self.segment)["vm/disk-0"]
        self.assertEqual((disk["depth"], disk["reads"]), (0, 3))

    def test_a_segment_is_closed_once_nothing_refers_to_it(self):
        path = self.segment.path
        self.doCleanups, cleanups = (lambda: None), self.doCleanups
        self._cleanups.pop()
        del self.segment, self.vm, self.disk
        gc.collect()
        self.assertTrue(os.path.exists(path), "a shard refers to it")
        del self.shard
        gc.collect()
        self.assertFalse(os.path.exists(path))
        self.doCleanups = cleanups

    def test_a_handle_is_neither_copied_nor_pickled(self):
        for handle in (self.segment, self.disk, self.shard):
            for operation in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaisesRegex(TypeError, "can't be copied or pickled"):
                    operation(handle)

    def test_garbage_is_collected_in_any_order(self):
        kinds = ["segment", "vm", "disk", "shard", "timer", "group"]
        for i, order in enumerate(itertools.permutations(kinds)):
            it = {"segment": vmtally.Segment(f"gc-{i}")}
            it["vm"] = it["segment"].add(schemas.vm, "vm")
            it["disk"] = it["vm"].add(DISK, "disk")
            it["shard"] = it["disk"].acquire()
            it["timer"] = it["shard"].time("read")
            it["group"] = it["shard"].group()
            if i % 2:
                it["shard"].__class__.__mro__  # and in circles
                it["circle"] = it
            it["timer"].__enter__()
            it["group"].__enter__()
            for kind in order:
                if i % 3 == 0 and hasattr(it[kind], "__exit__"):
                    it[kind].__exit__(None, None, None)
                del it[kind]
            del it
        gc.collect()
        self.assertEqual([f for f in os.listdir(self.dir) if f.startswith("gc-")], [])

    def test_whatever_is_open_when_the_interpreter_exits_is_closed_without_a_word(self):
        program = """
            import sys, vmtally
            from vmtally import schemas
            segment = vmtally.Segment(sys.argv[1], keep=sys.argv[2] == "keep")
            class Circle: pass
            circle = Circle()
            circle.shard = segment.add(schemas.vcpu, "vcpu-0").acquire()
            circle.self, circle.timer = circle, circle.shard.time("io_latency").__enter__()
            circle.shard.add("exits", 3)
            circle.segment = segment
        """
        self.run_python(program, "gone", "-")
        self.run_python(program, "kept", "keep")
        self.assertEqual(sorted(os.listdir(self.dir)), ["kept.vmt", "web-1.vmt"])
        with vmtally.attach("kept") as vm:
            snapshot = vm.snapshot()
            self.assertEqual((snapshot.segment.state, snapshot["vcpu-0"]["exits"]), (vmtally.State.CLOSED, 3))


class Together(SegmentTest):
    """Threads, signals, forks."""

    def test_threads_with_a_shard_each_count_exactly(self):
        with vmtally.Segment("web-1") as segment:
            disk = segment.add(DISK, "disk-0")

            def work():
                with disk.acquire() as shard:
                    for _ in range(5000):
                        shard.add("reads")
                        disk.count("read_bytes", 512)

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            got = read(segment)["disk-0"]
            self.assertEqual((got["reads"], got["read_bytes"]), (40000, 40000 * 512))

    def test_what_others_count_while_a_thread_ends_it_harms_nobody(self):
        self.run_python("""
            import sys, threading, vmtally
            from vmtally import schemas
            sys.setswitchinterval(1e-6)

            def hammer(source, shard, stop):
                while not stop.is_set():
                    for operation in (lambda: shard.add("exits"), lambda: source.count("exits"), shard.release,
                                      lambda: shard.record("io_latency", 5), lambda: source.acquire().add("exits"),
                                      lambda: source.add(schemas.vcpu, "child").remove(), source.remove):
                        try:
                            operation()
                        except vmtally.Error:
                            pass

            for i in range(30):
                segment, stop = vmtally.Segment("web-2"), threading.Event()
                threads = []
                for n in range(2):
                    source = segment.add(schemas.vcpu, f"vcpu-{n}")
                    for _ in range(2):
                        threads.append(threading.Thread(target=hammer, args=(source, source.acquire(), stop)))
                for thread in threads:
                    thread.start()
                for n in range(20):
                    segment.add(schemas.vcpu, f"more-{n}").remove()
                if i % 3:
                    segment.close()
                else:
                    import os
                    os.close(segment.hand_over())
                    os.unlink(os.path.join(os.environ["VMTALLY_DIR"], "web-2.vmt"))
                stop.set()
                for thread in threads:
                    thread.join()
        """)

    def test_a_signal_handler_may_close_the_segment_while_it_is_counted_into(self):
        self.run_python("""
            import signal, vmtally
            from vmtally import schemas

            for i in range(200):
                segment = vmtally.Segment("web-2")
                vcpu = segment.add(schemas.vcpu, "vcpu-0")
                shard = vcpu.acquire()
                done = []

                def handler(*_):
                    shard.release()
                    segment.close()
                    done.append(1)

                signal.signal(signal.SIGALRM, handler)
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + i * 1e-6)
                try:
                    while not done:
                        shard.add("exits")
                        shard.record("io_latency", 1)
                        vcpu.count("exits")
                except vmtally.Closed:
                    pass
        """)

    def test_what_a_forked_child_counts_reaches_nobody(self):
        segment = vmtally.Segment("web-1")
        self.addCleanup(segment.close)
        disk = segment.add(DISK, "disk-0")
        shard = disk.acquire()
        shard.add("reads", 1)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = self.child(segment, disk, shard)
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        shard.add("reads", 1)
        snapshot = read(segment)
        self.assertEqual((snapshot["disk-0"]["reads"], snapshot.segment.state), (2, vmtally.State.LIVE))
        self.assertEqual(list(snapshot), ["", "disk-0"])

    def child(self, segment, disk, shard):
        shard.add("reads", 100)
        disk.count("reads", 100)
        disk.acquire().add("reads", 100)
        for operation in (lambda: segment.add(DISK, "disk-1"), lambda: disk.add(DISK, "x"), segment.hand_over):
            try:
                operation()
                return 2
            except vmtally.Error as e:
                if e.errno != errno.ECHILD:
                    return 3
        own = vmtally.Segment("child")
        own.add(DISK, "disk-0").acquire().add("reads", 5)
        if read(own)["disk-0"]["reads"] != 5:
            return 4
        own.close()
        shard.release()
        disk.remove()
        segment.close()
        del segment, disk, shard
        gc.collect()
        return 0

    def test_a_forked_child_that_exits_as_programs_do_leaves_the_parents_segment_alone(self):
        out = self.run_python("""
            import os, sys, vmtally
            from vmtally import schemas
            segment = vmtally.Segment("web-2")
            shard = segment.add(schemas.vcpu, "vcpu-0").acquire()
            pid = os.fork()
            if pid == 0:
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            shard.add("exits", 3)
            with vmtally.attach("web-2") as vm:
                print(vm.snapshot()["vcpu-0"]["exits"], vm.state.name)
        """)
        self.assertEqual(out.split(), ["3", "LIVE"])
