"""How the arrays of a store are written, so that what is lost is noticed."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.codecs import ZstdCodec

from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_damage import (
    damaged,
    find_array,
    holds,
    place_of,
    read_array,
    telling_damage,
    unreadable,
)

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

STORED: Any = {
    "config": {"write_empty_chunks": True},
    "compressors": ZstdCodec(level=0, checksum=True),
}
"""For arrays of a store: a chunk that is absent was lost, and one that changed by a bit
is not read. zarr alone leaves out chunks of zeros, reads absent ones as zeros, and
writes no checksum."""

WHOLE: Any = {**STORED, "attributes": {schema.EVERY_CHUNK: True}}
"""For arrays that are added to a store in one go, and read by `read_whole`."""

_LAID_OUT = (schema.ORIGIN, schema.CELL, schema.TISSUE, schema.TISSUE_MASK)


def read_whole(root: zarr.Group, name: str) -> NDArray[Any]:
    """Read all of an array that was written in one go.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it.
    name : str
        Of the array.

    Returns
    -------
    ndarray
        As stored.

    Raises
    ------
    StoreError
        If it is missing or damaged, or lost a chunk; in arrays of versions that left
        out chunks of zeros, a lost one is not noticed.
    """
    require_whole(root, name)
    return read_array(root, name)


def require_whole(root: zarr.Group, name: str) -> None:
    """Refuse an array that was written in one go and lost a chunk.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it.
    name : str
        Of the array.

    Raises
    ------
    StoreError
        If it is missing or damaged, or lost a chunk.
    """
    if find_array(root, name).attrs.get(schema.EVERY_CHUNK):
        require_stored(root, name)


def require_chunks(root: zarr.Group, body: dict[str, Any]) -> None:
    """Refuse a store of which chunks were lost: they would be read as zeros.

    Parameters
    ----------
    root : zarr.Group
        The store.
    body : dict
        Its attributes.

    Raises
    ------
    StoreError
        If a chunk of what is declared done is absent, empty or no file. In stores of
        versions that left out chunks of zeros only embeddings are looked at, which
        never are.
    """
    status = read_array(root, schema.STATUS)
    every = bool(body.get(schema.EVERY_CHUNK))
    if every:
        for name in _LAID_OUT:
            require_stored(root, name)
    require_stored(root, schema.EMBEDDING, status > 0)
    if body["status"] == "complete" and not count_levels(root):
        raise damaged(place_of(root), schema.EVIDENCE_MAP, "the map is missing")
    if not every:
        return
    if body["schema_version"] > 1:
        require_stored(root, schema.QUALITY, status > 0)
    if body.get(schema.PROCESSORS):
        require_stored(root, schema.PROCESSOR, status > 0)
    require_stored(root, schema.CELL_EVIDENCE, read_array(root, schema.MAPPED) > 0)
    if body["status"] == "complete":
        _require_outcome(root, body)


def _require_outcome(root: zarr.Group, body: dict[str, Any]) -> None:
    """Refuse a complete store without what the end of an analysis writes."""
    if body["schema_version"] > 1:
        require_stored(root, schema.FLAGS)
    for name in (schema.STATUS, schema.MAPPED, schema.EVIDENCE, schema.WEIGHT):
        require_stored(root, name)
    if "prediction" not in body:
        raise damaged(place_of(root), "its attributes", "the prediction is missing")
    for level in range(count_levels(root)):
        require_stored(root, f"{schema.EVIDENCE_MAP}/{level}")


def count_levels(root: zarr.Group) -> int:
    """Count the levels of the stitched map.

    Parameters
    ----------
    root : zarr.Group
        The store.

    Returns
    -------
    int
        0 where there is no map yet.

    Raises
    ------
    StoreError
        If the map is damaged, or a level is missing below others.
    """
    if not holds(root, schema.EVIDENCE_MAP):
        return 0
    with telling_damage(place_of(root), schema.EVIDENCE_MAP):
        found = set(root[schema.EVIDENCE_MAP].array_keys())  # type: ignore[union-attr]
        lost = sorted({str(number) for number in range(len(found))} - found)
    if lost:
        raise damaged(
            place_of(root), f"{schema.EVIDENCE_MAP}/{lost[0]}", "it is missing"
        )
    return len(found)


def require_stored(
    root: zarr.Group, name: str, rows: NDArray[np.bool_] | None = None
) -> None:
    """Refuse an array of which a chunk is not on disk.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it.
    name : str
        Of the array.
    rows : ndarray of bool, shape (n,), optional
        Those that must be there; all if left out.

    Raises
    ------
    StoreError
        If it is missing or damaged, or a chunk of it is absent or empty.
    """
    array = find_array(root, name)
    counts = [-(-n // step) for n, step in zip(array.shape, array.chunks, strict=True)]
    first = range(counts[0])
    if rows is not None:
        first = np.unique(np.flatnonzero(rows) // array.chunks[0]).tolist()
    folder = Path(str(place_of(root)), array.path)
    for place in product(first, *map(range, counts[1:])):
        key = array.metadata.encode_chunk_key(place)
        try:
            file = (folder / key).stat()
            found = "is empty" if file.st_size == 0 else ""
            if not S_ISREG(file.st_mode):
                # Read as zeros as well.
                found = "is no file"
        except FileNotFoundError:
            found = "is missing"
        except OSError as err:
            raise unreadable(place_of(root), array.path, err) from err
        if found:
            raise damaged(place_of(root), array.path, f"the file {key!r} {found}")


__all__ = [
    "STORED",
    "WHOLE",
    "count_levels",
    "read_whole",
    "require_chunks",
    "require_stored",
    "require_whole",
]
