"""Decoded tiles kept in memory up to a limit, each decoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

DEFAULT_LIMIT_BYTES = 192 * 1024**2


class TileCache:
    """Keep the tiles used last, shared by all threads that read one slide.

    Two threads that want the same tile at the same time decode it once: the second
    waits for the first. A tile that fails to decode is not remembered.

    Parameters
    ----------
    limit_bytes : int, default: 201326592
        Memory for decoded tiles. The tile used last stays even if it alone is larger,
        so that an image stored as one piece is not decoded again for every region.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._tiles: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        self._loading: dict[Hashable, Future[NDArray[np.uint8]]] = {}
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Memory held by the kept tiles, in bytes."""
        return self._size

    def get(
        self, key: Hashable, load: Callable[[], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Give a tile, decoding it where it is not kept.

        Parameters
        ----------
        key : hashable
            What names the tile.
        load : callable
            Decodes the tile; its error reaches every thread that waits for it.

        Returns
        -------
        ndarray of uint8
            The tile, read-only because it is shared.
        """
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
                return tile
            pending = self._loading.get(key)
            if pending is None:
                mine: Future[NDArray[np.uint8]] = Future()
                self._loading[key] = mine
        if pending is not None:
            return pending.result()
        try:
            tile = load()
            # A slice would keep its whole parent alive and defeat the limit.
            tile = np.ascontiguousarray(tile if tile.base is None else tile.copy())
            tile.flags.writeable = False
        except BaseException as err:
            with self._lock:
                self._loading.pop(key, None)
            mine.set_exception(err)
            raise
        with self._lock:
            self._loading.pop(key, None)
            self._keep(key, tile)
        mine.set_result(tile)
        return tile

    def clear(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._tiles.clear()
            self._size = 0

    def _keep(self, key: Hashable, tile: NDArray[np.uint8]) -> None:
        """Store a tile and drop the ones used longest ago; the lock is held."""
        old = self._tiles.pop(key, None)
        self._size += tile.nbytes - (0 if old is None else old.nbytes)
        self._tiles[key] = tile
        while self._size > self._limit and len(self._tiles) > 1:
            _, dropped = self._tiles.popitem(last=False)
            self._size -= dropped.nbytes
