#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py MODULE...: run these unittest modules of this folder and print TAP, a line a test; what a failing one said
follows it as comments. A test's name is its promise: test_a_closed_reader_says_so is "a closed reader says so"."""
import pathlib
import sys
import unittest


class Tap(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.buffer = True  # what a test prints is shown when it fails

    def line(self, test: unittest.TestCase, good: bool, suffix: str = "", text: str = "") -> None:
        self.count += 1
        name = test.id().rpartition(".")[2]
        name = name[len("test_"):].replace("_", " ") if name.startswith("test_") else test.id()
        print(f"{'ok' if good else 'not ok'} {self.count} - {name.replace('#', '')}{suffix}", file=sys.__stdout__)
        for said in text.splitlines():
            print("# " + said, file=sys.__stdout__)
        sys.__stdout__.flush()

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.line(test, True)

    def addError(self, test: unittest.TestCase, err: object) -> None:
        super().addError(test, err)  # type: ignore[arg-type]
        self.line(test, False, text=self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err: object) -> None:
        super().addFailure(test, err)  # type: ignore[arg-type]
        self.line(test, False, text=self.failures[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: object) -> None:
        before = len(self.errors) + len(self.failures)
        super().addSubTest(test, subtest, err)  # type: ignore[arg-type]
        if len(self.errors) + len(self.failures) > before:
            said = (self.failures if self.failures and self.failures[-1][0] is subtest else self.errors)[-1][1]
            self.line(test, False, text=f"{subtest._subDescription()}\n{said}")  # type: ignore[attr-defined]

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.line(test, True, f" # SKIP {reason}")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.line(test, False, text="it was expected to fail")


def main() -> int:
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    result = Tap()
    unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:]).run(result)
    print(f"1..{result.count}")
    return 0 if result.count and result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
