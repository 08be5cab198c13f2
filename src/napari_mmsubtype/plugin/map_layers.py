"""Maps of a result as napari layers: evidence, other methods, attention; scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cam_methods import cam_unit
from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.plugin.placement import (
    METADATA_KEY,
    LayerTuple,
    map_placement,
    patch_sizes,
)
from napari_mmsubtype.results.colors import evidence_colors
from napari_mmsubtype.results.map_scale import (
    PERCENTILE,
    SYMLOG,
    MapRange,
    attention_colors,
    scaled_colors,
)
from napari_mmsubtype.results.schema import PatchStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_mmsubtype.core.units import PixelSize
    from napari_mmsubtype.results.cam_maps import CamMap
    from napari_mmsubtype.results.store import Result

EVIDENCE, CAM, ATTENTION = "evidence", "cam", "attention"
SCALED = (EVIDENCE, CAM, ATTENTION)
"""Kinds of layers, in their metadata, whose colors follow a scale."""

_EVEN = 1e-3
"""Weights that differ by less than this part of their mean say nothing."""


def evidence_layers(result: Result) -> list[LayerTuple]:
    """Draw the evidence for each class against the others, all on one scale.

    Parameters
    ----------
    result : Result
        A complete analysis.

    Returns
    -------
    list of tuple
        One image per class, that of the class called on top and visible.
    """
    prediction = result.prediction
    layers = _per_class(
        result,
        lambda index, level: result.evidence_map(
            index, level=level, against_others=True
        ),
        levels=result.map_levels,
        kind=EVIDENCE,
        method=result.cam_method,
        size=result.map_pixel_size,
    )
    for layer in layers:
        name = layer[1]["metadata"][METADATA_KEY]["class"]
        layer[1]["visible"] = prediction is not None and name == prediction.label
    layers.sort(key=lambda layer: bool(layer[1]["visible"]))
    return layers


def cam_layers(result: Result) -> list[LayerTuple]:
    """Draw the maps by other methods; each method has a scale of its own.

    Parameters
    ----------
    result : Result
        A complete analysis.

    Returns
    -------
    list of tuple
        Images, hidden at first: one per class, or one where a method knows no class.
    """
    layers: list[LayerTuple] = []
    for cam in result.cams:
        if cam.channels == 1:
            layers.append(_single(result, cam))
            continue
        layers += _per_class(
            result,
            lambda index, level, cam=cam: cam.read(  # type: ignore[misc]
                index, level=level, against_others=True
            ),
            levels=cam.levels,
            kind=CAM,
            method=cam.method,
            size=cam.pixel_size,
        )
    return layers


def attention_layers(result: Result) -> list[LayerTuple]:
    """Draw how much each patch weighs in the call.

    Parameters
    ----------
    result : Result
        A complete analysis.

    Returns
    -------
    list of tuple
        One image, hidden at first, in multiples of the mean weight; none where all
        patches weigh the same.
    """
    done = result.patch_status == PatchStatus.DONE
    weights = result.patch_weights[done].astype(np.float64)
    mean = weights.mean() if weights.size else 0.0
    if mean <= 0 or np.ptp(weights) < _EVEN * mean:
        return []
    canvas = np.zeros(result.grid.shape, np.float32)
    row, col = result.grid.cell[done].T
    canvas[row, col] = weights / mean
    placement = map_placement(result, ATTENTION, *patch_sizes(result))
    facts = {"unit": "times the mean weight"}
    return [map_image(canvas, "attention", None, _measured([canvas]), placement, facts)]


def _per_class(
    result: Result,
    read: Callable[[int, int], NDArray[np.float32]],
    *,
    levels: int,
    kind: str,
    method: str,
    size: PixelSize,
) -> list[LayerTuple]:
    """Draw one image per class, all on the scale of the finest level."""
    maps = [
        [read(index, level) for level in range(levels)]
        for index in range(len(result.classes))
    ]
    measured = _measured([levels[0] for levels in maps])
    title = EVIDENCE if kind == EVIDENCE else method
    return [
        map_image(
            found if len(found) > 1 else found[0],
            f"{title}: {subtype.name}",
            subtype,
            measured,
            map_placement(result, kind, size),
            {"method": method, "unit": cam_unit(method)},
        )
        for subtype, found in zip(result.classes, maps, strict=True)
    ]


def _single(result: Result, cam: CamMap) -> LayerTuple:
    found = [cam.read(level=level) for level in range(cam.levels)]
    return map_image(
        found if len(found) > 1 else found[0],
        cam.method.replace("-", " "),
        None,
        _measured(found[:1]),
        map_placement(result, CAM, cam.pixel_size),
        {"method": cam.method, "unit": cam_unit(cam.method)},
    )


def _measured(maps: list[NDArray[np.float32]]) -> MapRange:
    return MapRange.measure(maps)


def map_image(
    data: Any,
    name: str,
    subtype: Subtype | None,
    measured: MapRange,
    placement: dict[str, Any],
    facts: dict[str, Any],
) -> LayerTuple:
    """Make an image layer whose metadata tell how to scale it.

    Parameters
    ----------
    data : ndarray or list of ndarray, float32, shape (y, x)
        The map, or its levels.
    name : str
        Of the layer.
    subtype : Subtype or None
        The class it speaks for and against; None where it is never negative.
    measured : MapRange
        Of all maps that share the scale.
    placement : dict
        From `map_placement`.
    facts : dict
        ``unit`` and more for the metadata.

    Returns
    -------
    tuple
        A hidden image layer.
    """
    known = placement["metadata"][METADATA_KEY]
    known |= {"class": "", "color": "", **facts}
    if subtype is not None:
        known |= {"class": subtype.name, "color": subtype.color}
    known["range"] = [measured.typical, measured.largest]
    kwargs = {
        "name": name,
        # Between something and nothing, colors of little would draw a frame.
        "interpolation2d": "nearest" if subtype is None else "linear",
        "blending": "translucent",
        "visible": False,
        **scale_options(known, PERCENTILE),
        **placement,
    }
    return (data, kwargs, "image")


def maps_of(layers: Iterable[Any], store: str) -> list[Any]:
    """Find the layers that show maps of a result.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        Of a viewer.
    store : str
        Path of the result.

    Returns
    -------
    list of napari.layers.Layer
        Those of the kinds in `SCALED`, in their order.
    """
    known = ((layer, layer.metadata.get(METADATA_KEY, {})) for layer in layers)
    return [
        layer
        for layer, facts in known
        if facts.get("store") == store and facts.get("kind") in SCALED
    ]


def hide_maps(layers: Iterable[Any], store: str) -> None:
    """Hide all maps of a result: seen through another, neither can be read.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        Of a viewer.
    store : str
        Path of the result.
    """
    for layer in maps_of(layers, store):
        layer.visible = False


def scale_options(facts: dict[str, Any], scale: str) -> dict[str, Any]:
    """Give what a layer needs to show its values on a scale.

    Parameters
    ----------
    facts : dict
        The layer's own metadata.
    scale : str
        One of `map_scale.SCALES`.

    Returns
    -------
    dict
        ``colormap`` and ``contrast_limits``.
    """
    limit = MapRange(*facts["range"]).limit(scale)
    signed = bool(facts["color"])
    name = f"evidence {facts['class']}" if signed else "attention"
    if signed:
        colors = evidence_colors(Subtype(facts["class"], facts["color"]))
    else:
        colors = attention_colors()
    return {
        "colormap": {
            "colors": scaled_colors(colors, scale, signed=signed),
            # napari keeps color maps by name.
            "name": f"{name} ({scale})" if scale == SYMLOG else name,
        },
        "contrast_limits": (-limit if signed else 0.0, limit),
    }


def set_scale(layer: Any, scale: str) -> None:
    """Show a layer on a scale; its values stay as they are.

    Parameters
    ----------
    layer : napari.layers.Image
        Of one of the kinds in `SCALED`.
    scale : str
        One of `map_scale.SCALES`.
    """
    options = scale_options(layer.metadata[METADATA_KEY], scale)
    layer.contrast_limits_range = options["contrast_limits"]
    layer.contrast_limits = options["contrast_limits"]
    layer.colormap = options["colormap"]


def scale_words(facts: dict[str, Any], scale: str) -> str:
    """Say what the colors of a layer mean.

    Parameters
    ----------
    facts : dict
        The layer's own metadata.
    scale : str
        One of `map_scale.SCALES`.

    Returns
    -------
    str
        One sentence.
    """
    words = MapRange(*facts["range"])
    return words.words(scale, facts["unit"], signed=bool(facts["color"]))
