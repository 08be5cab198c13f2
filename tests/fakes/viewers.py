"""A viewer without a window, and slides that it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_mmsubtype.plugin.layers import METADATA_KEY

ADDRESS = "synthetic:seed=1,size=512x768"


class FakeWindow:
    """Docks of a window that is never shown."""

    def __init__(self) -> None:
        self.dock_widgets: dict[str, Any] = {}

    def add_dock_widget(self, widget: Any, *, name: str, **_: Any) -> None:
        self.dock_widgets[name] = widget


class FakeViewer:
    """Layers as in napari, and a window that only remembers."""

    def __init__(self) -> None:
        self.model = ViewerModel()
        self.window = FakeWindow()
        self.layers = self.model.layers
        self.scene = self.model.scene
        self.add_layer = self.model.add_layer


def add_slide(viewer: Any, *, mpp: float | None = 0.5, path: str = ADDRESS) -> Layer:
    """Show a grey slide."""
    image = np.full((64, 64, 3), 200, np.uint8)
    facts = {
        "kind": "slide",
        "path": path,
        "mpp": None if mpp is None else [mpp, mpp],
        "mpp_source": "none" if mpp is None else "vendor",
    }
    layer = Layer.create(
        image, {"name": "s", "metadata": {METADATA_KEY: facts}}, "image"
    )
    return viewer.add_layer(layer)
