#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""write.py DIR: the same segment as write.c writes, DIR/abi-1.vmt, from Python by the package vmtally."""
import sys

import vmtally
from vmtally import schemas


def everything():
    rows = [
        vmtally.Cumulative("cumulative"),
        vmtally.Instant("instant", "bytes"),
        vmtally.Peak("peak", "kibibytes"),
        vmtally.Minimum("minimum", "mebibytes"),
        vmtally.Boolean("boolean"),
        vmtally.SignedInstant("signed_instant", "seconds"),
        vmtally.SignedPeak("signed_peak", "milliseconds"),
        vmtally.SignedMinimum("signed_minimum", "microseconds"),
        vmtally.InstantMax("instant_max"),
        vmtally.InstantAverage("instant_average", "cycles"),
        vmtally.InstantCountZero("instant_count_zero"),
        vmtally.Linear("linear", 10, 512),
        vmtally.Log("log", 24, "bytes"),
        vmtally.Latency("latency", 32),
    ]
    for row in rows:
        row.help = f"Help of {row.name}"
    return vmtally.Schema.declare("abi", provider="tests", target="everything", statistics=rows)


def count_vcpu(vcpu, n):
    first, second = vcpu.acquire(), vcpu.acquire()
    first.add("exits", 1000 + n)
    for ns in (100, 1000, 100000):
        first.record("io_latency", ns)
    second.add("exits", 2**62)
    second.add("run_time", 12345)
    return first, second


def count_all(source):
    shard = source.acquire()
    shard.add("cumulative", 2**64 - 2)
    shard.set("instant", 4096)
    shard.peak("peak", 7)
    shard.peak("peak", 5)
    shard.minimum("minimum", 9)
    shard.minimum("minimum", 11)
    shard.set("boolean", True)
    shard.set("signed_instant", -5)
    shard.peak("signed_peak", -3)
    shard.peak("signed_peak", -7)
    shard.minimum("signed_minimum", -2)
    shard.minimum("signed_minimum", -9)
    shard.set("instant_max", 17)
    shard.set("instant_average", 6)
    shard.set("instant_count_zero", 0)
    for value in (0, 511, 512, 99999):
        shard.record("linear", value)
    for value in (0, 1, 2, 3, 4, 1 << 40):
        shard.record("log", value)
    for value in (10, 20, 3000):
        shard.record("latency", value)
    source.count("cumulative")
    return shard


def main():
    with vmtally.Segment("abi-1", dir=sys.argv[1], labels={"rack": "b7", "team": "öl"}, keep=True) as segment:
        abi = everything()
        vm = segment.add(schemas.vm, "vm")
        vcpus = [vm.add(schemas.vcpu, f"vcpu-{n}") for n in range(2)]
        all_, gone = vm.add(abi, "all"), vm.add(abi, "gone")

        shard = vm.acquire()
        shard.set("vcpus", 2)
        shard.set("memory_bytes", 2**40)
        shard.add("interrupts_triggers", 2**63 + 1)
        held = [shard, *(count_vcpu(vcpu, n) for n, vcpu in enumerate(vcpus)), count_all(all_)]

        with gone.acquire() as shard:
            shard.add("cumulative", 41)
            shard.record("latency", 77)
            gone.count("cumulative")
        gone.remove()
    del held  # only once the segment is closed: what they say of the moment stays


if __name__ == "__main__":
    main()
