# SPDX-License-Identifier: MIT
"""Whatever goes first, and whenever: no crash, and memory is there as long as something refers to it. Most of it in
interpreters of their own, which say by a signal's number when they crash."""
import copy
import gc
import textwrap
import unittest
import weakref

import helper
import vmtally
from vmtally import _memory

try:
    import numpy
except ImportError:
    numpy = None

SCHEMA = vmtally.Schema.declare("wide", provider="tests", target="thing", statistics=[
    vmtally.Cumulative(f"count_{i}") for i in range(1024)
])  # fmt: skip
SOURCES = 50
# 400 KiB a snapshot: memory that malloc gives back to the kernel, so that who reads it too late is killed.
SETUP = """\
import gc, sys, threading, weakref, vmtally
vm = vmtally.attach("web-1")
"""


class Lifetimes(helper.SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        self.shards = []  # held
        for i in range(SOURCES):
            shard = self.segment.add(SCHEMA, f"thing-{i}").acquire()
            for k in (0, 1023):
                shard.add(f"count_{k}", 1000 + i)
            self.shards.append(shard)

    def run_right(self, program):
        self.assertEqual(self.run_python(SETUP + textwrap.dedent(program)), "right\n")

    def test_memory_is_unknown_to_the_garbage_collector(self):
        # So it goes after all that refers to it, not where it stands in a circle of garbage.
        freed = []

        def free(token):
            freed.append(token._as_parameter_)

        memory = _memory.Memory(4711, free)
        self.assertFalse(gc.is_tracked(memory._object))
        again = _memory.Memory(4712, free)
        del memory
        self.assertEqual(freed, [4711])
        copied = copy.copy(again)
        del again
        self.assertEqual(freed, [4711])
        del copied
        self.assertEqual(freed, [4711, 4712])

    def test_what_has_gone_is_forgotten_and_what_lives_is_not(self):
        freed = []
        kept = [_memory.Memory(address, freed.append) for address in range(1, 100)]
        for address in range(1000, 3000):
            _memory.Memory(address, freed.append)
        self.assertEqual(len(freed), 2000)
        self.assertLess(len(_memory._tokens), 1000)
        kept.clear()
        self.assertEqual(len(freed), 2099)

    def test_each_part_of_a_snapshot_keeps_its_memory(self):
        with vmtally.attach("web-1") as vm:
            def part(get):
                snapshot = vm.snapshot(shards=True)
                memory = snapshot._taken.memory.address
                return get(snapshot), memory

            parts = [
                lambda s: s["thing-7"], lambda s: s["thing-7"].shards[0], lambda s: s.root.totals[0],
                lambda s: s["thing-7"].view,
                lambda s: s["thing-7"].parent.children[7], lambda s: s - s,
            ]  # fmt: skip
            if numpy:
                parts += [lambda s: s["thing-7"].array, lambda s: s["thing-7"].array[5:][::-1]]
            for get in parts:
                kept, memory = part(get)
                token = _memory._tokens[memory]
                self.assertIsNotNone(token())
                del kept
                self.assertIsNone(token())

    def test_values_are_right_after_all_else_has_gone(self):
        program = """
            s = vm.snapshot(shards=True)
            sample, view, total = s["thing-7"], s["thing-7"].view, s.root.totals[0]
            shard, change, children = s["thing-7"].shards[0], (vm.snapshot() - s)["thing-7"], s.root.children
            vm.close()
            del s, vm
            for _ in range(3):
                gc.collect()
            junk = [bytearray(1 << 19) for _ in range(100)]
            assert sample["count_1023"] == 1007 and view[1023] == 1007 and shard["count_0"] == 1007
            assert total["count_0"] == sum(range(1000, 1050)) and change["count_0"] == 0
            assert children[9].view[0] == 1009 and children[9].parent.totals[0]["count_1023"] == total["count_1023"]
            print("right")
        """
        self.run_right(program)

    def test_numpy_arrays_are_right_after_all_else_has_gone(self):
        if numpy is None:
            self.skipTest("needs numpy")
        program = """
            arrays = [s.array[1000:] for s in vm.snapshot().sources(target="thing")]
            vm.close()
            del vm
            gc.collect()
            junk = [bytearray(1 << 19) for _ in range(100)]
            assert [int(a[23]) for a in arrays] == list(range(1000, 1050))
            del arrays[::2]
            gc.collect()
            assert [int(a[23]) for a in arrays] == list(range(1001, 1050, 2))
            print("right")
        """
        self.run_right(program)

    def test_what_is_used_by_a_finalizer_in_a_circle_is_still_there(self):
        program = """
            right = []
            class Circle:
                def __init__(self, sample):
                    self.me, self.sample, self.view = self, sample, sample.view
                    self.delta = vm.snapshot() - vm.snapshot()
                def __del__(self):
                    right.append((self.view[0], self.sample.view[1023], self.sample.shards[0].raw[0], len(self.delta)))
            for i in range(20):
                Circle(vm.snapshot(shards=True)[f"thing-{i}"])
                junk = [bytearray(1 << 19) for _ in range(3)]
            gc.collect()
            assert sorted(right) == [(1000 + i,) * 3 + (51,) for i in range(20)], right
            print("right")
        """
        self.run_right(program)

    def test_what_comes_back_from_the_dead_again_and_again_is_still_there(self):
        program = """
            back = []
            class Phoenix:
                def __init__(self, sample):
                    self.me, self.sample, self.view = self, sample, sample.view
                def __del__(self):
                    back.append(self)
            class Circle:
                def __init__(self, phoenix):
                    self.me, self.phoenix = self, phoenix
                def __del__(self):
                    assert self.phoenix.view[1023] == 1005
                    back.append(self.phoenix)
            Phoenix(vm.snapshot()["thing-5"])
            for _ in range(4):
                gc.collect()
                phoenix = back.pop()
                junk = [bytearray(1 << 19) for _ in range(3)]
                assert phoenix.view[1023] == 1005 and phoenix.sample.schema.slots == len(phoenix.sample.view) == 1024
                Circle(phoenix)
                del phoenix
            print("right")
        """
        self.run_right(program)

    def test_the_interpreter_may_end_with_anything_alive(self):
        program = """
            import atexit
            host = vmtally.Host()
            host.look()
            with_host = host.attach("web-1")
            s = vm.snapshot(shards=True)
            everything = [s, s["thing-3"], s["thing-3"].view, s - s, vm.samples(0.01), with_host.snapshot()]
            everything += [s.root.totals, everything]
            sys.modules["keeps"] = everything
            class Late:
                me = None
                def __init__(self): self.me, self.s = self, s
                def __del__(self): assert self.s["thing-4"].view[0] == 1004
            Late()
            late = Late()
            atexit.register(lambda: everything[2][0] == 1003 or sys.exit("wrong"))
            threading.Thread(target=lambda: [vm.snapshot() for _ in iter(int, 1)], daemon=True).start()
            threading.Thread(target=lambda: [with_host.snapshot() for _ in iter(int, 1)], daemon=True).start()
            print("right")
        """
        for _ in range(5):
            self.run_right(program)

    def test_readers_and_hosts_may_go_in_any_order(self):
        program = """
            import itertools
            for order in itertools.permutations(range(4)):
                host = vmtally.Host()
                host.look()
                things = [host, host.attach("web-1"), host.attach("web-1"), None]
                things[3] = things[1].snapshot()
                del host
                for i in order:
                    things[i] = None
                    gc.collect()
            class Circle: pass
            for i in range(30):
                c = Circle()
                c.host = vmtally.Host()
                c.host.look()
                c.readers = [c.host.attach("web-1") for _ in range(3)]
                c.circle = c
                if i % 3 == 0:
                    c.host.close()
                if i % 3 == 1:
                    c.readers[1].close()
                del c
            gc.collect()
            from vmtally import _host
            assert not _host._plots, _host._plots
            print("right")
        """
        self.run_right(program)

    def test_readers_of_a_host_may_go_while_another_thread_uses_it(self):
        program = """
            host = vmtally.Host()
            host.look()
            wrong, stop = [], threading.Event()
            def use():
                try:
                    while not stop.is_set():
                        host.look()
                except BaseException as e:
                    wrong.append(e)
            def attach():
                try:
                    for _ in range(60):
                        host.attach("web-1").snapshot()
                except BaseException as e:
                    wrong.append(e)
            threads = [threading.Thread(target=attach) for _ in range(3)]
            user = threading.Thread(target=use)
            for t in [user, *threads]: t.start()
            for t in threads: t.join()
            stop.set()
            user.join()
            host.close()
            assert not wrong, wrong
            from vmtally import _host
            gc.collect()
            assert not _host._plots, _host._plots
            print("right")
        """
        self.run_right(program)

    def test_weak_references_end_with_what_they_refer_to(self):
        with vmtally.attach("web-1") as vm:
            s = vm.snapshot()
            d = s - s
            refs = [weakref.ref(x) for x in (s, s["thing-1"], d, d["thing-1"], s["thing-1"].schema)]
            self.assertTrue(all(r() is not None for r in refs))
            del s, d
            # By reference counts alone: snapshots are large, and must not wait for a collection.
            self.assertEqual([r() for r in refs[:4]], [None] * 4)
            self.assertIsNotNone(refs[4]())
        ref = weakref.ref(vm)
        del vm
        self.assertIsNone(ref())

    def test_many_snapshots_take_no_more_memory_than_few(self):
        def kib():
            with open("/proc/self/status") as f:
                return int(next(line for line in f if line.startswith("VmRSS:")).split()[1])

        with vmtally.attach("web-1") as vm:
            before = vm.snapshot()

            def rounds(n):
                for _ in range(n):
                    s = vm.snapshot()
                    s.as_dict()
                    (s - before)["thing-1"].as_dict()
                    s["thing-1"].view[0]
                    s._repr_html_()

            gc.disable()  # nothing waits for it
            try:
                rounds(20)
                first = kib()
                rounds(100)
                self.assertLess(kib() - first, 20 << 10)  # of 40 MiB and more
            finally:
                gc.enable()

    def test_a_child_of_fork_reads_on(self):
        program = """
            import os
            s = vm.snapshot()
            pid = os.fork()
            if pid == 0:
                good = vm.snapshot()["thing-2"]["count_0"] == 1002 and s["thing-2"].view[0] == 1002
                vm.close()
                os._exit(0 if good else 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert vm.snapshot()["thing-2"]["count_0"] == 1002
            print("right")
        """
        self.run_right(program)

    def test_a_handler_of_a_signal_may_read_and_close(self):
        program = """
            import os, signal
            seen = []
            def handler(number, frame):
                seen.append(vm.snapshot()["thing-0"]["count_0"])
                if len(seen) == 200:
                    vm.close()
                else:
                    signal.setitimer(signal.ITIMER_REAL, 0.0002)
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
            try:
                while True:
                    vm.snapshot()
            except vmtally.Closed:
                pass
            assert set(seen) == {1000}, seen
            print("right")
        """
        self.run_right(program)


if __name__ == "__main__":
    unittest.main()
