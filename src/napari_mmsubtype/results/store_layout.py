"""Lay out a new result store, whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING, Any

import zarr

from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_chunks import STORED
from napari_mmsubtype.slides.quality_measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid

PATCHES_PER_CHUNK = 256


def lay_out(
    path: Path,
    *,
    attributes: Mapping[str, Any],
    grid: PatchGrid,
    tissue: NDArray[np.bool_],
    embedding_size: int,
    classes: int,
    cells: tuple[int, int],
) -> None:
    """Lay out a new store; the folder appears under its name only when it is complete.

    Parameters
    ----------
    path : Path
        Must not exist; its parent is made.
    attributes : mapping
        Plain JSON types: slide, recipe, provenance, classes, bundle, plan.
    grid : PatchGrid
        The patches to be analysed.
    tissue : ndarray of bool, shape (y, x)
        Tissue mask over the whole slide.
    embedding_size : int
        Length of an embedding.
    classes : int
        Number of classes.
    cells : tuple of int
        Height and width of a patch's last feature map.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        root = zarr.open_group(draft, mode="w-")
        n = len(grid)
        for name, data in (
            (schema.ORIGIN, grid.origin),
            (schema.CELL, grid.cell),
            (schema.TISSUE, grid.tissue),
        ):
            root.create_array(name, data=data, **STORED)
        root.create_array(schema.TISSUE_MASK, data=tissue, **STORED)
        for name, shape, dtype in (
            (schema.STATUS, (n,), "uint8"),
            (schema.PROCESSOR, (n,), "uint8"),
            (schema.MAPPED, (n,), "uint8"),
            (schema.QUALITY, (n, len(MEASURES)), "float32"),
            (schema.FLAGS, (n,), "uint8"),
            (schema.EMBEDDING, (n, embedding_size), "float16"),
            (schema.CELL_EVIDENCE, (n, classes, *cells), "float32"),
            (schema.EVIDENCE, (n, classes), "float32"),
            (schema.WEIGHT, (n,), "float32"),
        ):
            chunks = (PATCHES_PER_CHUNK, *shape[1:])
            root.create_array(name, shape=shape, chunks=chunks, dtype=dtype, **STORED)
        body = dict(attributes)
        body["schema_version"] = schema.SCHEMA_VERSION
        body["status"] = "partial"
        body[schema.EVERY_CHUNK] = True
        body["grid"] = grid.to_attributes()
        root.attrs[schema.ATTRIBUTE] = body
        draft.rename(path)
    except OSError as err:
        shutil.rmtree(draft, ignore_errors=True)
        msg = (
            f"cannot write the result to {str(path)!r}: {err.strerror or err}; "
            "choose another folder with --out (the Results folder field of the "
            "panel), or free some space"
        )
        raise StoreError(msg) from err
