#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Texts that would harm whoever prints them, and the eyes that find them in what was printed.

hostile.py write FILE          put them in place of all names, labels and help texts of the segment FILE
hostile.py name                print a file's name made of them, without its suffix
hostile.py text|json|csv FILE  fail unless what was printed is harmless
hostile.py msgpack FILE
hostile.py terminal COMMAND... run it in a terminal for a second, press keys; fail unless what it wrote there is harmless
"""
import csv
import json
import os
import pty
import re
import select
import sys
import time

# A control sequence, one of C1 as a byte and as UTF-8, the terminal's title, ends of lines, a turn of the direction of
# writing, bytes that are not UTF-8.
EVIL = b"\x1b[2J\x9b5n\xc2\x9b5n\x1b]0;OWNED\x07\r\nOWNED\xe2\x80\xaex\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f\x7f\x08\xff\xc3(\xed\xa0\x80\xf5\x80"
FORMULA = b"=cmd|'/C calc'!A0"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def fill(length, start=FORMULA):
    text = start + EVIL
    return (text * (length // len(text) + 1))[:length]


def write(path):
    with open(path, "rb") as f:
        data = f.read()
    patches = [(128, fill(64)),  # the name: no NUL in all its bytes
               (512, b"zone=" + EVIL + b"\0" + fill(200, b"+1+cmd") + b"\0" + fill(300, EVIL) + b"\0\0")]
    for at in (m.start() for m in re.finditer(rb"(?<![a-z_])exits\0|exit_hlt\0|exit_other\0", data)):
        patches.append((at, b"exit_" + fill(43, b"@SUM(1)") if data[at:at + 8] == b"exit_hlt" else fill(48)))
    for at in (m.start() for m in re.finditer(rb"vcpu-\d\0", data)):
        patches.append((at, fill(40, b"+1+cmd")))
    for at in (m.start() for m in re.finditer(rb"vcpu\0", data)):
        patches.append((at, fill(24, b"-2+3+cmd")))
    for at, length in ((m.start(), len(m.group())) for m in re.finditer(rb"Returns of KVM_RUN[ -~]*|Exits [ -~]{20,}", data)):
        patches.append((at, fill(length)))
    if len(patches) < 8:
        sys.exit(f"only {len(patches)} texts found in {path}")
    with open(path, "r+b") as f:
        for at, text in patches:
            f.seek(at)
            f.write(text)


def check_text(text, where):
    found = HARMFUL.search(text)
    if found:
        sys.exit(f"{where}: {found.group()!r} in {text[max(0, found.start() - 40):found.end() + 40]!r}")


def check_lines(data):
    text = data.decode()  # fails where it is not UTF-8
    check_text(text, "text")
    for line in text.split("\n"):
        if line.startswith("OWNED"):
            sys.exit(f"a line of its own: {line!r}")
    return text


def check_strings(value, where=""):
    if isinstance(value, str):
        check_text(value, where)
        if "\n" in value:
            sys.exit(f"{where}: a line's end in {value!r}")
    elif isinstance(value, dict):
        for k, v in value.items():
            check_strings(k, f"{where} key")
            check_strings(v, f"{where}.{k}")
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            check_strings(v, f"{where}[{i}]")


def documents(text):
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        while at < len(text) and text[at].isspace():
            at += 1


def number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


def check_csv(data):
    rows = list(csv.reader(check_lines(data).splitlines()))
    if len(rows) < 2 or {len(r) for r in rows} != {len(rows[0])}:
        sys.exit(f"rows of different lengths: {[len(r) for r in rows]}")
    for field in (f for row in rows for f in row):
        if field[:1] in ("=", "+", "-", "@", "\t", "\r") and not number(field):
            sys.exit(f"a formula: {field!r}")
    if not any("'=cmd" in f for row in rows for f in row):
        sys.exit("the formula was not shown at all")


def terminal(command):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    out, keys, until = b"", [b"j", b"\n", b"G", b"q", b"h", b"q"], time.monotonic() + 1.5
    while True:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            out += chunk
        elif time.monotonic() > until - 0.1 * len(keys):
            os.write(fd, keys.pop(0) if keys else b"q")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for harm in (b"\x1b]", b"\x1b[5n", b"\x9b5n", b"\xc2\x9b", b"\xe2\x80\xae", b"\xe2\x81\xa6", b"\x07"):
        if harm in out:
            sys.exit(f"{harm!r} reached the terminal: {out[max(0, out.index(harm) - 60):out.index(harm) + 60]!r}")
    out.decode()
    if status or b"OWNED" not in out:
        sys.exit(f"status {status}; the hostile segment was not shown: {out[-500:]!r}")


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "name":
        sys.stdout.buffer.write(b"=x" + EVIL.replace(b"/", b"") + b"\nOWNED y")
        return
    if what == "write":
        write(arguments[0])
        return
    if what == "terminal":
        terminal(arguments)
        return
    with open(arguments[0], "rb") as f:
        data = f.read()
    if not data:
        sys.exit("nothing was printed")
    if what == "csv":
        check_csv(data)
    elif what == "msgpack":
        import msgpack
        check_strings(list(msgpack.Unpacker(open(arguments[0], "rb"), timestamp=2, strict_map_key=False)), "msgpack")
    else:
        text = check_lines(data)
        if what == "json":
            check_strings(list(documents(text)), "json")


main()
