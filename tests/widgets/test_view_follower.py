from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._layer_actions import _duplicate_layer

from builders.bundles import tiny_bundle
from napari_mmsubtype.plugin.map_layers import evidence_layers
from napari_mmsubtype.plugin.placement import METADATA_KEY
from napari_mmsubtype.results.map_scale import LINEAR
from napari_mmsubtype.widgets import view_follower
from napari_mmsubtype.widgets.view_follower import ViewFollower
from napari_mmsubtype.workflows.analyze import analyze

SHOWN = "hires-cam: {} (in view)"


@pytest.fixture(scope="module")
def result(tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("follow")
    late = tiny_bundle(folder / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=1024"
    return analyze(slide, late, batch_size=2, out=folder, device="cpu")


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


@pytest.fixture
def follower(qtbot: Any, viewer: Any, monkeypatch: Any) -> Any:
    monkeypatch.setattr(view_follower, "REST_MS", 10)
    follower = ViewFollower(viewer)
    yield follower
    follower.stop()
    qtbot.waitUntil(lambda: not follower._runner.is_running, timeout=10_000)
    follower.deleteLater()


def count(follower: ViewFollower) -> int:
    maps = follower.maps
    return 0 if maps is None else int(maps._placed.sum())


def look(viewer: Any, box: list[list[int]]) -> None:
    """Move the view as the canvas would."""
    for layer in viewer.layers:
        layer.corner_pixels = np.array(box)
    getattr(viewer, "scene", viewer).camera.center = tuple(np.mean(box, axis=0))


def test_views_are_drawn_one_after_the_other(qtbot, viewer, follower, result) -> None:
    said: list[str] = []
    follower.told.connect(said.append)
    method = "hires-cam"
    follower.start(str(result.path), method, LINEAR)
    assert follower.is_following
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    called = result.prediction.label
    layer = viewer.layers[SHOWN.format(called)]
    assert layer.visible
    qtbot.waitUntil(lambda: not follower._runner.is_running, timeout=20_000)
    first = count(follower)
    look(viewer, [[0, 0], [40, 40]])
    qtbot.waitUntil(lambda: count(follower) == len(result.grid), timeout=20_000)
    qtbot.waitUntil(lambda: "what is in view is drawn" in said, timeout=20_000)
    assert 0 <= first <= len(result.grid)
    facts = layer.metadata[METADATA_KEY]
    index = [c.name for c in result.classes].index(called)
    expected = result.evidence_map(index, against_others=True)
    # HiResCAM is the Grad-CAM of the analysis on models that see the mean cell.
    np.testing.assert_allclose(layer.data, expected, rtol=1e-3, atol=1e-7)
    largest = np.abs(expected).max()
    qtbot.waitUntil(
        lambda: abs(facts["range"][1] - largest) < 0.06 * largest, timeout=5000
    )
    assert layer.contrast_limits[1] == pytest.approx(facts["range"][1])


def test_what_is_drawn_is_not_seen_through_the_maps_of_the_analysis(
    qtbot, viewer, follower, result
) -> None:
    for entry in evidence_layers(result):
        viewer.add_layer(Layer.create(*entry))
    own = list(viewer.layers)
    assert own[-1].visible
    about = {METADATA_KEY: {"kind": "slide", "path": "other.svs"}}
    other = viewer.add_image(np.zeros((4, 4)), metadata=about)
    follower.start(str(result.path), "layer-cam")
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=20_000)
    name = f"layer-cam: {result.prediction.label} (in view)"
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == [other.name, name], "the other slide does not cover it"
    assert viewer.layers[:3] == [other, *own]


def test_when_the_layers_go_the_drawing_ends(qtbot, viewer, follower, result) -> None:
    follower.start(str(result.path), "layer-cam")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    ours = list(viewer.layers)
    viewer.layers.selection = {ours[0]}
    _duplicate_layer(viewer.layers)
    with qtbot.waitSignal(follower.stopped, timeout=20_000):
        for layer in ours:
            viewer.layers.remove(layer)
    assert len(viewer.layers) == 1, "a copy is the user's and is not filled"
    assert not follower.is_following


def test_a_method_that_does_not_suit_is_one_message(
    qtbot, viewer, follower, result, notifications
) -> None:
    with qtbot.waitSignal(follower.stopped, timeout=20_000):
        follower.start(str(result.path), "attention-rollout")
    assert len(notifications) == 1
    assert "vision transformers" in notifications[0]
    assert not follower.is_following
    assert len(viewer.layers) == 0


def test_slide_and_model_go_with_the_follower(qtbot, viewer, result) -> None:
    follower = ViewFollower(viewer)
    follower.start(str(result.path), "layer-cam")
    qtbot.waitUntil(lambda: count(follower) > 0, timeout=20_000)
    qtbot.waitUntil(lambda: not follower._runner.is_running, timeout=20_000)
    slide = follower._session.drawing._slide
    follower.deleteLater()
    qtbot.waitUntil(lambda: slide.is_closed, timeout=5000)
    assert follower._session is None
