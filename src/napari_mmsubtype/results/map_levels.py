"""Write the stitched evidence map and its coarser levels, part by part.

A map of a large slide does not fit into memory beside everything else: it is drawn,
and averaged down, in squares of one chunk.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.results import schema
from napari_mmsubtype.results.overlay import halve, level_shapes
from napari_mmsubtype.results.store_chunks import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr

    from napari_mmsubtype.results.overlay import Mosaic, ReadCells

SIDE = 512
"""Rows and columns of a chunk."""


def write_levels(
    root: zarr.Group,
    mosaic: Mosaic,
    read: ReadCells,
    classes: int,
    *,
    name: str = schema.EVIDENCE_MAP,
) -> int:
    """Write all levels of a map in place of what is there.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it, open for writing.
    mosaic : Mosaic
        Draws any part of the finest level.
    read : callable
        Gives the cells of patches, float32, shape (k, c, y, x), for their indices,
        which are ascending.
    classes : int
        How many values a cell has.
    name : str, default: "evidence_map"
        Of the map's group.

    Returns
    -------
    int
        Number of levels.
    """
    finer: zarr.Array[Any] | None = None
    shapes = level_shapes(mosaic.shape)
    for number, shape in enumerate(shapes):
        level = root.create_array(
            f"{name}/{number}",
            shape=(classes, *shape),
            chunks=(1, min(SIDE, shape[0]), min(SIDE, shape[1])),
            dtype="float32",
            overwrite=True,
            **WHOLE,
        )
        for top, left, bottom, right in _squares(shape):
            if finer is None:
                part = mosaic.draw(top, left, bottom, right, read, classes)
            else:
                twice = (slice(2 * top, 2 * bottom), slice(2 * left, 2 * right))
                part = halve(np.asarray(finer[:, *twice]))
            level[:, top:bottom, left:right] = part
        finer = level
    return len(shapes)


def _squares(shape: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Divide a level into chunks, row by row."""
    for top, left in product(range(0, shape[0], SIDE), range(0, shape[1], SIDE)):
        yield top, left, min(top + SIDE, shape[0]), min(left + SIDE, shape[1])
