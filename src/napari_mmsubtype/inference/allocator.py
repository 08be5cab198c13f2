"""Keep freed memory at hand while networks run on the CPU, where glibc would not.

For every large tensor, glibc asks the system for new pages and gives them back at once;
touching them anew costs up to a third of a forward pass. While a run lasts, the memory
is kept instead, and at its end it goes back.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD = -1
_TOP_PAD = -2
_MMAP_THRESHOLD = -3
_MMAP_MAX = -4

# Threads other than the first allocate in heaps of 64 MiB. One that is empty goes back
# whatever the threshold says, unless more than a heap is wanted as room to grow: a team
# that runs a ResNet fills and empties its second heap in every batch.
_KEEP = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 128 << 20))
# What glibc adapts to by itself in a process that uses large arrays; once a parameter
# has been set, it adapts no more.
_USUAL = (
    (_MMAP_MAX, 65536),
    (_MMAP_THRESHOLD, 32 << 20),
    (_TRIM_THRESHOLD, 64 << 20),
    (_TOP_PAD, 128 << 10),
)

_lock = threading.Lock()
_running = 0


def find_glibc() -> ctypes.CDLL | None:
    """Find the C library of this process, where it is glibc.

    Returns
    -------
    ctypes.CDLL or None
        None on Windows and macOS, and on Linux with another C library.
    """
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    names = ("gnu_get_libc_version", "mallopt", "malloc_trim")
    return library if all(hasattr(library, name) for name in names) else None


@contextmanager
def memory_kept() -> Iterator[bool]:
    """Keep freed memory in the process until the last of these contexts ends.

    Yields
    ------
    bool
        Whether it is kept; False where the C library is not glibc.
    """
    library = find_glibc()
    if library is None:
        logger.debug("the C library is not glibc: its allocator is left as it is")
        yield False
        return
    _count(library, 1)
    try:
        yield True
    finally:
        _count(library, -1)


def _count(library: ctypes.CDLL, step: int) -> None:
    """Count the contexts; the first one sets the allocator, the last resets it."""
    # One per process, as the allocator is.
    global _running
    with _lock:
        before, _running = _running, _running + step
        if (before > 0) == (_running > 0):
            return
        for parameter, value in _KEEP if _running else _USUAL:
            if not library.mallopt(parameter, value):
                logger.debug("glibc refused mallopt(%d, %d)", parameter, value)
        if not _running:
            library.malloc_trim(0)
