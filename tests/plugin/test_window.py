from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_mmsubtype.plugin import window


@pytest.mark.gui
def test_layers_are_removed_in_the_context_of_the_canvas(
    make_napari_viewer, qtbot
) -> None:
    """In any other one, hiding a smooth image and removing it ends the process."""
    from qtpy.QtGui import QOpenGLContext

    viewer = make_napari_viewer(show=True)
    native = viewer.window._qt_viewer.canvas.native
    qtbot.waitExposed(native)
    qtbot.waitUntil(native.isValid, timeout=5000)
    current: list[bool] = []
    viewer.layers.events.removed.connect(
        lambda: current.append(QOpenGLContext.currentContext() == native.context())
    )
    for _ in range(2):
        viewer.add_image(np.zeros((4, 4)))
    native.doneCurrent()
    viewer.layers.pop()
    window.keep_context()
    window.keep_context()
    native.doneCurrent()
    viewer.layers.pop()
    assert current == [False, True], "only the plugin sees to it"


def test_without_a_window_there_is_no_context_to_keep(monkeypatch) -> None:
    monkeypatch.setattr(window, "open_viewer", lambda: None)
    window.keep_context()
    other = SimpleNamespace(window=SimpleNamespace())
    monkeypatch.setattr(window, "open_viewer", lambda: other)
    window.keep_context()
