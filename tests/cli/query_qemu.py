#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What vmtally query says of KVM's counters, beside what QEMU says of the same VM and what the kernel itself does.
Prints TAP. VMT_BUILD is the build directory."""
import ctypes
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import qmp

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["VMT_BUILD"]
VMTALLY = os.path.join(BUILD, "cli", "vmtally")
HOLD = os.path.join(BUILD, "tests", "cli", "hold_stats.so")
QEMU = "qemu-system-x86_64"
BRACKETS = 10
HISTOGRAMS = ("linear-histogram", "log2-histogram")
bad = False


def check(good, name, text=""):
    global bad
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        bad = True
        for line in str(text)[:4000].splitlines():
            print("# " + line)


def skip(name, why):
    print(f"ok - {name} # SKIP {why}", flush=True)


def request(command, **arguments):
    return json.dumps({"execute": command, "arguments": arguments})


def vmtally(vm, *words):
    done = subprocess.run([VMTALLY, "query", "--vm", vm, *words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise qmp.Error(f"{words}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class OneShot:
    """vmtally query VM JSON, with the calls of a QMP client."""

    def __init__(self, vm):
        self.vm = vm

    def ask(self, command, **arguments):
        return json.loads(vmtally(self.vm, request(command, **arguments)))["return"]


def is_backwards(client):
    """QEMU puts each element before the last one: names, and what is in a histogram."""
    names = [s["name"] for e in client.ask("query-stats-schemas") for s in e["stats"] if e["target"] == "vcpu"]
    return "exits" in names and names.index("exits") < names.index("halt_successful_poll")


def values(client, target):
    """{(number of the vCPU, name): value} of provider kvm."""
    results = [r for r in client.ask("query-stats", target=target) if r["provider"] == "kvm"]
    paths = sorted({r.get("qom-path") for r in results}, key=lambda p: (len(p or ""), p or ""))
    turned = -1 if is_backwards(client) else 1
    return {(paths.index(r.get("qom-path")), s["name"]): s["value"][::turned] if isinstance(s["value"], list) else s["value"]
            for r in results for s in r["stats"]}


def schemas(client):
    """{(target, name): the rest}."""
    return {(e["target"], s["name"]): {k: v for k, v in s.items() if k != "name"}
            for e in client.ask("query-stats-schemas", provider="kvm") for s in e["stats"]}


def bracketed(kind, low, value, high):
    if kind in HISTOGRAMS:
        return len(low) == len(value) == len(high) and all(a <= b <= c for a, b, c in zip(low, value, high))
    return kind == "instant" or low <= value <= high


# ---- QEMU ----

def start_qemu(directory, name, *arguments, hold=False):
    path = os.path.join(directory, name + ".sock")
    environment = dict(os.environ, LD_PRELOAD=HOLD) if hold else dict(os.environ)
    process = subprocess.Popen(
        [QEMU, "-accel", "kvm", "-m", "32", "-display", "none", "-nodefaults", "-no-reboot", "-name", name, "-qmp",
         f"unix:{path},server,nowait", *arguments],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return process, qmp.Client(path)


def until_halted(qemu):
    """Until a vCPU has waited, so that there is something in a histogram."""
    for _ in range(100):
        if any(isinstance(v, list) and any(v) for v in values(qemu, "vcpu").values()):
            return
        time.sleep(0.1)


def compare_running(what, qemu, ours, expected):
    kinds = schemas(qemu)
    first, wrong, compared = {}, [], set()
    for turn in range(BRACKETS):
        for target in ("vm", "vcpu"):
            low, mine, high = values(qemu, target), values(ours, target), values(qemu, target)
            first.setdefault(target, low)
            compared |= {(target, name) for _, name in mine}
            wrong += [(target, key, low.get(key), value, high.get(key)) for key, value in mine.items()
                      if key not in low or not bracketed(kinds[target, key[1]]["type"], low[key], value, high[key])]
    check(not wrong, f"{what}: each value of a running VM is between two reads of QEMU's", wrong[:20])
    check(compared == expected, f"{what}: and none is missing", sorted(compared ^ expected))
    if any(name == "exits" for _, name in compared):
        exits = [k for k in first["vcpu"] if k[1] == "exits"]
        check(any(values(ours, "vcpu")[k] > first["vcpu"][k] for k in exits), f"{what}: while it ran", first["vcpu"])


def compare_stopped(what, qemu, ours):
    qemu.ask("stop")
    for target in ("vm", "vcpu"):
        his, mine = values(qemu, target), values(ours, target)
        check(mine and all(his.get(k) == v for k, v in mine.items()), f"{what}: of a stopped VM all are equal, of {target}",
              [(k, his.get(k), v) for k, v in mine.items() if his.get(k) != v])
    qemu.ask("cont")


def lines(text):
    """Of info stats, whose order is QEMU's own."""
    return sorted(text.replace("\r\n", "\n").splitlines())


def compare_with_fds(directory):
    name = f"held-{os.getpid()}"
    process, qemu = start_qemu(directory, name, "-smp", "2", hold=True)
    path = os.path.join(directory, "query.sock")
    server = None
    try:
        values(qemu, "vm"), values(qemu, "vcpu")
        kinds = schemas(qemu)
        ours = OneShot(name)
        check(schemas(ours) == kinds, "names, types, units and exponents are QEMU's",
              {k: (kinds.get(k), schemas(ours).get(k)) for k in set(kinds) | set(schemas(ours))
               if kinds.get(k) != schemas(ours).get(k)})
        check(len(kinds) > 40 and any(k["type"] in HISTOGRAMS for k in kinds.values()), "and they are many", kinds)
        until_halted(qemu)
        compare_running("one request each", qemu, ours, set(kinds))
        compare_stopped("one request each", qemu, ours)

        server = subprocess.Popen([VMTALLY, "query", "--vm", name, "--listen", "unix:" + path])
        ours = qmp.Client(path)
        compare_running("a session of a socket", qemu, ours, set(kinds))
        compare_stopped("a session of a socket", qemu, ours)
        check(schemas(ours) == kinds, "a session of a socket: the schemas", schemas(ours))
        check(ours.ask("query-name") == qemu.ask("query-name"), "both have its name", ours.ask("query-name"))
        ours.close()

        qemu.ask("stop")
        for words in ("vm", "vm *", "vm pages_4k,mmu_cache_miss", "vm pages_4k kvm"):
            his = qemu.ask("human-monitor-command", **{"command-line": "info stats " + words})
            mine = vmtally(name, "--hmp", words)
            check(his and lines(mine) == lines(his), f"--hmp '{words}' prints what info stats does", f"{mine}\n{his}")
        his = lines(qemu.ask("human-monitor-command", **{"command-line": "info stats vcpu"}))
        mine = lines(vmtally(name, "--hmp", "vcpu"))
        missing = [line for line in his if line not in mine and "_hist " not in line]
        check(len(his) > 30 and not missing, "--hmp 'vcpu' prints what info stats does, of each vCPU", missing)
        qemu.ask("cont")
    finally:
        if server:
            server.terminate()
        process.kill()
        process.wait()
    if server:
        check(server.wait() == 0 and not os.path.exists(path), "the socket ends with its process")


def locked_down():
    """Then files that may be written can't be opened."""
    try:
        with open("/sys/kernel/debug/kvm/exits") as file:
            return not file
    except PermissionError:
        return True


def compare_with_debugfs(directory):
    what = "debugfs"
    name = f"bare-{os.getpid()}"
    process, qemu = start_qemu(directory, name, "-smp", "1")
    try:
        kinds, ours = schemas(qemu), OneShot(name)
        mine = schemas(ours)
        check(mine and all(kinds.get(k) == v for k, v in mine.items()), f"{what}: types, units and exponents are QEMU's", mine)
        if not locked_down():
            check(set(mine) == {k for k, v in kinds.items() if v["type"] not in HISTOGRAMS},
                  f"{what}: all but the histograms is there", set(kinds) - set(mine))
        compare_running(what, qemu, ours, set(mine))
        compare_stopped(what, qemu, ours)
        qemu.ask("stop")
        his = qemu.ask("human-monitor-command", **{"command-line": "info stats vcpu"})
        printed = lines(vmtally(name, "--hmp", "vcpu"))
        check("provider: kvm" in printed and set(printed) <= set(lines(his)), f"{what}: --hmp prints lines of info stats",
              printed)
    finally:
        process.kill()
        process.wait()


def come_and_go(directory):
    name = f"again-{os.getpid()}"
    path = os.path.join(directory, "again.sock")
    process, _ = start_qemu(directory, name)
    server = subprocess.Popen([VMTALLY, "query", "--vm", name, "--listen", "unix:" + path], stderr=subprocess.DEVNULL)
    try:
        ours = qmp.Client(path)
        check(ours.ask("query-name") == {"name": name}, "a QEMU is asked by its name", name)
        process.kill()
        process.wait()
        try:
            check(False, "when it has gone that is an error", ours.ask("query-stats", target="vm"))
        except qmp.Error as e:
            check("no such process" in str(e), "when it has gone that is an error", e)
        process, _ = start_qemu(directory, name)
        check(ours.ask("query-name") == {"name": name}, "and another one of that name is asked next")
    finally:
        server.terminate()
        server.wait()
        process.kill()
        process.wait()


# ---- the kernel itself ----

TYPES = ("cumulative", "instant", "peak", "linear-histogram", "log2-histogram")
UNITS = (None, "bytes", "seconds", "cycles", "boolean")


def fds_of(pid):
    """{(target, vCPU number or 0): a duplicate} of the statistics fds of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd, found = os.pidfd_open(pid), {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        link = os.readlink(f"/proc/{pid}/fd/{fd}")
        if link == "anon_inode:kvm-vm-stats" or link.startswith("anon_inode:kvm-vcpu-stats:"):
            mine = libc.syscall(438, pidfd, int(fd), 0)  # pidfd_getfd
            if mine < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            found["vm" if link.endswith("vm-stats") else "vcpu", int(link.split(":")[2]) if link.count(":") == 2 else 0] = mine
    os.close(pidfd)
    return found


def read_statistics(fd):
    """[(what the schema says, value)] by Documentation/virt/kvm/api.rst, 4.134."""
    _, name_size, count, _, descriptors, data = struct.unpack("6I", os.pread(fd, 24, 0))
    for i in range(count):
        raw = os.pread(fd, 16 + name_size, descriptors + i * (16 + name_size))
        flags, exponent, size, offset, bucket = struct.unpack("IhHII", raw[:16])
        said = {"name": raw[16:].split(b"\0")[0].decode(), "type": TYPES[flags & 15], "exponent": exponent}
        if UNITS[flags >> 4 & 15]:
            said["unit"] = UNITS[flags >> 4 & 15]
        if exponent:
            said["base"] = (10, 2)[flags >> 8 & 15]
        if said["type"] == "linear-histogram":
            said["bucket-size"] = bucket
        numbers = list(struct.unpack(f"{size}Q", os.pread(fd, 8 * size, data + offset)))
        value = numbers if said["type"] in HISTOGRAMS else bool(numbers[0]) if said.get("unit") == "boolean" else numbers[0]
        yield said, value


def compare_with_kernel():
    reading, writing = os.pipe()
    with open("/dev/kvm", "rb", buffering=0) as kvm:
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "kvm_vm.py"), "held:2"], stdin=kvm, stdout=writing)
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            while (line := said.readline()) and line != "ready\n":
                pass
            fds, ours = fds_of(process.pid), OneShot(str(process.pid))
            check(set(fds) == {("vm", 0), ("vcpu", 0), ("vcpu", 1)}, "the fds of a VM of two vCPUs", fds)
            mine = {target: values(ours, target) for target in ("vm", "vcpu")}
            wrong, kernels = [], {}
            for (target, number), fd in fds.items():
                for statistic, value in read_statistics(fd):
                    name = statistic.pop("name")
                    kernels[target, name] = statistic
                    if mine[target].get((number, name)) != value:
                        wrong.append((target, number, name, mine[target].get((number, name)), value))
                os.close(fd)
            check(not wrong, "all values are those that a pread gives, histograms too", wrong)
            check(schemas(ours) == kernels, "and the schemas those of its descriptors", schemas(ours))
            check(mine["vcpu"][0, "exits"] > 0, "some of them are not 0", mine["vcpu"])
            words = vmtally(str(process.pid), "--hmp", "vcpu exits kvm")
            check(words == f"qom-path: vm/vcpu-0\n    exits (cumulative): {mine['vcpu'][0, 'exits']}\n"
                  f"qom-path: vm/vcpu-1\n    exits (cumulative): {mine['vcpu'][1, 'exits']}\n",
                  "--hmp names the vCPUs where they are several", words)
    finally:
        process.kill()
        process.wait()


def attempt(name, test, *arguments):
    try:
        test(*arguments)
    except Exception:
        check(False, name, traceback.format_exc())


def kvm_works():
    try:
        with open("/dev/kvm", "rb+", buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, 0xAE01, 0))  # KVM_CREATE_VM
            return True
    except OSError:
        return False


def main():
    kernel, with_fds, with_debugfs = "the kernel's own", "QEMU that holds its fds", "QEMU by debugfs"
    if os.geteuid() != 0 or not kvm_works():
        for name in (kernel, with_fds, with_debugfs):
            skip(name, "needs root and /dev/kvm")
        return
    attempt(kernel, compare_with_kernel)
    if not shutil.which(QEMU):
        for name in (with_fds, with_debugfs):
            skip(name, f"needs {QEMU}")
        return
    with tempfile.TemporaryDirectory() as directory:
        attempt(with_fds, compare_with_fds, directory)
        attempt("QEMU that comes and goes", come_and_go, directory)
        if os.path.isdir("/sys/kernel/debug/kvm"):
            attempt(with_debugfs, compare_with_debugfs, directory)
        else:
            skip(with_debugfs, "needs a debugfs with kvm in it")


main()
sys.exit(bad)
