"""Which layers in napari's list are this plugin's, and where they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.plugin.placement import METADATA_KEY
from napari_mmsubtype.plugin.slide_pixel_size import slide_facts

if TYPE_CHECKING:
    from napari.layers import Layer


def index_of_new(layers: Any, layer: Layer) -> int:
    """Say where a new layer goes, so that it covers no other slide.

    Parameters
    ----------
    layers : napari.components.LayerList
        Of a viewer.
    layer : napari.layers.Layer
        Not among them yet.

    Returns
    -------
    int
        Directly above all that lies on its slide; the top for a slide, and for a layer
        of which no slide is known.
    """
    own = _own(layers, _path(layer))
    return len(layers) if slide_facts(layer) or not own else own[-1] + 1


def raise_slide(layers: Any, path: str) -> None:
    """Bring a slide to the top with all that lies on it, if another may cover it.

    Parameters
    ----------
    layers : napari.components.LayerList
        Of a viewer.
    path : str
        Of the slide.
    """
    own = _own(layers, path)
    above = list(layers)[own[0] + 1 :] if own else []
    if any(slide_facts(x) and x.visible and _path(x) != path for x in above):
        layers.move_multiple(own, len(layers))


def is_copy(layer: Layer) -> bool:
    """Tell whether the user made a layer out of another, as *Duplicate layer* does.

    Parameters
    ----------
    layer : napari.layers.Layer
        Any.

    Returns
    -------
    bool
        True for a copy: it has the metadata of the other and is the user's all the
        same.
    """
    return layer.source.parent is not None


def _own(layers: Any, path: str) -> list[int]:
    """List the places of what shows a slide or lies on it."""
    return [i for i, layer in enumerate(layers) if path and _path(layer) == path]


def _path(layer: Layer) -> str:
    return str(layer.metadata.get(METADATA_KEY, {}).get("path", ""))
