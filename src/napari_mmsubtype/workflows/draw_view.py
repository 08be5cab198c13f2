"""Draw by another method what is in view, patch by patch as it is looked at."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cam_methods import checked_cam
from napari_mmsubtype.inference.drawing import Drawing, drawing_job
from napari_mmsubtype.results.cam_maps import CamWriter
from napari_mmsubtype.results.store import Result, open_result
from napari_mmsubtype.results.store_lock import StoreLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.core.progress import Job

MOST_PATCHES = 1024
"""Drawn for one view at most; from farther away the whole slide is the better wish."""

_CHUNK = 256


class UnsavedCells:
    """Stands in for the store where that cannot be written to.

    Parameters
    ----------
    count : int
        Number of patches.
    """

    def __init__(self, count: int) -> None:
        self.mapped = np.zeros(count, np.uint8)

    def write_cells(self, start: int, cells: NDArray[np.float32]) -> None:
        """Remember that a run of patches is drawn; whoever watches has their cells.

        Parameters
        ----------
        start : int
            Index of the first patch.
        cells : ndarray of float32, shape (k, channels, y, x)
            Their maps.
        """
        self.mapped[start : start + len(cells)] = 1


class ViewSession:
    """Draws views of one result by one method; made by `open_view_job`.

    What is drawn goes into the store, where it can be written to: it is there at the
    next visit, and the drawing of the whole slide goes on from it.

    Parameters
    ----------
    result : Result
        A complete analysis.
    drawing : Drawing
        By the method.
    """

    def __init__(self, result: Result, drawing: Drawing) -> None:
        self.result = result
        self.drawing = drawing
        self._is_kept = os.access(result.path, os.W_OK)
        self._cells: CamWriter | UnsavedCells = UnsavedCells(drawing.shape[0])
        if self._is_kept:
            with StoreLock.acquire(result.path):
                self._cells = CamWriter(result.path, drawing.method, drawing.shape)

    def drawn(self) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
        """Give what was drawn before.

        Yields
        ------
        start : int
            Index of the first patch of a run.
        cells : ndarray of float32, shape (k, channels, y, x)
            Maps of the run.
        mapped : ndarray of bool, shape (k,)
            Which of them are drawn.
        """
        if not isinstance(self._cells, CamWriter):
            return
        mapped = self._cells.mapped.astype(bool)
        for start in range(0, len(mapped), _CHUNK):
            part = mapped[start : start + _CHUNK]
            if part.any():
                stop = start + len(part)
                yield start, self._cells.read_cells(start, stop), part

    def draw_job(self, box: tuple[float, float, float, float]) -> Job[None]:
        """Draw what of a view is not drawn yet, from its middle outwards.

        Parameters
        ----------
        box : tuple of float
            Top, left, bottom and right in level-0 px.

        Yields
        ------
        Progress
            After each batch, with its maps as `PartialCells`; closing the job there
            loses at most one batch.
        """
        mapped = self._cells.mapped
        batches = batches_in_view(
            self.result.grid,
            box,
            self.drawing.batch_size,
            (mapped > 0) | ~self.drawing.used,
        )
        if not batches:
            return
        with ExitStack() as held:
            if self._is_kept:
                held.enter_context(StoreLock.acquire(self.result.path))
            yield from self.drawing.draw_job(self._cells, mapped, batches)

    def close(self) -> None:
        """Let go of the slide."""
        self.drawing.close()


def open_view_job(
    store: str | Path, method: str, *, device: str = "auto"
) -> Job[ViewSession]:
    """Prepare to draw views of a result.

    Parameters
    ----------
    store : str or Path
        A ``*.mmsubtype.zarr`` folder.
    method : str
        One of `cam_methods.METHODS`.
    device : str, default: "auto"
        ``auto``, ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``. The encoder runs in
        the precision of the analysis, if it can there.

    Yields
    ------
    Progress
        Stages ``open`` and ``tables``.

    Returns
    -------
    ViewSession
        To be closed by the caller.
    """
    method = checked_cam(method)
    result = open_result(store)
    drawing = yield from drawing_job(result, method, device)
    try:
        return ViewSession(result, drawing)
    except BaseException:
        drawing.close()
        raise


def batches_in_view(
    grid: PatchGrid,
    box: tuple[float, float, float, float],
    batch_size: int,
    skipped: NDArray[np.bool_],
) -> list[range]:
    """List the batches that hold patches in view.

    Parameters
    ----------
    grid : PatchGrid
        Where the patches lie.
    box : tuple of float
        Top, left, bottom and right in level-0 px.
    batch_size : int
        Patches per batch; batches start at its multiples.
    skipped : ndarray of bool, shape (n,)
        True where a patch needs no drawing.

    Returns
    -------
    list of range
        The nearest to the middle of the view first, and no more of them than hold
        `MOST_PATCHES` patches.
    """
    top, left, bottom, right = box
    y, x = grid.origin.T.astype(np.float64)
    height, width = grid.extent
    inside = (y < bottom) & (y + height > top) & (x < right) & (x + width > left)
    wanted = np.flatnonzero(inside & ~skipped)
    middle = np.hypot(
        y[wanted] + height / 2 - (top + bottom) / 2,
        x[wanted] + width / 2 - (left + right) / 2,
    )
    nearest = wanted[np.argsort(middle, kind="stable")] // batch_size
    starts = list(dict.fromkeys((nearest * batch_size).tolist()))
    count = max(MOST_PATCHES // batch_size, 1)
    return [range(s, min(s + batch_size, len(grid))) for s in starts[:count]]
