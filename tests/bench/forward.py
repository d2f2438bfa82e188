#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""forward.py VMTALLY MANY_VMS [VMS VCPUS SECONDS]: what vmtally forward takes to send a large host's counters.

Starts MANY_VMS (1,000 VMs of 8 vCPUs that all count) and sends them once a second for SECONDS (20) to a collector on
loopback that acknowledges and throws away; prints what that takes of one core, in all processes of the forwarder. Then
sends to a collector that accepts connections and reads nothing, ten times a second so that the queue is full soon, and
prints what memory it holds: full is full, after a minute or an hour. That is Pss_Anon + Pss_File of all its processes:
what they hold, with the program's own pages; what is mapped of the VMMs' segments (Pss_Shmem) is told apart. Exit status
0 whatever the figures are: machines differ."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

CORE_SHARE = 5.0
MEMORY_MB = 50
HERE = os.path.dirname(os.path.abspath(__file__))
SINK = os.path.join(HERE, "..", "cli", "forward_sink.py")


def children(pid):
    """It and all below it."""
    found = [pid]
    for p in found:
        with open(f"/proc/{p}/task/{p}/children", encoding="ascii") as f:
            found += [int(c) for c in f.read().split()]
    return found


def cpu_s(pids):
    """By the scheduler's clock: utime and stime are guessed at each tick."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def memory_mb(pids):
    """Its own, and what is mapped of segments."""
    kib = {}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for name, value in (line.split()[:2] for line in f if line.startswith("Pss_")):
                kib[name] = kib.get(name, 0) + int(value)
    return (kib["Pss_Anon:"] + kib["Pss_File:"]) * 1024 / 1e6, kib["Pss_Shmem:"] * 1024 / 1e6


def verdict(value, limit):
    return "within" if value <= limit else "MISSED"


def start(vmtally, to, *arguments):
    return subprocess.Popen([vmtally, "forward", "--to", to, *arguments], stderr=subprocess.PIPE, text=True)


def stop(forward):
    forward.terminate()
    return forward.communicate(timeout=60)[1]


def delivering(vmtally, directory, vms, seconds):
    out = os.path.join(directory, "sink")
    sink = subprocess.Popen(["/usr/bin/python3", SINK, "--discard", out], stdout=subprocess.PIPE, text=True)
    port = sink.stdout.readline().split()[1]
    forward = start(vmtally, f"127.0.0.1:{port}")
    try:
        time.sleep(3)
        pids = children(forward.pid)
        parts = [cpu_s([p]) for p in pids]
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        parts = [(cpu_s([p]) - before) / took * 100 for p, before in zip(pids, parts)]
        memory, _ = memory_mb(pids)
    finally:
        said = stop(forward)
        sink.terminate()
        sink.wait()
    with open(out, encoding="ascii") as f:
        sent = json.load(f)
    names = ["sends", "reads", "looks at the host"]
    print(f"  delivered a second                  {sent['bytes'] / (took + 3) / 1e6:8.1f} MB, "
          f"{sent['records'] / (took + 3):,.0f} records")
    for name, share in zip(names, parts):
        print(f"    the process that {name:<18}{share:9.2f} % of one core")
    print(f"  once a second, all processes        {sum(parts):8.2f} % of one core   limit {CORE_SHARE}: "
          f"{verdict(sum(parts), CORE_SHARE)}")
    print(f"  memory, while all is delivered      {memory:8.1f} MB")
    if sent["records"] < vms:
        print("forward: hardly anything arrived: " + said, file=sys.stderr)


def hang(server, connections):
    """Accept, and read nothing."""
    while True:
        try:
            connections.append(server.accept()[0])
        except OSError:
            return


def not_delivering(vmtally, seconds):
    server = socket.create_server(("127.0.0.1", 0))
    connections = []
    threading.Thread(target=hang, args=(server, connections), daemon=True).start()
    forward = start(vmtally, f"127.0.0.1:{server.getsockname()[1]}", "-i", "0.1", "--timeout", "3")
    try:
        most = mapped = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.5)
            memory, mapped = memory_mb(children(forward.pid))
            most = max(most, memory)
    finally:
        said = stop(forward)
        server.close()
    print(f"  memory, the collector gone          {most:8.1f} MB   limit {MEMORY_MB}: {verdict(most, MEMORY_MB)}")
    print(f"    and mapped of the VMMs' segments  {mapped:8.1f} MB")
    print(f"    {said.strip().splitlines()[-1] if said.strip() else 'nothing was said'}")


def main():
    vmtally, many_vms = sys.argv[1:3]
    vms, vcpus, seconds = (int(a) for a in sys.argv[3:6]) if len(sys.argv) > 5 else (1000, 8, 20)
    directory = tempfile.mkdtemp(prefix="vmtally-test.", dir="/dev/shm")
    os.environ["VMTALLY_DIR"] = directory
    maker = subprocess.Popen([many_vms, str(vms), str(vcpus), "0.5"], stdout=subprocess.PIPE)
    try:
        if maker.stdout.readline() != b"ready\n":
            print(f"forward: {vms} VMs could not be made", file=sys.stderr)
            return 1
        print(f"vmtally forward of {vms} VMs of {vcpus} vCPUs")
        delivering(vmtally, directory, vms, seconds)
        not_delivering(vmtally, seconds)
        return 0
    finally:
        maker.terminate()
        maker.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
