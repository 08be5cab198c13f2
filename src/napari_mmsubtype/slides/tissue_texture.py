"""Where a slide is textured as tissue is, however pale its stain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL_PX = 5
"""Side of the cells that are judged; each together with its eight neighbours."""

MIN_BITS = 2.25
"""Entropy from which a cell is textured.

Glass under noise of 2 gray levels reaches 1.7 bits, under uneven light 1.5; tissue of a
seventh of its usual optical density has at least 2.5 bits, usually above 3.
"""

MOST_ALIKE = 0.5
"""Share of a cell that may lie within two neighbouring gray levels.

Of glass with dust, a fiber or an edge of the cover slip on it, most is still glass.
"""

LEVELS = 96
"""Gray levels told apart, from white down; what is darker counts as one."""

MIN_VARIANCE = 1.0
"""Of gray levels; with less, a cell cannot reach `MIN_BITS` and is not looked at."""

BATCH = 4096
STRIP_CELLS = 64


def find_texture(brightness: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find what is textured.

    Parameters
    ----------
    brightness : ndarray of float32, shape (y, x)
        Mean of red, green and blue over the whole slide, 0 to 255, at about 8 um per
        pixel.

    Returns
    -------
    ndarray of bool, shape (y, x)
        True in cells of `CELL_PX` pixels whose gray levels, over about 120 um, hold
        more than `MIN_BITS` of entropy. Nothing in images smaller than a cell.

    Notes
    -----
    Averaged over 3 x 3 pixels first: that takes the noise of the camera and of
    compression, which pixels do not share, to a third, and leaves most of the texture
    of tissue, which they do.
    """
    height, width = brightness.shape
    rows, cols = height // CELL_PX, width // CELL_PX
    if rows == 0 or cols == 0:
        return np.zeros(brightness.shape, np.bool_)
    smooth = ndimage.uniform_filter(brightness.astype(np.float32), 3, mode="nearest")
    level = np.clip(255 - np.rint(smooth), 0, LEVELS - 1).astype(np.uint8)
    inside = np.pad(level[: rows * CELL_PX, : cols * CELL_PX], CELL_PX, mode="edge")
    side = 3 * CELL_PX
    windows = sliding_window_view(inside, (side, side))[::CELL_PX, ::CELL_PX]
    found = np.zeros((rows, cols), np.bool_)
    candidates = np.argwhere(_variance(inside) >= MIN_VARIANCE)
    for start in range(0, len(candidates), BATCH):
        row, col = candidates[start : start + BATCH].T
        found[row, col] = _is_textured(windows[row, col].reshape(len(row), -1))
    # The last cell of an axis also stands for the pixels that fill no cell.
    row = np.minimum(np.arange(height) // CELL_PX, rows - 1)
    col = np.minimum(np.arange(width) // CELL_PX, cols - 1)
    textured: NDArray[np.bool_] = found[np.ix_(row, col)]
    return textured


def _variance(level: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the variance of each cell with its eight neighbours, the margin cut off."""
    rows, cols = (size // CELL_PX for size in level.shape)
    cells = np.zeros((2, rows, cols), np.int64)
    for row in range(0, rows, STRIP_CELLS):
        part = level[row * CELL_PX : (row + STRIP_CELLS) * CELL_PX].astype(np.int64)
        parts = part.reshape(-1, CELL_PX, cols, CELL_PX)
        cells[0, row : row + STRIP_CELLS] = parts.sum(axis=(1, 3))
        cells[1, row : row + STRIP_CELLS] = (parts**2).sum(axis=(1, 3))
    count = (3 * CELL_PX) ** 2
    total, squares = (
        sliding_window_view(part, (3, 3)).sum(axis=(2, 3)) / count for part in cells
    )
    variance: NDArray[np.float64] = squares - total**2
    return variance


def _is_textured(level: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Judge windows, shape (n, pixels), by the entropy of their gray levels."""
    count, size = level.shape
    place = np.arange(count)[:, None] * LEVELS + level
    share = np.bincount(place.ravel(), minlength=count * LEVELS) / size
    share = share.reshape(count, LEVELS)
    bits = -(share * np.log2(np.maximum(share, 1e-9))).sum(axis=1)
    alike = (share[:, :-1] + share[:, 1:]).max(axis=1)
    textured: NDArray[np.bool_] = (bits > MIN_BITS) & (alike < MOST_ALIKE)
    return textured
