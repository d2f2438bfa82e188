# SPDX-License-Identifier: MIT
"""Segments written from Python: what is counted is what others see, and every misuse is an exception or harmless."""
import itertools
import json
import os
import time

from helper import ROOT, SegmentTest

import vmtally
from vmtally import schemas

ROWS = [
    vmtally.Cumulative("reads", help="Reads completed"),
    vmtally.Cumulative("read_bytes", "bytes", "Bytes read"),
    vmtally.Instant("depth", help="Requests in flight"),
    vmtally.Peak("deepest"),
    vmtally.Minimum("free", "mebibytes"),
    vmtally.Boolean("open"),
    vmtally.SignedInstant("balance"),
    vmtally.SignedPeak("warmest"),
    vmtally.SignedMinimum("coldest"),
    vmtally.InstantMax("longest"),
    vmtally.InstantAverage("load"),
    vmtally.InstantCountZero("idle"),
    vmtally.Linear("sizes", 4, 512, "bytes"),
    vmtally.Log("batches", 8),
    vmtally.Latency("read", help="Time a read takes"),
    vmtally.Latency("flush", 20, "microseconds"),
]
DISK = vmtally.Schema.declare("disk", provider="tests", target="block", statistics=ROWS)


def read(segment):
    with vmtally.attach(segment.path) as vm:
        return vm.snapshot()


class Counting(SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1", labels={"rack": "b7", "owner": "Jürgen"})
        self.addCleanup(self.segment.close)
        self.source = self.segment.add(DISK, "disk-0")
        self.shard = self.source.acquire()

    def value(self, name):
        return read(self.segment)["disk-0"][name]

    def test_what_a_program_counts_is_seen_by_vmtally_show(self):
        self.shard.add("reads", 2**64 - 1)
        self.shard.peak("warmest", -7)
        self.shard.record("read", 700)
        (vm,) = map(json.loads, self.command("vmtally", "show", "--json", "web-1").splitlines())
        self.assertEqual((vm["name"], vm["pid"], vm["state"], vm["labels"]),
                         ("web-1", os.getpid(), "live", {"rack": "b7", "owner": "Jürgen"}))
        (disk,) = (s for s in vm["sources"] if s["id"] == "disk-0")
        stats = {s["name"]: s for s in disk["stats"]}
        self.assertEqual(stats["reads"]["value"], 2**64 - 1)
        self.assertEqual(stats["reads"]["help"], "Reads completed")
        self.assertEqual(stats["warmest"]["value"], -7)
        self.assertEqual((stats["read_count"]["value"], stats["read_sum"]["value"]), (1, 700))

    def test_what_a_program_counts_is_seen_by_kvmtop(self):
        vcpu = self.segment.add(schemas.vcpu, "vcpu-0").acquire()
        vcpu.add("exits", 4711)
        (sample,) = map(json.loads, self.command("kvmtop", "--json", "-n", "1", "-d", "0.1").splitlines())
        (vm,) = (v for v in sample["vms"] if v["name"] == "web-1")
        self.assertIn("4711", json.dumps([s for s in vm["sources"] if s["id"] == "vcpu-0"]))

    def test_each_kind_counts_by_its_own_rule(self):
        table = [  # operation, statistic, values one after the other, what is read then
            ("add", "reads", [1, 2**63, 5], 2**63 + 6),
            ("add", "read_bytes", [0, 4096], 4096),
            ("set", "depth", [9, 4], 4),
            ("add", "depth", [3, -5], 2),
            ("peak", "deepest", [3, 2**64 - 1, 7], 2**64 - 1),
            ("minimum", "free", [30, 2, 7], 2),
            ("set", "open", [True], 1),
            ("set", "balance", [-(2**63)], -(2**63)),
            ("add", "balance", [2**63 - 1], -1),
            ("peak", "warmest", [-9, -3, -7], -3),
            ("minimum", "coldest", [5, -2, 0], -2),
            ("set", "longest", [2**64 - 1], 2**64 - 1),
            ("set", "load", [6], 6),
            ("set", "idle", [0], 0),
        ]
        for operation, name, values, expected in table:
            for value in values:
                getattr(self.shard, operation)(name, value)
            self.assertEqual(self.value(name), expected, (operation, name))

    def test_nothing_counted_in_a_minimum_is_none_and_else_zero(self):
        self.assertEqual((self.value("free"), self.value("coldest"), self.value("deepest")), (None, None, 0))

    def test_values_fall_into_the_buckets_that_the_kernel_would_choose(self):
        for value in (0, 511, 512, 2**64 - 1):
            self.shard.record("sizes", value)
        for value in (0, 1, 2, 3, 4, 63, 64, 2**63):
            self.shard.record("batches", value)
        self.assertEqual(self.value("sizes").buckets, (2, 1, 0, 1))
        self.assertEqual(self.value("batches").buckets, (1, 1, 2, 1, 0, 0, 1, 2))

    def test_a_latency_is_five_statistics_that_change_together(self):
        for ns in (10, 20, 3000):
            self.shard.record("read", ns)
        disk = read(self.segment)["disk-0"]
        self.assertEqual([disk[f"read_{part}"] for part in ("count", "sum", "min", "max")], [3, 3030, 10, 3000])
        self.assertEqual(disk["read_hist"].count, 3)
        self.assertEqual(len({d.group for d in DISK if d.name.startswith("read_") and d.name != "read_bytes"}), 1)

    def test_a_timer_records_what_its_block_takes_in_the_unit_of_the_latency(self):
        for name, per_second in (("read", 10**9), ("flush", 10**6)):
            before = time.monotonic()
            with self.shard.time(name):
                time.sleep(0.02)
            at_most = time.monotonic() - before
            disk = read(self.segment)["disk-0"]
            self.assertEqual(disk[f"{name}_count"], 1)
            self.assertGreaterEqual(disk[f"{name}_sum"], 0.02 * per_second)
            self.assertLessEqual(disk[f"{name}_sum"], at_most * per_second)

    def test_a_timer_counts_a_block_that_raises_but_not_one_that_cancels(self):
        with self.assertRaises(ZeroDivisionError), self.shard.time("read"):
            print(1 // 0)
        with self.shard.time("read") as timer:
            timer.cancel()
        self.assertEqual(self.value("read_count"), 1)

    def test_a_group_is_unconfirmed_until_its_end_also_where_it_raises(self):
        with self.assertRaises(ZeroDivisionError), self.shard.group():
            self.shard.add("reads")
            self.assertTrue(read(self.segment)["disk-0"].unconfirmed)
            print(1 // 0)
        disk = read(self.segment)["disk-0"]
        self.assertEqual((disk.unconfirmed, disk.torn, disk["reads"]), (False, False, 1))

    def test_shards_of_one_source_add_up_and_are_handed_on(self):
        other = self.source.acquire()
        self.shard.add("reads", 2)
        other.add("reads", 3)
        self.shard.set("depth", 2)
        other.set("depth", 3)
        self.source.count("reads", 100)
        self.assertEqual((self.value("reads"), self.value("depth")), (105, 5))
        other.release()
        self.assertEqual((self.value("reads"), self.value("depth")), (105, 2))
        with self.source.acquire() as again:
            again.add("reads", 10)
        self.assertEqual(self.value("reads"), 115)
        self.assertEqual(read(self.segment)[""]["shards_created"], 2)

    def test_a_removed_source_leaves_its_counts_to_its_parent_and_its_id_to_others(self):
        vm = self.segment.add(schemas.vm, "vm")
        with vm.add(DISK, "disk-1") as disk, disk.acquire() as shard:
            shard.add("reads", 41)
        self.assertNotIn("vm/disk-1", read(self.segment))
        with vm.add(DISK, "disk-1").acquire() as shard:
            shard.add("reads", 1)
        snapshot = read(self.segment)
        self.assertEqual((snapshot["vm/disk-1"]["reads"], snapshot["vm"].total("reads")), (1, 42))

    def test_integers_of_other_types_count_too(self):
        class Seven:
            def __index__(self):
                return 7

        self.shard.add("reads", Seven())
        self.shard.add("reads", True)
        self.assertEqual(self.value("reads"), 8)

    def test_equal_schemas_are_one_in_the_segment(self):
        again = vmtally.Schema.declare("disk", provider="tests", target="block", statistics=ROWS)
        self.segment.add(again, "disk-1")
        snapshot = read(self.segment)
        self.assertIs(snapshot["disk-0"].schema, snapshot["disk-1"].schema)


class Refusing(SegmentTest):
    """An error names the statistic, the source or the segment; what was refused has changed nothing."""

    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        self.source = self.segment.add(DISK, "disk-0")
        self.shard = self.source.acquire()

    def test_wrong_names_kinds_and_values_are_refused_by_name(self):
        before = read(self.segment)["disk-0"].raw
        s, big = self.shard, 2**64
        table = [
            (KeyError, r"disk .*'raeds'.*reads", lambda: s.add("raeds")),
            (KeyError, r"disk .*'zzz'.*depth", lambda: s.set("zzz", 1)),
            (KeyError, r"disk .*'read_time'", lambda: s.time("read_time")),
            (KeyError, r"disk .*'x'", lambda: self.source.count("x")),
            (TypeError, r"disk\.reads .*add\(\)", lambda: s.set("reads", 1)),
            (TypeError, r"disk\.depth .*set\(\)", lambda: s.peak("depth", 1)),
            (TypeError, r"disk\.deepest .*peak\(\)", lambda: s.add("deepest")),
            (TypeError, r"disk\.free .*minimum\(\)", lambda: s.set("free", 1)),
            (TypeError, r"disk\.open .*set\(\)", lambda: s.add("open")),
            (TypeError, r"disk\.longest .*set\(\)", lambda: s.add("longest")),
            (TypeError, r"disk\.sizes .*record\(\)", lambda: s.add("sizes")),
            (TypeError, r"disk\.sizes .*record\(\)", lambda: s.time("sizes")),
            (TypeError, r"disk\.reads .*add\(\)", lambda: s.record("reads", 1)),
            (TypeError, r"disk\.depth .*set\(\)", lambda: self.source.count("depth")),
            (TypeError, r"disk\.reads: 1\.5", lambda: s.add("reads", 1.5)),
            (TypeError, r"disk\.reads: '1'", lambda: s.add("reads", "1")),
            (TypeError, r"disk\.read: None", lambda: s.record("read", None)),
            (OverflowError, r"disk\.reads: -1 ", lambda: s.add("reads", -1)),
            (OverflowError, rf"disk\.reads: {big} ", lambda: s.add("reads", big)),
            (OverflowError, rf"disk\.reads: {big} ", lambda: self.source.count("reads", big)),
            (OverflowError, r"disk\.depth: -1 ", lambda: s.set("depth", -1)),
            (OverflowError, r"disk\.depth: -\d+ ", lambda: s.add("depth", -(2**63) - 1)),
            (OverflowError, r"disk\.deepest: -1 ", lambda: s.peak("deepest", -1)),
            (OverflowError, rf"disk\.free: {big} ", lambda: s.minimum("free", big)),
            (OverflowError, r"disk\.open: 2 ", lambda: s.set("open", 2)),
            (OverflowError, r"disk\.balance: \d+ ", lambda: s.set("balance", 2**63)),
            (OverflowError, r"disk\.warmest: \d+ ", lambda: s.peak("warmest", 2**63)),
            (OverflowError, r"disk\.coldest: -\d+ ", lambda: s.minimum("coldest", -(2**63) - 1)),
            (OverflowError, r"disk\.sizes: -1 ", lambda: s.record("sizes", -1)),
            (OverflowError, rf"disk\.read: {big} ", lambda: s.record("read", big)),
        ]
        for kind, pattern, operation in table:
            with self.subTest(pattern), self.assertRaisesRegex(kind, pattern):
                operation()
        self.assertEqual(read(self.segment)["disk-0"].raw, before)

    def test_schemas_that_can_not_be_are_refused_by_name(self):
        def declare(*rows, name="disk", provider="tests", target="block"):
            return vmtally.Schema.declare(name, provider=provider, target=target, statistics=rows)

        row = vmtally.Cumulative("reads")
        table = [
            (r"reads: two", lambda: declare(row, row)),
            (r"read_count: two", lambda: declare(vmtally.Cumulative("read_count"), vmtally.Latency("read"))),
            (r"^0 statistics", lambda: declare()),
            (r"4097", lambda: declare(vmtally.Log("a", 4096), row)),
            (r"1025 statistics", lambda: declare(*(vmtally.Cumulative(f"s{i}") for i in range(1025)))),
            (r"^statistic 'with space': 1 to 47 ", lambda: vmtally.Cumulative("with space")),
            (r"^statistic '': ", lambda: vmtally.Boolean("")),
            (r"^statistic 'a\\nb': ", lambda: vmtally.Linear("a\nb", 4, 1)),
            (r"^statistic 'x{48}': ", lambda: vmtally.Log("x" * 48, 4)),
            (r"^statistic 'x{42}_count': ", lambda: vmtally.Latency("x" * 42)),
            (r"^statistic '\\udcff': ", lambda: vmtally.Peak("\udcff")),
            (r"help of reads: one line", lambda: vmtally.Cumulative("reads", help="two\nlines")),
            (r"help of reads: one line", lambda: vmtally.Instant("reads", help="é" * 512)),
            (r"help of reads: one line", lambda: vmtally.Log("reads", 4, help="\x7f")),
            (r"help of reads: .*'x\\ud800'", lambda: vmtally.Minimum("reads", help="x\ud800")),
            (r"help of read_hist: one line", lambda: vmtally.Latency("read", help="x" * 1012)),
            (r"reads: .*'furlongs'", lambda: vmtally.Cumulative("reads", "furlongs")),
            (r"sizes: 0 ", lambda: vmtally.Log("sizes", 0)),
            (r"sizes: .*0 wide", lambda: vmtally.Linear("sizes", 4, 0)),
            (r"^name of the schema 'a b': 1 to 23 ", lambda: declare(row, name="a b")),
            (r"^provider of the schema '': ", lambda: declare(row, provider="")),
            (r"^target of the schema 'x{24}': ", lambda: declare(row, target="x" * 24)),
            (r"^name of the schema 'a b': ",
             lambda: self.segment.add(vmtally.Schema("a b", "tests", "block", row.descriptors(0)), "other")),
        ]
        for pattern, operation in table:
            with self.subTest(pattern), self.assertRaisesRegex(ValueError, pattern):
                operation()
        declare(vmtally.Log("a", 4095), row)
        declare(vmtally.Cumulative("x" * 47, help="é" * 511))
        declare(vmtally.Latency("x" * 41, help="x" * 1011))

    def test_sources_that_can_not_be_are_refused_by_name(self):
        with vmtally.Segment("web-2") as other:
            foreign = other.add(DISK, "disk-0")
            table = [
                (vmtally.Exists, "disk-0", lambda: self.segment.add(DISK, "disk-0")),
                (ValueError, "'a/b'", lambda: self.segment.add(DISK, "a/b")),
                (ValueError, "''", lambda: self.segment.add(DISK, "")),
                (ValueError, "^source 'x{48}': 1 to 47 ", lambda: self.segment.add(DISK, "x" * 48)),
                (ValueError, "disk-0 of web-2", lambda: self.segment.add(DISK, "disk-1", foreign)),
            ]
            for kind, pattern, operation in table:
                with self.subTest(pattern), self.assertRaisesRegex(kind, pattern):
                    operation()
        source = self.source
        for level in range(7):
            source = source.add(DISK, f"level-{level}")
        with self.assertRaisesRegex(vmtally.Error, "disk-0/level-0/.*eight"):
            source.add(DISK, "one-too-many")

    def test_segments_that_can_not_be_are_refused_by_name(self):
        table = [
            (vmtally.Exists, "web-1", dict(name="web-1")),
            (vmtally.Error, r"\.x", dict(name=".x")),
            (vmtally.Error, "web-3", dict(name="web-3", labels={"": "1"})),
            (ValueError, "label", dict(name="web-3", labels={"a": "b\0c"})),
            (ValueError, "label 'a=b'", dict(name="web-3", labels={"a=b": "c"})),
            (ValueError, r"^label 'a=\\ud800': ", dict(name="web-3", labels={"a": "\ud800"})),
            (ValueError, r"^name 'x\\ud800': ", dict(name="x\ud800")),
            (vmtally.Error, "web-3.*fixed_bytes", dict(name="web-3", fixed_bytes=10)),
            (vmtally.NotFound, "nowhere", dict(path=os.path.join(self.dir, "nowhere"))),
            (vmtally.Error, "web-3.*any_filesystem", dict(name="web-3", dir=ROOT)),
            (ValueError, "heartbeat_interval", dict(name="web-3", heartbeat_interval=-1)),
            (ValueError, "max_sources", dict(name="web-3", max_sources=-1)),
            (ValueError, "fd -1", dict(fd=-1)),
            (ValueError, "fd 0", dict(fd=0)),
            (vmtally.Error, "create fd 1000000: not open", dict(fd=1000000)),
        ]
        for kind, pattern, options in table:
            with self.subTest(pattern), self.assertRaisesRegex(kind, pattern):
                vmtally.Segment(**options)
        self.assertEqual(os.listdir(self.dir), ["web-1.vmt"])

    def test_no_room_is_an_exception_for_sources_and_nothing_for_shards(self):
        with vmtally.Segment("small", fixed_bytes=128 << 10, max_sources=16) as small:
            sources = []
            with self.assertRaisesRegex(vmtally.NoSpace, "small.vmt"):
                for i in itertools.count():
                    sources.append(small.add(DISK, f"disk-{i}"))
            self.assertGreater(len(sources), 1)
            shards = [sources[0].acquire() for _ in range(1000)]
            for shard in shards:
                shard.add("reads")
            snapshot = read(small)
            self.assertLess(snapshot["disk-0"]["reads"], 1000)
            self.assertEqual(snapshot["disk-0"]["reads"] + snapshot[""]["dropped_shards"], 1000)
            self.assertEqual(snapshot[""]["dropped_sources"], 1)
