# SPDX-License-Identifier: MIT
"""For tests in Python: TAP, waiting, VMs that count what they are told (steered_vm.py), and vmtally stream at work.
Import it with VMTALLY_DIR set and vmtally in PATH; sys.argv[1] is the library, sys.argv[2] a directory for files."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY, DIRECTORY = sys.argv[1:3]
PATIENCE = 60  # seconds, of whatever must come in the end
bad = False


def check(good, name, text=""):
    global bad
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        bad = True
        print("# " + str(text)[:3000].replace("\n", "\n# "), flush=True)


def until(what):
    """What what() gives, as soon as that is true; or what it gave last."""
    end = time.monotonic() + PATIENCE
    while not (got := what()) and time.monotonic() < end:
        time.sleep(0.01)
    return got


def path(name):
    return os.path.join(DIRECTORY, name)


class VM:
    def __init__(self, name, *options):
        self.name = name
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "steered_vm.py"), LIBRARY, name, *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        if self.process.stdout.readline() != "done\n":
            sys.exit(f"Bail out! {self.name} did not do as it was told")

    def tell(self, *commands):
        for command in commands:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            self.answer()

    def end(self, with_signal=0):
        if self.process.poll() is None and with_signal:
            self.process.send_signal(with_signal)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def vm(name, *commands, options=()):
    machine = VM(name, *options)
    try:
        machine.tell(*commands)
        yield machine
    finally:
        machine.end()


class Stream:
    """vmtally stream, until end()."""

    def __init__(self, *arguments, **more):
        more.setdefault("stdout", subprocess.PIPE)
        self.process = subprocess.Popen(["vmtally", "stream", *arguments], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, **more)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.said = ""

    def says(self):
        """All that it has said so far."""
        with contextlib.suppress(BlockingIOError, ValueError):
            while chunk := os.read(self.process.stderr.fileno(), 65536):
                self.said += chunk.decode(errors="replace")
        return self.said

    def send(self, number):
        self.process.send_signal(number)

    def wait(self):
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.said += "(it did not end, and was killed)"
        return self.process.returncode

    def end(self, number=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.wait()
        self.says()
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.says()
        self.process.stderr.close()
        if self.process.stdout:
            self.process.stdout.close()


@contextlib.contextmanager
def stream(*arguments, **more):
    running = Stream(*arguments, **more)
    try:
        yield running
    finally:
        running.close()


def read(name):
    try:
        with open(path(name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def lines(data):
    """Each line as the object that it is; all of them must be whole."""
    assert not data or data.endswith(b"\n"), f"cut off: {data[-200:]}"
    return [json.loads(line) for line in data.splitlines()]


def whole_lines(name):
    """What is whole of a file that may be written to right now."""
    data = read(name)
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def total(documents, group, metric):
    return sum(document[group][metric] for document in documents)


def missed(documents):
    return total(documents, "logger", "missed_metrics_count")


def shown(name):
    """{source id: {statistic: value}} of vmtally show --json."""
    out = subprocess.run(["vmtally", "show", "--json", name], stdout=subprocess.PIPE, check=True).stdout
    return values(json.loads(out))


def values(document):
    return {source["id"]: {stat["name"]: stat["value"] for stat in source["stats"]} for source in document["sources"]}
