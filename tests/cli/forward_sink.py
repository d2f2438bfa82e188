#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A collector of Fluent Forward: forward_sink.py [--unix PATH] [--no-ack] [--discard] OUT [ENTRIES]

Prints "port N" when it listens (on loopback, or at PATH: "port 0"), then takes what comes until it is ended. Each record
becomes a line of OUT, flushed: {"tag", "time": [s, ns], "record", "options"}. Its bytes go to ENTRIES. --no-ack: acknowledge nothing. --discard:
acknowledge, and write nothing down but how much it was, when it ends: what a collector takes itself is not measured.
"""
import gzip
import json
import os
import selectors
import signal
import socket
import sys

import msgpack


OWN_TAG = "vmtally.forward"  # what a forwarder says of itself is no record of a VM


class Peer:
    def __init__(self, connection, sink):
        self.connection = connection
        self.sink = sink
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, max_buffer_size=1 << 28)

    def take(self):
        """False: it has gone."""
        try:
            data = self.connection.recv(1 << 20)
        except ConnectionError:
            return False
        if not data:
            return False
        self.sink.bytes += len(data)
        self.unpacker.feed(data)
        for message in self.unpacker:
            self.sink.message(message)
            chunk = message[-1].get("chunk") if isinstance(message[-1], dict) else None
            if chunk and not self.sink.no_ack:
                try:
                    self.connection.sendall(msgpack.packb({"ack": chunk}))
                except ConnectionError:
                    return False
        return True


class Sink:
    def __init__(self, path, entries, no_ack, discard):
        self.no_ack, self.discard = no_ack, discard
        self.bytes = self.messages = self.records = 0
        self.out = open(path, "a", encoding="utf-8")
        self.entries = open(entries, "ab") if entries else None

    def message(self, message):
        tag, body, options = message
        self.messages += 1
        self.records += options["size"]
        if self.discard:
            return
        if options.get("compressed") == "gzip":
            body = gzip.decompress(body)
        if self.entries and tag != OWN_TAG:
            self.entries.write(body)
            self.entries.flush()
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, max_buffer_size=1 << 28)
        unpacker.feed(body)
        for time, record in unpacker:
            at = [int.from_bytes(time.data[:4], "big"), int.from_bytes(time.data[4:], "big")] if time.code == 0 else None
            self.out.write(json.dumps({"tag": tag, "time": at, "record": record, "options": options}) + "\n")
        self.out.flush()

    def close(self):
        if self.discard:
            self.out.write(json.dumps({"bytes": self.bytes, "messages": self.messages, "records": self.records}) + "\n")
        self.out.close()


def listen(path):
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    return server


def main():
    arguments = sys.argv[1:]
    path = None
    if "--unix" in arguments:
        at = arguments.index("--unix")
        path = arguments[at + 1]
        del arguments[at : at + 2]
    paths = [a for a in arguments if not a.startswith("--")] + [None]
    sink = Sink(paths[0], paths[1], "--no-ack" in arguments, "--discard" in arguments)
    server = listen(path)
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("port", 0 if path else server.getsockname()[1], flush=True)
    try:
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    connection, _ = server.accept()
                    selector.register(connection, selectors.EVENT_READ, Peer(connection, sink))
                elif not key.data.take():
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    finally:
        sink.close()
        if path:
            os.unlink(path)


main()
