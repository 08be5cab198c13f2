"""Where a map lies on its slide, in microns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.results.stored_slide import slide_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_mmsubtype.results.store import Result

LayerTuple = tuple[Any, dict[str, Any], str]
"""Data, keyword arguments and type of a napari layer."""

METADATA_KEY = "napari-mmsubtype"
"""Key of a layer's metadata under which this plugin keeps its own."""

PATCH_FACTS = "patch_facts"
"""Key below it: what `plugin.hover` tells of the patches."""

MICRONS = ("um", "um")


def map_placement(
    result: Result, kind: str, size: PixelSize, offset: PixelSize | None = None
) -> dict[str, Any]:
    """Place a map: its first cell covers the slide's first pixels.

    Parameters
    ----------
    result : Result
        Whose slide it lies on.
    kind : str
        What it shows, for the layer's metadata.
    size : PixelSize
        Microns per cell.
    offset : PixelSize, optional
        What the first cell's centre is the middle of, by default the cell.

    Returns
    -------
    dict
        Keyword arguments of the layer.
    """
    pixel = result.pixel_size
    centre = size if offset is None else offset
    return {
        "scale": (size.y, size.x),
        # Level-0 pixel (0, 0) has its centre at the origin of the world.
        "translate": ((centre.y - pixel.y) / 2, (centre.x - pixel.x) / 2),
        "units": MICRONS,
        "metadata": {
            METADATA_KEY: {
                "kind": kind,
                "store": str(result.path),
                "path": slide_place(result),
            }
        },
    }


def store_of(layer: Any) -> str:
    """Tell which result a layer shows.

    Parameters
    ----------
    layer : napari.layers.Layer or None
        Any.

    Returns
    -------
    str
        Path of its store; empty where it shows none.
    """
    known = {} if layer is None else layer.metadata.get(METADATA_KEY, {})
    return str(known.get("store", ""))


def is_shown(layers: Iterable[Any], store: str) -> bool:
    """Tell whether a viewer still has layers of a result, visible or not.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        Of the viewer.
    store : str
        Path of the result.

    Returns
    -------
    bool
        False where they were removed: what is finished of it then is for the store.
    """
    return any(store_of(layer) == store for layer in layers)


def patch_sizes(result: Result) -> tuple[PixelSize, PixelSize]:
    """Give the step between patches and the side of one, in microns.

    Parameters
    ----------
    result : Result
        With these patches.

    Returns
    -------
    step : PixelSize
        From one patch to the next.
    side : PixelSize
        Of one patch.
    """
    grid, pixel = result.grid, result.pixel_size
    step = PixelSize(grid.step[0] * pixel.y, grid.step[1] * pixel.x)
    return step, PixelSize(grid.extent[0] * pixel.y, grid.extent[1] * pixel.x)
