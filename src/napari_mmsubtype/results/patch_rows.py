"""Read the rows of some patches from an array of a store, a bounded part at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.results.store_damage import read_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr
    from numpy.typing import NDArray

MEMORY_BYTES = 32 * 1024**2
"""Chunks kept: about as many as hold the patches of one row of the map's squares."""


class PatchRows:
    """The rows of one array that has one row per patch.

    Parameters
    ----------
    array : zarr.Array
        Shape (n, ...).
    memory_bytes : int, default: 33554432
        Memory for the chunks read last, of which one is always kept.
    """

    def __init__(
        self, array: zarr.Array[Any], *, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._array = array
        self._step = array.chunks[0]
        row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:]))
        kept = max(memory_bytes // max(self._step * row_bytes, 1), 1)
        self._chunk = lru_cache(maxsize=kept)(self._read_chunk)

    def read(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Read the rows of some patches.

        Parameters
        ----------
        index : ndarray of int64, shape (k,)
            Which ones, ascending.

        Returns
        -------
        ndarray, shape (k, ...)
            As stored.
        """
        rows = np.empty((len(index), *self._array.shape[1:]), self._array.dtype)
        number = index // self._step
        for chunk in np.unique(number).tolist():
            wanted = number == chunk
            rows[wanted] = self._chunk(chunk)[index[wanted] - chunk * self._step]
        return rows

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Give all rows, chunk by chunk.

        Yields
        ------
        ndarray, shape (k, ...)
            The next rows; they are not kept.
        """
        for number in range(-(-self._array.shape[0] // self._step)):
            yield self._read_chunk(number)

    def _read_chunk(self, number: int) -> NDArray[Any]:
        start = number * self._step
        return read_part(self._array, slice(start, start + self._step))
