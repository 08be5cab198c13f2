from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._layer_actions import _duplicate_layer

from builders.results import make_result
from builders.umaps import use_stand_in
from napari_mmsubtype.plugin.hover import CHOSEN, watch_layers
from napari_mmsubtype.plugin.layers import to_layers
from napari_mmsubtype.plugin.placement import METADATA_KEY
from napari_mmsubtype.results.patch_map import MapSpec, PatchMap, write_patch_map
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.widgets.umap_panel import UmapPanel, open_umap


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def result(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "stand-in"
    folder.mkdir()
    use_stand_in(folder, monkeypatch)
    return make_result(tmp_path)


def give_map(result: Any) -> PatchMap:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(len(result.grid), 2)).astype(np.float32)
    points[-1] = np.nan
    reference = draw.normal(size=(9, 2)).astype(np.float32)
    made = PatchMap(points, MapSpec(), reference, np.zeros(9, np.uint8))
    write_patch_map(result.path, made)
    return made


def show(viewer: Any, result: Any) -> None:
    for data, kwargs, kind in to_layers(result, with_slide=False):
        viewer.add_layer(Layer.create(data, kwargs, kind))


def open_panel(qtbot: Any, viewer: Any, result: Any) -> UmapPanel:
    panel = UmapPanel(viewer, str(result.path))
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel._view is not None, timeout=20_000)
    qtbot.waitUntil(lambda: not panel.reader.is_running, timeout=5000)
    return panel


def test_a_result_without_a_map_offers_to_make_one(qtbot, viewer, result) -> None:
    panel = open_panel(qtbot, viewer, result)
    assert "No map yet" in panel.text()
    assert panel.makeButton.text() == "Make map"
    panel.makeButton.click()
    assert panel.makeButton.text() == "Cancel"
    with qtbot.waitSignal(panel.maker.finished, timeout=60_000):
        pass
    assert open_result(result.path).patch_map.points.shape == (len(result.grid), 2)
    assert panel.makeButton.text() == "Up to date"
    assert not panel.makeButton.isEnabled()
    assert "Draw around dots" in panel.text()


def test_a_result_that_cannot_be_read_is_told_and_read_later(
    qtbot, viewer, result, tmp_path, notifications
) -> None:
    away = result.path.rename(tmp_path / "away")
    panel = UmapPanel(viewer, str(result.path))
    qtbot.addWidget(panel)
    assert not panel.makeButton.isEnabled(), "there is nothing to make it of"
    with qtbot.waitSignal(panel.reader.finished, timeout=20_000):
        pass
    assert panel.text() == notifications[0] != ""
    assert not panel.makeButton.isEnabled()
    away.rename(result.path)
    with qtbot.waitSignal(panel.reader.finished, timeout=20_000):
        panel.read()
    assert "No map yet" in panel.text()
    assert panel.makeButton.isEnabled()


def test_making_can_be_cancelled(qtbot, viewer, result, tmp_path, monkeypatch) -> None:
    use_stand_in(tmp_path / "stand-in", monkeypatch, wait=600)
    panel = open_panel(qtbot, viewer, result)
    panel.makeButton.click()
    qtbot.waitUntil(lambda: "laying out" in panel.text(), timeout=60_000)
    with qtbot.waitSignal(panel.maker.finished, timeout=60_000):
        panel.makeButton.click()
    assert panel.text() == "Cancelled; nothing changed."
    assert panel.makeButton.text() == "Make map"
    assert panel.makeButton.isEnabled()
    assert open_result(result.path).patch_map is None


def test_dots_take_the_colors_that_are_asked_for(qtbot, viewer, result) -> None:
    give_map(result)
    panel = open_panel(qtbot, viewer, result)
    choices = [panel.colorBox.itemText(i) for i in range(panel.colorBox.count())]
    assert choices == ["class", "evidence: Luminal", "evidence: Basal/HER2", "tissue"]
    seen = []
    for choice in choices:
        panel.colorBox.setCurrentText(choice)
        seen.append(panel.plot._colors.copy())
    assert len({colors.tobytes() for colors in seen}) == 4
    assert len(panel.plot._behind) == 9


def test_what_is_chosen_is_shown_on_the_slide(qtbot, viewer, result) -> None:
    give_map(result)
    watch_layers(viewer)
    show(viewer, result)
    panel = open_panel(qtbot, viewer, result)
    count = len(viewer.layers)
    viewer.add_image(np.zeros((4, 4)), name="another slide, on top")
    panel.plot.choose(np.array([0, 3, 7]))
    layer = viewer.layers[count]
    assert layer.name == f"{CHOSEN}: missing"
    row, col = result.grid.cell[[0, 3, 7]].T
    assert (layer.data[row, col] == 1).all()
    assert layer.data.sum() == 3
    assert "3 patches chosen" in panel.text()
    panel.plot.choose(np.array([5]))
    assert len(viewer.layers) == count + 2
    assert layer.data.sum() == 1, "the same layer is used again"
    assert panel.text() == panel._view.facts.words(5)
    y, x = (result.grid.origin[5] + 64) * 0.5
    assert layer.get_status((y, x), world=True)["value"] == panel.text()
    panel.plot.choose(np.array([], int))
    assert layer.data.sum() == 0
    viewer.layers.selection = {layer}
    _duplicate_layer(viewer.layers)
    viewer.layers.remove(layer)
    panel.plot.choose(np.array([5]))
    sums = [each.data.sum() for each in viewer.layers[count : count + 2]]
    assert sums == [0, 1], "a copy is the user's and is not used again"


def test_nothing_is_shown_of_a_result_that_was_removed(qtbot, viewer, result) -> None:
    give_map(result)
    show(viewer, result)
    panel = open_panel(qtbot, viewer, result)
    viewer.layers.clear()
    panel.plot.choose(np.array([0, 3, 7]))
    assert len(viewer.layers) == 0
    assert "Open it again" in panel.text()


def test_a_click_on_the_slide_marks_its_patch(qtbot, viewer, result) -> None:
    give_map(result)
    show(viewer, result)
    panel = open_panel(qtbot, viewer, result)
    press = viewer.mouse_drag_callbacks[-1]
    y, x = (result.grid.origin[6] + 64) * 0.5
    press(viewer, SimpleNamespace(position=(y, x)))
    assert panel.plot._marked == 6
    assert panel.text() == panel._view.facts.words(6)
    press(viewer, SimpleNamespace(position=(-100.0, 0.0)))
    assert panel.plot._marked == -1


def test_a_click_is_answered_where_its_slide_is_what_is_seen(
    qtbot, viewer, result, tmp_path
) -> None:
    give_map(result)
    panel = open_panel(qtbot, viewer, result)
    press = viewer.mouse_drag_callbacks[-1]
    y, x = (result.grid.origin[6] + 64) * 0.5

    def marked() -> int:
        panel.plot.setMarked(-1)
        press(viewer, SimpleNamespace(position=(y, x)))
        return panel.plot._marked

    assert marked() == -1, "nothing is seen"
    show(viewer, result)
    own = viewer.layers[-1]
    assert marked() == 6
    show(viewer, make_result(tmp_path / "other", slide="other.svs"))
    other = viewer.layers[-1]
    assert marked() == -1, "the slide above is meant"
    other.visible = False
    assert marked() == 6
    own.visible = False
    assert marked() == -1
    # The slide itself answers, too, and what is no slide is looked through.
    facts = {METADATA_KEY: {"kind": "slide", "path": result.slide_path}}
    viewer.add_image(np.zeros((8, 8)), metadata=facts)
    viewer.add_points(np.zeros((1, 2)))
    assert marked() == 6


def test_a_closed_panel_no_longer_listens(qtbot, viewer, result) -> None:
    before = list(viewer.mouse_drag_callbacks)
    panel = open_panel(qtbot, viewer, result)
    assert len(viewer.mouse_drag_callbacks) == len(before) + 1
    panel.close()
    panel.deleteLater()
    qtbot.waitUntil(lambda: viewer.mouse_drag_callbacks == before, timeout=5000)


@pytest.mark.gui
def test_the_window_holds_one_panel_for_a_result(plugin_viewer, qtbot, result) -> None:
    first = open_umap(plugin_viewer, str(result.path), "missing")
    assert open_umap(plugin_viewer, str(result.path), "missing") is first
    assert "Map: missing" in plugin_viewer.window.dock_widgets
    qtbot.waitUntil(lambda: first._view is not None, timeout=20_000)
    qtbot.waitUntil(lambda: not first.reader.is_running, timeout=5000)
