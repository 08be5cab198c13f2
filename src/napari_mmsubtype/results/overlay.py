"""Stitch the cells of all patches into one signed map of the slide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
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


def stitch(
    grid: PatchGrid, values: NDArray[np.float32], *, mode: str = "sum"
) -> NDArray[np.float32]:
    """Lay the cells of all patches onto one canvas.

    Parameters
    ----------
    grid : PatchGrid
        Where the patches lie.
    values : ndarray of float32, shape (n, c, y, x)
        One value per cell of each patch.
    mode : {"sum", "mean"}, default: "sum"
        ``"sum"`` spreads each cell's value over the pixels it covers and adds where
        patches overlap, so that the canvas sums to the same total: right for evidence.
        ``"mean"`` averages overlapping patches with a tapering weight, so that a
        constant stays that constant: right for densities such as probabilities.

    Returns
    -------
    ndarray of float32, shape (c, row, column)
        Covers the whole grid; 0 where no patch lies. Without overlap no value is
        interpolated across a patch border, so the map has no seams of its own.
    """
    if mode not in ("sum", "mean"):
        msg = f"mode must be 'sum' or 'mean', found {mode!r}"
        raise ValueError(msg)
    spec = grid.spec
    unit = cell_size(spec, (values.shape[2], values.shape[3]))
    values = _fit_cells(values, spec.size_px, mode)
    n, c, rows, cols = values.shape
    step = (spec.stride_px // unit[0], spec.stride_px // unit[1])
    repeat = (spec.size_px // rows // unit[0], spec.size_px // cols // unit[1])
    side = (rows * repeat[0], cols * repeat[1])
    shape = (
        (grid.shape[0] - 1) * step[0] + side[0],
        (grid.shape[1] - 1) * step[1] + side[1],
    )
    canvas = np.zeros((c, *shape), np.float64)
    taper = np.outer(_taper(side[0]), _taper(side[1]))
    weight = np.zeros(shape, np.float64)
    spread = 1.0 / (repeat[0] * repeat[1]) if mode == "sum" else 1.0
    for index in range(n):
        top, left = (int(v) * s for v, s in zip(grid.cell[index], step, strict=True))
        area = (slice(top, top + side[0]), slice(left, left + side[1]))
        block: NDArray[Any] = values[index] * spread
        block = block.repeat(repeat[0], axis=1).repeat(repeat[1], axis=2)
        if mode == "mean":
            weight[area] += taper
            block = block * taper
        canvas[:, area[0], area[1]] += block
    if mode == "mean":
        np.divide(canvas, weight, out=canvas, where=weight > 0)
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
