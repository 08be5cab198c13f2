"""Tell what a system refuses to read from what is damaged in a file."""

from __future__ import annotations

import errno
import os

_NAMES = (
    "EACCES",
    "EAGAIN",
    "EBUSY",
    "ECONNABORTED",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EINTR",
    "EIO",
    "EMFILE",
    "ENETDOWN",
    "ENETRESET",
    "ENETUNREACH",
    "ENFILE",
    "ENOBUFS",
    "ENODEV",
    "ENOMEM",
    "ENOTCONN",
    "ENXIO",
    "EPERM",
    "EREMOTEIO",
    "ESTALE",
    "ETIMEDOUT",
)
# Not EINVAL, nor ENOENT: a place that damage made up and a missing tile say these.
_CODES = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
_WORDS = (*(os.strerror(code) for code in sorted(_CODES)), "can't start new thread")


def is_system_fault(error: Exception) -> bool:
    """Tell a failure of drive, network or system from a file that is damaged.

    Parameters
    ----------
    error : Exception
        As a backend raised it while it read a tile.

    Returns
    -------
    bool
        Whether the same tile may be read another time.
    """
    if isinstance(error, OSError) and error.errno in _CODES:
        return True
    if isinstance(error, TimeoutError | ConnectionError | PermissionError):
        return True
    # Libraries written in C, such as OpenSlide, pass on no number but its words.
    words = str(error)
    return any(word in words for word in _WORDS)
