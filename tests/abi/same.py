#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""same.py [--reader LANGUAGE=PROGRAM]... [--writer LANGUAGE=PROGRAM]...: the same numbers in every language.

fixed.vmt was made once, by write.c as it was at version 1.0 of the format, and stays as it is: fixed.json says what
must be read from it for ever. Each reader (`PROGRAM FILE` prints what it read as JSON, as dump.c does) reads it; then
each writer (`PROGRAM DIR` makes DIR/abi-1.vmt, as write.c does) writes one, and each reader reads that. plain.py, which
shares nothing with the library, is always one of the readers. Programs that end in .py are run by this Python. A
language for which no program is given is skipped by name; one that is given must be there and work. Prints TAP.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import expected

HERE = pathlib.Path(__file__).parent
LANGUAGES = ("C", "C++", "Rust", "Python")
LOOSE = ("identity", "boot_id", "created_ns", "closed_ns", "pid", "pid_start")  # of who wrote it, and when


class Tap:
    """Lines of TAP; the exit status."""

    def __init__(self):
        self.bad = 0

    def check(self, problems, name):
        print(f"{'not ok' if problems else 'ok'} - {name}")
        for line in problems[:20]:
            print(f"# {line[:1000]}")
        self.bad |= bool(problems)

    def skip(self, name, why):
        print(f"ok - {name} # SKIP {why}")


def command(program):
    return [sys.executable, program] if program.endswith(".py") else [program]


def run(program, argument):
    """Its output, and what went wrong."""
    try:
        done = subprocess.run([*command(program), str(argument)], capture_output=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return b"", [f"{program}: {error}"]
    said = done.stderr.decode(errors="replace").splitlines()
    return done.stdout, said + [f"{program}: exit status {done.returncode}"] if done.returncode else []


def read(program, path):
    """What the reader found, sources and totals in a fixed order; or None, and what went wrong."""
    output, problems = run(program, path)
    if problems:
        return None, problems
    try:
        found = json.loads(output)
        found["sources"].sort(key=lambda source: source["entry"])
        for source in found["sources"]:
            source["totals"].sort(key=lambda total: total["schema"])
    except (ValueError, KeyError, TypeError) as error:
        return None, [f"{program}: not a dump: {error!r}"]
    return found, []


def without_loose(dump):
    def strip(members):
        return {name: value for name, value in members.items() if name not in LOOSE}

    return {**strip(dump), "sources": [strip(source) for source in dump["sources"]]}


def differences(want, got, at=""):
    """Each place in which they differ, in words. 1, 1.0 and true are different things."""
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(want.keys() | got.keys()):
            if key not in got or key not in want:
                yield f"{at}.{key}: {'missing' if key in want else 'not expected'}"
            else:
                yield from differences(want[key], got[key], f"{at}.{key}")
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (a, b) in enumerate(zip(want, got)):
            name = a.get("id", a.get("name", i)) if isinstance(a, dict) else i
            yield from differences(a, b, f"{at}[{name!r}]")
    elif type(want) is not type(got) or want != got:
        yield f"{at}: {got!r} instead of {want!r}"


def check_fixed(tap, readers, directory):
    path = directory / "fixed.vmt"
    shutil.copyfile(HERE / "fixed.vmt", path)
    want = expected.Expected().dump()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    tap.check(list(differences(expected.Expected().sha256, sha256)), "the segment of version 1.0 is the same as ever")
    if sys.byteorder != "little":
        tap.skip("it is read", "it was made on a machine of another byte order")
        return
    for language, program in readers.items():
        got, problems = read(program, path)
        tap.check(problems or list(differences(want, got)), f"{language} reads the segment of version 1.0")


def declared():
    """The schema that writers declare themselves. Those of the library may have grown since fixed.vmt was made."""
    name = "abi/tests/everything"
    return {name: expected.Expected().schemas[name]}


def check_written(tap, language, program, readers, directory, first):
    """One writer's segment by all readers; first: the schemas of the first writer's, None before that."""
    directory.mkdir()
    _, problems = run(program, directory)
    tap.check(problems, f"{language} writes a segment")
    if problems:
        return first
    for reader, reading in readers.items():
        got, problems = read(reading, directory / "abi-1.vmt")
        if got:
            first = first or {**got["schemas"], **declared()}
            try:
                want = expected.Expected().dump(first)
                problems = list(differences(without_loose(want), without_loose(got)))
            except KeyError as error:
                problems = [f"there is no {error}"]
        tap.check(problems, f"{reader} reads what {language} has written")
    return first


def programs(given):
    found = dict(each.split("=", 1) for each in given)
    unknown = found.keys() - set(LANGUAGES)
    if unknown:
        sys.exit(f"same.py: no such language: {', '.join(sorted(unknown))}")
    return {language: found[language] for language in LANGUAGES if language in found}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reader", action="append", default=[])
    parser.add_argument("--writer", action="append", default=[])
    args = parser.parse_args()
    readers, writers = programs(args.reader), programs(args.writer)
    tap = Tap()
    for language in LANGUAGES:
        if language not in readers:
            tap.skip(f"{language} reads the same", "this build has no reader in it")
        if language not in writers:
            tap.skip(f"{language} writes the same", "this build has no writer in it")
    readers["plain Python"] = str(HERE / "plain.py")
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="vmtally-test.", dir=base) as directory:
        directory = pathlib.Path(directory)
        check_fixed(tap, readers, directory)
        first = None
        for language, program in writers.items():
            first = check_written(tap, language, program, readers, directory / language.lower(), first)
    return tap.bad


if __name__ == "__main__":
    sys.exit(main())
