from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._layer_actions import _duplicate_layer

from builders.stores import begin_store
from napari_mmsubtype.core.partial_patches import PartialPatches
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.plugin.live_layers import LiveMaps, LiveUpdate
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.widgets.layer_adder import LayerAdder, build_images
from napari_mmsubtype.widgets.live_view import LiveView


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


@pytest.fixture
def view(qtbot: Any, viewer: Any) -> Any:
    adder = LayerAdder(viewer)
    live = LiveView(viewer, adder, adder)
    yield live
    live.stop()
    adder.deleteLater()


@pytest.fixture
def result(tmp_path: Any) -> Any:
    return open_result(begin_store(tmp_path).path)


def make_update(result: Any) -> LiveUpdate:
    maps = LiveMaps(result)
    return LiveUpdate(maps, build_images(maps.layers()), 1.0)


def event(update: LiveUpdate, result: Any, index: list[int], limit: float) -> Progress:
    count = len(index)
    scores = np.tile(np.array([3.0, 1.0], np.float32), (count, 1))
    status = np.ones(count, np.uint8)
    part = PartialPatches(result.path, np.array(index), status, scores)
    update.maps.place(part)
    news = LiveUpdate(update.maps, update.layers, limit)
    return Progress("patches", count, 10, partial=news)


def test_layers_fill_while_the_analysis_runs(qtbot, viewer, view, result) -> None:
    update = make_update(result)
    view.show(event(update, result, [0, 1], 2.0))
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=5000)
    shown = viewer.layers["class so far: Luminal / Basal/HER2"]
    drawn: list[int] = []
    shown.events.set_data.connect(lambda: drawn.append(np.count_nonzero(shown.data)))
    view.show(event(update, result, [2, 3, 4], 2.5))
    qtbot.waitUntil(lambda: 5 in drawn, timeout=5000)
    evidence = viewer.layers["evidence so far: Luminal"]
    assert tuple(evidence.contrast_limits) == (-2.5, 2.5)
    assert np.count_nonzero(evidence.data) == 5
    assert len(viewer.layers) == 3, "layers are added once"


def test_another_run_replaces_the_layers_of_the_first(
    qtbot, viewer, view, result
) -> None:
    other = viewer.add_layer(Layer.create(np.zeros((4, 4)), {"name": "mine"}, "image"))
    view.show(event(make_update(result), result, [0], 1.0))
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=5000)
    view.stop()
    second = make_update(result)
    view.show(event(second, result, [0, 1], 1.0))
    qtbot.waitUntil(
        lambda: any(layer.data is second.maps.labels for layer in viewer.layers),
        timeout=5000,
    )
    assert len(viewer.layers) == 4
    view.remove(str(result.path))
    assert list(viewer.layers) == [other]


def test_a_copy_that_the_user_made_is_left_alone(qtbot, viewer, view, result) -> None:
    update = make_update(result)
    view.show(event(update, result, [0], 1.0))
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=5000)
    viewer.layers.selection = {update.layers[0]}
    _duplicate_layer(viewer.layers)
    (copy,) = (layer for layer in viewer.layers if "copy" in layer.name)
    copy.name = "mine"
    limits = tuple(copy.contrast_limits)
    view.show(event(update, result, [1], 9.0))
    view.stop()
    assert tuple(copy.contrast_limits) == limits
    view.remove(str(result.path))
    assert list(viewer.layers) == [copy]


def test_a_layer_that_the_user_removed_stays_away(qtbot, viewer, view, result) -> None:
    update = make_update(result)
    view.show(event(update, result, [0], 1.0))
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=5000)
    viewer.layers.remove(update.layers[0])
    view.show(event(update, result, [1], 1.0))
    view.stop()
    assert len(viewer.layers) == 2


def test_layers_that_were_never_added_do_not_come_after_the_result(
    qtbot, viewer, view, result
) -> None:
    view.show(event(make_update(result), result, [0], 1.0))
    view.remove(str(result.path))
    qtbot.wait(100)
    assert len(viewer.layers) == 0


def test_other_events_draw_nothing(viewer, view) -> None:
    view.show(Progress("open"))
    view.stop()
    assert len(viewer.layers) == 0
