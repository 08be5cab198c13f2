"""Stitch the cells of all patches into one signed map of the slide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid, PatchSpec

    Cells = NDArray[np.float32]
    ReadCells = Callable[[NDArray[np.int64]], Cells]

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


class Mosaic:
    """The canvas that the cells of all patches make, of which any part can be drawn.

    Where patches overlap they are blended with Hann windows that add up to 1 at every
    pixel, so that no patch begins or ends abruptly.

    Parameters
    ----------
    grid : PatchGrid
        Where the patches lie.
    cells : tuple of int
        Rows and columns of a patch's last feature map.
    used : ndarray of bool, shape (n,), optional
        Patches that count; the others leave their place to their neighbors. All if
        left out.
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
        size, stride = grid.spec.size_px, grid.spec.stride_px
        unit = cell_size(grid.spec, cells)
        rows, cols = (_fitting(count, size) for count in cells)
        self._mode = mode
        self._size = size
        self._repeat = (size // rows // unit[0], size // cols // unit[1])
        self._side = (rows * self._repeat[0], cols * self._repeat[1])
        self._step = (stride // unit[0], stride // unit[1])
        self.shape = (
            (grid.shape[0] - 1) * self._step[0] + self._side[0],
            (grid.shape[1] - 1) * self._step[1] + self._side[1],
        )
        self._used = np.ones(len(grid), bool) if used is None else used
        self._cell = grid.cell.astype(np.int64)
        self._reach = math.ceil(size / stride) - 1
        self._window = np.outer(_taper(self._side[0]), _taper(self._side[1]))
        # Which places of the grid count, with a margin for those at its border.
        margin = 2 * self._reach
        self._taken = np.zeros([n + margin for n in grid.shape], bool)
        row, col = self._cell[self._used].T + self._reach
        self._taken[row, col] = True
        self._shares: dict[bytes, NDArray[np.float64]] = {}

    def patches_in(
        self, top: int, left: int, bottom: int, right: int
    ) -> NDArray[np.int64]:
        """List the patches that touch a part of the canvas.

        Parameters
        ----------
        top, left, bottom, right : int
            The part, in pixels of the canvas; ``bottom`` and ``right`` lie outside.

        Returns
        -------
        ndarray of int64
            Indices of those that count, ascending.
        """
        y, x = (self._cell * self._step).T
        touches = (y < bottom) & (y + self._side[0] > top) & self._used
        touches &= (x < right) & (x + self._side[1] > left)
        return np.flatnonzero(touches)

    def draw(
        self,
        top: int,
        left: int,
        bottom: int,
        right: int,
        read: ReadCells,
        channels: int,
    ) -> NDArray[np.float32]:
        """Draw a part of the canvas.

        Parameters
        ----------
        top, left, bottom, right : int
            The part, in pixels of the canvas; ``bottom`` and ``right`` lie outside.
        read : callable
            Gives the cells of patches, float32, shape (k, c, y, x), for their indices,
            which are ascending.
        channels : int
            How many values a cell has.

        Returns
        -------
        ndarray of float32, shape (c, bottom - top, right - left)
            The same numbers, however the canvas is divided.
        """
        canvas = np.zeros((channels, bottom - top, right - left), np.float64)
        index = self.patches_in(top, left, bottom, right)
        if not len(index):
            return canvas.astype(np.float32)
        values = _fit_cells(read(index), self._size, self._mode)
        for patch, cells in zip(index.tolist(), values, strict=True):
            row, col = (self._cell[patch] * self._step).tolist()
            # What of the patch lies in the part, seen from the patch and from the part.
            y = slice(max(top - row, 0), min(bottom - row, self._side[0]))
            x = slice(max(left - col, 0), min(right - col, self._side[1]))
            area = (
                slice(y.start + row - top, y.stop + row - top),
                slice(x.start + col - left, x.stop + col - left),
            )
            canvas[:, *area] += self._spread(patch, cells)[:, y, x]
        return canvas.astype(np.float32)

    def _spread(self, patch: int, cells: NDArray[np.float32]) -> NDArray[Any]:
        """Give what one patch adds to each pixel that it covers."""
        if self._mode == "sum":
            cells = cells * np.float32(1.0 / (self._repeat[0] * self._repeat[1]))
        block = cells.repeat(self._repeat[0], axis=1).repeat(self._repeat[1], axis=2)
        if not self._reach:
            return block
        share = self._share(patch)
        if self._mode == "mean":
            averaged: NDArray[Any] = block * share
            return averaged
        # The patch has this part of its pixels for itself, so that all it says must
        # go there; what the window took from the rim comes back in the window's shape.
        own = share.sum()
        tapered = block * (share * (share.size / own))
        missing = (block - tapered).sum(axis=(1, 2), dtype=np.float64, keepdims=True)
        whole: NDArray[Any] = tapered + missing * (share / own)
        return whole

    def _share(self, patch: int) -> NDArray[np.float64]:
        """Give the part that a patch has of each of its pixels, 0 to 1.

        It follows from which neighbors count, of which there are few patterns.
        """
        row, col = self._cell[patch].tolist()
        side = 2 * self._reach + 1
        near = self._taken[row : row + side, col : col + side]
        share = self._shares.get(near.tobytes())
        if share is None:
            total = np.zeros(self._side)
            for i, j in np.argwhere(near):
                down, along = (
                    (int(n) - self._reach) * step
                    for n, step in zip((i, j), self._step, strict=True)
                )
                own, other = (
                    tuple(
                        slice(max(sign * shift, 0), side + min(sign * shift, 0))
                        for shift, side in zip((down, along), self._side, strict=True)
                    )
                    for sign in (1, -1)
                )
                total[own] += self._window[other]
            share = self._shares[near.tobytes()] = self._window / total
        return share


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
    cells = (values.shape[2], values.shape[3])
    mosaic = Mosaic(grid, cells, used=used, mode=mode)
    return mosaic.draw(0, 0, *mosaic.shape, values.__getitem__, values.shape[1])


def halve(canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average a canvas down, two by two.

    Parameters
    ----------
    canvas : ndarray of float32, shape (c, y, x)
        Any part that begins at an even row and column.

    Returns
    -------
    ndarray of float32, shape (c, ceil(y / 2), ceil(x / 2))
        Odd edges are padded with zero.
    """
    even = np.pad(canvas, [(0, 0), *((0, size % 2) for size in canvas.shape[1:])])
    upper = even[:, ::2, ::2] + even[:, ::2, 1::2]
    lower = even[:, 1::2, ::2] + even[:, 1::2, 1::2]
    mean: NDArray[np.float32] = (upper + lower) * np.float32(0.25)
    return mean


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Give the sizes of a canvas halved until it fits a screen.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the finest level.

    Returns
    -------
    list of tuple of int
        Rows and columns of each level, finest first.
    """
    shapes = [shape]
    while max(shapes[-1]) > _COARSEST:
        rows, cols = shapes[-1]
        shapes.append((math.ceil(rows / 2), math.ceil(cols / 2)))
    return shapes


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
