from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from builders.results import make_result
from napari_mmsubtype.plugin import window
from napari_mmsubtype.plugin.reader import read_result
from napari_mmsubtype.widgets.layer_adder import LayerAdder


def open_a_panel(viewer: Any, folder: Any) -> None:
    LayerAdder(viewer)


def open_a_result(viewer: Any, folder: Any) -> None:
    read_result(str(make_result(folder).path))


@pytest.mark.gui
@pytest.mark.parametrize("begin", [open_a_panel, open_a_result])
def test_layers_are_removed_in_the_context_of_the_canvas(
    make_napari_viewer, qtbot, tmp_path, begin
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
    begin(viewer, tmp_path)
    native.doneCurrent()
    viewer.layers.pop()
    assert current == [False, True], "only the plugin sees to it"


def test_without_a_window_there_is_no_context_to_keep(monkeypatch) -> None:
    monkeypatch.setattr(window, "open_viewer", lambda: None)
    window.keep_context()
    other = SimpleNamespace(window=SimpleNamespace())
    monkeypatch.setattr(window, "open_viewer", lambda: other)
    window.keep_context()
