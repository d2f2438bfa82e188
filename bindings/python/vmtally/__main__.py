# SPDX-License-Identifier: MIT
"""A small demonstration: python -m vmtally lists the VMs; python -m vmtally VM shows one of them once a second."""

import argparse
import os
import sys
from typing import Iterator, List, Optional

import vmtally
from vmtally._html import printable
from vmtally._values import value_text


def parse(words: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m vmtally",
        description="List the VMs of this host, or show what one of them counts, again and again.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage.",
    )
    parser.add_argument("vm", metavar="VM", nargs="?", help="name of a VM, or path of its segment")
    parser.add_argument("--dir", help="where to look for VMs; else $VMTALLY_DIR, or the usual places")
    parser.add_argument("-n", dest="count", metavar="COUNT", type=int, help="so many samples; else until it is gone")
    parser.add_argument("-d", dest="seconds", metavar="SECONDS", type=float, default=1.0, help="between two samples; 1")
    parser.add_argument("-a", "--all", action="store_true", help="show what is 0, too")
    parser.add_argument("--version", action="version", version=f"vmtally {vmtally.__version__} (Python)")
    options = parser.parse_args(words)
    if options.count is not None and options.count < 1:
        parser.error("-n: COUNT is at least 1")
    if not 0 < options.seconds < 1e9:
        parser.error("-d: SECONDS is a positive number")
    return options


def listed(options: argparse.Namespace) -> Iterator[str]:
    found = vmtally.discover(options.dir)
    if not found:
        raise vmtally.NotFound(2, "no VMs; start one, or name another place with --dir", options.dir)
    yield f"{'NAME':<24} {'STATE':<14} {'PID':>7} {'SOURCES':>7}  PATH"
    for one in found:
        try:
            with one.attach() as vm:
                snapshot = vm.snapshot()
        except vmtally.Error as e:
            yield f"{one.name:<24} {e.strerror}  {one.path}"
            continue
        s = snapshot.segment
        yield f"{one.name:<24} {s.state!s:<14} {s.pid:>7} {len(list(snapshot.sources())) - 1:>7}  {one.path}"


def sample_lines(sample: vmtally.Sample, change: vmtally.Change, all_: bool) -> Iterator[str]:
    indent = "  " * sample.depth
    state = "  could not be read" if sample.absent else "  leaving" if sample.leaving else ""
    yield f"{indent}{sample.name}  ({sample.provider} {sample.target}){state}"
    for name, value in sample.items():
        if not all_ and (value is None or value == 0 or (isinstance(value, vmtally.Histogram) and not value.count)):
            continue
        rate = change.scaled_rate(name) if name in change else 0.0
        text = value_text(sample.schema[name], value)
        yield f"{indent}  {name:<32} {text:>28}" + (f"  {rate:>12.6g}/s" if rate else "")


def shown(options: argparse.Namespace) -> Iterator[str]:
    with vmtally.attach(options.vm, dir=options.dir) as vm:
        for number, tick in enumerate(vm.samples(options.seconds), 1):
            s = tick.snapshot.segment
            partial = ", partial" if tick.snapshot.partial else ""
            yield f"{s.name}: {s.state}{partial}, pid {s.pid}, {s.path}"
            for sample in tick.snapshot.sources():
                yield from sample_lines(sample, tick.delta.of(sample), options.all)
            if number == options.count:
                return
            yield ""


def main(words: Optional[List[str]] = None) -> int:
    options = parse(words)
    try:
        for line in shown(options) if options.vm else listed(options):
            print(printable(line), flush=not line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush says it again
        return 1
    except (vmtally.Error, MemoryError) as e:
        print(printable(f"vmtally: {e}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.exit(main())
