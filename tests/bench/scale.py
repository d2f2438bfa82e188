#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scale.py KVMTOP MANY_VMS [VMS VCPUS BEATS]: what kvmtop takes to look at a large host.

Starts MANY_VMS (1,000 VMs of 8 vCPUs that all count), runs KVMTOP in a terminal of 200x60 until it has seen BEATS samples
(600: as many as ten minutes have at one a second), presses keys meanwhile, and prints what a refresh takes of one core
(reading and drawing: all CPU time between two looks at it, over the samples between), and what memory it holds. Shared
pages are those of the VMMs' own segments, mapped. Exit status 0 whatever the figures are: machines differ."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

REFRESH_MS = 50
MEMORY_MB = 100
ROWS, COLUMNS = 60, 200
INTERVAL = 0.1


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        kib = dict(re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M))
    return int(kib["RssAnon"]) / 1024, int(kib["RssShmem"]) / 1024


class Terminal:
    def __init__(self, command, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.bytes = 0
        self.text = b""

    def read(self, seconds):
        """All that comes meanwhile; False at its end."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    data = os.read(self.fd, 1 << 16)
                except OSError:
                    return False
                if not data:
                    return False
                self.bytes += len(data)
                self.text = (self.text + data)[-1 << 16:]
        return True

    def press(self, keys):
        os.write(self.fd, keys.encode())


def verdict(value, limit):
    return "within" if value <= limit else "MISSED"


def main():
    kvmtop, many_vms = sys.argv[1:3]
    vms, vcpus, beats = (int(a) for a in sys.argv[3:6]) if len(sys.argv) > 5 else (1000, 8, 600)
    directory = tempfile.mkdtemp(prefix="vmtally-test.", dir="/dev/shm")
    config = tempfile.mkdtemp()
    env = dict(os.environ, VMTALLY_DIR=directory, TERM="xterm-256color", LC_ALL="C.UTF-8", XDG_CONFIG_HOME=config)
    maker = subprocess.Popen([many_vms, str(vms), str(vcpus), "0.5"], env=env, stdout=subprocess.PIPE)
    terminal = None
    try:
        if maker.stdout.readline() != b"ready\n":
            print(f"scale: {vms} VMs could not be made", file=sys.stderr)
            return 1
        terminal = Terminal([kvmtop, "-d", str(INTERVAL)], env)
        terminal.read(5)
        start, sent, began = cpu_s(terminal.pid), terminal.bytes, time.monotonic()
        terminal.read(10)
        folded = (cpu_s(terminal.pid) - start) / ((time.monotonic() - began) / INTERVAL)
        each = (terminal.bytes - sent) / ((time.monotonic() - began) / INTERVAL)
        terminal.press("*")
        terminal.read(2)
        start, began = cpu_s(terminal.pid), time.monotonic()
        terminal.read(10)
        unfolded = (cpu_s(terminal.pid) - start) / ((time.monotonic() - began) / INTERVAL)
        alive = terminal.read(max(0, beats * INTERVAL - 27))
        anon, shared = memory_mb(terminal.pid)
        if not alive:
            print("scale: kvmtop ended early: " + terminal.text[-500:].decode(errors="replace"), file=sys.stderr)
            return 1
        print(f"kvmtop on {vms} VMs of {vcpus} vCPUs, {COLUMNS}x{ROWS}, {beats} samples")
        print(f"  a refresh, VMs alone                {folded * 1e3:8.1f} ms   limit {REFRESH_MS}: "
              f"{verdict(folded * 1e3, REFRESH_MS)}")
        print(f"  a refresh, {vms * (vcpus + 3):,} rows             {unfolded * 1e3:8.1f} ms   limit {REFRESH_MS}: "
              f"{verdict(unfolded * 1e3, REFRESH_MS)}")
        print(f"  sent to the terminal a refresh      {each:8.0f} bytes")
        print(f"  memory, with the history            {anon:8.1f} MiB  limit {MEMORY_MB}: {verdict(anon, MEMORY_MB)}")
        print(f"  mapped of the VMMs' segments        {shared:8.1f} MiB")
        return 0
    finally:
        if terminal:
            os.kill(terminal.pid, signal.SIGTERM)
            terminal.read(1)
            os.waitpid(terminal.pid, 0)
        maker.terminate()
        maker.wait()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(config, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
