"""Decoded tiles of all open slides, kept in memory up to one limit."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.environment import read_mebibytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

LIMIT_VARIABLE = "MMSUBTYPE_TILE_MEMORY_MIB"
"""Environment variable with the memory for decoded tiles of this process, in MiB."""

DEFAULT_LIMIT_BYTES = 256 * 1024**2


class TileOwner:
    """Whose tiles they are: one slide, or all that were opened from the same file.

    The tiles go when the last slide lets go of its owner.

    Parameters
    ----------
    memory : TileMemory
        Where the tiles are kept.
    """

    def __init__(self, memory: TileMemory) -> None:
        # The memory knows its owners by a token, or it would keep them alive.
        self.token = object()
        weakref.finalize(self, memory.forget, self.token).atexit = False


Key = tuple[object, "Hashable"]


class TileMemory:
    """Keep the tiles used last, whichever slide and thread they were decoded for.

    Two threads that want the same tile at the same time decode it once: the second
    waits for the first. A tile that fails to decode is not remembered, and whoever
    waited for it tries for itself. No lock is held while a tile is decoded.

    Parameters
    ----------
    limit_bytes : int, default: 268435456
        Memory for decoded tiles. The tile used last stays even if it alone is larger,
        so that an image stored as one piece is not decoded again for every region.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._owners: weakref.WeakValueDictionary[Hashable, TileOwner]
        self._owners = weakref.WeakValueDictionary()
        self.reset()

    def reset(self) -> None:
        """Start empty, with a fresh lock.

        Only for a process with a single thread, such as a fork that has just begun.
        """
        self._lock = threading.Lock()
        self._size = 0
        self._tiles: OrderedDict[Key, NDArray[np.uint8]] = OrderedDict()
        self._loading: dict[Key, Future[NDArray[np.uint8]]] = {}
        self._gone: deque[object] = deque()

    @property
    def size_bytes(self) -> int:
        """Memory held by the kept tiles, in bytes."""
        with self._lock:
            self._purge()
            return self._size

    @property
    def limit_bytes(self) -> int:
        """Memory that the kept tiles may take, in bytes."""
        return self._limit

    def set_limit(self, limit_bytes: int) -> None:
        """Change the limit and free at once what exceeds it.

        Parameters
        ----------
        limit_bytes : int
            Memory that the kept tiles may take.

        Raises
        ------
        ValueError
            If it is negative.
        """
        if limit_bytes < 0:
            msg = f"the memory limit must be 0 or more bytes, found {limit_bytes}"
            raise ValueError(msg)
        with self._lock:
            self._limit = limit_bytes
            self._shrink()

    def owner(self, identity: Hashable) -> TileOwner:
        """Give the owner that all slides of one identity share.

        Parameters
        ----------
        identity : hashable
            Equal for slides whose tiles are equal.

        Returns
        -------
        TileOwner
            The same object as long as anybody holds it.
        """
        with self._lock:
            owner = self._owners.get(identity)
            if owner is None:
                owner = self._owners[identity] = TileOwner(self)
            return owner

    def get(
        self, token: object, name: Hashable, load: Callable[[], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Give a tile, decoding it where it is not kept.

        Parameters
        ----------
        token : object
            That of the owner; who calls holds the owner meanwhile.
        name : hashable
            What names the tile among those of its owner.
        load : callable
            Decodes the tile.

        Returns
        -------
        ndarray of uint8
            The tile, read-only because it is shared.
        """
        key = (token, name)
        while True:
            with self._lock:
                self._purge()
                tile = self._tiles.get(key)
                if tile is not None:
                    self._tiles.move_to_end(key)
                    return tile
                pending = self._loading.get(key)
                if pending is None:
                    mine: Future[NDArray[np.uint8]] = Future()
                    self._loading[key] = mine
                    break
            # Another slide of the same file may fail where this one does not, such as
            # when it is closed meanwhile.
            if pending.exception() is None:
                return pending.result()
        try:
            tile = _alone(load())
            tile.flags.writeable = False
        except BaseException as err:
            with self._lock:
                self._loading.pop(key, None)
            mine.set_exception(err)
            raise
        with self._lock:
            self._loading.pop(key, None)
            old = self._tiles.pop(key, None)
            self._size += tile.nbytes - (0 if old is None else old.nbytes)
            self._tiles[key] = tile
            self._shrink()
        mine.set_result(tile)
        return tile

    def forget(self, token: object) -> None:
        """Drop the tiles of one owner, at the latest before the next use.

        Parameters
        ----------
        token : object
            That of the owner.
        """
        self._gone.append(token)
        # The garbage collector may close a slide while this very thread holds the
        # lock; waiting for it would then last forever.
        if self._lock.acquire(blocking=False):
            try:
                self._purge()
            finally:
                self._lock.release()

    def clear(self) -> None:
        """Drop all tiles."""
        with self._lock:
            self._tiles.clear()
            self._size = 0

    def _purge(self) -> None:
        """Drop the tiles of owners that are gone; the lock is held."""
        gone = set()
        while self._gone:
            gone.add(self._gone.popleft())
        if gone:
            for key in [key for key in self._tiles if key[0] in gone]:
                self._size -= self._tiles.pop(key).nbytes

    def _shrink(self) -> None:
        """Drop the tiles used longest ago; the lock is held."""
        while self._size > self._limit and len(self._tiles) > 1:
            _, dropped = self._tiles.popitem(last=False)
            self._size -= dropped.nbytes


def _alone(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give a tile, row by row, in memory that holds nothing else."""
    whole: Any = tile
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    # A slice would keep its whole parent alive and defeat the limit.
    if whole.base is not None or whole.nbytes != tile.nbytes:
        tile = tile.copy()
    return np.ascontiguousarray(tile)


class TileCache:
    """The tiles of one slide within the memory that all slides share.

    Parameters
    ----------
    memory : TileMemory or None, default: None
        Where the tiles are kept; None for that of the process.
    identity : hashable or None, default: None
        Slides of equal identity share their tiles until the last of them is cleared;
        None for tiles of its own.
    """

    def __init__(
        self, memory: TileMemory | None = None, *, identity: Hashable | None = None
    ) -> None:
        self._memory = shared_memory() if memory is None else memory
        self._owner = (
            TileOwner(self._memory)
            if identity is None
            else self._memory.owner(identity)
        )

    def get(
        self, key: Hashable, load: Callable[[], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Give a tile, decoding it where it is not kept.

        Parameters
        ----------
        key : hashable
            What names the tile within its slide.
        load : callable
            Decodes the tile.

        Returns
        -------
        ndarray of uint8
            The tile, read-only because it is shared.
        """
        # Held here, so that a tile whose decoding outlasts its slide is forgotten after
        # it was kept and not before, and let go even if an error keeps this frame.
        owner = self._owner
        try:
            return self._memory.get(owner.token, key, load)
        finally:
            del owner

    def clear(self) -> None:
        """Let go of the tiles of this slide, those being decoded just now as well."""
        # Takes no lock: the garbage collector may call this anywhere.
        self._owner = TileOwner(self._memory)


def tile_memory_limit() -> int:
    """Give the memory limit for decoded tiles that the environment asks for.

    Returns
    -------
    int
        Bytes; `DEFAULT_LIMIT_BYTES` where `LIMIT_VARIABLE` is not set.

    Raises
    ------
    ConfigurationError
        If the variable is no whole number of MiB.
    """
    return read_mebibytes(LIMIT_VARIABLE, DEFAULT_LIMIT_BYTES)


def shared_memory() -> TileMemory:
    """Give the tile memory that all slides of this process share.

    Returns
    -------
    TileMemory
        Always the same object; its limit can be set at any time.

    Raises
    ------
    ConfigurationError
        If `LIMIT_VARIABLE` is no whole number of MiB when first asked.
    """
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = TileMemory(tile_memory_limit())
        return _shared


_shared: TileMemory | None = None
_shared_lock = threading.Lock()


def _begin_fork() -> None:
    """Replace locks and promises of threads that a forked process does not have."""
    global _shared_lock
    _shared_lock = threading.Lock()
    if _shared is not None:
        _shared.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_fork)
