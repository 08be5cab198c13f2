"""Write a stitched map and its coarser levels, part by part.

A map of a large slide does not fit into memory beside everything else: it is drawn,
and averaged down, in squares of one chunk.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.results.overlay import halve, level_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr

    from napari_mmsubtype.results.overlay import Mosaic, ReadCells

SIDE = 512
"""Rows and columns of a chunk."""


def write_levels(
    group: zarr.Group, name: str, mosaic: Mosaic, read: ReadCells, channels: int
) -> int:
    """Write all levels of a map in place of what is there.

    Parameters
    ----------
    group : zarr.Group
        Open for writing.
    name : str
        Of the map within the group; its levels are numbered, finest first.
    mosaic : Mosaic
        Draws any part of the finest level.
    read : callable
        Gives the cells of patches, float32, shape (k, c, y, x), for their indices,
        which are ascending.
    channels : int
        How many values a cell has.

    Returns
    -------
    int
        How many levels there are.
    """
    shapes = level_shapes(mosaic.shape)
    finer: zarr.Array[Any] | None = None
    for number, shape in enumerate(shapes):
        level = group.create_array(
            f"{name}/{number}",
            shape=(channels, *shape),
            chunks=(1, min(SIDE, shape[0]), min(SIDE, shape[1])),
            dtype="float32",
            overwrite=True,
        )
        for top, left, bottom, right in _squares(shape):
            if finer is None:
                part = mosaic.draw(top, left, bottom, right, read, channels)
            else:
                twice = (slice(2 * top, 2 * bottom), slice(2 * left, 2 * right))
                part = halve(np.asarray(finer[:, *twice]))
            # What is zero needs no writing: a new array is.
            if part.any():
                level[:, top:bottom, left:right] = part
        finer = level
    return len(shapes)


def _squares(shape: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Divide a level into chunks, row by row."""
    for top, left in product(range(0, shape[0], SIDE), range(0, shape[1], SIDE)):
        yield top, left, min(top + SIDE, shape[0]), min(left + SIDE, shape[1])
