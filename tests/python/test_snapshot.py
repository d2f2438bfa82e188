# SPDX-License-Identifier: MIT
"""Snapshots as mappings, as tables, as notebooks show them."""
import copy
import os
import pickle
import struct
import time
import unittest

import helper
import vmtally

try:
    import numpy
except ImportError:
    numpy = None

SOURCE_OFFSET_AT, SOURCE_BYTES_AT, DEPARTED_AT = 96, 104, 48  # shm/FORMAT.md, sections 1 and 2
HOSTILE = "<script>&\"'"
PLAIN = vmtally.Schema.declare("plain", provider="tests", target="thing", statistics=[
    vmtally.Cumulative("count", help="A count of <b>bold</b> things"),
    vmtally.Instant("depth"),
    vmtally.SignedInstant("balance"),
    vmtally.Minimum("least"),
    vmtally.Latency("wait", 8),
])  # fmt: skip
OTHER = vmtally.Schema.declare("other", provider="tests", target="thing", statistics=[vmtally.Cumulative("count")])


class Snapshot(helper.SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1", labels={"rack": "b7", "team": "öl"})
        self.addCleanup(self.segment.close)
        self.vm = self.segment.add(vmtally.schemas.vm, "vm")
        self.things = [self.vm.add(PLAIN, f"thing-{i}") for i in range(3)]
        self.shards = [thing.acquire() for thing in self.things]
        for i, shard in enumerate(self.shards):
            shard.add("count", 10 + i)
            shard.set("depth", i)
            shard.set("balance", -i)
        self.reader = vmtally.attach("web-1")
        self.addCleanup(self.reader.close)

    def taken(self, **options):
        return self.reader.snapshot(**options)

    # ---- the mapping ----

    def test_it_is_a_mapping_of_full_ids_parents_first(self):
        s = self.taken()
        self.assertEqual(list(s), ["", "vm", "vm/thing-0", "vm/thing-1", "vm/thing-2"])
        self.assertEqual(len(s), 5)
        self.assertIn("vm/thing-1", s)
        self.assertNotIn("vm/thing-9", s)
        self.assertNotIn(7, s)
        self.assertEqual([sample.id for sample in s.values()], list(s))
        self.assertIs(s["vm"], s["vm"])
        self.assertIs(s.get("nothing"), None)
        with self.assertRaises(KeyError) as caught:
            s["vm/thing-9"]
        self.assertIn("vm/thing-9", str(caught.exception))
        self.assertIn(self.reader.path, str(caught.exception))

    def test_a_sample_is_a_mapping_of_its_statistics(self):
        sample = self.taken()["vm/thing-1"]
        names = ["count", "depth", "balance", "least", *(f"wait_{x}" for x in ("count", "sum", "min", "max", "hist"))]
        self.assertEqual(list(sample), names)
        self.assertEqual((sample["count"], sample["depth"], sample["balance"], sample["least"]), (11, 1, -1, None))
        self.assertEqual(dict(sample), sample.as_dict())
        self.assertEqual(dict(sample.items()), sample.as_dict())
        self.assertEqual(list(zip(sample.keys(), sample.values())), list(sample.items()))
        with self.assertRaises(KeyError) as caught:
            sample["nothing"]
        self.assertIn("vm/thing-1", str(caught.exception))

    def test_a_sample_knows_its_place(self):
        s = self.taken()
        thing = s["vm/thing-2"]
        self.assertEqual((thing.id, thing.name, thing.depth, thing.target, thing.provider),
                         ("vm/thing-2", "thing-2", 2, "thing", "tests"))
        self.assertEqual(thing.parent.id, "vm")
        self.assertEqual(thing.parent.parent.id, "")
        self.assertIsNone(s.root.parent)
        self.assertEqual((s.root.id, s.root.name), ("", "web-1"))
        self.assertEqual([c.id for c in s["vm"].children], ["vm/thing-0", "vm/thing-1", "vm/thing-2"])
        self.assertEqual([c.id for c in s.root.children], ["vm"])
        self.assertEqual(thing.children, ())
        self.assertEqual(thing.subject.id, thing.id)
        self.assertEqual((s.pid, s.segment.pid), (os.getpid(),) * 2)
        self.assertAlmostEqual(thing.created_ns / 1e9, time.time(), delta=3600)
        self.assertEqual(thing.schema, PLAIN)

    def test_the_segment_says_whose_it_is(self):
        info = self.taken().segment
        self.assertEqual((info.name, info.path), ("web-1", self.reader.path))
        self.assertEqual((info.pid, info.uid), (os.getpid(), os.geteuid()))
        self.assertEqual(info.labels, {"rack": "b7", "team": "öl"})
        self.assertEqual(info.origins, ("segment",))
        self.assertEqual(info.label_texts, ("rack=b7", "team=öl"))
        self.assertEqual((info.state, info.version), (vmtally.State.LIVE, "1.0"))
        self.assertFalse(info.partial or info.foreign or info.unlinked)
        self.assertEqual((len(info.identity), len(info.boot_id), info.incarnation), (16, 16, 1))
        self.assertLessEqual(info.begin_ns, info.end_ns)
        self.assertLessEqual(info.end_ns, time.monotonic_ns())
        self.assertEqual(pickle.loads(pickle.dumps(info)), info)
        info.labels.clear()
        self.assertEqual(info.labels["rack"], "b7")

    def test_of_labels_with_one_key_the_first_is_meant(self):
        info = self.taken().segment._replace(label_texts=("rack=b7", "team=a=b", "rack=b8", "alone"))
        self.assertEqual(info.labels, {"rack": "b7", "team": "a=b", "alone": ""})

    def test_sources_are_chosen_by_target_provider_and_schema(self):
        s = self.taken()
        ids = ["vm/thing-0", "vm/thing-1", "vm/thing-2"]
        for choice in ({"target": "thing"}, {"provider": "tests"}, {"schema": "plain"}, {"schema": PLAIN},
                       {"schema": "plain/tests/thing"}, {"schema": PLAIN, "target": "thing"}):
            self.assertEqual([x.id for x in s.sources(**choice)], ids, choice)
        self.assertEqual(list(s.sources(target="thing", provider="vmm")), [])
        self.assertEqual(len(list(s.sources())), 5)

    def test_of_two_with_one_id_the_one_that_stays_is_meant(self):
        self.things[1].remove()  # its shard is held: it is leaving
        again = self.vm.add(OTHER, "thing-1").acquire()
        again.add("count", 500)
        s = self.taken()
        self.assertEqual(len(s), 5)
        self.assertEqual((s["vm/thing-1"]["count"], s["vm/thing-1"].leaving), (500, False))
        both = [x for x in s.sources() if x.id == "vm/thing-1"]
        self.assertEqual(sorted((x["count"], x.leaving) for x in both), [(11, True), (500, False)])

    def test_of_two_with_one_id_the_order_of_their_places_does_not_matter(self):
        fillers = [self.vm.add(OTHER, f"filler-{i}") for i in range(50)]
        old = self.vm.add(OTHER, "twice")
        held = old.acquire()
        held.add("count", 1)
        for source in [*fillers, old]:
            source.remove()
        new = self.vm.add(OTHER, "filler")  # places are given out again after some removals
        self.vm.add(OTHER, "twice").count("count", 2)
        new.remove()
        s = self.taken()
        first, second = (x for x in s.sources() if x.id == "vm/twice")
        self.assertEqual([first.leaving, second.leaving], [False, True], "else this test says nothing")
        self.assertEqual((s["vm/twice"]["count"], s["vm/twice"].index), (2, first.index))
        self.assertEqual(s.as_dict()["vm/twice"], {"count": 2})

    def test_it_is_immutable_and_does_not_change(self):
        s = self.taken()
        before = s.as_dict()
        self.shards[0].add("count", 5)
        self.assertEqual(s.as_dict(), before)
        for use in (lambda: s.__setitem__("x", 1), lambda: setattr(s, "x", 1), lambda: s["vm"].__setitem__("x", 1),
                    lambda: setattr(s["vm"], "x", 1), lambda: setattr(s["vm"], "schema", PLAIN),
                    lambda: setattr(s, "partial", True), lambda: setattr(s - s, "seconds", 1.0),
                    lambda: setattr((s - s)["vm"], "flags", 0)):
            with self.assertRaises((TypeError, AttributeError)):
                use()
        before["vm/thing-0"]["count"] = 0
        s["vm/thing-0"].as_dict().clear()
        self.assertEqual(s["vm/thing-0"]["count"], 10)

    def test_a_copy_is_the_same_and_pickling_is_refused(self):
        s = self.taken()
        for thing in (s, s["vm"], s - s):
            self.assertIs(copy.copy(thing), thing)
            self.assertIs(copy.deepcopy(thing), thing)
            with self.assertRaises(TypeError) as caught:
                pickle.dumps(thing)
            self.assertIn("as_dict()", str(caught.exception))
        self.assertEqual(pickle.loads(pickle.dumps(s.as_dict())), s.as_dict())
        self.assertEqual({s: 1}[s], 1)
        self.assertNotEqual(s, self.taken())

    # ---- totals and shards ----

    def test_totals_are_over_the_living_and_the_departed(self):
        self.things[0].remove()
        self.shards[0].release()
        s = self.taken()
        [total] = [t for t in s["vm"].totals if t.schema == PLAIN]
        self.assertEqual((total["count"], total.departed["count"], total.sources), (33, 10, 2))
        self.assertEqual((s["vm"].total("count"), s.root.total("count")), (33, 33))
        self.assertEqual((total["balance"], total["depth"], total.departed["depth"]), (-3, 3, 0))
        self.assertIsNone(s["vm"].total("least"))
        with self.assertRaises(KeyError):
            s["vm"].total("nothing")
        with self.assertRaises(KeyError):
            s["vm/thing-1"].total("count")

    def test_a_total_is_over_all_schemas_that_have_it_and_of_histograms_too(self):
        self.vm.add(OTHER, "stranger").acquire().add("count", 100)
        for shard in self.shards:
            shard.record("wait", 5)
        s = self.taken()
        self.assertEqual(s["vm"].total("count"), 133)
        self.assertEqual(s["vm"].total("wait_hist").count, 3)

    def test_a_total_that_could_not_be_read_is_none(self):
        path = self.reader.path + "-damaged"
        with open(self.reader.path, "rb") as file:
            image = bytearray(file.read())
        (source_offset,) = struct.unpack_from("=Q", image, SOURCE_OFFSET_AT)
        (source_bytes,) = struct.unpack_from("=I", image, SOURCE_BYTES_AT)
        at = source_offset + source_bytes * self.taken()["vm"].entry + DEPARTED_AT
        self.assertNotEqual(image[at : at + 8], bytes(8))
        image[at : at + 8] = bytes(8)  # as if nothing of their schema had ever been below "vm"
        with open(path, "wb") as file:
            file.write(image)
        with vmtally.attach(path) as vm:
            s = vm.snapshot()
        self.assertTrue(s.partial)
        [total] = [t for t in s.root.totals if t.schema == PLAIN]
        self.assertEqual((total.absent, len(total)), (True, 0))
        self.assertIsNone(s.root.total("count"))
        self.assertIsNone(s.root.total("wait_hist"))

    def test_shards_are_there_when_asked_for(self):
        second = self.things[0].acquire()
        second.add("count", 90)
        self.things[0].count("count", 900)
        self.assertEqual(self.taken()["vm/thing-0"].shards, ())
        sample = self.taken(shards=True)["vm/thing-0"]
        self.assertEqual(sample["count"], 1000)
        self.assertEqual(sorted(shard["count"] for shard in sample.shards), [10, 90, 900])
        self.assertEqual(sorted(shard.held for shard in sample.shards), [1, 1, 2])
        self.assertEqual(len({shard.id for shard in sample.shards}), 3)

    # ---- arrays ----

    def needs_numpy(self):
        if numpy is None:
            self.skipTest("needs numpy")

    def test_view_is_the_memory_itself_and_read_only(self):
        sample = self.taken()["vm/thing-2"]
        view = sample.view
        self.assertEqual((view.format, view.itemsize, len(view), view.readonly), ("Q", 8, PLAIN.slots, True))
        self.assertEqual(tuple(view), sample.raw)
        with self.assertRaises(TypeError):
            view[0] = 1

    def test_array_is_the_memory_itself_and_read_only(self):
        self.needs_numpy()
        sample = self.taken()["vm/thing-2"]
        a, b = sample.array, sample.array
        self.assertEqual((a.dtype, a.shape, a.tolist()), (numpy.uint64, (PLAIN.slots,), list(sample.raw)))
        self.assertEqual(a.__array_interface__["data"], b.__array_interface__["data"])
        self.assertFalse(a.flags.owndata or a.flags.writeable)
        with self.assertRaises(ValueError):
            a[0] = 1
        with self.assertRaises(ValueError):
            a.flags.writeable = True

    def test_array_has_names_and_signs_by_the_schemas_type(self):
        self.needs_numpy()
        sample = self.taken()["vm/thing-2"]
        [record] = sample.array.view(sample.schema.dtype)
        self.assertEqual((record["count"], record["balance"], record["wait_hist"].tolist()), (12, -2, [0] * 8))

    def test_table_has_a_row_a_source_and_a_column_a_slot(self):
        self.needs_numpy()
        s = self.taken()
        for of in (PLAIN, "plain", "plain/tests/thing", "thing"):
            table = s.table(of)
            self.assertEqual(table.ids, ["vm/thing-0", "vm/thing-1", "vm/thing-2"])
            self.assertEqual(table.names[:4] + table.names[-1:], ["count", "depth", "balance", "least", "wait_hist[7]"])
            self.assertEqual((table.array.shape, table.schema), ((3, PLAIN.slots), PLAIN))
            self.assertEqual(table.array[:, 0].tolist(), [10, 11, 12])
            self.assertEqual(table.array.view(PLAIN.dtype)["balance"].ravel().tolist(), [0, -1, -2])

    def test_table_leaves_out_what_could_not_be_read(self):
        self.needs_numpy()
        s = self.taken()
        s._taken.source(3).flags |= 8  # as a vCPU is of which debugfs has only the sum over all
        sample = s["vm/thing-1"]
        self.assertEqual((sample.absent, len(sample), s.as_dict()["vm/thing-1"]), (True, 0, {}))
        with self.assertRaisesRegex(KeyError, "could not be read whole"):
            sample["count"]
        table = s.table(PLAIN)
        self.assertEqual((table.ids, table.array[:, 0].tolist()), (["vm/thing-0", "vm/thing-2"], [10, 12]))

    def test_table_of_none_or_of_several_says_so(self):
        self.needs_numpy()
        self.vm.add(OTHER, "stranger")
        s = self.taken()
        with self.assertRaises(KeyError):
            s.table("nothing")
        with self.assertRaises(ValueError) as caught:
            s.table("thing")
        self.assertIn("other/tests/thing, plain/tests/thing", str(caught.exception))

    def test_without_numpy_arrays_say_so_and_all_else_works(self):
        program = """
            import sys
            sys.modules["numpy"] = None
            import vmtally
            s = vmtally.attach("web-1").snapshot()
            assert s["vm/thing-1"]["count"] == 11 and s["vm/thing-1"].view[0] == 11 and len(s.as_dict()) == 5
            assert s._repr_html_() and (s - s).as_dict() and s["vm/thing-1"].scaled("count") == 11
            for use in (lambda: s["vm"].array, lambda: s.table("thing"), lambda: s["vm"].schema.dtype):
                try:
                    use()
                except ImportError as e:
                    print(e)
        """
        said = self.run_python(program).splitlines()
        self.assertEqual(len(said), 3)
        for line in said:
            self.assertIn("needs numpy", line)

    # ---- notebooks ----

    def test_what_notebooks_show_is_escaped(self):
        schema = vmtally.Schema.declare(HOSTILE[:20], provider=HOSTILE, target=HOSTILE, statistics=[
            vmtally.Cumulative(HOSTILE, help=HOSTILE + "</td>"), vmtally.Log(HOSTILE + "2", 4, help="</table>"),
        ])  # fmt: skip
        shard = self.segment.add(schema, HOSTILE).acquire()
        shard.add(HOSTILE, 3)
        shard.record(HOSTILE + "2", 1)
        s = self.taken()
        sample = s[HOSTILE]
        delta = vmtally.Delta(None, s)
        shown = [x._repr_html_() for x in (s, sample, sample.histogram(HOSTILE + "2"), delta, delta[HOSTILE])]
        for html in shown:
            self.assertNotIn("<script", html)
            self.assertEqual(html.count("<table>"), 1)
            self.assertEqual(html.count("</table>"), 1)
            self.assertEqual(html.count("<td"), html.count("</td>"))
        self.assertIn("&lt;script&gt;&amp;&quot;&#x27;", shown[0])

    def test_what_notebooks_show_of_many_sources_has_an_end(self):
        for i in range(1100):
            self.vm.add(OTHER, f"other-{i}")
        html = self.taken()._repr_html_()
        self.assertEqual(html.count("<tr>"), 1002)
        self.assertIn("and more", html)

    def test_text_for_people_names_what_it_is(self):
        s = self.taken(shards=True)
        self.assertEqual(repr(s), f"<vmtally.Snapshot of {self.reader.path}: 5 sources, live>")
        self.assertIn("vm/thing-1", repr(s["vm/thing-1"]))
        self.assertIn("plain/tests/thing", repr(s["vm"].totals[0]))
        self.assertIn("held 1", repr(s["vm/thing-0"].shards[0]))


if __name__ == "__main__":
    unittest.main()
