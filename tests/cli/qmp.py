# SPDX-License-Identifier: MIT
"""A QMP client as others write them: greeting, capabilities, an id with each command, events passed over."""
import json
import socket
import time


class Error(Exception):
    pass


class Client:
    def __init__(self, path, seconds=10):
        end = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.lines = self.socket.makefile("rb")
        self.count = 0
        self.greeting = self.read()["QMP"]
        self.ask("qmp_capabilities")

    def read(self):
        line = self.lines.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(f"no whole line: {line!r}")
        return json.loads(line)

    def send(self, command, arguments):
        self.count += 1
        request = {"execute": command, "id": self.count}
        if arguments:
            request["arguments"] = arguments
        self.socket.sendall(json.dumps(request).encode())

    def receive(self):
        while "event" in (answer := self.read()):
            pass
        if answer.get("id") != self.count:
            raise Error(f"id {self.count} expected: {answer}")
        if "error" in answer:
            raise Error(answer["error"]["class"] + ": " + answer["error"]["desc"])
        return answer["return"]

    def ask(self, command, **arguments):
        self.send(command, arguments)
        return self.receive()

    def close(self):
        self.lines.close()
        self.socket.close()
