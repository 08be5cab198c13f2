"""Give a slide that is open in the viewer another pixel size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.units import PLAUSIBLE_MPP, MppSource, PixelSize
from napari_mmsubtype.plugin.layers import METADATA_KEY, NO_SIZE, slide_placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Layer


def slide_facts(layer: Layer) -> dict[str, Any]:
    """Give what is recorded about the slide that a layer shows.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any layer.

    Returns
    -------
    dict
        As `slide_layers` recorded it; empty for a layer of another kind.
    """
    facts: dict[str, Any] = layer.metadata.get(METADATA_KEY, {})
    return facts if facts.get("kind") == "slide" else {}


def slide_images(layers: Iterable[Layer]) -> list[Layer]:
    """Pick the slides out of the layers of a viewer.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        From bottom to top.

    Returns
    -------
    list of napari.layers.Layer
        Those that show slides of this plugin.
    """
    return [layer for layer in layers if slide_facts(layer)]


def find_slide(layers: Iterable[Layer], path: str) -> Layer | None:
    """Find the layer that shows a slide.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        From bottom to top.
    path : str
        Path of the slide.

    Returns
    -------
    napari.layers.Layer or None
        The lowest of them.
    """
    shown = (
        layer for layer in slide_images(layers) if slide_facts(layer)["path"] == path
    )
    return next(shown, None)


def own_size(facts: dict[str, Any]) -> tuple[list[float] | None, str]:
    """Give the pixel size that the file itself tells.

    Parameters
    ----------
    facts : dict
        As `slide_facts` gives them.

    Returns
    -------
    tuple of (list of float or None, str)
        Microns per pixel ``[y, x]``, None where unknown, and who told them.
    """
    if "own" in facts:
        return facts["own"]["mpp"], facts["own"]["mpp_source"]
    if facts["mpp_source"] == MppSource.USER:
        # Given when the slide was opened: what the file says was not asked.
        return None, MppSource.NONE.value
    return facts["mpp"], facts["mpp_source"]


def size_problem(mpp: float) -> str:
    """Say why a number cannot be a slide's pixel size.

    Parameters
    ----------
    mpp : float
        Microns per pixel.

    Returns
    -------
    str
        One sentence, or empty.
    """
    low, high = PLAUSIBLE_MPP
    if math.isfinite(mpp) and low <= mpp <= high:
        return ""
    return (
        f"A pixel of {mpp:g} µm is not believable for a slide: give {low:g} to "
        f"{high:g} µm/px, about 0.25 at 40x and 0.5 at 20x."
    )


def set_slide_pixel_size(viewer: ViewerModel, path: str, mpp: float | None) -> None:
    """Redraw a slide, and all that belongs to it, at another pixel size.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Shows the slide; it keeps looking at the same tissue.
    path : str
        Path of the slide.
    mpp : float or None
        Microns per pixel as the user says; None goes back to what the file says.
    """
    before = None
    told = []
    for layer in slide_images(viewer.layers):
        facts = slide_facts(layer)
        if facts["path"] != path:
            continue
        own, source = own_size(facts)
        shown = own if mpp is None else [mpp, mpp]
        placement = slide_placement(None if shown is None else PixelSize(*shown))
        before = np.asarray(layer.scale, np.float64)
        record = facts | {
            "own": {"mpp": own, "mpp_source": source},
            "mpp": shown,
            "mpp_source": source if mpp is None else MppSource.USER.value,
        }
        _place(layer, placement["scale"], np.asarray(layer.translate), placement)
        layer.metadata[METADATA_KEY] = record
        told.append(layer)
    if before is None:
        return
    ratio = np.asarray(placement["scale"]) / before
    for layer in viewer.layers:
        about = layer.metadata.get(METADATA_KEY, {})
        if about.get("path") == path and about.get("kind") != "slide":
            scale, shift = np.array(layer.scale), np.array(layer.translate)
            scale[-2:] *= ratio
            shift[-2:] *= ratio
            _place(layer, scale, shift, placement)
    _keep_view(viewer, ratio)
    # Panels hear of it when everything is in its place.
    for layer in told:
        name = layer.name.removesuffix(NO_SIZE)
        unknown = slide_facts(layer)["mpp"] is None
        layer.name = name + NO_SIZE if unknown else name
        layer.events.metadata()


def _place(layer: Layer, scale: Any, translate: Any, placement: dict[str, Any]) -> None:
    """Move a layer to its place in the world."""
    layer.scale = scale
    layer.translate = translate
    if layer.ndim == len(placement["units"]):
        layer.units = placement["units"]


def _keep_view(viewer: ViewerModel, ratio: Any) -> None:
    """Look at the same tissue as before, where there is nothing but one slide."""
    if len({slide_facts(layer)["path"] for layer in slide_images(viewer.layers)}) > 1:
        return
    # Before 0.9, napari kept the camera on the viewer itself.
    camera = getattr(viewer, "scene", viewer).camera
    center = np.array(camera.center, np.float64)
    center[-2:] *= ratio
    camera.center = tuple(center)
    camera.zoom /= float(np.sqrt(ratio.prod()))
