"""Say in napari's status bar what is known of the patch under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.plugin.placement import METADATA_KEY, PATCH_FACTS
from napari_mmsubtype.plugin.window import open_viewer

if TYPE_CHECKING:
    from napari_mmsubtype.results.patch_facts import PatchFacts

CHOSEN = "chosen patches"
"""Kind, and name, of a layer that shows which patches were chosen on their map."""

FIELDS = ("patches", "quality", "class", "attention", CHOSEN)
"""Kinds of layers, in their metadata, with one pixel for each place of the grid."""

MAPS = ("evidence", "cam")
"""Kinds of layers that cover the grid with more, or fewer, pixels."""

_STATUS = "get_status"


def watch_layers(viewer: Any) -> None:
    """Show in a viewer's status bar what its layers know of their patches.

    Parameters
    ----------
    viewer : napari.Viewer
        Watched once, however often this is called; the layers that are there and all
        that come are served.
    """
    for layer in viewer.layers:
        _serve(layer)
    # napari connects a callback once.
    viewer.layers.events.inserted.connect(_on_inserted)


def watch_open_viewer() -> None:
    """Do so in the window that is in front, if there is one."""
    viewer = open_viewer()
    if viewer is not None:
        watch_layers(viewer)


def _on_inserted(event: Any) -> None:
    _serve(event.value)


def _serve(layer: Any) -> None:
    """Put the line of the patch in the place of the bare value.

    The status bar asks the selected layer for `get_status`, from a thread of its own.
    Labels could show their features, but images have none, so both are asked alike.
    """
    own = layer.metadata.get(METADATA_KEY, {})
    facts = own.get(PATCH_FACTS)
    if facts is None or own["kind"] not in FIELDS + MAPS or _STATUS in vars(layer):
        return
    standard = layer.get_status
    about = own.get("class")
    number = facts.classes.index(about) if about in facts.classes else None

    def get_status(position: Any = None, **options: Any) -> dict[str, str]:
        status: dict[str, str] = standard(position, **options)
        if position is None:
            return status
        patch = _patch_at(layer, own["kind"], facts, position, options.get("world"))
        words = facts.words(patch, number)
        if words:
            place = status["coords"]
            status |= {"coordinates": f"{place}: {words}", "value": words}
        return status

    setattr(layer, _STATUS, get_status)


def _patch_at(
    layer: Any, kind: str, facts: PatchFacts, position: Any, world: bool | None
) -> int:
    """Find the patch under a position."""
    y, x = (layer.world_to_data(position) if world else position)[-2:]
    if kind in MAPS:
        shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
        cell = np.array(facts.covered) / shape[-2:]
        return facts.at((y + 0.5) * cell[0], (x + 0.5) * cell[1])
    # A field of the grid stands for the patch about its centre.
    row, col = round(float(y)), round(float(x))
    rows, cols = facts.index.shape
    inside = 0 <= row < rows and 0 <= col < cols
    return int(facts.index[row, col]) if inside else -1
