"""Pixels of patches that stay on disk until they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_mmsubtype.errors import StoreError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class StoredPatches:
    """Patches in several files, read when they are needed.

    It can stand wherever an array of shape (n, y, x, 3) is indexed by rows. Files are
    mapped for the moment of reading, so that neither their number nor their size
    counts.

    Parameters
    ----------
    paths : sequence of str or Path
        ``.npy`` files of uint8, shape (patches, y, x, 3); their patches follow one
        another.

    Attributes
    ----------
    shape : tuple of int
        Patches of all files, height, width and 3.

    Raises
    ------
    StoreError
        If a file is absent, damaged or holds no patches, or their sizes differ.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self._paths = [Path(path) for path in paths]
        shapes = [_mapped(path).shape for path in self._paths]
        sizes = {shape[1:] for shape in shapes}
        if len(sizes) != 1:
            msg = f"patches need files of one size, found {sorted(sizes) or 'no file'}"
            raise StoreError(msg)
        self._shapes = shapes
        self._starts = np.cumsum([0, *(shape[0] for shape in shapes)])
        height, width = (int(side) for side in shapes[0][1:3])
        self.shape = (int(self._starts[-1]), height, width, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for path in self._paths:
            yield from _mapped(path)

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        index = np.asarray(rows)
        if len(index) and not (index.min() >= 0 and index.max() < len(self)):
            msg = f"rows must be from 0 to {len(self) - 1}, found {rows!r}"
            raise IndexError(msg)
        found = np.empty((len(index), *self.shape[1:]), np.uint8)
        places = np.searchsorted(self._starts, index, side="right") - 1
        for place in np.unique(places):
            chosen = places == place
            own = _mapped(self._paths[place])
            if own.shape != self._shapes[place]:
                msg = f"{self._paths[place]} has changed since it was opened; run again"
                raise StoreError(msg)
            found[chosen] = own[index[chosen] - self._starts[place]]
        return found

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one patch.

        Parameters
        ----------
        index : int
            Which one.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            Its pixels.
        """
        return self[np.array([index])].reshape(self.shape[1:])

    @property
    def counts(self) -> list[int]:
        """Number of patches in each file."""
        return [shape[0] for shape in self._shapes]


Patches: TypeAlias = "NDArray[np.uint8] | StoredPatches"
"""Patches in memory, mapped from one file, or in several."""


def _mapped(path: Path) -> NDArray[np.uint8]:
    """Map a file; nothing stays open once the array is gone."""
    try:
        pixels: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        msg = f"the patches in {path} cannot be read: {err}; delete the file, run again"
        raise StoreError(msg) from err
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[3] != 3:
        msg = (
            f"{path} must hold patches of uint8, shape (n, y, x, 3), found "
            f"{pixels.dtype} of shape {pixels.shape}; delete the file, run again"
        )
        raise StoreError(msg)
    found: NDArray[np.uint8] = pixels
    return found
