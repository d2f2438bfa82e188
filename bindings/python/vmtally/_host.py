# SPDX-License-Identifier: MIT
"""All VMs of this host, and what the kernel counts of them."""

from __future__ import annotations

import ctypes
import errno
import threading
import weakref
from typing import Any, Callable, Dict, List, NoReturn, Optional

from ._errors import ensure, ensure_opened, failure, path_bytes
from ._find import Found, Path, attach_by, found_by
from ._library import lib
from ._memory import Memory, Token
from ._reader import Handle, Reader, options
from ._structures import vmt_host_options, vmt_reader_options

__all__ = ["Host"]

_TROUBLE_BYTES = 1024


class _Plot:
    """A host in C's memory, which must go after its readers, and these only while nobody uses one of them. So readers
    that nothing refers to any more wait in gone: for the next use of the host, or for its own end."""

    def __init__(self, host: int) -> None:
        self.host = host
        self.readers = 0
        self.gone: List[int] = []
        self.dropped = False
        self.may_free = [True]  # pop() is whole: one thread gets it

    # What these call is bound here: they also run while the interpreter ends.
    def sweep(self, close: Callable[[int], None] = lib.vmt_reader_close) -> None:
        while self.gone:
            close(self.gone.pop())
            self.readers -= 1

    def end(self, free: Callable[[int], None] = lib.vmt_host_free) -> None:
        if self.dropped and len(self.gone) == self.readers and self.may_free:
            try:
                self.may_free.pop()
            except IndexError:
                return
            self.sweep()
            free(self.host)


_plots: Dict[int, _Plot] = {}  # by the addresses of hosts and of their readers


def _drop_host(token: Token, plots: Dict[int, _Plot] = _plots) -> None:
    plot = plots.pop(token._as_parameter_)
    plot.dropped = True
    plot.end()


def _drop_reader(token: Token, plots: Dict[int, _Plot] = _plots) -> None:
    plot = plots.pop(token._as_parameter_)
    plot.gone.append(token._as_parameter_)
    plot.end()


class HostReader(Reader):
    """A Reader whose snapshots have what the kernel counts, too, as of the newest look()."""

    def __init__(self, path: str, handle: Memory, host: Host) -> None:
        super().__init__(path, handle, host._lock)
        self._host = host

    def _look(self) -> None:
        self._host.look()


class Host(Handle):
    """All VMs of this host, whether their VMM embeds vmtally or has never heard of it: segments, and beside or instead
    of them what the kernel counts (provider "kvm"), read from the statistics fds of their processes, else from debugfs.

        with vmtally.Host() as host:
            host.look()
            for found in host.discover():
                with host.attach(found.path) as vm:
                    print(found.name, vm.snapshot()["vm/vcpu-0"].get("exits"))

    Reading what the kernel counts needs the permission to look into those processes (ptrace(2), most often root);
    trouble() says what could not be read. While a Host is open it may hold statistics fds, which keep a VM alive until
    its process ends. Any thread may use it and its readers: they wait for each other. close(), or the end of a with
    block, closes its readers, too; then all but snapshots raises Closed.
    """

    def __init__(
        self, *, pid: int = 0, once: bool = False, proc: Optional[Path] = None, debugfs: Optional[Path] = None
    ) -> None:
        """pid: of this process only. once: look() will be called once, and nothing of another process is held open
        after that. proc, debugfs: where these file systems are, if not at /proc and /sys/kernel/debug. OSError."""
        address = ctypes.c_void_p()
        places = [None if place is None else path_bytes(place) for place in (proc, debugfs)]
        o = vmt_host_options(ctypes.sizeof(vmt_host_options), *places, pid, once)
        ensure(lib.vmt_host_new(o, address), "look at the host")
        self._plot = _plots[address.value or 0] = _Plot(address.value or 0)
        self._handle = Memory(address.value or 0, _drop_host)
        self._lock = threading.RLock()
        self._readers: weakref.WeakSet[HostReader] = weakref.WeakSet()

    def _use(self, action: str, call: Callable[[int], int]) -> int:
        """As Reader._use()."""
        with self._lock:
            handle = self._handle
            if handle is None:
                self._refuse(action)
            self._plot.sweep()
            return call(handle.address)

    def _refuse(self, action: str) -> NoReturn:
        raise failure(errno.EBADF, action, "host")

    def look(self) -> None:
        """Find what is new, let go of what has gone, and read all that the kernel counts. Before each round of
        snapshots; Reader.samples() does so itself. NoMemory, Closed, OSError."""
        ensure(self._use("look at", lib.vmt_host_look), "look at the host")

    def discover(self, dir: Optional[Path] = None) -> List[Found]:
        """As vmtally.discover(), and the processes that have VMs but no segment there: their path is "/proc/PID".
        Attach with Host.attach(). As of the newest look()."""

        def ask(place: Optional[bytes], array: object) -> int:
            return self._use("look for VMs of", lambda host: int(lib.vmt_host_discover(host, place, array)))

        return found_by(ask, dir)

    def attach(self, vm: Path, *, dir: Optional[Path] = None, guarded: bool = False, max_bytes: int = 0) -> Reader:
        """As vmtally.attach(), also to a process that has VMs but no segment: by its name, its pid as a text, or
        "/proc/PID" (Gone: no such process has a VM). Snapshots have what the kernel counted at the newest look(), in
        one tree with what the VMM counts: "vm/vcpu-0/kvm" below "vm/vcpu-0"."""

        def search(place: Optional[bytes], name: bytes, how: vmt_reader_options, array: object) -> int:
            return self._use("attach with", lambda host: int(lib.vmt_host_find(host, place, name, how, array)))

        how = options(guarded, max_bytes)
        return attach_by(vm, search, lambda path: self._reader(path, guarded, max_bytes), dir, how)

    def _reader(self, path: str, guarded: bool, max_bytes: int) -> Reader:
        address = ctypes.c_void_p()
        name, o = path_bytes(path), options(guarded, max_bytes)

        def open_(host: int) -> int:
            r = int(lib.vmt_reader_open_host(host, name, o, address))
            if r == 0:
                _plots[address.value or 0] = self._plot
                self._plot.readers += 1
            return r

        ensure_opened(self._use("attach with", open_), "attach", path)
        reader = HostReader(path, Memory(address.value or 0, _drop_reader), self)
        self._readers.add(reader)
        return reader

    def trouble(self, path: Optional[str] = None) -> str:
        """What could not be read at the newest look(), in one line, with what to do; "" if nothing. path: of all VMs,
        or of the one at that path."""
        text = ctypes.create_string_buffer(_TROUBLE_BYTES)
        of = None if path is None else path_bytes(path)
        self._use("trouble of", lambda host: int(lib.vmt_host_trouble(host, of, text, len(text))))
        return text.value.decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of all processes, and close the readers. May be called again."""
        with self._lock:
            for reader in list(self._readers):
                reader.close()
            super().close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("Host can't be copied or pickled")

    def __repr__(self) -> str:
        return f"<vmtally.Host{': closed' if self.closed else ''}>"
