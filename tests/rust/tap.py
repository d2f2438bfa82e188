#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tap.py CRATE STATUS: what `cargo test` printed, on stdin, as TAP: a line for each Rust test, and what a failed one
printed; then one that says whether all were built and ran to their end. STATUS is cargo's."""

import re
import sys
from typing import Dict, List

RUNNING = re.compile(r"\s+(?:Running (?:unittests )?(\S+)|Doc-tests (\S+)).*")
TEST = re.compile(r"test (.+) \.\.\. (ok|FAILED|ignored.*)")
OUTPUT = re.compile(r"---- (.*) stdout ----")


def main() -> int:
    crate, status = sys.argv[1], int(sys.argv[2])
    tests: Dict[str, str] = {}
    said: Dict[str, List[str]] = {}
    others: List[str] = []
    unfinished: List[str] = []
    place, of = "", ""
    for line in sys.stdin.read().splitlines():
        running, test, output = RUNNING.fullmatch(line), TEST.fullmatch(line), OUTPUT.fullmatch(line)
        if running:
            place = f"{crate} {running[1] or 'documentation'}: "
            unfinished.append(place)
        elif test:
            # Of documentation the name is where it stands: "src/lib.rs - (line 8)".
            tests[place + test[1]] = test[2]
        elif output:
            of = place + output[1]
        elif line == "failures:":
            of = ""
        elif line.startswith("test result:"):
            of = ""
            unfinished.remove(place)
        else:
            said.setdefault(of, []).append(line) if of else others.append(line)
    for name, result in tests.items():
        skipped = " # SKIP " + result if result.startswith("ignored") else ""
        print(f"{'not ok' if result == 'FAILED' else 'ok'} - {name}{skipped}")
        if result == "FAILED":
            print("\n".join("# " + line for line in said.get(name, [])))
    whole = bool(tests) and not unfinished and (status == 0 or "FAILED" in tests.values())
    print(f"{'ok' if whole else 'not ok'} - {crate}: cargo test builds and runs them all")
    if not whole:
        print("\n".join("# " + line for line in [*(name + "did not end" for name in unfinished), *others]))
    return 0 if whole and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
