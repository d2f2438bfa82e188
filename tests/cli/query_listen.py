#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmtally query --listen and its clients: query_listen.py DIRECTORY, with a VM "fixed" in VMTALLY_DIR. Prints TAP."""
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import qmp

PATH = os.path.join(sys.argv[1], "query.sock")
MANY = 32  # clients at a time
bad = False


def check(good, name, text=""):
    global bad
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        bad = True
        print("# " + str(text)[:2000].replace("\n", "\n# "), flush=True)


def start(path=PATH, *more):
    return subprocess.Popen(["vmtally", "query", "--listen", "unix:" + path, *more], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def refused(path):
    """Its message, where it does not start."""
    process = start(path)
    try:
        _, said = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "it started"
    return said if process.returncode == 1 else f"exit status {process.returncode}: {said}"


@contextlib.contextmanager
def server(*more):
    process = start(PATH, *more)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PATH)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def gone(pid, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def raw():
    qmp.Client(PATH).close()  # it listens
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(PATH)
    return s


def lines(s, count):
    data = b""
    while data.count(b"\r\n") < count:
        more = s.recv(65536)
        if not more:
            break
        data += more
    return [json.loads(line) for line in data.splitlines()]


def test_client():
    with server():
        client = qmp.Client(PATH)
        check(client.greeting["version"]["package"].startswith("vmtally "), "the greeting", client.greeting)
        check(stat.S_IMODE(os.stat(PATH).st_mode) == 0o600, "the socket is its owner's alone", oct(os.stat(PATH).st_mode))
        exits = client.ask("query-stats", target="vcpu", vcpus=["vm/vcpu-1"],
                           providers=[{"provider": "vmm", "names": ["exits"]}])
        check(exits == [{"provider": "vmm", "qom-path": "vm/vcpu-1", "stats": [{"name": "exits", "value": 5}]}],
              "a client asks", exits)
        try:
            client.ask("query-stats", target="vpcu")
            check(False, "an error has QEMU's class")
        except qmp.Error as e:
            check(str(e) == "GenericError: Parameter 'target' does not accept value 'vpcu'; did you mean vcpu?",
                  "an error has QEMU's class", e)
        check(client.ask("query-name") == {"name": "fixed"}, "and the session goes on")
        check(client.ask("quit") == {} and client.socket.recv(1) == b"", "quit ends this session")
        check(qmp.Client(PATH).ask("query-name") == {"name": "fixed"}, "and no other")


def test_side_by_side():
    with server():
        slow = raw()  # asks and asks, and reads nothing
        slow.setblocking(False)
        request = json.dumps({"execute": "query-stats", "arguments": {"target": "vcpu"}}).encode()
        sent = slow.send(b'{"execute":"qmp_capabilities"}')
        with contextlib.suppress(BlockingIOError):
            for _ in range(100000):
                sent += slow.send(request)
        half = raw()
        half.sendall(b'{"execute":"qmp_capa')  # and no more
        clients = [qmp.Client(PATH) for _ in range(8)]
        worst = 0
        for _ in range(20):
            for client in clients:
                client.send("query-stats", {"target": "vcpu"})
            before = time.monotonic()
            answers = [client.receive() for client in clients]
            worst = max(worst, time.monotonic() - before)
        check(all(len(a) == 2 for a in answers), "clients are answered side by side", answers[0])
        check(worst < 2, "one that does not read, and one that does not finish, hold up nobody", worst)
        half.sendall(b'bilities"}{"execute":"query-name","id":3}')
        check(lines(half, 3)[1:] == [{"return": {}}, {"return": {"name": "fixed"}, "id": 3}], "a request in two pieces")
        slow.setblocking(True)
        count = (sent - 30) // len(request)
        answers = lines(slow, 50)
        check(count > 50 and len(answers) >= 50 and all("error" not in a for a in answers),
              "who reads late gets all his answers", (count, len(answers)))


def test_many():
    with server():
        clients = [qmp.Client(PATH) for _ in range(MANY)]
        waiting = socket.socket(socket.AF_UNIX)
        waiting.connect(PATH)
        waiting.settimeout(0.3)
        try:
            check(False, f"the number of clients is bounded: {MANY}", waiting.recv(1))
        except TimeoutError:
            check(True, f"the number of clients is bounded: {MANY}")
        check(clients[-1].ask("query-name") == {"name": "fixed"}, "all of them are answered")
        clients[3].close()
        waiting.settimeout(10)
        check("QMP" in lines(waiting, 1)[0], "the next one's turn comes when one goes")


def test_ways_to_go():
    with server() as process:
        for junk in (b"", b"\xff", b"}" * 5000, b"[" * 100000, b"\0" * 1000, b'{"execute":"\n' * 100):
            s = raw()
            with contextlib.suppress(OSError):
                s.sendall(junk)
            s.close()
        s = raw()
        s.sendall(b'{"execute":"qmp_capabilities"}{"execute":"query-name","id":9}')
        s.shutdown(socket.SHUT_WR)
        check(lines(s, 3)[1:] == [{"return": {}}, {"return": {"name": "fixed"}, "id": 9}] and s.recv(1) == b"",
              "who stops writing is answered before the end")
        check(process.poll() is None and qmp.Client(PATH).ask("query-name") == {"name": "fixed"},
              "whatever clients do, it goes on")


def test_signals():
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        with server() as process:
            client = qmp.Client(PATH)
            inner = children(process.pid)[0]
            process.send_signal(getattr(signal, name))
            _, said = process.communicate(timeout=10)
            check(process.returncode == 0 and not os.path.lexists(PATH) and said == "" and gone(inner),
                  f"{name} ends it, and takes the socket along", (process.returncode, said))
            check(client.socket.recv(1) == b"", f"{name} ends its sessions")
    with server() as process:
        qmp.Client(PATH)
        inner = children(process.pid)[0]
        os.kill(inner, signal.SIGKILL)
        _, said = process.communicate(timeout=10)
        check(process.returncode == 1 and not os.path.lexists(PATH) and "ended by signal 9" in said,
              "where the inner process is killed, the socket goes too", said)
    with server() as process:
        qmp.Client(PATH)
        inner = children(process.pid)[0]
        process.kill()
        process.wait()
        check(gone(inner), "where the outer one is killed, the inner one ends")
        check(os.path.lexists(PATH), "and leaves the socket")
        with server():
            check(qmp.Client(PATH).ask("query-name") == {"name": "fixed"}, "which the next one replaces")
    with server() as process:
        qmp.Client(PATH)
        os.unlink(PATH)
        with open(PATH, "w") as file:
            file.write("mine")
        process.terminate()
        process.communicate(timeout=10)
        check(os.path.exists(PATH), "what somebody else put in its place stays")


def test_names():
    with server():
        qmp.Client(PATH)
        said = refused(PATH)
        check("somebody listens on it already" in said and qmp.Client(PATH).ask("query-name"), "a socket in use is left alone", said)
    other = os.path.join(sys.argv[1], "other")
    with open(other, "w") as file:
        file.write("text")
    said = refused(other)
    check("is no socket" in said and open(other).read() == "text", "and a file that is none", said)
    os.symlink(other, other + "-link")
    said = refused(other + "-link")
    check("is no socket" in said and os.path.islink(other + "-link"), "and a symbolic link", said)
    said = refused(os.path.join(sys.argv[1], "none", "socket"))
    check("No such file or directory" in said, "a directory that is not there", said)
    said = refused("/" + "x" * 200)
    check("has at most 107 bytes" in said, "a name that is too long", said)
    check("no such VM: nobody" in start_without_vm() and not os.path.lexists(PATH), "without its VM it does not start")


def start_without_vm():
    process = start(PATH, "--vm", "nobody")
    return process.communicate(timeout=10)[1]


for test in (test_client, test_side_by_side, test_many, test_ways_to_go, test_signals, test_names):
    try:
        test()
    except Exception as e:
        check(False, test.__name__, repr(e))
sys.exit(bad)
