#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# steady.py: clients of vmtally serve for test_serve_steady.sh: steady.py CHECK PID STDERR URL.
import base64, collections, os, select, signal, socket, ssl, sys, time, urllib.parse

check, pid, err, url = sys.argv[1], int(sys.argv[2]), sys.argv[3], urllib.parse.urlsplit(sys.argv[4])
WAIT_S = 60


def connect(source="127.0.0.1"):
    return socket.create_connection((url.hostname, url.port), timeout=WAIT_S, source_address=(source, 0))


def request(password=None):
    text = f"GET /metrics HTTP/1.1\r\nHost: {url.netloc}\r\n"
    if password:
        text += "Authorization: Basic " + base64.b64encode(f"rita:{password}".encode()).decode() + "\r\n"
    return (text + "\r\n").encode()


def head(s):
    """The answer's first line and headers; nothing where there is none."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = s.recv(4096)
            if not piece:
                break
            data += piece
    except OSError:
        pass
    return data.decode(errors="replace").split("\r\n\r\n")[0]


def status(answer):
    return answer.split(" ")[1] if answer else ""


def said(what):
    with open(err) as f:
        return f.read().count(what)


def wait_for(what):
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def reload():
    before = said(": reloaded\n")
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: said(": reloaded\n") > before)


def sockets():
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def come():
    """A connection that the server has accepted."""
    before = sockets()
    s = connect()
    wait_for(lambda: sockets() > before)
    return s


def untouched(s):
    """The server does not end it while we look."""
    return not select.select([s], [], [], 1.5)[0]


def new_after(end):
    s = come()
    end()
    assert untouched(s), "the connection was ended"
    if url.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        s = context.wrap_socket(s)
    s.sendall(request())
    answer = head(s)
    assert status(answer) == "200", answer


def try_wrong(count, sources=("127.0.0.1",)):
    """So many wrong passwords from each host, all at the same time; some of them have been turned away by the end."""
    clients = [connect(source) for source in sources for _ in range(count)]
    for s in clients:
        s.sendall(request("wrong"))
    wait_for(lambda: len(select.select(clients, [], [], 1)[0]) >= count / 2)
    return clients


def right():
    s = connect("127.0.0.9")
    s.sendall(request("secret"))
    answer = head(s)
    assert status(answer) == "200", answer


if check.startswith("SIGHUP leaves"):
    new_after(reload)
elif check.startswith("SIGTERM lets"):
    new_after(lambda: os.kill(pid, signal.SIGTERM))
elif check.startswith("many wrong"):
    clients = try_wrong(16)
    answers = [head(s) for s in clients]
    counts = collections.Counter(map(status, answers))
    assert set(counts) == {"401", "503"} and counts["503"] >= 8, counts
    for s, answer in zip(clients, answers):
        assert "connection: close" in answer.lower(), answer
        assert status(answer) == "401" or "retry-after: " in answer.lower(), answer
        while s.recv(4096):  # until it is closed
            pass
elif check.startswith("who was let in"):
    clients = try_wrong(16)
    right()
    for s in clients:
        head(s)
elif check.startswith("also after SIGHUP"):
    reload()
    clients = try_wrong(16, ("127.0.0.1", "127.0.0.2"))
    right()
    for s in clients:
        head(s)
elif check.startswith("SIGTERM does not wait"):
    clients = try_wrong(16, ("127.0.0.1", "127.0.0.2"))
    os.kill(pid, signal.SIGTERM)
    counts = collections.Counter(status(head(s)) for s in clients)
    assert counts["401"] < 4, counts  # as many could have been looked at
else:
    sys.exit("no such check")
