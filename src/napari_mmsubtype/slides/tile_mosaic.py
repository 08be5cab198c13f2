"""Put regions of a level together from its tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_mmsubtype.core.geometry import Box


def assemble(
    box: Box,
    shape: tuple[int, int],
    tile_shape: tuple[int, int],
    read_tile: Callable[[int, int], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Read a box of a level; only the tiles that it touches are asked for.

    Parameters
    ----------
    box : Box
        What to read, in pixels of the level; may lie outside.
    shape : tuple of int
        Height and width of the level.
    tile_shape : tuple of int
        Height and width of its tiles.
    read_tile : callable
        ``read_tile(row, column)`` gives a tile, full or cut to the level.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        RGB, white outside the level.
    """
    inside = box.clipped(*shape)
    if (inside.height, inside.width) == (box.height, box.width):
        region = np.empty((box.height, box.width, 3), np.uint8)
    else:
        region = np.full((box.height, box.width, 3), 255, np.uint8)
    if inside.is_empty:
        return region
    tile_h, tile_w = tile_shape
    bottom, right = inside.y + inside.height, inside.x + inside.width
    for row in range(inside.y // tile_h, -(-bottom // tile_h)):
        for col in range(inside.x // tile_w, -(-right // tile_w)):
            tile = read_tile(row, col)
            top, left = row * tile_h, col * tile_w
            y0, x0 = max(inside.y, top), max(inside.x, left)
            y1, x1 = min(bottom, top + tile_h), min(right, left + tile_w)
            region[y0 - box.y : y1 - box.y, x0 - box.x : x1 - box.x] = tile[
                y0 - top : y1 - top, x0 - left : x1 - left
            ]
    return region
