#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A collector of Fluent Forward that is out to harm: hostile_collector.py MODE TIMES OUT

Its first TIMES connections are of that MODE (a function below), those after are well. Prints "port N" when it listens
on loopback. Each PackedForward message that arrives whole, hostile or not, becomes a line of OUT, flushed:
{"connection", "tag", "chunk", "digest" of its bytes, "entries": [[seq, vm, number], ...], "own": [what the forwarder has
counted of itself]}; and so does each ack that is a right one: {"acked": chunk}. The shared key is "key".
hostile_collector.py MODE TIMES OUT [secure] [tls=CERTIFICATE:KEY]: who is well asks for the key; all speak TLS."""
import hashlib
import io
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time

import msgpack

HOST = "hostile"
lock = threading.Lock()
out = open(sys.argv[3], "a", encoding="utf-8")


def sha(*parts):
    return hashlib.sha512(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)).hexdigest()


def note(line):
    with lock:
        out.write(json.dumps(line) + "\n")
        out.flush()


class Peer:
    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 28)
        self.host = None

    def send(self, data):
        self.connection.sendall(data)

    def message(self):
        """The next one, or the connection's end."""
        while True:
            try:
                return self.unpacker.unpack()
            except msgpack.OutOfData:
                data = self.connection.recv(1 << 16)
                if not data:
                    raise EOFError from None
                self.unpacker.feed(data)

    def chunk(self):
        """The next one's id, noted."""
        tag, body, options = self.message()
        entries = [[r.get(k) for k in ("seq", "vm", "number")]
                   for _, r in msgpack.Unpacker(io.BytesIO(body), raw=False)]
        own = [r["c"] for _, r in msgpack.Unpacker(io.BytesIO(body), raw=False)] if tag == "vmtally.forward" else []
        note({"connection": self.number, "tag": tag, "chunk": options.get("chunk"),
              "digest": hashlib.sha256(body).hexdigest(), "entries": entries, "own": own})
        return options.get("chunk")

    def ack(self, chunk):
        note({"acked": chunk})
        self.send(msgpack.packb({"ack": chunk}))

    def helo(self, keepalive=True):
        self.nonce = os.urandom(16)
        self.send(msgpack.packb(["HELO", {"nonce": self.nonce, "auth": "", "keepalive": keepalive}]))
        _, self.host, self.salt, self.digest, _, _ = self.message()

    def pong(self, host=HOST, digest=None):
        self.send(msgpack.packb(["PONG", True, "", host, digest or sha(self.salt, host, self.nonce, "key")]))


def well(peer):
    if "secure" in sys.argv[4:]:
        peer.helo()
        peer.pong()
    while True:
        peer.ack(peer.chunk())


# ---- without a shared key ----

def never_reads(peer):
    time.sleep(3600)


def drip_reads(peer):
    while peer.connection.recv(16):
        time.sleep(0.2)


def no_acks(peer):
    while True:
        peer.chunk()


def wrong_ack(peer):
    peer.chunk()
    peer.send(msgpack.packb({"ack": "AAAAAAAAAAAAAAAAAAAAAA=="}))
    time.sleep(3600)


def acks_twice(peer):
    chunk = peer.chunk()
    peer.ack(chunk)
    peer.send(msgpack.packb({"ack": chunk}))
    time.sleep(3600)


def flood_of_acks(peer):
    peer.chunk()
    while True:
        peer.send(msgpack.packb({"ack": "AAAAAAAAAAAAAAAAAAAAAA=="}) * 1000)


def garbage(peer):
    peer.chunk()
    peer.send(b"\xc1" + os.urandom(4096))
    time.sleep(3600)


def http(peer):
    peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    time.sleep(3600)


def huge_ack(peer):
    peer.chunk()
    peer.send(b"\x81\xa3ack\xdb\x00\x10\x00\x00")
    while True:
        peer.send(b"x" * 65536)


def large_map(peer):
    peer.chunk()
    peer.send(b"\xde\xff\xff" + b"\xa1x\xc0" * 65000)
    while True:
        peer.send(b"\xa1x\xc0" * 1000)


def deep(peer):
    peer.chunk()
    peer.send(b"\x91" * 60000)
    time.sleep(3600)


def drip_ack(peer):
    ack = msgpack.packb({"ack": peer.chunk()})
    for byte in b"\xdf\x00\x00\xff\xff" + b"\x01" * 100000 + ack:
        peer.send(bytes([byte]))
        time.sleep(0.05)


def reset(peer):
    peer.chunk()
    peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(peer):
    pass


def closes_unacked(peer):
    peer.chunk()


def half_closes(peer):
    peer.chunk()
    peer.connection.shutdown(socket.SHUT_WR)
    time.sleep(3600)


def half_an_ack(peer):
    peer.send(msgpack.packb({"ack": peer.chunk()})[:-3])


# ---- odd, but well ----

def one_each(peer):
    peer.ack(peer.chunk())


def one_each_reset(peer):
    peer.ack(peer.chunk())
    peer.chunk()
    peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def acks_in_pieces(peer):
    while True:
        chunk = peer.chunk()
        note({"acked": chunk})
        for byte in msgpack.packb({"x": [1, {"y": None}], "ack": chunk, 5: 2.5}):
            peer.send(bytes([byte]))
            time.sleep(0.002)


def acks_backwards(peer):
    while True:
        for chunk in reversed([peer.chunk() for _ in range(4)]):
            peer.ack(chunk)


# ---- with a shared key ----

def no_keepalive(peer):
    peer.helo(keepalive=False)
    peer.pong()
    peer.ack(peer.chunk())
    try:
        peer.chunk()
    except EOFError:
        return
    note({"second": "chunk came"})


def drip_helo(peer):
    for byte in b"\x92\xa4HELO\xdf\x00\x00\xff\xff" + b"\x01" * 100000:
        peer.send(bytes([byte]))
        time.sleep(0.05)


def no_pong(peer):
    peer.helo()
    time.sleep(3600)


def wrong_digest(peer):
    peer.helo()
    peer.pong(digest=sha("something else"))
    peer.chunk()


def no_digest(peer):
    peer.helo()
    peer.send(msgpack.packb(["PONG", True, "", HOST, ""]))
    peer.chunk()


def reflected(peer):
    peer.helo()
    peer.pong(peer.host, peer.digest)
    peer.chunk()


def refuses(peer):
    peer.helo()
    peer.send(msgpack.packb(["PONG", False, "no\x1b[31m\nthanks " + "x" * 60000, "", ""]))
    time.sleep(3600)


def pong_alone(peer):
    peer.send(msgpack.packb(["PONG", True, "", HOST, "0" * 128]))
    time.sleep(3600)


def tls():
    """What to wrap connections in, or None."""
    for argument in sys.argv[4:]:
        if argument.startswith("tls="):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*argument[len("tls="):].split(":"))
            return context
    return None


def serve(mode, connection, number):
    try:
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        mode(Peer(connection, number))
    except (OSError, EOFError):
        pass
    finally:
        connection.close()


def main():
    global context
    context = tls()
    mode, times = globals()[sys.argv[1]], int(sys.argv[2])
    server = socket.socket()
    if mode in (never_reads, drip_reads):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.bind(("127.0.0.1", 0))
    server.listen()
    print("port", server.getsockname()[1], flush=True)
    number = 0
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(mode if number < times else well, connection, number), daemon=True).start()
        number += 1


main()
