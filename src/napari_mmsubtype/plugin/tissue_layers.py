"""A tissue mask as a layer that can be painted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.plugin.layers import METADATA_KEY, LayerTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import zarr
    from napari.layers import Labels, Layer

KIND = "tissue-edit"
BRUSH_UM = 160.0
"""Width of the brush at first: a few glands, well below a piece of tissue."""

_NONE, _TISSUE = (0.0, 0.0, 0.0, 0.0), (0.0, 0.62, 0.45, 1.0)


def tissue_edit_layer(array: zarr.Array[Any], path: Path, slide: Layer) -> LayerTuple:
    """Lay a mask over its slide.

    Parameters
    ----------
    array : zarr.Array of whole numbers, shape (y, x)
        The mask, open for writing: every stroke goes to its file.
    path : Path
        Where the array is kept.
    slide : napari.layers.Layer
        The layer that shows the slide.

    Returns
    -------
    tuple
        Data, keyword arguments and type of a labels layer of one level.
    """
    facts = slide.metadata[METADATA_KEY]
    pixel = np.asarray(slide.scale, np.float64)
    cell = pixel * np.asarray(facts["shape"]) / np.asarray(array.shape)
    kwargs = {
        "name": f"tissue of {facts['name']}",
        "opacity": 0.25,
        # Every number but 0 goes round to the second color: it all counts as tissue. A
        # mapping of numbers to colors would make napari compile for seconds instead.
        "colormap": [_NONE, _TISSUE],
        "scale": tuple(cell),
        # A cell covers its pixels; level-0 pixel (0, 0) has its center at the origin.
        "translate": tuple(np.asarray(slide.translate) + (cell - pixel) / 2),
        "units": tuple(slide.units),
        "metadata": {
            METADATA_KEY: {"kind": KIND, "path": facts["path"], "mask": str(path)}
        },
    }
    return (array, kwargs, "labels")


def find_tissue_layer(layers: Iterable[Layer], mask: str) -> Labels | None:
    """Find the layer in which a mask is painted.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        From bottom to top.
    mask : str
        Path of the mask.

    Returns
    -------
    napari.layers.Labels or None
        None where it is not open.
    """
    for layer in layers:
        about = layer.metadata.get(METADATA_KEY, {})
        if about.get("kind") == KIND and about.get("mask") == mask:
            return layer
    return None


def take_brush(layer: Labels) -> None:
    """Make a mask ready for strokes that add tissue.

    Parameters
    ----------
    layer : napari.layers.Labels
        The mask.
    """
    layer.n_edit_dimensions = 2
    layer.selected_label = 1
    layer.brush_size = max(round(BRUSH_UM / float(np.mean(layer.scale))), 1)
    layer.mode = "paint"


def lay_brush_down(layers: Iterable[Layer], slide: str, *, hide: bool = False) -> None:
    """Stop painting the masks of a slide.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        From bottom to top.
    slide : str
        Path of the slide.
    hide : bool, default: False
        Take the masks out of sight too.
    """
    for layer in layers:
        about = layer.metadata.get(METADATA_KEY, {})
        if about.get("kind") == KIND and about.get("path") == slide:
            layer.mode = "pan_zoom"
            layer.visible = layer.visible and not hide
