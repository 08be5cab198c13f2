"""The window in front: found without loading Qt, and kept from a crash of napari."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any


def open_viewer() -> Any:
    """Find the viewer in front.

    Returns
    -------
    napari.Viewer or None
        None where no window is open.
    """
    # Importing it would load Qt, which scripts without a window do without.
    module = sys.modules.get("napari.viewer")
    return None if module is None else module.current_viewer()


def keep_context() -> None:
    """Have what a removed layer drew with deleted where it belongs.

    napari deletes the programs and textures of a removed layer at once, in whatever
    OpenGL context is current. Mostly that is the one in which Qt puts the window
    together; the canvas then draws with state that is gone, which ends the process in
    the driver (napari 0.9.2 with Mesa: show a smooth image, hide it, remove it). So
    the canvas' own context is made current first.
    """
    viewer = open_viewer()
    # The canvas has no public name; where it is elsewhere, nothing is changed.
    with suppress(AttributeError):
        canvas = viewer.window._qt_viewer.canvas._scene_canvas
        # napari connects a callback once.
        viewer.layers.events.removing.connect(canvas.set_current)
