# SPDX-License-Identifier: MIT
"""What changed between two snapshots."""
import unittest

import helper
import vmtally

SCHEMA = vmtally.Schema.declare("disk", provider="tests", target="block", statistics=[
    vmtally.Cumulative("reads"),
    vmtally.Cumulative("read_bytes", "kibibytes"),
    vmtally.Cumulative("busy", "nanoseconds"),
    vmtally.Instant("depth"),
    vmtally.Latency("read", 16),
])  # fmt: skip


class Delta(helper.SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        self.vm = self.segment.add(vmtally.schemas.vm, "vm")
        self.source = self.vm.add(SCHEMA, "disk")
        self.shard = self.source.acquire()
        self.reader = vmtally.attach("web-1")
        self.addCleanup(self.reader.close)

    def test_only_what_grows_has_a_change_and_it_is_the_difference(self):
        self.shard.add("reads", 2**63)
        self.shard.set("depth", 9)
        before = self.reader.snapshot()
        self.shard.add("reads", 2**62)
        self.shard.add("read_bytes", 3)
        self.shard.record("read", 100)
        d = self.reader.snapshot() - before
        change = d["vm/disk"]
        self.assertEqual(list(change), ["reads", "read_bytes", "busy", "read_count", "read_sum", "read_hist"])
        self.assertEqual((change["reads"], change["read_bytes"], change["busy"]), (2**62, 3, 0))
        self.assertEqual((change["read_hist"].count, change["read_hist"].mean), (1, 100.0))
        self.assertTrue(change["read_hist"].quantile(0.5)[0] <= 100 <= change["read_hist"].quantile(0.5)[1])
        self.assertFalse(change.new or change.reset)
        with self.assertRaises(KeyError) as caught:
            change["depth"]
        self.assertIn("depth of vm/disk in " + self.reader.path + " is instant", str(caught.exception))
        with self.assertRaises(KeyError):
            change.rate("nothing")
        self.assertEqual(d.as_dict()["vm/disk"], change.as_dict())

    def test_rates_are_changes_by_the_time_between(self):
        before = self.reader.snapshot()
        self.shard.add("reads", 1000)
        self.shard.add("read_bytes", 10)
        self.shard.add("busy", 5000)
        for _ in range(7):
            self.shard.record("read", 1)
        after = self.reader.snapshot()
        d = after - before
        change = d["vm/disk"]
        self.assertGreater(d.seconds, (after.segment.begin_ns - before.segment.end_ns) / 1e9)
        self.assertLess(d.seconds, (after.segment.end_ns - before.segment.begin_ns) / 1e9)
        self.assertEqual((change.seconds, d.older, d.newer), (d.seconds, before, after))
        self.assertEqual(change.rate("reads"), 1000 / d.seconds)
        self.assertEqual(change.rate("read_hist"), 7 / d.seconds)
        self.assertAlmostEqual(change.scaled_rate("read_bytes"), 10240 / d.seconds)
        self.assertAlmostEqual(change.scaled_rate("busy"), 5e-6 / d.seconds)
        self.assertEqual(change.scaled_rate("read_hist"), 7 / d.seconds, "values, not nanoseconds")
        self.assertEqual(change.rates(), {name: change.rate(name) for name in change})

    def test_one_that_was_added_since_is_new_with_all_that_it_counted(self):
        before = self.reader.snapshot()
        shard = self.vm.add(SCHEMA, "later").acquire()
        shard.add("reads", 5)
        change = (self.reader.snapshot() - before)["vm/later"]
        self.assertEqual((change["reads"], change.new, change.reset), (5, True, False))

    def test_one_that_was_removed_and_added_again_is_new(self):
        self.shard.add("reads", 100)
        before = self.reader.snapshot()
        self.shard.release()
        self.source.remove()
        shard = self.vm.add(SCHEMA, "disk").acquire()
        shard.add("reads", 7)
        d = self.reader.snapshot() - before
        self.assertEqual((d["vm/disk"]["reads"], d["vm/disk"].new), (7, True))
        self.assertIn("new", repr(d["vm/disk"]))

    def test_without_an_older_one_all_is_reset(self):
        self.shard.add("reads", 100)
        d = vmtally.Delta(None, self.reader.snapshot())
        self.assertEqual(len(d), 3)
        for change in d.values():
            self.assertTrue(change.reset)
            self.assertEqual(set(change.rates().values()), {0.0})
        self.assertEqual((d.seconds, d["vm/disk"]["reads"], d["vm/disk"].rate("reads")), (0.0, 0, 0.0))

    def test_another_vm_of_the_same_name_is_reset(self):
        self.shard.add("reads", 100)
        before = self.reader.snapshot()
        self.segment.close()
        with vmtally.Segment("web-1") as again, vmtally.attach("web-1") as reader:
            shard = again.add(vmtally.schemas.vm, "vm").add(SCHEMA, "disk").acquire()
            shard.add("reads", 7)
            d = reader.snapshot() - before
        self.assertEqual((d.seconds, d["vm/disk"]["reads"], d["vm/disk"].reset), (0.0, 0, True))

    def test_the_same_one_twice_and_the_wrong_way_round_can_not_be_compared(self):
        a = self.reader.snapshot()
        b = self.reader.snapshot()
        for d in (a - a, a - b):
            self.assertEqual((d.seconds, d["vm/disk"].reset), (0.0, True))

    def test_two_readers_of_one_vm_can_be_compared(self):
        with vmtally.attach("web-1") as other:
            before = other.snapshot()
        self.shard.add("reads", 3)
        change = (self.reader.snapshot() - before)["vm/disk"]
        self.assertEqual((change["reads"], change.reset), (3, False))

    def test_totals_have_changes_too(self):
        second = self.vm.add(SCHEMA, "disk-2").acquire()
        before = self.reader.snapshot()
        self.shard.add("reads", 3)
        second.add("reads", 4)
        after = self.reader.snapshot()
        d = after - before
        changes = dict(zip((t.schema for t in after["vm"].totals), d.totals("vm")))
        self.assertEqual(changes[SCHEMA]["reads"], 7)
        with self.assertRaises(KeyError):
            d.totals("nothing")

    def test_of_a_sample_leads_to_its_change_where_two_have_one_id(self):
        self.shard.add("reads", 1)
        before = self.reader.snapshot()
        self.source.remove()  # its shard is held: it is leaving
        again = self.vm.add(SCHEMA, "disk").acquire()
        self.shard.add("reads", 10)
        again.add("reads", 20)
        after = self.reader.snapshot()
        d = after - before
        changes = {s.leaving: d.of(s) for s in after.sources() if s.id == "vm/disk"}
        self.assertEqual((changes[True]["reads"], changes[True].new), (10, False))
        self.assertEqual((changes[False]["reads"], changes[False].new), (20, True))
        self.assertIs(d["vm/disk"], changes[False])
        with self.assertRaises(ValueError):
            d.of(before["vm/disk"])

    def test_it_takes_snapshots_only(self):
        with self.assertRaises(TypeError):
            self.reader.snapshot() - 1


if __name__ == "__main__":
    unittest.main()
