# SPDX-License-Identifier: MIT
"""What a snapshot says of the segment as a whole, by value."""

from __future__ import annotations

import enum
from typing import Dict, List, NamedTuple, Tuple

from ._library import lib
from ._structures import vmt_segment_info

__all__ = ["SegmentInfo", "State"]


class State(enum.IntEnum):
    """What the writer of a segment is doing, as far as can be told. str() is for people."""

    LIVE = 0
    """It holds its lock."""
    CLOSED = 1
    """It said goodbye."""
    DIED = 2
    """The kernel dropped its lock, and it had not said goodbye."""
    DIED_MID_CHANGE = 3
    """The same, while sources or schemas were being changed."""
    STALLED = 4
    """It holds its lock, but its heartbeat is overdue or a change does not end."""
    DAMAGED = 5
    """The bytes contradict themselves, or the file shrank."""
    OTHER_VERSION = 6
    """Written by a version that this library can't read."""

    def __str__(self) -> str:
        return _text(lib.vmt_state_name(self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @property
    def is_gone(self) -> bool:
        """Whether nobody will count into this segment any more, unless a restart goes on in it."""
        return self in (State.CLOSED, State.DIED, State.DIED_MID_CHANGE)


class SegmentInfo(NamedTuple):
    """A segment, or a process without one ("/proc/PID": version 0.0, times 0), as of a snapshot. A value."""

    path: str
    name: str
    """The VM's name."""
    label_texts: Tuple[str, ...]
    """As the writer gave them: "key=value"."""
    identity: bytes
    """16 random bytes: what is counted here and elsewhere."""
    boot_id: bytes
    incarnation: int
    """How many writers it has had."""
    created_ns: int
    """CLOCK_REALTIME (time.time_ns()), nanoseconds."""
    pid_start: int
    """When the writer's process started, as in /proc/PID/stat (clock ticks since boot)."""
    begin_ns: int
    """CLOCK_MONOTONIC (time.monotonic_ns()) before the first value was read."""
    end_ns: int
    """CLOCK_MONOTONIC after the last one."""
    realtime_ns: int
    """CLOCK_REALTIME at begin_ns."""
    closed_ns: int
    """CLOCK_REALTIME, 0 unless closed."""
    heartbeat_ns: int
    """CLOCK_MONOTONIC of the last heartbeat, 0: none."""
    file_bytes: int
    pid: int
    """In the writer's PID namespace."""
    uid: int
    """Who owns the file."""
    major: int
    minor: int
    state: State
    flags: int
    """VMT_SNAPSHOT_ of <vmtally/reader.h>."""
    from_: int
    """VMT_FROM_ of <vmtally/reader.h>; see origins."""

    @property
    def labels(self) -> Dict[str, str]:
        """label_texts, cut at their first "="; the first one of a key is meant. A dict of one's own."""
        return {key: value for key, _, value in (text.partition("=") for text in reversed(self.label_texts))}

    @property
    def partial(self) -> bool:
        """Something could not be read; what is there is right."""
        return bool(self.flags & 1)

    @property
    def unlinked(self) -> bool:
        """The file has no name any more: another one took it, or it was removed."""
        return bool(self.flags & 2)

    @property
    def foreign(self) -> bool:
        """The file is neither the reader's, nor root's, nor of the owner of its directory: its name and identity may be
        made up."""
        return bool(self.flags & 8)

    @property
    def set_aside(self) -> bool:
        """The file was set aside for another of its name, and is called NAME~N.vmt: its name is that one's by now."""
        return bool(self.flags & 16)

    @property
    def origins(self) -> Tuple[str, ...]:
        """Where the values come from: "segment" (the VMM's own); of the kernel "fds" (its statistics fds), "debugfs"
        (no histograms; of several vCPUs only their sum), "copies" (which the VMM has made)."""
        return tuple(name for i, name in enumerate(("segment", "fds", "debugfs", "copies")) if self.from_ >> i & 1)

    @property
    def version(self) -> str:
        """"1.0": of the format that it is written in."""
        return f"{self.major}.{self.minor}"


def _text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _labels(c: vmt_segment_info) -> Tuple[str, ...]:
    texts: List[str] = []
    while c.labels and c.labels[len(texts)] is not None:
        texts.append(_text(c.labels[len(texts)]))
    return tuple(texts)


def info_at(address: int) -> SegmentInfo:
    """A copy of the struct vmt_segment_info there."""
    c = vmt_segment_info.from_address(address)
    fields = {name: getattr(c, name) for name in SegmentInfo._fields if name != "label_texts"}
    fields.update(
        path=_text(c.path),
        name=_text(c.name),
        identity=bytes(c.identity),
        boot_id=bytes(c.boot_id),
        state=State(c.state),
    )
    return SegmentInfo(label_texts=_labels(c), **fields)
