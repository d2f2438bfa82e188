#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kernel_file.py PID NAME FILE: copy what KVM itself says in a statistics fd of that process to FILE. NAME is that of
the fd: kvm-vm-stats, kvm-vcpu-stats:0. Needs permission to trace the process."""
import ctypes
import os
import sys

SYS_pidfd_getfd = 438

pid, name, path = int(sys.argv[1]), "anon_inode:" + sys.argv[2], sys.argv[3]
directory = f"/proc/{pid}/fd"
number = next(int(fd) for fd in os.listdir(directory) if os.readlink(f"{directory}/{fd}") == name)
fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_pidfd_getfd, os.pidfd_open(pid), number, 0)
if fd < 0:
    sys.exit(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
with open(path, "wb") as f:
    f.write(os.pread(fd, 1 << 20, 0))
