"""Stitch the cells of all patches into one signed map of the slide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid, PatchSpec

_COARSEST = 2048


def cell_size(spec: PatchSpec, cells: tuple[int, int]) -> tuple[int, int]:
    """Give the size of a map pixel, in pixels that the model sees.

    Parameters
    ----------
    spec : PatchSpec
        Patch size and stride.
    cells : tuple of int
        Rows and columns of a patch's last feature map.

    Returns
    -------
    tuple of int
        Height and width: the largest size that divides both a cell and the stride, so
        that every cell of every patch covers whole pixels of the map. Where the cells
        do not divide the patch (13 over 224 px, say) they are spread over the next
        number that does.
    """
    height, width = (
        math.gcd(spec.size_px // _fitting(count, spec.size_px), spec.stride_px)
        for count in cells
    )
    return height, width


class Stitcher:
    """Lays cells of patches onto one canvas, patch by patch and in any order.

    Where patches overlap they are blended with Hann windows that add up to 1 at every
    pixel, so that no patch begins or ends abruptly.

    Parameters
    ----------
    grid : PatchGrid
        Where the patches lie.
    cells : tuple of int
        Rows and columns of a patch's last feature map.
    used : ndarray of bool, shape (n,), optional
        Patches that will be laid; the others leave their place to their neighbors. All
        if left out.
    mode : {"sum", "mean"}, default: "sum"
        As for `stitch`.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the canvas, which covers the whole grid.
    """

    def __init__(
        self,
        grid: PatchGrid,
        cells: tuple[int, int],
        *,
        used: NDArray[np.bool_] | None = None,
        mode: str = "sum",
    ) -> None:
        if mode not in ("sum", "mean"):
            msg = f"mode must be 'sum' or 'mean', found {mode!r}"
            raise ValueError(msg)
        self._grid, self._mode = grid, mode
        spec = grid.spec
        unit = cell_size(spec, cells)
        rows, cols = (_fitting(count, spec.size_px) for count in cells)
        self._step = (spec.stride_px // unit[0], spec.stride_px // unit[1])
        self._repeat = (
            spec.size_px // rows // unit[0],
            spec.size_px // cols // unit[1],
        )
        self._side = (rows * self._repeat[0], cols * self._repeat[1])
        self.shape = (
            (grid.shape[0] - 1) * self._step[0] + self._side[0],
            (grid.shape[1] - 1) * self._step[1] + self._side[1],
        )
        self._window: NDArray[np.float32] | None = None
        self._total: NDArray[np.float32] | None = None
        if spec.stride_px < spec.size_px:
            window = np.outer(_taper(self._side[0]), _taper(self._side[1]))
            self._window = window.astype(np.float32)
            self._total = np.zeros(self.shape, np.float32)
            members = np.arange(len(grid)) if used is None else np.flatnonzero(used)
            for index in members:
                self._total[self.area(int(index))] += self._window

    def area(self, index: int) -> tuple[slice, slice]:
        """Tell which part of the canvas a patch covers.

        Parameters
        ----------
        index : int
            Of the patch.

        Returns
        -------
        tuple of slice
            Rows and columns.
        """
        row, col = (int(v) for v in self._grid.cell[index])
        top, left = row * self._step[0], col * self._step[1]
        return slice(top, top + self._side[0]), slice(left, left + self._side[1])

    def place(
        self, canvas: NDArray[Any], indices: Iterable[int], values: NDArray[np.float32]
    ) -> None:
        """Add patches to a canvas.

        Parameters
        ----------
        canvas : ndarray of float, shape (c, *self.shape)
            Changed in place.
        indices : iterable of int
            Which patches.
        values : ndarray of float32, shape (k, c, y, x)
            Their cells.
        """
        values = _fit_cells(values, self._grid.spec.size_px, self._mode)
        spread = 1.0
        if self._mode == "sum":
            spread = 1.0 / (self._repeat[0] * self._repeat[1])
        for index, cells in zip(indices, values, strict=True):
            area = self.area(int(index))
            block: NDArray[Any] = cells * spread
            block = block.repeat(self._repeat[0], axis=1).repeat(
                self._repeat[1], axis=2
            )
            canvas[:, *area] += self._blended(block, area)

    def _blended(self, block: NDArray[Any], area: tuple[slice, slice]) -> NDArray[Any]:
        """Weigh a patch where it overlaps others."""
        if self._window is None or self._total is None:
            return block
        share = self._window / self._total[area]
        if self._mode == "mean":
            averaged: NDArray[Any] = block * share
            return averaged
        # The patch has this part of its pixels for itself, so that all it says must
        # go there; what the window took from the rim comes back in the window's shape.
        own = share.sum(dtype=np.float64)
        tapered = block * (share * (share.size / own))
        missing = (block - tapered).sum(axis=(1, 2), dtype=np.float64, keepdims=True)
        whole: NDArray[Any] = tapered + missing * (share / own)
        return whole


def stitch(
    grid: PatchGrid,
    values: NDArray[np.float32],
    *,
    mode: str = "sum",
    used: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Lay the cells of all patches onto one canvas.

    Parameters
    ----------
    grid : PatchGrid
        Where the patches lie.
    values : ndarray of float32, shape (n, c, y, x)
        One value per cell of each patch.
    mode : {"sum", "mean"}, default: "sum"
        ``"sum"`` spreads each cell's value over the pixels it covers, so that the
        canvas sums to the same total: right for evidence. ``"mean"`` averages
        overlapping patches, so that a constant stays that constant: right for
        densities such as probabilities. Both blend overlapping patches with Hann
        windows; without overlap no value is interpolated across a patch border.
    used : ndarray of bool, shape (n,), optional
        Patches that count; the others leave their place to their neighbors. All if
        left out.

    Returns
    -------
    ndarray of float32, shape (c, row, column)
        Covers the whole grid; 0 where no patch lies.
    """
    stitcher = Stitcher(grid, (values.shape[2], values.shape[3]), used=used, mode=mode)
    canvas = np.zeros((values.shape[1], *stitcher.shape), np.float64)
    members = np.arange(len(grid)) if used is None else np.flatnonzero(used)
    stitcher.place(canvas, members, values if used is None else values[members])
    return canvas.astype(np.float32)


def pyramid(canvas: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Average a canvas down, two by two, until it fits a screen.

    Parameters
    ----------
    canvas : ndarray of float32, shape (c, y, x)
        The finest level.

    Returns
    -------
    list of ndarray of float32, shape (c, y, x)
        The canvas first; odd edges are padded with zero.
    """
    levels = [canvas]
    while max(levels[-1].shape[1:]) > _COARSEST:
        last = levels[-1]
        odd = [(0, 0), *((0, size % 2) for size in last.shape[1:])]
        even = np.pad(last, odd)
        c, height, width = even.shape
        blocks = even.reshape(c, height // 2, 2, width // 2, 2)
        levels.append(blocks.mean(axis=(2, 4), dtype=np.float32))
    return levels


def _fitting(count: int, size: int) -> int:
    """Give the smallest number of equal cells, not below ``count``, dividing a size."""
    return next(n for n in range(count, size + 1) if size % n == 0)


def _fit_cells(
    values: NDArray[np.float32], size: int, mode: str
) -> NDArray[np.float32]:
    """Spread cells over a number of cells that divides the patch."""
    rows, cols = values.shape[2:]
    vertical = _overlap(rows, _fitting(rows, size), mode)
    horizontal = _overlap(cols, _fitting(cols, size), mode)
    if vertical is None and horizontal is None:
        return values
    if vertical is not None:
        values = np.einsum("ts,ncsx->nctx", vertical, values)
    if horizontal is not None:
        values = np.einsum("ts,ncys->ncyt", horizontal, values)
    return values.astype(np.float32)


def _overlap(source: int, target: int, mode: str) -> NDArray[np.float64] | None:
    """Give the share of each source cell (sum) or each target cell (mean) in common.

    None where both are equally many. Columns sum to 1 for ``"sum"``, which keeps
    totals; rows sum to 1 for ``"mean"``, which keeps constants.
    """
    if source == target:
        return None
    low = np.maximum(np.arange(target)[:, None] / target, np.arange(source) / source)
    high = np.minimum(
        np.arange(1, target + 1)[:, None] / target, np.arange(1, source + 1) / source
    )
    common: NDArray[np.float64] = np.clip(high - low, 0.0, None)
    return common * (source if mode == "sum" else target)


def _taper(size: int) -> NDArray[np.float64]:
    """Give a half-sample-centred Hann window that never reaches zero."""
    phase = (np.arange(size) + 0.5) / size
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * phase) + 1e-3
    return window
