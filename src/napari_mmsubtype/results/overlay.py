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
    """The canvas that the cells of all patches make, of which any part can be had.

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
        fitted = [_fitting(count, size) for count in cells]
        repeat = [size // n // side for n, side in zip(fitted, unit, strict=True)]
        self._mode, self._used = mode, used
        self._size = size
        self._overlaps = stride < size
        self._repeat = repeat
        self._side = (fitted[0] * repeat[0], fitted[1] * repeat[1])
        step = np.array([stride // unit[0], stride // unit[1]], np.int64)
        self._corner = grid.cell * step
        rows, cols = (np.array(grid.shape) - 1) * step + self._side
        self.shape = (int(rows), int(cols))

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
        y, x = self._corner.T
        touches = (y < bottom) & (y + self._side[0] > top)
        touches &= (x < right) & (x + self._side[1] > left)
        if self._used is not None:
            touches &= self._used
        return np.flatnonzero(touches)

    def draw(
        self,
        top: int,
        left: int,
        bottom: int,
        right: int,
        read: ReadCells,
        classes: int,
    ) -> NDArray[np.float32]:
        """Draw a part of the canvas.

        Parameters
        ----------
        top, left, bottom, right : int
            The part, in pixels of the canvas; ``bottom`` and ``right`` lie outside.
        read : callable
            Gives the cells of patches, float32, shape (k, c, y, x), for their indices.
        classes : int
            How many values a cell has.

        Returns
        -------
        ndarray of float32, shape (c, bottom - top, right - left)
            The same numbers, whatever the part is cut out of the canvas.
        """
        canvas = np.zeros((classes, bottom - top, right - left), np.float64)
        index = self.patches_in(top, left, bottom, right)
        if len(index):
            self._add(canvas, (top, left), index, read(index))
        return canvas.astype(np.float32)

    def place(
        self,
        canvas: NDArray[np.float32],
        index: NDArray[np.int64],
        values: Cells,
        *,
        join: int = 1,
    ) -> None:
        """Add patches to a canvas of the whole grid, in any order.

        Parameters
        ----------
        canvas : ndarray of float32, shape (c, *joined_shape(join))
            Changed in place.
        index : ndarray of int64, shape (k,)
            Which patches, of those that count.
        values : ndarray of float32, shape (k, c, y, x)
            Their cells.
        join : int, default: 1
            So many pixels along a side are one pixel of the canvas, their sum.
        """
        # One by one: patches that lie far apart have a large part in common.
        for place, corner in enumerate(self._corner[index].tolist()):
            one = slice(place, place + 1)
            pairs = list(zip(corner, self._side, strict=True))
            top, left = (first // join for first, _ in pairs)
            bottom, right = (-(-(first + side) // join) for first, side in pairs)
            shape = (len(canvas), (bottom - top) * join, (right - left) * join)
            part = np.zeros(shape, np.float64)
            self._add(part, (top * join, left * join), index[one], values[one])
            squares = part.reshape(-1, bottom - top, join, right - left, join)
            canvas[:, top:bottom, left:right] += squares.sum(axis=(2, 4))

    def joined_shape(self, join: int) -> tuple[int, int]:
        """Give the size of the canvas whose pixels are joined.

        Parameters
        ----------
        join : int
            How many pixels along a side become one.

        Returns
        -------
        tuple of int
            Rows and columns; the last may stand for fewer pixels.
        """
        rows, cols = self.shape
        return -(-rows // join), -(-cols // join)

    def _add(
        self,
        canvas: NDArray[Any],
        first: tuple[int, int],
        index: NDArray[np.int64],
        values: Cells,
    ) -> None:
        """Add patches to a part of the canvas that begins at ``first``."""
        top, left = first
        bottom, right = top + canvas.shape[1], left + canvas.shape[2]
        corners = self._corner[index]
        shares = self._shares(corners) if self._overlaps else None
        spread = 1.0
        if self._mode == "sum":
            spread = 1.0 / (self._repeat[0] * self._repeat[1])
        values = _fit_cells(values, self._size, self._mode)
        for place, ((row, col), cells) in enumerate(
            zip(corners.tolist(), values, strict=True)
        ):
            block: NDArray[Any] = cells * spread
            block = block.repeat(self._repeat[0], axis=1).repeat(
                self._repeat[1], axis=2
            )
            if shares is not None:
                block = _blended(block, shares(place), self._mode)
            # What of the patch lies in the part, seen from the patch and from the part.
            y = slice(max(top - row, 0), min(bottom - row, self._side[0]))
            x = slice(max(left - col, 0), min(right - col, self._side[1]))
            canvas[
                :,
                y.start + row - top : y.stop + row - top,
                x.start + col - left : x.stop + col - left,
            ] += block[:, y, x]

    def _shares(self, corners: NDArray[np.int64]) -> Callable[[int], NDArray[Any]]:
        """Give the share that each of some patches has in its pixels."""
        side = np.array(self._side)
        first, last = corners.min(axis=0), corners.max(axis=0) + side
        window = np.outer(_taper(self._side[0]), _taper(self._side[1]))
        total = np.zeros(tuple(last - first), np.float64)
        # Neighbors outside of the part have their share in patches that reach into it.
        for index in self.patches_in(*first.tolist(), *last.tolist()):
            row, col = (self._corner[index] - first).tolist()
            y = slice(max(-row, 0), min(total.shape[0] - row, self._side[0]))
            x = slice(max(-col, 0), min(total.shape[1] - col, self._side[1]))
            total[y.start + row : y.stop + row, x.start + col : x.stop + col] += window[
                y, x
            ]

        def share(place: int) -> NDArray[Any]:
            row, col = (corners[place] - first).tolist()
            whole: NDArray[Any] = (
                window / total[row : row + side[0], col : col + side[1]]
            )
            return whole

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
    mosaic = Mosaic(grid, (values.shape[2], values.shape[3]), used=used, mode=mode)
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


def _blended(block: NDArray[Any], share: NDArray[Any], mode: str) -> NDArray[Any]:
    """Weigh a patch where it overlaps others."""
    if mode == "mean":
        averaged: NDArray[Any] = block * share
        return averaged
    # The patch has this part of its pixels for itself, so that all it says must go
    # there; what the window took from the rim comes back in the window's shape.
    own = share.sum(dtype=np.float64)
    tapered = block * (share * (share.size / own))
    missing = (block - tapered).sum(axis=(1, 2), dtype=np.float64, keepdims=True)
    whole: NDArray[Any] = tapered + missing * (share / own)
    return whole


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
