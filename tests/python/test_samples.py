# SPDX-License-Identifier: MIT
"""Loops over time: for and async for."""
import asyncio
import math
import os
import signal
import threading
import unittest
from unittest import mock

import helper
import vmtally
from vmtally import _samples

WRITER = "import vmtally, sys; s = vmtally.Segment(sys.argv[1]); print(1, flush=True); sys.stdin.read()"


class Clock:
    """time.monotonic() and time.sleep() that take no time."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Samples(helper.SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1", keep=True)
        self.addCleanup(self.segment.close)
        self.shard = self.segment.add(vmtally.schemas.vcpu, "vcpu-0").acquire()
        self.reader = vmtally.attach("web-1")
        self.addCleanup(self.reader.close)

    def test_the_first_one_has_no_change_and_the_others_what_changed_since(self):
        self.shard.add("exits", 100)
        ticks = []
        for tick in self.reader.samples(0.01):
            ticks.append(tick)
            self.shard.add("exits", 5)
            if len(ticks) == 3:
                break
        first, second, third = ticks
        self.assertEqual((first.delta.seconds, first.delta["vcpu-0"].reset), (0.0, True))
        self.assertEqual([t.delta["vcpu-0"]["exits"] for t in ticks], [0, 5, 5])
        self.assertEqual([t.snapshot["vcpu-0"]["exits"] for t in ticks], [100, 105, 110])
        self.assertIs(third.delta.older, second.snapshot)

    def test_what_the_body_takes_does_not_add_up(self):
        clock = Clock()
        starts = []
        with mock.patch.object(_samples, "time", clock):
            for _ in self.reader.samples(1.0):
                starts.append(clock.now)
                clock.now += 0.3
                if len(starts) == 5:
                    break
        self.assertEqual([round(s, 6) for s in starts], [1000.0, 1001.0, 1002.0, 1003.0, 1004.0])

    def test_who_is_late_misses_samples_instead_of_catching_up(self):
        clock = Clock()
        starts = []
        with mock.patch.object(_samples, "time", clock):
            for _ in self.reader.samples(1.0):
                starts.append(clock.now)
                clock.now += 3.5 if len(starts) == 2 else 0.1
                if len(starts) == 4:
                    break
        # Late for 1002 to 1004: one at once, the next on the grid again.
        self.assertEqual([round(s, 6) for s in starts], [1000.0, 1001.0, 1004.5, 1005.0])

    def test_an_interval_that_can_not_be_is_a_value_error(self):
        for interval in (0, -1, math.nan, math.inf):
            with self.assertRaises(ValueError):
                self.reader.samples(interval)

    def test_shards_are_there_when_asked_for(self):
        tick = next(iter(self.reader.samples(shards=True)))
        self.assertEqual(len(tick.snapshot["vcpu-0"].shards), 1)

    # ---- ends ----

    def test_the_loop_ends_with_the_vm_and_the_last_one_says_how(self):
        states = []
        for tick in self.reader.samples(0.01):
            states.append(tick.snapshot.segment.state)
            if len(states) == 2:
                self.segment.close()
        self.assertEqual(states, [vmtally.State.LIVE, vmtally.State.LIVE, vmtally.State.CLOSED])

    def test_the_loop_ends_where_the_writer_is_killed(self):
        child = self.start_python(WRITER, "web-2")
        child.stdout.readline()
        states = []
        with vmtally.attach("web-2") as vm:
            for tick in vm.samples(0.01):
                states.append(tick.snapshot.segment.state)
                if child.poll() is None:
                    os.kill(child.pid, signal.SIGKILL)
                    child.wait()
        self.assertEqual((states[0], states[-1]), (vmtally.State.LIVE, vmtally.State.DIED))

    def test_the_loop_ends_where_another_vm_takes_the_name(self):
        ended = []
        again = None
        for tick in self.reader.samples(0.01):
            ended.append(tick.snapshot.segment)
            if len(ended) == 1:
                self.segment.close()
                again = vmtally.Segment("web-1")
                self.addCleanup(again.close)
        self.assertTrue(ended[-1].state.is_gone and ended[-1].unlinked)
        with vmtally.attach("web-1") as vm:
            self.assertNotEqual(vm.snapshot().segment.identity, ended[-1].identity)

    def test_a_segment_that_is_damaged_meanwhile_raises(self):
        self.segment.close()
        samples = iter(self.reader.samples(0.01))
        os.truncate(self.reader.path, 4096)
        with self.assertRaises(vmtally.Damaged) as caught:
            next(samples)
        self.assertEqual(caught.exception.filename, self.reader.path)

    def test_a_reader_that_is_closed_meanwhile_raises(self):
        with self.assertRaises(vmtally.Closed):
            for _ in self.reader.samples(0.01):
                self.reader.close()

    # ---- async ----

    def run_async(self, main):
        return asyncio.run(asyncio.wait_for(main, helper.WAIT_S))

    def test_async_for_gives_the_same_and_ends_the_same(self):
        async def main():
            ticks = []
            async for tick in self.reader.samples(0.01):
                ticks.append(tick)
                self.shard.add("exits", 5)
                if len(ticks) == 3:
                    self.segment.close()
            return ticks

        ticks = self.run_async(main())
        self.assertEqual([t.delta["vcpu-0"]["exits"] for t in ticks], [0, 5, 5, 5])
        self.assertEqual(ticks[-1].snapshot.segment.state, vmtally.State.CLOSED)

    def test_other_tasks_run_between_samples(self):
        async def main():
            done = asyncio.Event()
            turns = 0

            async def other():
                nonlocal turns
                while not done.is_set():
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            seen = 0
            async for _ in self.reader.samples(0.01):
                seen += 1
                if seen == 5:
                    break
            done.set()
            await task
            return turns

        self.assertGreater(self.run_async(main()), 5)

    def test_a_cancelled_wait_loses_nothing(self):
        async def main():
            samples = self.reader.samples(1000).__aiter__()
            first = await samples.__anext__()
            self.shard.add("exits", 3)
            for _ in range(3):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(samples.__anext__(), 0.01)
            samples._samples.interval = 0.01
            self.shard.add("exits", 4)
            second = await samples.__anext__()
            return first, second

        first, second = self.run_async(main())
        self.assertIs(second.delta.older, first.snapshot)
        self.assertEqual(second.delta["vcpu-0"]["exits"], 7)

    def test_a_task_cancelled_at_any_moment_leaves_the_reader_in_order(self):
        async def watch(ticks):
            async for _ in self.reader.samples(0.0001):
                ticks.append(1)

        async def main():
            for yields in range(60):
                ticks = []
                task = asyncio.create_task(watch(ticks))
                for _ in range(yields):
                    await asyncio.sleep(0)
                if yields % 3 == 0:
                    while not ticks:
                        await asyncio.sleep(0)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task

        self.run_async(main())
        self.assertEqual(self.reader.snapshot()["vcpu-0"]["exits"], 0)

    def test_other_tasks_run_while_a_snapshot_is_taken(self):
        used, free = threading.Event(), threading.Event()
        freed_in_time = []

        def use_it():  # a snapshot has to wait until it is free
            with self.reader._lock:
                used.set()
                freed_in_time.append(free.wait(helper.WAIT_S / 3))

        async def main():
            task = asyncio.ensure_future(self.reader.samples(0.01).__aiter__().__anext__())
            await asyncio.sleep(0.01)  # it waits now
            free.set()
            return await task

        thread = threading.Thread(target=use_it)
        thread.start()
        self.addCleanup(thread.join)
        used.wait()
        self.assertIn("vcpu-0", self.run_async(main()).snapshot)
        thread.join()
        self.assertEqual(freed_in_time, [True])

    def test_an_error_comes_out_of_async_for(self):
        async def main():
            async for _ in self.reader.samples(0.01):
                self.reader.close()

        with self.assertRaises(vmtally.Closed):
            self.run_async(main())


if __name__ == "__main__":
    unittest.main()
