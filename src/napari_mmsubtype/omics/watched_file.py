"""Tell how much of a file was read, whatever library reads it.

HDF5 can run in circles in a damaged file. While it does, it reads nothing that it has
not read before: that tells a hang from a file that is merely large.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

Watcher = Callable[[int, int], None]
"""Is told how many bytes of how many were read, each counted once; at last 0 of 0."""

_BLOCK = 2**16
_SLICE = 2**23
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


class WatchedFile(io.RawIOBase):
    """A file, opened for reading, that tells of every part read for the first time.

    Parameters
    ----------
    path : Path
        The file.
    watcher : callable
        Called in the thread that reads.

    Attributes
    ----------
    size : int
        Bytes.
    """

    def __init__(self, path: Path, watcher: Watcher) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._watcher = watcher
        self.size = path.stat().st_size
        self._seen: set[int] = set()

    def readable(self) -> bool:
        """Tell that bytes can be read.

        Returns
        -------
        bool
            Always True.
        """
        return True

    def seekable(self) -> bool:
        """Tell that the position can be moved.

        Returns
        -------
        bool
            Always True.
        """
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position.

        Parameters
        ----------
        offset : int
            Bytes.
        whence : int, default: 0
            Counted from the start, the position (1) or the end (2).

        Returns
        -------
        int
            The new position.
        """
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def readinto(self, buffer: Buffer) -> int:
        """Read in slices, so that a long read tells of itself meanwhile.

        Parameters
        ----------
        buffer : buffer
            Filled from the file's position on.

        Returns
        -------
        int
            Bytes read; fewer than asked for at the end of the file.
        """
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view):
            start = self._file.tell()
            count = self._file.readinto(view[done : done + _SLICE]) or 0
            if not count:
                break
            done += count
            self._tell(start, count)
        return done

    def _tell(self, start: int, count: int) -> None:
        blocks = set(range(start // _BLOCK, (start + count - 1) // _BLOCK + 1))
        if not blocks <= self._seen:
            self._seen |= blocks
            self._watcher(min(len(self._seen) * _BLOCK, self.size), self.size)


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Have the files that are opened meanwhile by `open_watched` tell of themselves.

    Parameters
    ----------
    watcher : callable
        As `WatchedFile`.

    Yields
    ------
    None
        While it is in force, in this thread.
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def open_watched(path: Path) -> Iterator[Path | WatchedFile]:
    """Give what a library is to open.

    Parameters
    ----------
    path : Path
        A file.

    Yields
    ------
    Path or WatchedFile
        The path itself where nobody watches.
    """
    watcher = _watcher.get()
    if watcher is None:
        yield path
        return
    with WatchedFile(path, watcher) as file:
        watcher(0, file.size)
        try:
            yield file
        finally:
            watcher(0, 0)
