#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmtally cat of streams that are cut, joined, damaged, or still growing: catted.py LIBRARY DIRECTORY. Prints TAP."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import msgpack
import steered
from steered import check, path, read, stream, until, values, vm, whole_lines

VCPU = ("source - vm vm", "source vm vcpu vcpu-0")


def cat(*arguments, data=None):
    """Its exit status, lines as objects, and messages."""
    done = subprocess.run(["vmtally", "cat", *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)
    return path(name)


def frames(data):
    """The bytes of each that is whole."""
    unpacker = msgpack.Unpacker(raw=False, timestamp=0, max_buffer_size=len(data) + 1)
    unpacker.feed(data)
    start, out = 0, []
    for _ in unpacker:
        out.append(data[start:unpacker.tell()])
        start = unpacker.tell()
    return out


HEADER, SAMPLE = 0, 3


def kind(frame):
    return msgpack.unpackb(frame, raw=False, timestamp=0)[0]


def exits(documents, name="one"):
    return [values(document)["vm/vcpu-0"]["exits"] for document in documents if document["name"] == name]


def record(count, *vms):
    """A stream of that many samples, a count more in each."""
    with stream("--format", "msgpack", "--interval", "3600", *[machine.name for machine in vms]) as s:
        os.set_blocking(s.process.stdout.fileno(), False)
        data = b""
        for i in range(count):
            samples = len(vms) * (i + 1)
            end = time.monotonic() + steered.PATIENCE
            while sum(kind(frame) == SAMPLE for frame in frames(data)) < samples and time.monotonic() < end:
                try:
                    data += os.read(s.process.stdout.fileno(), 1 << 20)
                except BlockingIOError:
                    time.sleep(0.001)
            for machine in vms:
                machine.tell("add vm/vcpu-0 exits 1", "add vm/vcpu-0 exit_io_in 10")
            if i + 1 < count:
                s.send(signal.SIGUSR1)
    return data


def test_cut_and_joined():
    with vm("one", *VCPU) as one, vm("two", *VCPU) as two:
        data = record(5, one, two)
    status, got, said = cat(write("whole", data))
    check(status == 0 and not said and exits(got) == exits(got, "two") == [0, 1, 2, 3, 4], "streams of two VMs, woven",
          (status, said, len(got)))
    parts = frames(data)
    wrong = []
    for i in range(len(parts) + 1):
        done = cat(write("first", b"".join(parts[:i])), write("second", b"".join(parts[i:])))
        if done != (status, got, said):
            wrong.append((i, done[0], done[2], len(done[1])))
    check(not wrong, "cut between any two frames, and read as two files", wrong[:3])
    done = cat(path("whole"), path("whole"))
    check(done[0] == 0 and done[1] == got + got, "two streams, one after the other", (done[0], done[2]))
    done = cat("--vm", "two", path("whole"))
    check(done[0] == 0 and exits(done[1], "two") == exits(got, "two") and len(done[1]) == 5, "one VM of a stream", done[2])
    lines = cat("--format", "firecracker", path("whole"))[1]
    check([(line["id"], line["vcpu"]["exit_io_in"]) for line in lines] ==
          [("one", 0), ("two", 0)] + [("one", 10), ("two", 10)] * 4, "Firecracker's lines tell what changed between snapshots",
          [(line["id"], line["vcpu"]["exit_io_in"]) for line in lines])
    lines = cat("--format", "firecracker", "--vm", "two", path("whole"))[1]
    check(len(lines) == 5 and "id" not in lines[0], "without a name where there is one", lines[:1])
    out = subprocess.run(["vmtally", "cat", "--format", "prometheus", path("whole")], stdout=subprocess.PIPE, text=True).stdout
    check('kvmtop_vcpu_exits_total{vm="one",provider="vmm",vcpu="0"} 4\n' in out and
          'kvmtop_vcpu_exits_total{vm="two",provider="vmm",vcpu="0"} 4\n' in out and out.count("kvmtop_vcpu_exits_total{") == 2,
          "metrics are of the last snapshots", out[:300])


def test_damage():
    with vm("one", *VCPU) as one:
        first, second = record(4, one), record(3, one)
    parts = frames(first)
    everything = exits(cat(write("all", first + second))[1])
    check(everything == [0, 1, 2, 3, 4, 5, 6], "two recordings", everything)
    done = cat(write("late", b"".join(parts[1:]) + second))
    check(done[0] == 1 and exits(done[1]) == [4, 5, 6] and "frames passed over: what has to stand before them" in done[2],
          "what comes before the first header is passed over, and said", done[2])
    sample = [i for i, part in enumerate(parts) if kind(part) == SAMPLE][1]
    done = cat(write("hole", b"".join(parts[:sample] + parts[sample + 1:])))
    check(done[0] == 0 and exits(done[1]) == [0, 2, 3], "a sample that was cut out is missing, no more", done[2])
    done = cat(write("noise", b"".join(parts[:sample]) + b"\xc1" * 1000 + b"".join(parts[sample:]) + second))
    check(done[0] == 1 and exits(done[1])[-3:] == [4, 5, 6] and exits(done[1])[0] == 0 and ": damaged: " in done[2],
          "damage is passed over, and said", (done[2], exits(done[1])))
    for cut in (1, len(parts[-1]) // 2, len(parts[-1]) - 1):
        done = cat(write("short", first[:-cut]))
        good = done[0] == 1 and exits(done[1]) == [0, 1, 2] and f"{len(parts[-1]) - cut} bytes of it are there" in done[2]
        check(good, f"{cut} bytes are missing at the end", (done[2], exits(done[1])))
        done = cat(path("short"), write("next", second))
        check(done[0] == 1 and exits(done[1]) == [0, 1, 2, 4, 5, 6] and "short: ends within a frame" in done[2],
              "what follows in another file is whole", (done[2], exits(done[1])))
    third = parts[[i for i, part in enumerate(parts) if kind(part) == SAMPLE][2]]
    before, rest = first[: first.index(third)], first[first.index(third) + len(third):]
    for cut in (len(third) // 2, len(third) - 1):
        done = cat(write("swallowed", before + third[:cut] + rest))
        check(done[0] == 1 and exits(done[1]) == [0, 1, 3] and "swallowed: damaged: " in done[2],
              f"behind a frame that was cut off after {cut} bytes the last one is found", (done[2], exits(done[1])))
        done = cat(path("swallowed"), write("next", second))
        check(done[0] == 1 and exits(done[1]) == [0, 1, 3, 4, 5, 6] and "damaged: " in done[2],
              "also where another file follows", (done[2], exits(done[1])))
    done = cat(write("a", first), path("nothing there"), write("b", second))
    check(done[0] == 1 and exits(done[1]) == everything and "nothing there: no such file" in done[2],
          "a file that is not there hinders no other", done[2])


def test_begins_anew():
    with vm("one", *VCPU, "add vm/vcpu-0 exit_io_in 1"):
        with stream("--format", "msgpack", "--interval", "0.01", "-n", "150", "one") as s:
            data = s.process.stdout.read()
            s.wait()
        headers = [i for i, frame in enumerate(frames(data)) if kind(frame) == HEADER]
        status, lines, said = cat("--format", "firecracker", write("long", data))
        check(status == 0 and len(headers) == 3 and len(lines) == 150 and
              [line["vcpu"]["exit_io_in"] for line in lines] == [1] + [0] * 149,
              "a header that is sent again tells nothing twice", (said, len(headers), len(lines)))


class Following:
    """vmtally cat --follow."""

    def __init__(self, name, *more):
        self.out = path(f"{name}.out")
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(["vmtally", "cat", "--follow", *more, path(name)], stdout=out,
                                            stderr=subprocess.PIPE)

    def documents(self):
        return whole_lines(self.out)

    def end(self):
        self.process.terminate()
        return self.process.communicate()[1].decode()


def test_follow():
    with vm("one", *VCPU) as one, stream("--format", "msgpack", "--interval", "0.02", "-o", path("log"), "one") as s:
        until(lambda: read("log"))
        follower = Following("log")
        check(until(follower.documents), "what is there already comes at once")
        for i in range(3):
            one.tell("add vm/vcpu-0 exits 1")
            check(until(lambda: exits(follower.documents())[-1] == i + 1), "what is new comes as it is written")
            os.rename(path("log"), path(f"log.{i}"))
            time.sleep(0.1)
            s.send(signal.SIGHUP)
        one.tell("add vm/vcpu-0 exits 1")
        check(until(lambda: exits(follower.documents())[-1] == 4), "also from the new file after each rotation")
        s.end()
        logs = [path(f"log.{i}") for i in range(3)] + [path("log")]
        status, want, said = cat(*logs)
        until(lambda: len(follower.documents()) >= len(want))
        said += follower.end()
        got = follower.documents()
    check(status == 0 and got == want and not said, "nothing is missing, and nothing comes twice",
          (status, len(got), len(want), said))
    data = read("log")
    write("cut", data)
    count = len(cat(path("cut"))[1])
    follower = Following("cut")
    until(lambda: len(follower.documents()) == count)

    def begun_anew():
        write("cut", b"")
        time.sleep(0.5)  # for the follower to see that it is shorter
        write("cut", data)
        time.sleep(0.5)
        return len(follower.documents()) >= 2 * count

    check(until(begun_anew), "a file that is cut off begins anew", (count, len(follower.documents())))
    follower.end()
    process = subprocess.Popen(["vmtally", "cat", "--follow", path("cut")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(100)
    process.stdout.close()
    check(until(lambda: process.poll() is not None) and process.stderr.read() == b"",
          "it ends when nobody reads standard output any more", process.poll())
    process.stderr.close()


def test_many():
    with vm("one", *VCPU) as one:
        data = record(3, one)
    more = data * 200
    status, got, said = cat(write("many", more))
    check(status == 0 and len(got) == 600 and not said, "a long stream", (status, len(got), said))
    done = subprocess.run(["vmtally", "cat"], input=more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(done.returncode == 0 and len(done.stdout.splitlines()) == 600, "from standard input", done.stderr)


def memory_mib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("MemAvailable"))


def test_memory():
    name = "last snapshots that take more memory than is allowed are left out, which is said"
    if memory_mib() < 4096:
        print(f"ok - {name} # SKIP takes 2 GiB of memory")
        return
    wide = subprocess.Popen([sys.executable, os.path.join(steered.HERE, "wide_vm.py"), steered.LIBRARY, "wide", "10000"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wide.stdout.readline()
    data = subprocess.run(["vmtally", "export", "--format", "msgpack", "wide"], stdout=subprocess.PIPE, check=True).stdout
    wide.communicate()
    identity = msgpack.unpackb(frames(data)[HEADER], raw=False, timestamp=0)[4]
    with open(path("wide"), "wb") as file:
        for i in range(80):  # about 20 MiB each
            file.write(data.replace(identity, i.to_bytes(16, "big")))
    done = subprocess.run(["vmtally", "cat", "--format", "prometheus", "--source", "vcpu-1", path("wide")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.unlink(path("wide"))
    said = done.stderr.decode()
    found = re.fullmatch(r"vmtally: (\d+) of 80 VMs left out: [^\n]* more than 1024 MiB of memory; choose one with --vm\n", said)
    written = len(set(re.findall(rb'vm="(wide[^"]*)"', done.stdout)))
    check(done.returncode == 1 and found and written > 20 and written + int(found[1]) == 80, name,
          (done.returncode, said, written))


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    sys.exit(steered.bad)


main()
