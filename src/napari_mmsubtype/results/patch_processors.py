"""On which processors the patches of a store ran, and its map was drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store_damage import (
    holds,
    place_of,
    read_array,
    telling_damage,
)

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray


def count_patches(root: zarr.Group, body: dict[str, Any]) -> dict[str, int]:
    """Count the patches that ran on each processor.

    Parameters
    ----------
    root : zarr.Group
        The store.
    body : dict
        Its attributes.

    Returns
    -------
    dict of str to int
        By device and precision; empty in stores of versions that did not record it.

    Raises
    ------
    StoreError
        If the record is damaged.
    """
    if not holds(root, schema.PROCESSOR):
        return {}
    number = read_array(root, schema.PROCESSOR)
    return _count(root, schema.PROCESSOR, number, body)


def count_mapped(root: zarr.Group, body: dict[str, Any]) -> dict[str, int]:
    """Count the patches whose map was drawn on each processor.

    Parameters
    ----------
    root : zarr.Group
        The store.
    body : dict
        Its attributes.

    Returns
    -------
    dict of str to int
        As of `count_patches`.

    Raises
    ------
    StoreError
        If the record is damaged.
    """
    if not holds(root, schema.MAPPED):
        return {}
    # 1 is a patch that was mapped nobody knows where.
    number = np.maximum(read_array(root, schema.MAPPED), 1) - 1
    return _count(root, schema.MAPPED, number, body)


def _count(
    root: zarr.Group, name: str, number: NDArray[np.uint8], body: dict[str, Any]
) -> dict[str, int]:
    with telling_damage(place_of(root), name):
        known = body.get(schema.PROCESSORS, [])
        if number.max(initial=0) > len(known):
            msg = f"processor {number.max()} of {len(known)} that are known"
            raise ValueError(msg)
        counts = np.bincount(number, minlength=len(known) + 1)
        return {
            f"{entry['device']} ({entry['precision']})": int(count)
            for entry, count in zip(known, counts[1:], strict=True)
        }
