# SPDX-License-Identifier: MIT
"""Numbers: exact, signed, scaled, and histograms."""
import copy
import math
import pickle
import random
import unittest

import helper
import vmtally

try:
    import numpy
except ImportError:
    numpy = None

ROWS = [
    vmtally.Cumulative("cumulative"),
    vmtally.Instant("kib", "kibibytes"),
    vmtally.Instant("us", "microseconds"),
    vmtally.Peak("peak", "cycles"),
    vmtally.Minimum("minimum"),
    vmtally.Boolean("boolean"),
    vmtally.SignedInstant("signed"),
    vmtally.SignedPeak("signed_peak"),
    vmtally.SignedMinimum("signed_minimum"),
    vmtally.Linear("linear", 5, 10),
    vmtally.Log("log", 66, "bytes"),
    vmtally.Latency("latency", 12),
]
SCHEMA = vmtally.Schema.declare("all", provider="tests", target="thing", statistics=ROWS)


class Values(helper.SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        self.shard = self.segment.add(SCHEMA, "thing").acquire()
        self.reader = vmtally.attach("web-1")
        self.addCleanup(self.reader.close)

    def taken(self):
        return self.reader.snapshot()["thing"]

    def test_integers_are_exact_to_the_last_bit(self):
        for value in (0, 1, 2**53 + 1, 2**63, 2**64 - 1):
            self.shard.add("cumulative", (value - self.taken()["cumulative"]) % 2**64)
            self.assertEqual(self.taken()["cumulative"], value)
            self.assertIs(type(self.taken()["cumulative"]), int)

    def test_signed_ones_are_negative(self):
        for value in (-1, 0, 2**63 - 1, -(2**63), 5):
            self.shard.set("signed", value)
            self.assertEqual(self.taken()["signed"], value)
        self.shard.peak("signed_peak", -7)
        self.shard.minimum("signed_minimum", -9)
        self.assertEqual((self.taken()["signed_peak"], self.taken()["signed_minimum"]), (-7, -9))

    def test_what_nothing_was_counted_into_is_none(self):
        sample = self.taken()
        self.assertEqual([name for name, value in sample.items() if value is None],
                         ["minimum", "signed_peak", "signed_minimum", "latency_min"])
        self.assertEqual((sample["peak"], sample["boolean"]), (0, 0))
        self.assertTrue(math.isnan(sample.scaled("minimum")))
        with self.assertRaises(ValueError):
            sample.number("minimum")
        self.shard.minimum("minimum", 2**64 - 2)
        self.assertEqual(self.taken()["minimum"], 2**64 - 2)

    def test_scaled_is_in_the_unit(self):
        self.shard.set("kib", 3)
        self.shard.set("us", 1500)
        self.shard.peak("peak", 17)
        sample = self.taken()
        self.assertEqual([sample.scaled(n) for n in ("kib", "us", "peak", "cumulative")], [3072.0, 0.0015, 17.0, 0.0])
        self.assertEqual([(d.unit, d.base, d.exponent) for d in (SCHEMA["kib"], SCHEMA["us"], SCHEMA["peak"])],
                         [("bytes", 2, 10), ("seconds", 10, -6), ("cycles", 10, 0)])
        self.assertEqual((SCHEMA["kib"].scale, SCHEMA["us"].scale), (1024.0, 1e-6))

    def test_numbers_and_histograms_are_not_mixed_up(self):
        sample = self.taken()
        self.assertEqual(sample.number("cumulative"), 0)
        self.assertIs(type(sample.histogram("log")), vmtally.Histogram)
        for use in (lambda: sample.number("log"), lambda: sample.histogram("cumulative"), lambda: sample.scaled("log")):
            with self.assertRaises(TypeError) as caught:
                use()
            self.assertIn("thing in " + self.reader.path, str(caught.exception))

    def test_raw_has_every_slot_where_the_schema_says(self):
        self.shard.set("signed", -1)
        self.shard.record("linear", 25)
        sample = self.taken()
        self.assertEqual(len(sample.raw), SCHEMA.slots)
        self.assertEqual(sample.raw[SCHEMA["signed"].slot], 2**64 - 1)
        d = SCHEMA["linear"]
        self.assertEqual(sample.raw[d.slot : d.slot + d.size], (0, 0, 1, 0, 0))

    def test_a_schema_comes_back_as_it_was_declared(self):
        schema = self.taken().schema
        self.assertEqual((schema, schema.descriptors, hash(schema)), (SCHEMA, SCHEMA.descriptors, hash(SCHEMA)))
        self.assertIs(self.taken().schema, schema)
        self.assertEqual([d.name for d in schema][:2], ["cumulative", "kib"])
        self.assertEqual((schema.find("nothing"), "log" in schema, schema.label), (None, True, "all/tests/thing"))
        for again in (pickle.loads(pickle.dumps(schema)), copy.deepcopy(schema)):
            self.assertEqual(again, schema)
        with self.assertRaises(AttributeError):
            schema.name = "x"
        self.assertNotEqual(schema, vmtally.Schema("all", "tests", "thing", schema.descriptors[:-1]))

    def test_of_two_statistics_with_one_name_the_first_is_meant(self):
        rows = [vmtally.Descriptor("x", "first", slot=0), vmtally.Descriptor("x", "second", slot=1),
                vmtally.Descriptor("y", slot=2)]  # fmt: skip
        schema = vmtally.Schema("twice", "tests", "thing", rows)
        self.segment.add(schema, "twice").acquire().add("y", 7)
        sample = self.reader.snapshot()["twice"]
        self.assertEqual((list(sample), len(sample), sample.schema["x"].help), (["x", "y"], 2, "first"))
        self.assertEqual((sample["x"], sample["y"], sample.raw), (0, 7, (0, 0, 7)))
        self.assertEqual(self.reader.snapshot().as_dict()["twice"], {"x": 0, "y": 7})
        if numpy:
            self.assertEqual(sample.array.view(schema.dtype)["y"].tolist(), [7])
            self.assertEqual(self.reader.snapshot().table("twice").names, ["x", "x", "y"])

    # ---- histograms ----

    def recorded(self, name, values):
        for value in values:
            self.shard.record(name, value)
        return self.taken().histogram(name if name != "latency" else "latency_hist")

    def test_buckets_hold_what_was_recorded(self):
        linear = self.recorded("linear", [0, 9, 10, 39, 40, 10**12])
        self.assertEqual(linear.buckets, (2, 1, 0, 1, 2))
        self.assertEqual(linear.bounds, ((0, 10), (10, 20), (20, 30), (30, 40), (40, 2**64 - 1)))
        log = self.recorded("log", [0, 1, 2, 3, 4, 2**64 - 1])
        self.assertEqual(log.buckets[:5] + log.buckets[64:], (1, 1, 2, 1, 0, 1, 0))
        self.assertEqual(log.bounds[:4] + log.bounds[64:],
                         ((0, 1), (1, 2), (2, 4), (4, 8), (2**63, 2**64 - 1), (2**64 - 1, 2**64 - 1)))
        self.assertEqual([(b.low, b.values) for b in log if b.values], [(0, 1), (1, 1), (2, 2), (4, 1), (2**63, 1)])
        self.assertEqual((linear.count, log.count), (6, 6))

    def test_quantiles_hold_the_value_of_that_rank(self):
        chance = random.Random(7)
        for name in ("linear", "log", "latency"):
            values = []
            for _ in range(40):
                values.append(chance.randrange(1 << chance.randrange(1, 8)))
                self.shard.record(name, values[-1])
            h = self.taken().histogram("latency_hist" if name == "latency" else name)
            for q in (0, 0.01, 0.5, 0.9, 0.99, 1):
                exact = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
                low, high = h.quantile(q)
                self.assertTrue(low <= exact <= high, (name, q, exact, low, high))

    def test_a_quantile_of_nothing_or_out_of_range_is_a_value_error(self):
        h = self.taken().histogram("log")
        with self.assertRaises(ValueError) as caught:
            h.quantile(0.5)
        self.assertIn("log", str(caught.exception))
        h = self.recorded("log", [5])
        for q in (-0.1, 1.1, math.nan, math.inf):
            with self.assertRaises(ValueError):
                h.quantile(q)

    def test_the_mean_is_exact_where_a_sum_and_a_count_stand_beside(self):
        h = self.recorded("latency", [10, 20, 60])
        self.assertEqual((h.mean, h.sum, h.count), (30.0, 90, 3))
        self.assertEqual((self.taken()["latency_min"], self.taken()["latency_max"]), (10, 60))
        log = self.recorded("log", [10])
        self.assertEqual((log.mean, log.sum), (None, None))

    def test_the_mean_of_nothing_is_none(self):
        self.assertIsNone(self.taken().histogram("latency_hist").mean)

    def test_a_histogram_is_a_value(self):
        h = self.recorded("latency", [10, 20])
        self.reader.close()
        for again in (pickle.loads(pickle.dumps(h)), copy.copy(h), copy.deepcopy(h)):
            self.assertEqual((again, hash(again), again.mean, again.quantile(1)), (h, hash(h), h.mean, h.quantile(1)))
        self.assertNotEqual(h, vmtally.Histogram(h.descriptor, h.buckets))
        with self.assertRaises(AttributeError):
            h.sum = 1
        self.assertIn("2 values", repr(h))

    def test_a_histogram_can_be_made_of_buckets_that_fit(self):
        d = SCHEMA["linear"]
        self.assertEqual(vmtally.Histogram(d, [0, 1, 0, 0, 0]).quantile(0.5), (10, 20))
        for wrong in ((d, [1, 2]), (SCHEMA["cumulative"], [1])):
            with self.assertRaises(ValueError):
                vmtally.Histogram(*wrong)


if __name__ == "__main__":
    unittest.main()
