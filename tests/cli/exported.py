#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What vmtally export writes for others, against what show has: exported.py LIBRARY DIRECTORY, with a VM "fixed" in
VMTALLY_DIR. Prints TAP."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import steered
from steered import check, path, until, vm

try:
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    parser = None
HISTOGRAMS = ("linear-histogram", "log2-histogram")


def skip(name, reason):
    print(f"ok - {name} # SKIP {reason}", flush=True)


def export(*arguments):
    """Its output; it must not fail, nor say anything."""
    done = subprocess.run(["vmtally", "export", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode or done.stderr:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr}")
    return done.stdout


def documents():
    """{name of the VM: what show has of it}"""
    out = subprocess.run(["vmtally", "show", "--json"], stdout=subprocess.PIPE, check=True).stdout
    return {document["name"]: document for document in map(json.loads, out.splitlines())}


# ---- Prometheus ----


def labels_of(sample):
    """Bounds of buckets as numbers, for there is more than one way to write them; and without labels that are empty."""
    return tuple(sorted((key, float(value) if key == "le" else value) for key, value in sample.labels.items() if value))


def series(families):
    return {(sample.name, labels_of(sample)): sample.value for family in families for sample in family.samples}


def number(source):
    return source["id"].rpartition("-")[2]


def scaled(stat):
    return stat["value"] * float(stat.get("scale", {}).get("base", stat.get("base", 10))) ** stat.get("exponent", 0)


def differences(families, document):
    """Statistics of vCPUs that are one number: those whose samples are others than show has. And how many were compared."""
    wrong, count = [], 0
    by_help = {}
    for family in families:
        if family.name.startswith("kvmtop_vcpu_"):
            by_help.setdefault(family.documentation.split(";")[0], []).append(family)
    for source in document["sources"]:
        if source["target"] != "vcpu":
            continue
        for stat in source["stats"]:
            found = by_help.get(stat.get("help", "").split(";")[0], [])
            if "group" in stat or stat["type"] in HISTOGRAMS or stat["value"] is None or len(found) != 1:
                continue
            got = [sample.value for sample in found[0].samples
                   if sample.labels["vm"] == document["name"] and sample.labels["vcpu"] == number(source)]
            count += 1
            want = scaled(stat)
            if len(got) != 1 or abs(got[0] - want) > abs(want) * 1e-15:
                wrong.append((source["id"], stat["name"], want, got))
    return wrong, count


def test_metrics():
    for name, parse in (("prometheus", parser), ("openmetrics", openmetrics)) if parser else ():
        families = list(parse.text_string_to_metric_families(export("--format", name)))
        for document in documents().values():
            wrong, count = differences(families, document)
            check(not wrong and count > 10, f"{name} has what show has of {document['name']}, value by value", (count, wrong[:5]))
    if not parser:
        skip("metrics can be parsed", "needs python3-prometheus-client")


def test_chosen():
    if not parser:
        return
    def of(*arguments):
        families = parser.text_string_to_metric_families(export("--format", "prometheus", *arguments, "--vm", "fixed"))
        return [key for key in series(families) if not key[0].startswith(("kvmtop_vm_", "kvmtop_exporter_"))]

    everything = of()
    vcpu0 = of("--source", "vm/vcpu-0")
    check(vcpu0 and {dict(labels).get("vcpu") for _, labels in vcpu0} == {"0"}, "--source chooses sources", vcpu0[:5])
    rest = of("--source", "!vm/vcpu-0")
    check(rest and len(rest) == len(everything) - len(vcpu0), "or leaves some out", (len(everything), len(vcpu0), len(rest)))
    both = of("--source", "vm/vcpu-0", "--source", "vm/vcpu-1", "--stat", "exits")
    check({(name, dict(labels)["vcpu"]) for name, labels in both} == {("kvmtop_vcpu_exits_total", "0"), ("kvmtop_vcpu_exits_total", "1")},
          "several times, with --stat", both)


@contextlib.contextmanager
def node_exporter(directory):
    """Its address, once it answers."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % s.getsockname()[1]
    process = subprocess.Popen(["prometheus-node-exporter", f"--web.listen-address={address}", "--collector.disable-defaults",
                                "--collector.textfile", f"--collector.textfile.directory={directory}"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or scrape(address))
        yield address
    finally:
        process.kill()
        process.wait()


def scrape(address):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/metrics", timeout=30) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return ""


def test_textfile():
    name = "node-exporter's textfile collector serves each value"
    if not parser or not shutil.which("prometheus-node-exporter"):
        return skip(name, "needs prometheus-node-exporter and python3-prometheus-client")
    os.mkdir(path("textfile"))
    with node_exporter(path("textfile")) as address, vm("more", "source - vm vm", "source vm vcpu vcpu-0",
                                                        "add vm/vcpu-0 exits 12"):
        export("--format", "prometheus", "-o", path("textfile/vms.prom"))
        ours = {key: value for key, value in series(parser.text_string_to_metric_families(
            open(path("textfile/vms.prom")).read())).items()}

        def served():
            families = list(parser.text_string_to_metric_families(scrape(address)))
            return {key: value for key, value in series(families).items() if key[0].startswith("kvmtop_")}, families

        got, families = served()
        failed = series(families).get(("node_textfile_scrape_error", ()))
        check(len(ours) > 300 and failed == 0 and got == ours, name,
              (len(ours), failed, list(set(ours.items()) ^ set(got.items()))[:5]))
        for document in documents().values():
            wrong, count = differences(families, document)
            check(not wrong and count > 10, f"which is what {document['name']} has counted", (count, wrong[:5]))
    with node_exporter(path("textfile")) as address:
        export("--format", "prometheus", "-o", path("textfile/vms.prom"))
        names = {dict(labels).get("vm") for name, labels in series(parser.text_string_to_metric_families(scrape(address)))
                 if name.startswith("kvmtop_vm_")}
        check(names == {"fixed"}, "what has gone is gone there, too", names)
        leftovers = [name for name in os.listdir(path("textfile")) if name != "vms.prom"]
        check(not leftovers, "nothing else is in the directory", leftovers)


def test_same_name():
    gone = steered.VM("twin", "keep")
    gone.tell("source - vm vm", "add vm vcpus 1")
    gone.end()
    segments = os.environ["VMTALLY_DIR"]
    os.rename(os.path.join(segments, "twin.vmt"), os.path.join(segments, "another.vmt"))
    with vm("twin", "source - vm vm", "add vm vcpus 2"):
        up = dict(re.findall(r'^kvmtop_vm_up\{vm="([^"]*)"\} (\d)$', export("--format", "prometheus"), re.MULTILINE))
        check(up == {"fixed": "1", "twin": "1", "twin~2": "0"}, "of two VMs of one name the one that runs has it for itself", up)
        ids = [json.loads(line)["id"] for line in export("--format", "firecracker").splitlines()]
        check(ids == ["fixed", "twin", "twin~2"], "also in Firecracker's lines", ids)
    os.remove(os.path.join(segments, "another.vmt"))


# ---- Firecracker ----


def test_firecracker():
    with vm("fire", "source - vm vm", "source vm vcpu vcpu-0", "source vm block block-rootfs", "add vm/vcpu-0 exit_io_in 5",
            f"add vm/block-rootfs read_bytes {2**53 + 1}"):
        lines = [json.loads(line) for line in export("--format", "firecracker").splitlines()]
        check([line["id"] for line in lines] == ["fire", "fixed"] and all(list(line)[:2] == ["utc_timestamp_ms", "id"] for line in lines),
              "a line a VM, with its name", [list(line)[:3] for line in lines])
        check(lines[0]["vcpu"]["exit_io_in"] == 5 and lines[0]["block_rootfs"]["read_bytes"] == 2**53 + 1 ==
              lines[0]["block"]["read_bytes"], "counters since the VM began, by device and in all", lines[0])
        named = [json.loads(line) for line in export("--format", "firecracker", "fire").splitlines()]
        check(len(named) == 1 and "id" not in named[0] and named[0]["vcpu"] == lines[0]["vcpu"],
              "the VM that was named has exactly Firecracker's line", named[0])


# ---- TinyKVM ----


def test_tinykvm():
    with vm("tiny", "source - program hello.com", "source hello.com request request", "source hello.com storage storage",
            "add hello.com/request invocations 7", "add hello.com/request request_cpu_time 1500000000",
            "add hello.com/storage invocations 2", "add hello.com cpu_time 250000000", "source - program other.org",
            "source other.org request request"):
        both = json.loads(export("--format", "tinykvm"))
        check(set(both) == {"VMOD_KVM", "hello.com", "other.org"}, "all programs, and the globals", list(both))
        request = both["hello.com"]["request"]
        check(request["totals"]["invocations"] == 7 and request["machines"][0]["invocations"] == 7 and
              request["machines"][0]["request_cpu_time"] == 1.5 and both["VMOD_KVM"]["cpu_time"] == 0.25,
              "what they count, with times in seconds", both["hello.com"])
        for pattern, want in ((r"hello\.com", ["hello.com"]), (r".*\.(com|org)", ["hello.com", "other.org"]),
                              ("", ["hello.com", "other.org"])):
            got = [key for key in json.loads(export("--format", "tinykvm", pattern)) if key != "VMOD_KVM"]
            check(got == want, f"programs that '{pattern}' matches", got)
        for arguments in (["hello"], ["--vm", "fixed"]):
            done = subprocess.run(["vmtally", "export", "--format", "tinykvm", *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
            check(done.returncode == 1 and not done.stdout and done.stderr.startswith("vmtally: no program"),
                  f"of {arguments[-1]} there is nothing", done)
        got = json.loads(export("--format", "tinykvm", "--vm", "tiny", "--pretty", "other.*"))
        check(set(got) == {"VMOD_KVM", "other.org"}, "a VM and a pattern", got)
        done = subprocess.run(["vmtally", "export", "--format", "tinykvm", "helo.com"], stderr=subprocess.PIPE, text=True)
        check(done.stderr == "vmtally: no program helo.com; did you mean hello.com?\n", "a program with a slip", done.stderr)


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    sys.exit(steered.bad)


main()
