# SPDX-License-Identifier: MIT
"""Finding VMs and attaching to them: names, errors, ends, threads."""
import copy
import errno
import os
import pathlib
import pickle
import shutil
import signal
import threading
import unittest

import helper
import vmtally

WRITER = "import vmtally, sys; s = vmtally.Segment(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
MAJOR_AT = 12  # shm/FORMAT.md, section 1


class Reader(helper.SegmentTest):
    def path(self, name):
        return os.path.join(self.dir, name)

    def segment(self, name="web-1", **options):
        segment = vmtally.Segment(name, **options)
        self.addCleanup(segment.close)
        return segment

    def counted(self, name="web-1", **options):
        segment = self.segment(name, **options)
        segment.add(vmtally.schemas.vm, "vm").acquire().add("interrupts_triggers", 2)
        return segment

    # ---- find ----

    def test_discover_lists_by_name(self):
        for name in ("b", "a", "c"):
            self.segment(name)
        self.assertEqual([(f.name, f.path) for f in vmtally.discover()],
                         [(name, self.path(name + ".vmt")) for name in "abc"])
        self.assertEqual(vmtally.discover(), vmtally.discover(self.dir))
        self.assertEqual(vmtally.discover(), vmtally.discover(pathlib.Path(self.dir)))

    def test_a_directory_that_is_not_there_has_none_but_one_that_was_named_is_said_to_be_missing(self):
        os.environ["VMTALLY_DIR"] = self.path("none")
        self.assertEqual(vmtally.discover(), [])
        with self.assertRaises(vmtally.NotFound) as caught:
            vmtally.discover(self.path("none"))
        self.assertEqual(caught.exception.filename, self.path("none"))

    def test_a_directory_that_is_none_is_named(self):
        place = self.path("file")
        open(place, "w").close()
        with self.assertRaises(vmtally.Error) as caught:
            vmtally.discover(place)
        self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.ENOTDIR, place))

    def test_what_was_found_can_be_attached_to(self):
        self.counted()
        [found] = vmtally.discover()
        with found.attach() as vm:
            self.assertEqual((vm.name, vm.path), ("web-1", found.path))
            self.assertEqual(vm.snapshot()["vm"]["interrupts_triggers"], 2)

    def test_names_and_paths_lead_to_the_same(self):
        self.counted()
        path = self.path("web-1.vmt")
        for vm in ("web-1", path, pathlib.Path(path), os.fsencode(path)):
            with vmtally.attach(vm) as reader:
                self.assertEqual(reader.path, path)

    def test_the_name_that_stands_in_a_file_counts_where_no_file_is_called_so(self):
        path = self.path("jail.vmt")
        open(path, "w").close()
        self.segment("inmate", path=path)
        with vmtally.attach("inmate") as reader:
            self.assertEqual(reader.path, path)
        self.segment("inmate")
        with vmtally.attach("inmate") as reader:
            self.assertEqual(reader.path, self.path("inmate.vmt"))

    @unittest.skipIf(os.geteuid(), "only root can give files away")
    def test_a_name_is_not_taken_over_by_somebody_elses_file(self):
        path = self.path("jail.vmt")
        open(path, "w").close()
        self.segment("inmate", path=path)
        for name in ("inmate.vmt", "other.vmt"):
            shutil.copy(path, self.path(name))
            os.chown(self.path(name), 65534, -1)
        for attach in (vmtally.attach, self.host().attach):
            with attach("inmate") as reader:
                self.assertEqual((reader.path, reader.snapshot().segment.foreign), (path, False))
            with attach("other") as reader:  # nobody else is called so
                self.assertTrue(reader.snapshot().segment.foreign)

    def test_what_was_set_aside_is_another_ones_by_name(self):
        self.segment("inmate")
        os.rename(self.path("inmate.vmt"), self.path("inmate~1.vmt"))
        for attach in (vmtally.attach, self.host().attach):
            with self.assertRaises(vmtally.NotFound):
                attach("inmate")
            with attach("inmate~1") as reader:
                self.assertTrue(reader.snapshot().segment.set_aside)
        self.segment("inmate")
        with vmtally.attach("inmate") as reader:
            self.assertFalse(reader.snapshot().segment.set_aside)

    def host(self):
        host = vmtally.Host(pid=os.getpid())
        self.addCleanup(host.close)
        host.look()
        return host

    def test_a_name_that_several_have_is_said_to_be_several(self):
        for file in ("a.vmt", "b.vmt"):
            open(self.path(file), "w").close()
            self.segment("twin", path=self.path(file))
        with self.assertRaises(vmtally.Error) as caught:
            vmtally.attach("twin")
        self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.ENOTUNIQ, "twin"))
        self.assertIn(self.path("a.vmt") + ", " + self.path("b.vmt"), str(caught.exception))

    def test_a_name_that_nobody_has_is_not_found_and_the_place_is_named(self):
        with self.assertRaises(FileNotFoundError) as caught:
            vmtally.attach("nobody")
        self.assertIsInstance(caught.exception, vmtally.NotFound)
        self.assertIn("nobody", str(caught.exception))
        self.assertIn(self.dir, str(caught.exception))

    # ---- errors ----

    def refused(self, kind, path, number):
        with self.assertRaises(kind) as caught:
            vmtally.attach(path)
        e = caught.exception
        self.assertIsInstance(e, vmtally.Error)
        self.assertEqual((e.errno, e.filename, e.action), (number, path, "attach"))
        self.assertTrue(str(e).startswith(f"attach {path}: "), str(e))
        again = pickle.loads(pickle.dumps(e))
        self.assertEqual((type(again), str(again), again.errno, again.filename), (type(e), str(e), e.errno, e.filename))

    def test_each_way_not_to_be_a_segment_has_its_error(self):
        path = self.path("x.vmt")
        self.refused(vmtally.NotFound, path, errno.ENOENT)
        open(path, "w").close()
        self.refused(vmtally.NotReady, path, errno.ENODATA)
        with open(path, "w") as f:
            f.write("no segment " * 1000)
        self.refused(vmtally.NotASegment, path, errno.EMEDIUMTYPE)
        os.symlink(path, self.path("link"))
        self.refused(vmtally.NotASegment, self.path("link"), errno.ELOOP)
        self.refused(vmtally.NotASegment, self.dir, errno.EISDIR)
        os.mkfifo(self.path("fifo"))
        self.refused(vmtally.NotASegment, self.path("fifo"), errno.EINVAL)
        self.refused(vmtally.NotASegment, "/proc/self/stat", errno.ENOTSUP)
        with self.assertRaisesRegex(vmtally.NotASegment, f"^check {self.path('link')}: a symbolic link"):
            vmtally.check(self.path("link"))

    def test_no_memory_is_a_memory_error(self):
        from vmtally._errors import ensure

        with self.assertRaisesRegex(MemoryError, "^attach x: ") as caught:
            ensure(-errno.ENOMEM, "attach", "x")
        self.assertIsInstance(caught.exception, vmtally.NoMemory)

    def test_another_major_version_is_said_to_be_one(self):
        segment = self.counted(keep=True)
        segment.close()
        with open(segment.path, "r+b") as f:
            f.seek(MAJOR_AT)
            f.write(b"\x07\0")
        self.refused(vmtally.OtherVersion, segment.path, errno.EPROTONOSUPPORT)

    def test_a_file_cut_short_is_damaged(self):
        segment = self.counted(keep=True)
        segment.close()
        with vmtally.attach(segment.path) as vm:
            os.truncate(segment.path, 4096)
            with self.assertRaises(vmtally.Damaged) as caught:
                vm.snapshot()
            self.assertEqual(caught.exception.filename, segment.path)
            self.assertEqual(vm.state, vmtally.State.DAMAGED)
        self.assertEqual(vmtally.check(segment.path).state, vmtally.State.DAMAGED)
        self.assertTrue(vmtally.check(segment.path).why)

    def test_a_sound_file_has_nothing_wrong(self):
        segment = self.counted()
        self.assertEqual(vmtally.check(segment.path), (vmtally.State.LIVE, ""))

    def test_no_permission_is_a_permission_error(self):
        segment = self.counted()
        os.chmod(segment.path, 0)
        os.chmod(self.dir, 0o755)
        if os.geteuid() == 0:  # who may read all
            self.addCleanup(os.seteuid, 0)
            os.seteuid(65534)
        self.refused(PermissionError, segment.path, errno.EACCES)

    def test_a_name_with_a_nul_is_a_value_error(self):
        with self.assertRaises(ValueError):
            vmtally.attach(self.path("a\0b"))

    # ---- state ----

    def test_the_state_is_live_then_closed(self):
        segment = self.counted(keep=True)
        with vmtally.attach("web-1") as vm:
            self.assertEqual((vm.state, str(vm.state)), (vmtally.State.LIVE, "live"))
            segment.close()
            self.assertEqual((vm.state, f"{vm.state}"), (vmtally.State.CLOSED, "closed"))
            self.assertTrue(vm.state.is_gone)

    def test_the_state_of_a_killed_writer_is_died(self):
        child = self.start_python(WRITER, "web-1")
        child.stdout.readline()
        with vmtally.attach("web-1") as vm:
            self.assertFalse(vm.state.is_gone)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            self.wait_for(lambda: vm.state == vmtally.State.DIED)
            self.assertEqual(vm.snapshot().segment.state, vmtally.State.DIED)

    # ---- reading ----

    def test_mapped_and_copied_are_the_same(self):
        self.counted()
        with vmtally.attach("web-1") as a, vmtally.attach("web-1", guarded=True) as b:
            self.assertEqual(a.snapshot().as_dict(), b.snapshot().as_dict())

    def test_the_file_is_mapped_only_where_that_is_asked_for(self):
        segment = self.counted(keep=True)
        path = segment.path
        segment.close()

        def is_mapped():
            with open("/proc/self/maps", encoding="utf-8") as maps:
                return path in maps.read()

        self.assertFalse(is_mapped())
        host = self.host()
        for attach in (vmtally.attach, lambda p, **how: vmtally.Found("web-1", p).attach(**how), host.attach):
            for how, expected in (({}, False), ({"guarded": False}, False), ({"guarded": True}, True)):
                with attach(path, **how) as vm:
                    vm.snapshot()
                    self.assertEqual(is_mapped(), expected, how)
        host.look()  # lets go of its closed readers
        self.assertFalse(is_mapped())

    def test_a_limit_of_bytes_makes_a_snapshot_partial_and_it_says_so(self):
        segment = self.counted()
        held = [segment.add(vmtally.schemas.vcpu, f"vcpu-{i}").acquire() for i in range(1000)]
        limit = os.stat(segment.path).st_size // 2
        with vmtally.attach("web-1") as all_, vmtally.attach("web-1", max_bytes=limit) as some:
            whole, part = all_.snapshot(), some.snapshot()
            self.assertFalse(whole.partial)
            self.assertLess(len(part), len(whole))
            self.assertEqual(len(whole), len(held) + 2)
            self.assertTrue(part.partial and part.segment.partial)
            self.assertIn("partial", repr(part))

    def test_one_source_is_read_alone(self):
        segment = self.segment()
        source = segment.add(vmtally.schemas.vcpu, "vcpu-0")
        shard = source.acquire()
        shard.add("exits", 1)
        with vmtally.attach("web-1") as vm, vmtally.attach("web-1") as other:
            sample = vm.snapshot()["vcpu-0"]
            shard.add("exits", 2**64 - 2)
            values = vm.sample(sample)
            self.assertEqual((sample["exits"], values["exits"], values.flags), (1, 2**64 - 1, 0))
            with self.assertRaises(ValueError):
                other.sample(sample)
            shard.release()
            source.remove()
            with self.assertRaises(vmtally.Gone) as caught:
                vm.sample(sample)
            self.assertEqual(caught.exception.filename, vm.path)
        self.assertEqual(values["exits"], 2**64 - 1)

    # ---- ends ----

    def test_a_closed_reader_says_so(self):
        self.counted()
        vm = vmtally.attach("web-1")
        snapshot = vm.snapshot()
        sample = snapshot["vm"]
        self.assertFalse(vm.closed)
        vm.close()
        vm.close()
        self.assertTrue(vm.closed)
        self.assertIn("closed", repr(vm))
        for use in (vm.snapshot, lambda: vm.state, lambda: vm.sample(sample), lambda: next(iter(vm.samples()))):
            with self.assertRaises(vmtally.Closed) as caught:
                use()
            self.assertIsInstance(caught.exception, ValueError)
            self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.EBADF, vm.path))
        self.assertEqual(snapshot["vm"]["interrupts_triggers"], 2)

    def test_a_with_block_closes_also_where_it_raises(self):
        self.counted()
        with self.assertRaises(RuntimeError), vmtally.attach("web-1") as vm:
            raise RuntimeError
        self.assertTrue(vm.closed)

    def test_a_closed_reader_holds_no_file(self):
        self.counted()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            vmtally.attach("web-1").close()
        with vmtally.attach("web-1"):
            self.assertGreater(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_it_can_be_neither_copied_nor_pickled(self):
        self.counted()
        with vmtally.attach("web-1") as vm:
            for way in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaises(TypeError) as caught:
                    way(vm)
                self.assertIn("attach(", str(caught.exception))

    # ---- threads ----

    def threads(self, n, run):
        wrong = []

        def guarded():
            try:
                run()
            except BaseException as e:
                wrong.append(e)

        threads = [threading.Thread(target=guarded) for _ in range(n)]
        for thread in threads:
            thread.start()
        return threads, wrong

    def join(self, threads):
        for thread in threads:
            thread.join(helper.WAIT_S)
            self.assertFalse(thread.is_alive())

    def test_threads_share_a_reader(self):
        self.counted()
        with vmtally.attach("web-1") as vm:
            taken = []

            def take():
                for _ in range(50):
                    taken.append(vm.snapshot()["vm"]["interrupts_triggers"])

            threads, wrong = self.threads(8, take)
            self.join(threads)
        self.assertEqual((wrong, taken), ([], [2] * 400))

    def test_close_while_others_read_ends_them_with_closed(self):
        segment = self.counted()
        for i in range(50):
            segment.add(vmtally.schemas.vcpu, f"vcpu-{i}")
        for guarded in (False, True):
            vm = vmtally.attach("web-1", guarded=guarded)
            reading = threading.Semaphore(0)

            def take():
                while True:
                    snapshot = vm.snapshot()
                    reading.release()
                    self.assertEqual(snapshot["vm"]["interrupts_triggers"], 2)

            threads, wrong = self.threads(4, take)
            for _ in range(20):
                self.assertTrue(reading.acquire(timeout=helper.WAIT_S))
            vm.close()
            self.join(threads)
            self.assertEqual([type(e) for e in wrong], [vmtally.Closed] * 4)
