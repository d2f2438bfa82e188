#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmtally stream and who reads it: streamed.py LIBRARY DIRECTORY. Prints TAP."""
import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import stat
import struct
import subprocess
import sys
import termios
import time

import steered
from steered import check, lines, missed, path, read, shown, stream, total, until, values, vm, whole_lines

VCPU = ("source - vm vm", "source vm vcpu vcpu-0")
READS = "add vm/vcpu-0 exit_io_in "


def reads(documents):
    return total(documents, "vcpu", "exit_io_in")


# ---- Firecracker's lines ----


def test_nothing_is_lost():
    with vm("one", *VCPU, READS + "5") as one, stream("--format", "firecracker", "--interval", "0.02", "-o",
                                                      path("one.json")) as s:
        for i in range(300):
            one.tell(READS + str(i))
        until(lambda: len(whole_lines("one.json")) > 5)
        one.tell(READS + "1000000007")
        status = s.end()
        got = lines(read("one.json"))
        want = shown("one")["vm/vcpu-0"]["exit_io_in"]
    check(status == 0 and not s.said, "SIGTERM is the end, not a failure", (status, s.said))
    check(want == 5 + 299 * 150 + 1000000007 and reads(got) == want,
          "all lines together tell all that was counted, up to the end", (want, reads(got), len(got)))
    check(missed(got) == 0 and all(list(line)[:2] == ["utc_timestamp_ms", "id"] and line["id"] == "one" for line in got),
          "a line has its time and its VM", got[0])
    check(stat.S_IMODE(os.stat(path("one.json")).st_mode) == 0o640, "a new file is for its group, not for all",
          oct(os.stat(path("one.json")).st_mode))


def test_two_readers():
    with vm("two", *VCPU) as two, stream("--format", "firecracker", "--interval", "0.02", "-o", path("a.json"), "two") as a, \
         stream("--format", "firecracker", "--interval", "0.05", "-o", path("b.json"), "two") as b:
        for i in range(100):
            two.tell(READS + "3")
        until(lambda: len(whole_lines("a.json")) > 3 and len(whole_lines("b.json")) > 3)
        a.end()
        b.end()
        got = lines(read("a.json")), lines(read("b.json"))
    check(reads(got[0]) == 300 and reads(got[1]) == 300, "two readers do not steal from one another",
          (reads(got[0]), reads(got[1])))
    check(all("id" not in line for line in got[0]), "the line of the one VM that was named is exactly Firecracker's", got[0][0])


def test_flush_now():
    with vm("now", *VCPU) as now, stream("--format", "firecracker", "-o", path("now.json")) as s:
        until(lambda: whole_lines("now.json"))
        now.tell(READS + "11")
        s.send(signal.SIGUSR1)
        got = until(lambda: len(whole_lines("now.json")) == 2 and whole_lines("now.json"))
        check(got and reads(got) == 11, "SIGUSR1 flushes now", read("now.json")[-300:])
        status = s.end(signal.SIGINT)
        check(status == 0 and len(lines(read("now.json"))) == 3, "SIGINT takes one more sample, then ends", (status, s.said))


def test_rotation():
    with vm("rotate", *VCPU) as rotate, stream("--format", "firecracker", "--interval", "0.02", "-o", path("log")) as s:
        for i in range(3):
            rotate.tell(READS + "7")
            until(lambda: reads(whole_lines("log")) == 7)
            os.rename(path("log"), path(f"log.{i}"))
            rotate.tell(READS + "100")
            until(lambda: reads(whole_lines(f"log.{i}")) == 107)
            s.send(signal.SIGHUP)
            until(lambda: read("log"))
        status = s.end()
        files = [lines(read(f"log.{i}")) for i in range(3)] + [lines(read("log"))]
    check(status == 0 and [reads(file) for file in files] == [107, 107, 107, 0],
          "SIGHUP begins a new file where the old one was moved away, and nothing is lost between them",
          (status, [reads(file) for file in files], s.said))
    with stream("--format", "json", "--interval", "0.02", "-o", path("gone/log")) as s:
        check(s.wait() == 1, "a directory that is not there is said at the start", s.says())
    os.mkdir(path("there"))
    with vm("rotate", *VCPU), stream("--format", "json", "--interval", "0.02", "-o", path("there/log")) as s:
        until(lambda: read("there/log"))
        os.rename(path("there"), path("moved"))
        s.send(signal.SIGHUP)
        said = until(lambda: "there/log: not written: no such file or directory" in s.says())
        size = len(read("moved/log"))
        check(said and until(lambda: len(read("moved/log")) > size), "where no new file can be made it goes on in the old one",
              s.said)


def fifo(name):
    os.mkfifo(path(name))
    return path(name)


class Reader:
    """Reads a FIFO as it is told."""

    def __init__(self, name):
        self.fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        self.data = b""

    def take(self):
        try:
            while chunk := os.read(self.fd, 65536):
                self.data += chunk
        except BlockingIOError:
            pass
        return self.data

    def lines(self):
        self.take()
        return [json.loads(line) for line in self.data[: self.data.rfind(b"\n") + 1].splitlines()]

    def close(self):
        os.close(self.fd)


def fills(name):
    """Whether nothing more can be written into it, at last."""
    fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
    try:
        return until(lambda: not select.select([], [fd], [], 0)[1])
    finally:
        os.close(fd)


def test_fifo():
    name = fifo("fifo")
    with vm("pipe", *VCPU, READS + "1") as pipe, stream("--format", "firecracker", "--interval", "0.02", "-o", name) as s:
        time.sleep(0.2)  # for some beats without a reader; what follows holds without them, too
        reader = Reader(name)
        fcntl.fcntl(reader.fd, fcntl.F_SETPIPE_SZ, 16384)
        first = until(reader.lines)
        check(reads(first) == 1, "who comes late is told of what was counted before", first)
        for i in range(50):
            pipe.tell(READS + "2")
        check(until(lambda: fills(name) and (time.sleep(0.2), missed(reader.lines()))[1] > 0),
              "a FIFO that is full is not waited for: lines are missed, and that is told")
        pipe.tell(READS + "1000")
        until(lambda: reads(reader.lines()) == 1101)
        got = reader.lines()
        check(reads(got) == 1101, "but no count is lost", (reads(got), missed(got), len(got)))
        beats = [line["utc_timestamp_ms"] for line in got]
        check(sorted(beats) == beats, "lines are in the order of time", beats)
        reader.close()
        pipe.tell(READS + "5")
        until(lambda: not os.listdir(f"/proc/{s.process.pid}/fd") or not any(
            os.path.realpath(f"/proc/{s.process.pid}/fd/{fd}") == os.path.realpath(name)
            for fd in os.listdir(f"/proc/{s.process.pid}/fd")))
        reader = Reader(name)
        again = until(reader.lines)
        check(again and reader.data.startswith(b'{"utc_timestamp_ms"'), "who comes after another begins with a whole line",
              reader.data[:100])
        status = s.end()
        reader.close()
    check(status == 0, "a FIFO that nobody read at times is no failure", (status, s.said))

def test_hangup_with_rest():
    """A FIFO is full, a line waits for room with the rest of it, and SIGHUP comes."""
    name = fifo("hangup")
    reader = Reader(name)
    fcntl.fcntl(reader.fd, fcntl.F_SETPIPE_SZ, 4096)
    with vm("hang", *VCPU) as hang, stream("--format", "firecracker", "--interval", "0.02", "-o", name) as s:
        def fill(count):
            hang.tell(READS + str(count))
            return until(lambda: fills(name) and (time.sleep(0.3), fills(name))[1])

        full = fill(1000)
        s.send(signal.SIGHUP)
        time.sleep(0.3)
        hang.tell(READS + "5")
        got = until(lambda: reads(reader.lines()) == 1005 and reader.lines()) or reader.lines()
        check(full and reads(got) == 1005 and missed(got) > 0,
              "SIGHUP cuts no line for who reads a FIFO slowly, and nothing of it is lost", (reads(got), missed(got)))
        fill(1000)
        os.rename(name, path("hangup.old"))
        later = Reader(fifo("hangup"))
        s.send(signal.SIGHUP)
        until(later.lines)
        hang.tell(READS + "7")
        old = reader.lines()
        until(lambda: reads(old) + reads(later.lines()) == 2012)
        new = later.lines()
        check(reads(old) + reads(new) == 2012, "a line that is cut off in a FIFO that was moved away is whole in the new one",
              (reads(old), reads(new), missed(old), missed(new)))
        status = s.end()
        reader.close()
        later.close()
    check(status == 0, "and that is no failure", (status, s.said))


def test_full():
    with vm("full", *VCPU, READS + "1") as full, \
         stream("--format", "firecracker", "--interval", "0.02", "-o", path("full.json")) as s:
        until(lambda: read("full.json"))
        limit = len(read("full.json")) + 20000
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        said = until(lambda: "full.json: not written: too large" in s.says())
        size = len(read("full.json"))
        whole = read("full.json").endswith(b"\n")
        full.tell(READS + "50")
        time.sleep(0.2)
        check(said and s.says().count("not written") == 1, "no space is said once", s.said)
        check(whole and size <= limit, "and no part of a line is left behind", (size, read("full.json")[-100:]))
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: reads(whole_lines("full.json")) == 51)
        status = s.end()
        got = lines(read("full.json"))
    check(reads(got) == 51 and missed(got) > 0 and "full.json: written again; " in s.said,
          "once there is space, all that was counted is told, and how many lines were missed",
          (reads(got), missed(got), s.said))
    check(status == 1, "but it was a failure", status)


def test_vms_come_and_go():
    with stream("--format", "firecracker", "--interval", "0.02", "-o", path("come.json")) as s:
        def of(name):
            return [line for line in whole_lines("come.json") if line["id"] == name]

        with vm("left", *VCPU, READS + "3") as left:
            until(lambda: reads(of("left")) == 3)
            left.tell(READS + "4")
        with vm("kept", *VCPU, READS + "3", options=["keep"]) as kept:
            until(lambda: reads(of("kept")) == 3)
            kept.tell(READS + "4")
        check(until(lambda: reads(of("kept")) == 7), "what a VM counted last is told when it has gone", of("kept")[-1:])
        with vm("killed", *VCPU, READS + "3") as killed:
            until(lambda: reads(of("killed")) == 3)
            killed.tell(READS + "4")
            killed.end(signal.SIGKILL)
        check(until(lambda: reads(of("killed")) == 7), "also of one that was killed", of("killed")[-1:])
        count = len(of("killed")), len(of("kept"))
        time.sleep(0.3)
        check(count == (len(of("killed")), len(of("kept"))), "and nothing after that", (count, len(of("killed"))))
        with vm("killed", *VCPU, READS + "20") as killed:
            good = until(lambda: reads(of("killed")) in (20 + 7, 20))
            check(good, "a VM of the same name that comes after it is told from its beginning", reads(of("killed")))
        status = s.end()
    check(status == 0 and s.said in ("", "vmtally: no VMs yet; waiting for them\n"), "none of that is a failure",
          (status, s.said))
    os.remove(os.path.join(os.environ["VMTALLY_DIR"], "kept.vmt"))


def test_gone_before():
    vm_gone = steered.VM("before", "keep")
    vm_gone.tell(*VCPU, READS + "9")
    vm_gone.end()
    with stream("--format", "firecracker", "--interval", "0.02", "-n", "3") as s:
        out = s.process.stdout.read()
        check(s.wait() == 0 and out == b"", "who had gone before is not told again", out[:300])
    with stream("--format", "firecracker", "--interval", "0.02", "-n", "3", "before") as s:
        out = lines(s.process.stdout.read())
        check(s.wait() == 0 and len(out) == 1 and reads(out) == 9, "but to who asks for it", out)
    os.remove(os.path.join(os.environ["VMTALLY_DIR"], "before.vmt"))


# ---- JSON ----


def test_json():
    with vm("big", *VCPU, f"add vm/vcpu-0 exits {2**53 + 1}", f"add vm/vcpu-0 exit_other {2**64 - 1}") as big, \
         vm("small", *VCPU):
        with stream("--format", "json", "--interval", "0.02", "-n", "3") as s:
            got = lines(s.process.stdout.read())
            status = s.wait()
        want = shown("big")
        check(status == 0 and [line["name"] for line in got] == ["big", "small"] * 3, "COUNT samples, a line a VM",
              [line["name"] for line in got])
        check(values(got[0]) == want and want["vm/vcpu-0"]["exits"] == 2**53 + 1 and want["vm/vcpu-0"]["exit_other"] == 2**64 - 1,
              "JSON has what show has, each number exact", got[0])
        with stream("--format", "json", "--interval", "0.02", "-n", "2", "small") as s:
            got = lines(s.process.stdout.read())
        check([line["name"] for line in got] == ["small"] * 2, "only the VM that was named", got)
        del big


def test_slow_reader():
    with vm("slow", *VCPU), stream("--format", "json", "--interval", "1", "-n", "4") as s:
        fcntl.fcntl(s.process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        data = b""
        while chunk := os.read(s.process.stdout.fileno(), 3000):
            data += chunk
            time.sleep(0.001)
        status = s.wait()
        got = lines(data)
    check(status == 0 and len(got) == 4, "who reads a little slowly misses nothing", (status, len(got), s.says()))


def test_stuck_reader():
    with vm("stuck", *VCPU), stream("--format", "json", "--interval", "0.02", "-n", "40") as s:
        fcntl.fcntl(s.process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        fd = s.process.stdout.fileno()
        until(lambda: struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"1234"))[0] >= 4096)
        time.sleep(1)
        data = b""
        while chunk := os.read(s.process.stdout.fileno(), 65536):
            data += chunk
        status = s.wait()
        got = lines(data)
    check(status == 0 and len(got) < 40 and "samples were missed" in s.says(),
          "who does not read at all misses whole lines, and is told", (status, len(got), s.says()))


def test_closed_output():
    with vm("closed", *VCPU), stream("--format", "json", "--interval", "0.02") as s:
        os.read(s.process.stdout.fileno(), 100)
        s.process.stdout.close()
        s.process.stdout = None
        status = s.wait()
    check(status == 0 and s.says() == "", "standard output that nobody reads any more is the end", (status, s.said))


# ---- msgpack ----


def decoded(data, *options):
    """What each frame says, as lib/export/STREAM.md has it; the bytes must end with the last of them."""
    out = subprocess.run([sys.executable, os.path.join(steered.HERE, "..", "unit", "decode_stream.py"), *options, "-"],
                         input=data, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    if options:
        assert out.pop() == b"rest 0", out[-1]
        return [json.loads(line) for line in out]
    said = [json.loads(line) for line in out]
    end = said.pop()
    assert end == {"frame": "end", "rest": 0}, end
    return said


def of_kind(frames, kind):
    return [frame for frame in frames if frame["frame"] == kind]


def test_msgpack():
    with vm("big", *VCPU, f"add vm/vcpu-0 exits {2**53 + 1}", f"add vm/vcpu-0 exit_other {2**64 - 1}"), vm("small", *VCPU):
        with stream("--format", "msgpack", "--interval", "0.01", "-n", "130") as s:
            data = s.process.stdout.read()
            status = s.wait()
        frames = decoded(data)
        want = shown("big")
        headers, samples = of_kind(frames, "header"), of_kind(frames, "sample")
        check(status == 0 and len(samples) == 260 and not of_kind(frames, "skipped"), "each frame can be decoded",
              (status, len(samples), s.says()))
        check([header["name"] for header in headers] == ["big", "small"] * 3,
              "each VM's stream begins anew each 60 samples", [header["name"] for header in headers])
        first = decoded(data, "--documents")[0]
        check(first["name"] == "big" and values(first) == want and want["vm/vcpu-0"]["exits"] == 2**53 + 1 and
              want["vm/vcpu-0"]["exit_other"] == 2**64 - 1, "msgpack has what show has, each number exact", first)


def test_msgpack_fifo():
    name = fifo("fifo.msgpack")
    with vm("pipe", *VCPU) as pipe, stream("--format", "msgpack", "--interval", "0.02", "-o", name) as s:
        reader = Reader(name)
        fcntl.fcntl(reader.fd, fcntl.F_SETPIPE_SZ, 4096)
        until(lambda: len(reader.take()) > 20000)
        time.sleep(0.7)  # it misses some
        pipe.tell(READS + "77")
        size = len(reader.data)
        until(lambda: len(reader.take()) > size + 100000)
        s.send(signal.SIGTERM)
        until(lambda: reader.take() is None or s.process.poll() is not None)
        status = s.wait()
        frames = decoded(reader.take())
        samples = of_kind(frames, "sample")
        counted = [source["stats"]["exit_io_in"] for sample in samples for source in sample["sources"]
                   if source["id"] == "vm/vcpu-0"]
        check(status == 0 and not of_kind(frames, "skipped") and counted[-1] == 77 and len(of_kind(frames, "header")) > 1,
              "after what it missed a reader gets all that he needs to go on",
              (status, len(samples), counted[-3:], len(of_kind(frames, "header")), s.says()))
        reader.close()
    with vm("pipe", *VCPU) as pipe, stream("--format", "msgpack", "--interval", "0.02", "-o", name) as s:
        starts = []
        for _ in range(3):
            reader = Reader(name)
            until(lambda: len(reader.take()) > 1000)
            starts.append(reader.data[:11])
            reader.close()
            until(lambda: not any(os.path.realpath(f"/proc/{s.process.pid}/fd/{fd}") == os.path.realpath(name)
                                  for fd in os.listdir(f"/proc/{s.process.pid}/fd")))
        check(starts == [b"\x9e\x00\x01\xa7VMTALLY"] * 3 or all(start[1:] == b"\x00\x01\xa7VMTALLY" for start in starts),
              "whoever comes to a FIFO gets a stream from its beginning", starts)
        s.end()


# ---- what else can happen ----


def test_reader_killed():
    with vm("kill", *VCPU), stream("--format", "json", "--interval", "0.02", "-o", path("kill.json")) as s:
        until(lambda: read("kill.json"))
        with open(f"/proc/{s.process.pid}/task/{s.process.pid}/children") as file:
            child = int(file.read().split()[0])
        os.kill(child, signal.SIGKILL)
        status = s.wait()
    check(status == 1 and "ended by signal 9" in s.says(), "if the process that reads is killed, that is said", (status, s.said))
    check(lines(read("kill.json")), "and what is written is whole")


@contextlib.contextmanager
def meanwhile():
    """Beside all other tests: Firecracker's lines of a VM of its own, with no --interval."""
    shared = os.environ["VMTALLY_DIR"]
    os.environ["VMTALLY_DIR"] = os.path.join(shared, "apart")
    os.mkdir(os.environ["VMTALLY_DIR"])
    try:
        with vm("apart", *VCPU), stream("--format", "firecracker", "-o", path("apart.json")) as s:
            os.environ["VMTALLY_DIR"] = shared
            first = until(lambda: whole_lines("apart.json"))
            began = time.monotonic()
            yield
            took = time.monotonic() - began
            got = whole_lines("apart.json")
            beats = [line["utc_timestamp_ms"] / 1000 for line in got]
            check(first and took > 7 and len(got) == 1 + int(took / 60) and
                  all(50 < after - before < 70 for before, after in zip(beats, beats[1:])),
                  "Firecracker's line comes each minute", (took, beats, s.says()))
    finally:
        os.environ["VMTALLY_DIR"] = shared


def main():
    if subprocess.run(["vmtally", "--version"], stdout=subprocess.DEVNULL).returncode:
        sys.exit("Bail out! vmtally does not run")
    with meanwhile():
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test()
    sys.exit(steered.bad)


main()
