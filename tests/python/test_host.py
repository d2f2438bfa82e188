# SPDX-License-Identifier: MIT
"""All VMs of a host: segments, and what the kernel counts (which needs root and /dev/kvm)."""
import copy
import os
import pickle
import subprocess
import sys
import threading
import unittest

import helper
import vmtally

KVM_VM = os.path.join(helper.ROOT, "tests", "cli", "kvm_vm.py")
EXITS = 100  # of the first vCPU of each of its VMs, and those that the host's interrupts make


class Host(helper.SegmentTest):
    def setUp(self):
        super().setUp()
        self.segment = vmtally.Segment("web-1")
        self.addCleanup(self.segment.close)
        self.shard = self.segment.add(vmtally.schemas.vm, "vm").acquire()
        self.shard.add("interrupts_triggers", 3)

    def test_segments_are_found_and_read_as_without_it(self):
        with vmtally.Host(pid=os.getpid()) as host:
            host.look()
            self.assertIn(vmtally.Found("web-1", self.segment.path), host.discover())
            self.assertIn(vmtally.Found("web-1", self.segment.path), host.discover(self.dir))
            for vm in ("web-1", self.segment.path):
                with host.attach(vm) as reader:
                    self.assertEqual(reader.snapshot()["vm"]["interrupts_triggers"], 3)
            with self.assertRaises(vmtally.NotFound):
                host.attach("nobody")
            with self.assertRaises(vmtally.NotFound):
                host.attach(os.path.join(self.dir, "nobody.vmt"))

    def test_a_process_without_a_vm_is_said_to_have_none(self):
        with vmtally.Host(pid=os.getpid()) as host:
            host.look()
            path = f"/proc/{os.getpid()}"
            with self.assertRaises(vmtally.Gone) as caught:
                host.attach(path)
            self.assertEqual(caught.exception.filename, path)
            self.assertEqual(host.trouble(self.segment.path), "")
            self.assertIsInstance(host.trouble(), str)

    def test_a_second_look_where_one_was_announced_is_an_error(self):
        with vmtally.Host(pid=os.getpid(), once=True) as host:
            host.look()
            with self.assertRaises(vmtally.Error):
                host.look()

    def test_close_closes_its_readers_and_leaves_snapshots(self):
        host = vmtally.Host(pid=os.getpid())
        host.look()
        reader = host.attach("web-1")
        snapshot = reader.snapshot()
        host.close()
        host.close()
        self.assertTrue(host.closed and reader.closed)
        for use in (host.look, host.discover, lambda: host.attach("web-1"), host.trouble, reader.snapshot,
                    lambda: host.attach(self.segment.path)):
            with self.assertRaises(vmtally.Closed):
                use()
        self.assertEqual(snapshot["vm"]["interrupts_triggers"], 3)
        self.assertIn("closed", repr(host))

    def test_it_can_be_neither_copied_nor_pickled(self):
        with vmtally.Host(pid=os.getpid()) as host:
            for way in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaises(TypeError):
                    way(host)

    def test_readers_outlive_the_name_of_their_host(self):
        host = vmtally.Host(pid=os.getpid())
        host.look()
        reader = host.attach("web-1")
        del host
        self.assertEqual(reader.snapshot()["vm"]["interrupts_triggers"], 3)
        self.assertEqual(next(iter(reader.samples())).snapshot["vm"]["interrupts_triggers"], 3)

    def test_close_while_readers_read_ends_them_with_closed(self):
        host = vmtally.Host(pid=os.getpid())
        host.look()
        wrong = []
        reading = threading.Semaphore(0)

        def read(reader):
            try:
                while True:
                    reader.snapshot()
                    reading.release()
            except BaseException as e:
                wrong.append(type(e))

        threads = [threading.Thread(target=read, args=(host.attach("web-1"),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            self.assertTrue(reading.acquire(timeout=helper.WAIT_S))
        host.close()
        for thread in threads:
            thread.join(helper.WAIT_S)
        self.assertEqual(wrong, [vmtally.Closed] * 4)


@unittest.skipUnless(os.access("/dev/kvm", os.R_OK | os.W_OK) and os.geteuid() == 0, "needs root and /dev/kvm")
class Kernel(helper.SegmentTest):
    """A process that has a VM and has never heard of vmtally."""

    def setUp(self):
        super().setUp()
        self.vmm = subprocess.Popen([sys.executable, KVM_VM, "held:2"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        said = iter(self.vmm.stdout.readline, "")
        if not any(line == "ready\n" for line in said):
            self.skipTest("needs a KVM that works, with statistics fds")
        self.host = vmtally.Host(pid=self.vmm.pid)
        self.addCleanup(self.host.close)
        self.host.look()
        self.path = f"/proc/{self.vmm.pid}"

    def end(self):
        if self.vmm.poll() is None:
            self.vmm.kill()
        self.vmm.wait()
        self.vmm.stdout.close()

    def test_what_the_kernel_counts_is_in_the_tree(self):
        self.assertIn(self.path, [found.path for found in self.host.discover()])
        with self.host.attach(self.path) as vm:
            s = vm.snapshot()
            vcpu = s["vm/vcpu-0"]
            self.assertEqual((vcpu.provider, vcpu.target, vcpu.subject.id), ("kvm", "vcpu", "vm/vcpu-0"))
            self.assertGreaterEqual(vcpu["exits"], EXITS)
            self.assertEqual((vcpu.scaled("exits"), s["vm"].total("exits")), (vcpu["exits"],) * 2)
            self.assertGreater(vcpu.histogram("halt_poll_success_hist").descriptor.size, 1)
            self.assertEqual((s.segment.path, s.segment.pid, s.segment.version), (self.path, self.vmm.pid, "0.0"))
            self.assertEqual((len(s.root), s.root.raw, bytes(s.root.view)), (0, (), b""))
            self.assertEqual((vm.name, s.segment.origins), (str(self.vmm.pid), ("fds",)))

    def test_a_process_is_named_by_its_pid_too(self):
        with self.host.attach(str(self.vmm.pid), dir=self.dir) as vm:
            self.assertEqual(vm.path, self.path)

    def test_samples_look_anew_and_end_with_the_process(self):
        states = []
        with self.host.attach(self.path) as vm:
            for tick in vm.samples(0.05):
                states.append(tick.snapshot.segment.state)
                if len(states) == 2:
                    self.assertGreater(tick.delta.seconds, 0)
                    self.assertFalse(tick.delta["vm/vcpu-0"].reset)
                    self.end()
        self.assertEqual((states[0], states[-1]), (vmtally.State.LIVE, vmtally.State.CLOSED))


if __name__ == "__main__":
    unittest.main()
