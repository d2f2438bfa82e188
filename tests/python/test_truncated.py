# SPDX-License-Identifier: MIT
"""A segment that is cut, scribbled over, grown, replaced and removed while it is read: exceptions of vmtally or partial
snapshots, never a crash, a hang or a value that changes in somebody's hands."""
import os
import random

from helper import SegmentTest

import vmtally
from vmtally import schemas

ROUNDS = 300
FAULTS = {"Damaged\n", "NotASegment\n", "NotReady\n", "NotFound\n"}

# Reads one path again and again, in every way there is, until its standard input ends; a line each time. What it was
# given by earlier snapshots must stay as it was.
READER = """
    import collections, select, sys, time
    import vmtally

    try:
        import numpy
    except ImportError:
        numpy = None

    def look_at(snapshot):
        for sample in snapshot.sources():
            sample.as_dict(), sample.raw, sample.totals, sample.children, repr(sample), sample._repr_html_()
            for shard in sample.shards:
                shard.raw
            if "exits" in sample:
                sample.scaled("run_time")
                histogram = sample.histogram("io_latency_hist")
                if histogram.count:
                    histogram.quantile(0.99)
        for total in snapshot.root.totals:
            {name: snapshot.root.total(name) for name in total}
        snapshot.segment.labels, str(snapshot.segment.state), repr(snapshot), snapshot.as_dict()

    def held(snapshot):
        for sample in snapshot.sources():
            yield sample.array if numpy is not None else sample.view, sample.view.tobytes()

    path, guarded = sys.argv[1], sys.argv[2] == "guarded"
    kept, last, reader = collections.deque(maxlen=20), None, None
    outcomes, longest = collections.Counter(), 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        start = time.monotonic()
        try:
            if reader is None:
                reader = vmtally.attach(path, guarded=guarded)
                with open("/proc/self/maps") as maps:
                    assert (path in maps.read()) == guarded
            snapshot = reader.snapshot(shards=True)
            outcome = "partial" if snapshot.partial else "whole"
            look_at(snapshot)
            if last is not None:
                {id: change.rates() for id, change in (snapshot - last).items()}
            last = snapshot
            kept.append(list(held(snapshot)))
            reader.sample(snapshot.root)
            outcome += ", " + str(reader.state)
        except vmtally.Error as e:
            outcome = type(e).__name__
            assert e.filename and path in str(e), repr(e)
            reader = None
        longest = max(longest, time.monotonic() - start)
        outcomes[outcome] += 1
        if sum(outcomes.values()) % 7 == 0:
            reader = None
        for arrays in kept:
            for array, was in arrays:
                assert array.tobytes() == was
        print(outcome, flush=True)
    print(f"longest {longest:.3f} s", dict(outcomes), file=sys.stderr)
"""


class Vandal:
    """What may happen to a file, at random."""

    def __init__(self, path, image, seed):
        self.path, self.image, self.random = path, image, random.Random(seed)
        self.ways = [*[self.restore] * 5, self.cut, self.cut_to_nothing, self.grow, self.scribble, self.scribble,
                     self.zero, self.replace, self.replace_by_something_else, self.remove]
        self.restore()

    def next(self):
        self.random.choice(self.ways)()

    def place(self):
        return self.random.choice([self.random.randrange(len(self.image)), self.random.randrange(8192)])

    def restore(self):
        with open(self.path, "wb") as file:
            file.write(self.image)

    def opened(self):
        if not os.path.exists(self.path):
            self.restore()
        return open(self.path, "r+b")

    def cut(self):
        with self.opened() as file:
            file.truncate(self.place())

    def cut_to_nothing(self):
        with self.opened() as file:
            file.truncate(0)

    def grow(self):
        with self.opened() as file:
            file.truncate(self.random.choice([1 << 20, 1 << 40]))

    def scribble(self):
        with self.opened() as file:
            for _ in range(self.random.choice([1, 10, 500])):
                file.seek(self.place())
                file.write(self.random.randbytes(self.random.choice([1, 8, 64])))

    def zero(self):
        with self.opened() as file:
            file.seek(self.place())
            file.write(bytes(self.random.choice([8, 4096, 65536])))

    def replace(self):
        other = self.path + ".new"
        with open(other, "wb") as file:
            file.write(self.image)
        os.rename(other, self.path)

    def replace_by_something_else(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.random.choice([lambda: os.mkfifo(self.path), lambda: os.symlink("/dev/zero", self.path),
                            lambda: os.symlink(self.path, self.path)])()
        os.unlink(self.path)

    def remove(self):
        if os.path.exists(self.path):
            os.unlink(self.path)


class Truncated(SegmentTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.dir, "vandalised.vmt")
        with vmtally.Segment("good", labels={"rack": "b7"}, keep=True) as segment:
            vm = segment.add(schemas.vm, "vm")
            for n in range(20):
                shard = vm.add(schemas.vcpu, f"vcpu-{n}").acquire()
                shard.add("exits", 1000 + n)
                shard.record("io_latency", 1 << n)
            vm.add(schemas.vcpu, "gone").remove()
            good = segment.path
        with open(good, "rb") as file:
            self.image = file.read()

    def vandalise(self, how):
        seed = random.randrange(1 << 32)
        vandal = Vandal(self.path, self.image, seed)
        reader = self.start_python(READER, self.path, how)

        def outcome():
            line = reader.stdout.readline()
            if not line:
                self.fail(f"the reader ended: seed {seed}, status {reader.wait()}")
            return line

        seen = {outcome()}
        rounds = 0
        while rounds < ROUNDS or not seen & FAULTS:  # the reader may be ahead of what we have read of it
            vandal.next()
            seen.add(outcome())
            rounds += 1
        vandal.restore()
        while not outcome().startswith("whole"):
            pass
        reader.stdin.close()
        rest = reader.stdout.read()
        self.assertEqual(reader.wait(), 0, f"seed {seed}: {rest}")
        self.assertTrue(any(line.startswith("whole") for line in seen), seen)

    def test_a_reader_that_copies_survives_whatever_is_done_to_the_file(self):
        self.vandalise("copying")

    def test_a_reader_that_maps_survives_whatever_is_done_to_the_file(self):
        self.vandalise("guarded")

    def test_a_segment_cut_to_nothing_is_damaged_and_what_was_read_of_it_stays(self):
        for guarded in (False, True):
            vandal = Vandal(self.path, self.image, 0)
            with vmtally.attach(self.path, guarded=guarded) as vm:
                before = vm.snapshot()
                raw, view = before["vm/vcpu-3"].raw, before["vm/vcpu-3"].view
                vandal.cut_to_nothing()
                with self.assertRaisesRegex(vmtally.Damaged, self.path):
                    vm.snapshot()
                self.assertEqual(vm.state, vmtally.State.DAMAGED)
            with self.assertRaisesRegex(vmtally.NotReady, self.path):
                vmtally.attach(self.path, guarded=guarded)
            self.assertEqual((before["vm/vcpu-3"]["exits"], tuple(view)), (1003, raw))
            del before
            self.assertEqual(tuple(view), raw, "a view keeps the memory that it looks at")

    def test_a_segment_that_was_replaced_or_removed_is_read_to_its_end(self):
        vandal = Vandal(self.path, self.image, 0)
        with vmtally.attach(self.path) as vm:
            vandal.replace()
            self.assertEqual(vm.snapshot()["vm"].total("exits"), sum(range(1000, 1020)))
            vandal.remove()
            self.assertEqual(vm.snapshot()["vm/vcpu-0"]["exits"], 1000)
        with self.assertRaisesRegex(vmtally.NotFound, self.path):
            vmtally.attach(self.path)
