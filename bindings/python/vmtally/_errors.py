# SPDX-License-Identifier: MIT
"""What can go wrong, as exceptions. All are OSErrors with the errno of the C library and, as filename, the segment's
path (or the name that was asked for)."""

import errno as _errno
import os
from typing import Dict, Optional, Type, Union

__all__ = [
    "Closed",
    "Damaged",
    "Denied",
    "Error",
    "Exists",
    "Gone",
    "NoMemory",
    "NoSpace",
    "NotASegment",
    "NotFound",
    "NotReady",
    "OtherVersion",
]


class Error(OSError):
    """Something failed. errno: the reason as a number; strerror: in words; filename: the segment it is about.

    Where a builtin exception means the same, the subclass is one of its kind: who catches FileNotFoundError catches
    vmtally.NotFound. action: what was being done, "attach".
    """

    action = ""

    def __str__(self) -> str:
        what = " ".join(part for part in (self.action, str(self.filename or "")) if part)
        reason = self.strerror or super().__str__()
        return f"{what}: {reason}" if what else reason


class NotFound(Error, FileNotFoundError):
    """No VM has that name, or no file that path (ENOENT)."""


class Denied(Error, PermissionError):
    """No permission (EACCES, EPERM)."""


class Exists(Error, FileExistsError):
    """Something of that name is there already (EEXIST)."""


class NoMemory(Error, MemoryError):
    """No memory is left (ENOMEM)."""


class NotASegment(Error):
    """The file is something else: it begins with other bytes than a segment (EMEDIUMTYPE), is a symbolic link (ELOOP),
    a directory (EISDIR) or no regular file (EINVAL), is on a file system where reading may hang (ENOTSUP), or has
    another one mounted over it (EXDEV)."""


class NotReady(Error):
    """The file is empty or not yet published (ENODATA): it may become a segment at any moment."""


class Damaged(Error):
    """The bytes of the segment contradict themselves, or the file shrank (EBADMSG)."""


class OtherVersion(Error):
    """Written by a version of the format, or in a byte order, that this library cannot read (EPROTONOSUPPORT)."""


class Gone(Error):
    """The source was removed (ESTALE), or the process has ended or has no VM (ESRCH)."""


class NoSpace(Error):
    """No room in the file system or in the segment (ENOSPC, EDQUOT, EFBIG, ENFILE)."""


class Closed(Error, ValueError):
    """Used after it was closed (EBADF)."""


_CLASSES: Dict[int, Type[Error]] = {
    _errno.ENOENT: NotFound,
    _errno.EACCES: Denied,
    _errno.EPERM: Denied,
    _errno.EEXIST: Exists,
    _errno.EMEDIUMTYPE: NotASegment,
    _errno.ENODATA: NotReady,
    _errno.EBADMSG: Damaged,
    _errno.EPROTONOSUPPORT: OtherVersion,
    _errno.ESTALE: Gone,
    _errno.ESRCH: Gone,
    _errno.ENOSPC: NoSpace,
    _errno.EDQUOT: NoSpace,
    _errno.EFBIG: NoSpace,
    _errno.ENFILE: NoSpace,
    _errno.ENOMEM: NoMemory,
    _errno.EBADF: Closed,
}

# Where strerror(3) speaks of something else.
_WORDS: Dict[int, str] = {
    _errno.EMEDIUMTYPE: "not a segment",
    _errno.ENODATA: "empty, or not published yet",
    _errno.EBADMSG: "damaged; vmtally check says where",
    _errno.EPROTONOSUPPORT: "written by another version of the format; read it with that version's library",
    _errno.ESTALE: "the source has been removed",
    _errno.ESRCH: "the process has ended, or has no VM",
    _errno.EBADF: "closed",
    _errno.ECHILD: "not in a child of fork()",
    _errno.ENODEV: "not open",
}


# What else the C library gives for a path that leads to no segment.
_NO_SEGMENT: Dict[int, str] = {
    _errno.ELOOP: "a symbolic link; name the segment's file itself",
    _errno.EISDIR: "a directory",
    _errno.EINVAL: "no regular file",
    _errno.ENOTSUP: "on a file system where reading may hang; segments are on a tmpfs",
    _errno.EXDEV: "something is mounted over it",
}


def failure(
    code: int,
    action: str,
    filename: Optional[str] = None,
    words: Optional[str] = None,
    of: Optional[Type[Error]] = None,
) -> Error:
    """The exception for the errno code (its sign does not matter) that action gave. words, of: not the usual ones."""
    number = abs(code)
    kind = _CLASSES.get(number, Error) if of is None else of
    error = kind(number, words or _WORDS.get(number) or os.strerror(number), filename)
    error.action = action
    return error


def ensure(result: int, action: str, filename: Optional[str] = None) -> int:
    """result, where it is not negative; else the exception is raised."""
    if result < 0:
        raise failure(result, action, filename)
    return result


def path_bytes(path: Union[str, bytes, "os.PathLike[str]"]) -> bytes:
    """For the library. ValueError where it has a NUL: all behind that would be left out."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError(f"{path!r} has a NUL in it")
    return name


def ensure_opened(result: int, action: str, path: str) -> int:
    """ensure(), of what opens the file at path."""
    if -result in _NO_SEGMENT:
        raise failure(result, action, path, _NO_SEGMENT[-result], NotASegment)
    return ensure(result, action, path)
