# SPDX-License-Identifier: MIT
"""Memory of the C library that goes when nothing refers to it any more, and not before."""

from __future__ import annotations

import weakref
from types import CodeType
from typing import Any, Callable, Dict

# A weak reference's callback runs when its referent goes; but where that is in a circle of garbage, the collector calls
# it before the finalizers of the others in there, which may still use the memory. So the referent must be something
# that the collector does not look at: then it goes when the last one that refers to it has gone. Of all that Python
# has, in all versions, only code objects are such and can be weakly referred to.
_BLANK = compile("", "<memory>", "exec")


class Token(weakref.ref[CodeType]):
    """What a function that frees is called with: the C library's take it for the address. (No Python runs then, so no
    signal's handler either, whose exception would come out of nowhere.)"""

    __slots__ = ("_as_parameter_",)
    _as_parameter_: int


_tokens: Dict[int, Token] = {}  # by addresses: those that live, and some that have gone
_ROOM_LEAST = 64
_room = _ROOM_LEAST


def _forget_gone() -> None:
    global _room
    for address, token in list(_tokens.items()):
        if token() is None and _tokens.get(address) is token:
            del _tokens[address]
    _room = max(_ROOM_LEAST, 2 * len(_tokens))


class Memory:
    """The address of a C object, which free is called with when the last one that refers to this has gone: by any
    thread at any time, with no lock held. At the end of the interpreter perhaps not at all."""

    __slots__ = ("address", "_object")

    def __init__(self, address: int, free: Callable[[Any], None]) -> None:
        """free: a function of the C library, or one that takes a Token."""
        self.address = address
        self._object = _BLANK.replace()
        token = Token(self._object, free)
        token._as_parameter_ = address
        if len(_tokens) >= _room:
            _forget_gone()
        _tokens[address] = token
