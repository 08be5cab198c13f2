"""Bags of embeddings that stay on disk until their patches are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.whole_file import whole_file
from napari_mmsubtype.errors import StoreError

if TYPE_CHECKING:
    import os

    from numpy.typing import DTypeLike, NDArray

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class _File:
    """One file of embeddings as it was when it was first looked at."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    stamp: tuple[int, int]

    def map(self) -> NDArray[np.floating]:
        """Map the file; nothing is read, and nothing stays open afterwards."""
        try:
            if _stamp(self.path) != self.stamp:
                msg = f"{self.path} has changed since it was opened; start again"
                raise StoreError(msg)
            if self.shape[0] == 0:
                return np.empty(self.shape, self.dtype)
            return np.memmap(
                self.path, self.dtype, "r", offset=self.offset, shape=self.shape
            )
        except OSError as err:
            if isinstance(err, StoreError):
                raise
            msg = f"the embeddings in {self.path} cannot be read: {err}; embed again"
            raise StoreError(msg) from err


class StoredBag:
    """Embeddings of one case in one or several files, read when they are needed.

    It can stand wherever an array of shape (patches, d) is indexed by rows. Files are
    mapped for the moment of reading, so that neither their number nor their size
    counts.

    Parameters
    ----------
    *paths : str or Path
        ``.npy`` files of shape (patches, d), such as `store_bag` writes; their patches
        follow one another.

    Attributes
    ----------
    shape : tuple of int
        Patches of all files, and length of an embedding.
    dtype : numpy.dtype
        Of the numbers.

    Raises
    ------
    StoreError
        If a file is absent, damaged or no table of embeddings, or the files differ in
        the length or type of their embeddings.
    """

    ndim = 2

    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        self._files = [_look_at(Path(path)) for path in paths]
        kinds = {(file.shape[1], file.dtype) for file in self._files}
        if len(kinds) != 1:
            found = ", ".join(f"{f.path}: {f.shape} {f.dtype}" for f in self._files)
            msg = f"a bag needs files of embeddings of one encoder, found {found or 0}"
            raise StoreError(msg)
        ((dim, self.dtype),) = kinds
        self._starts = np.cumsum([0, *(file.shape[0] for file in self._files)])
        self.shape = (int(self._starts[-1]), dim)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> NDArray[np.floating]:
        if isinstance(rows, slice):
            index = np.arange(*rows.indices(len(self)))
        else:
            index = np.asarray(rows)
        if len(index) and not (index.min() >= 0 and index.max() < len(self)):
            msg = f"rows must be from 0 to {len(self) - 1}, found {rows!r}"
            raise IndexError(msg)
        found = np.empty((len(index), self.shape[1]), self.dtype)
        places = np.searchsorted(self._starts, index, side="right") - 1
        for place, file in enumerate(self._files):
            chosen = places == place
            if chosen.any():
                found[chosen] = file.map()[index[chosen] - self._starts[place]]
        return found

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.floating]:
        if copy is False:
            msg = "a bag on disk cannot be had without copying it into memory"
            raise ValueError(msg)
        whole = np.concatenate([file.map() for file in self._files])
        return whole if dtype is None else whole.astype(dtype, copy=False)

    @cached_property
    def summary(self) -> BagSummary:
        """Mean patch, squares and fingerprint; the files are read once for all."""
        return summarize_bag(self)


@dataclass(frozen=True, slots=True, eq=False)
class BagSummary:
    """What all patches of one case have in common.

    Attributes
    ----------
    mean, square : ndarray of float64, shape (d,)
        Mean patch, and mean of the squares.
    digest : str
        Fingerprint of every number of the bag.
    """

    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    digest: str


def summarize_bag(bag: NDArray[np.floating] | StoredBag) -> BagSummary:
    """Read all patches of a case once.

    Parameters
    ----------
    bag : ndarray or StoredBag of float, shape (patches, d)
        What lies on disk is read in small parts, and only the first time.

    Returns
    -------
    BagSummary
        With averages of 0 where there are no patches.
    """
    total = np.zeros((2, bag.shape[1]))
    digest = hashlib.sha256(f"{bag.shape} {bag.dtype}".encode())
    for start in range(0, len(bag), _ROWS_AT_ONCE):
        part = np.ascontiguousarray(bag[start : start + _ROWS_AT_ONCE])
        digest.update(part.data)
        exact = part.astype(np.float64)
        total += exact.sum(axis=0), np.einsum("nd,nd->d", exact, exact)
    mean, square = total / max(len(bag), 1)
    return BagSummary(mean, square, digest.hexdigest())


def store_bag(path: str | os.PathLike[str], embeddings: NDArray[np.floating]) -> Path:
    """Write the embeddings of a slide for training.

    Parameters
    ----------
    path : str or Path
        Of the file, ending in ``.npy``; replaced as a whole.
    embeddings : ndarray of float, shape (patches, d)
        Kept as float16.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If it is no table, or has numbers that float16 cannot hold.
    """
    target = Path(path)
    if embeddings.ndim != 2:
        msg = f"embeddings must have shape (patches, d), found {embeddings.shape}"
        raise ValueError(msg)
    with np.errstate(over="ignore"):
        half = np.asarray(embeddings, dtype=np.float16)
    if not np.isfinite(half).all():
        msg = f"embeddings for {target} have numbers that are not finite in float16"
        raise ValueError(msg)
    with whole_file(target) as draft, draft.open("wb") as file:
        np.save(file, np.ascontiguousarray(half), allow_pickle=False)
    return target


def _look_at(path: Path) -> _File:
    """Read the header of a file."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        msg = f"{path} is no readable table of embeddings: {err}; embed the slide again"
        raise StoreError(msg) from err
    if not isinstance(table, np.memmap):
        # A table without rows cannot be mapped.
        table = np.asarray(table)
    if (
        table.ndim != 2
        or not np.issubdtype(table.dtype, np.floating)
        or not table.flags.c_contiguous
    ):
        msg = (
            f"{path} must hold embeddings of shape (patches, d), found {table.dtype} "
            f"of shape {table.shape}; embed the slide again"
        )
        raise StoreError(msg)
    offset = table.offset if isinstance(table, np.memmap) else 0
    return _File(path, table.shape, table.dtype, int(offset), _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    """Tell one state of a file from another."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns
