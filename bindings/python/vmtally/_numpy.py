# SPDX-License-Identifier: MIT
"""numpy, for those who have it."""

from typing import Any


def load_numpy(what: str) -> Any:
    """The module numpy. ImportError says that what needs it."""
    try:
        import numpy
    except ImportError as e:
        raise ImportError(f"{what} needs numpy, which can't be imported ({e}); all else works without it") from e
    return numpy
