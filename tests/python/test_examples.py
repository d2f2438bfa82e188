# SPDX-License-Identifier: MIT
"""README.md and the examples do what they say."""
import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from helper import ROOT, WAIT_S, SegmentTest, end

import vmtally
from vmtally import schemas

HERE = os.path.join(ROOT, "bindings", "python")


class Examples(SegmentTest):
    def setUp(self):
        """web-1, whose vcpu-1 goes on counting: exits by two reasons."""
        super().setUp()
        self.segment = vmtally.Segment("web-1", labels={"rack": "b7"})
        self.addCleanup(self.segment.close)
        vm = self.segment.add(schemas.vm, "vm")
        self.vm = vm.acquire()
        self.vm.set("memory_bytes", 1 << 30)
        self.vcpus = [vm.add(schemas.vcpu, f"vcpu-{n}").acquire() for n in range(2)]
        self.vcpus[0].add("exits", 1000)
        self.vcpus[0].add("run_time", 2500000000)
        self.vcpus[1].add("exits", 2000)
        for ns in [5000] * 98 + [100000] * 2:
            self.vcpus[1].record("io_latency", ns)

    def go_on(self):
        stop = threading.Event()

        def count():
            while not stop.wait(0.001):
                self.vcpus[1].add("exits", 3)
                self.vcpus[1].add("exit_hlt", 2)
                self.vcpus[1].add("exit_io_out", 1)
                self.vcpus[1].record("io_latency", 700)

        thread = threading.Thread(target=count)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)

    def example(self, name, *arguments):
        path = os.path.join(HERE, "examples", name)
        child = subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, timeout=WAIT_S)
        self.assertEqual((child.returncode, child.stderr), (0, ""))
        return child.stdout

    def test_each_block_of_the_readme_prints_what_its_comments_say(self):
        with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```python\n(.*?)^```$", file.read(), re.M | re.S)
        self.assertGreater(len(blocks), 7)
        names = {}
        for block in blocks:
            if "import time" in block:
                self.go_on()
            if "numpy" in block and importlib.util.find_spec("numpy") is None:
                continue
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(block, "README.md", "exec"), names)
            said = map(re.escape, re.findall(r"print\(.*\) +# (.*)$", block, re.M))
            expected = "".join(f"({line}\n)+" for line in said).replace(r"\.\.\.", ".*").replace(r"\?", ".")
            self.assertRegex(out.getvalue(), rf"\A{expected}\Z", block)

    def test_top_exits_ranks_reasons_by_their_rate(self):
        self.go_on()
        for arguments in ([], ["web-1", "0.3"]):
            out = self.example("top_exits.py", *arguments)
            self.assertRegex(out, r"^web-1, live: \d+\.\d\d s\n +[\d,]+/s  exit_hlt .*\n +[\d,]+/s  exit_io_out .*\n")
            self.assertRegex(out, r"vm/vcpu-1: [\d,]+ exits handled: p50 up to 1\.024 us, p90")
            self.assertRegex(out, r"2 vCPUs ran 0\.000 to 2\.500 s|no table: ")
            self.assertNotIn("vcpu-0: ", out)

    def start_exporter(self):
        path = os.path.join(HERE, "examples", "exporter.py")
        exporter = subprocess.Popen([sys.executable, path, "--listen", "127.0.0.1:0"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(end, exporter)
        return exporter.stdout.readline().strip()

    def get(self, url):
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
            self.assertIn("version=0.0.4", answer.headers["Content-Type"])
            return answer.read().decode()

    def test_the_exporter_answers_with_the_values_under_its_own_names(self):
        url = self.start_exporter()
        text = self.get(url)
        for line in ('myvmm_up{vm="web-1",state="live"} 1',
                     'myvmm_memory_bytes{vm="web-1",source="vm"} 1073741824',
                     'myvmm_vcpu_exits_total{vm="web-1",source="vm/vcpu-1"} 2000',
                     'myvmm_vcpu_run_seconds_total{vm="web-1",source="vm/vcpu-0"} 2.5',
                     'myvmm_vcpu_io_latency_seconds{vm="web-1",source="vm/vcpu-1",quantile="0.99"} 0.000131072',
                     'myvmm_vcpu_io_latency_seconds_sum{vm="web-1",source="vm/vcpu-1"} 0.00069',
                     'myvmm_vcpu_io_latency_seconds_count{vm="web-1",source="vm/vcpu-1"} 100'):
            self.assertIn(line + "\n", text)
        with self.assertRaises(urllib.error.HTTPError):
            self.get(url.replace("/metrics", "/"))

    def test_the_exporter_says_which_vm_is_down_and_shows_the_others(self):
        url = self.start_exporter()
        with open(os.path.join(self.dir, "junk.vmt"), "wb") as file:
            file.write(b"not a segment" * 100)
        text = self.get(url)
        self.assertRegex(text, r'myvmm_up\{vm="junk",state=".*"\} 0\n')
        self.assertIn('myvmm_up{vm="web-1",state="live"} 1\n', text)
        self.segment.close()
        self.assertNotIn("web-1", self.get(url))

    def test_prometheus_own_parser_takes_what_the_exporter_answers(self):
        if importlib.util.find_spec("prometheus_client") is None:
            self.skipTest("python3-prometheus-client is not installed")
        from prometheus_client.parser import text_string_to_metric_families

        families = {f.name: f for f in text_string_to_metric_families(self.get(self.start_exporter()))}
        self.assertEqual({name: f.type for name, f in families.items()}, {
            "myvmm_up": "gauge", "myvmm_memory_bytes": "gauge", "myvmm_vcpu_exits": "counter",
            "myvmm_vcpu_run_seconds": "counter", "myvmm_vcpu_io_latency_seconds": "summary"})
        exits = {s.labels["source"]: s.value for s in families["myvmm_vcpu_exits"].samples}
        self.assertEqual(exits, {"vm/vcpu-0": 1000, "vm/vcpu-1": 2000})
