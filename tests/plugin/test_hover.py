from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from builders.results import make_attributions, make_result
from napari_mmsubtype.plugin.hover import watch_layers
from napari_mmsubtype.plugin.layers import METADATA_KEY, PATCH_FACTS, to_layers
from napari_mmsubtype.results.patch_facts import PatchFacts

SLIDE = "synthetic:seed=1,size=512x768"


def add(viewer: Any, result: Any) -> None:
    for data, kwargs, kind in to_layers(result, with_slide=False):
        viewer.add_layer(Layer.create(data, kwargs, kind))


def say(layer: Any, y: float, x: float) -> str:
    return str(layer.get_status((y, x), world=True)["value"])


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.mark.parametrize("stride", [128, 64])
def test_every_layer_of_patches_tells_of_the_one_under_the_cursor(
    viewer, tmp_path, stride
) -> None:
    watch_layers(viewer)
    result = make_result(tmp_path, stride_px=stride, attributions=make_attributions())
    add(viewer, result)
    facts = viewer.layers["patches"].metadata[METADATA_KEY][PATCH_FACTS]
    half = 128 / 2 * 0.5
    for number in (0, 5, len(result.grid) - 2):
        # The centre of a patch, in microns; the origin is the first pixel's centre.
        y, x = result.grid.origin[number] * 0.5 + half - 0.25
        for name in ("patches", "class: Luminal / Basal/HER2", "evidence: Luminal"):
            assert say(viewer.layers[name], y, x) == facts.words(number), name
        told = say(viewer.layers["evidence: Basal/HER2"], y, x)
        assert told == facts.words(number, 1)
        assert "for Basal/HER2" in told


@pytest.mark.parametrize(("kind", "shape"), [("cam", (20, 33)), ("attention", (4, 6))])
def test_maps_of_any_resolution_tell_of_the_same_patch(
    viewer, tmp_path, kind, shape
) -> None:
    watch_layers(viewer)
    result = make_result(tmp_path)
    (_, kwargs, _), *_ = to_layers(result, with_slide=False)
    own = kwargs["metadata"][METADATA_KEY] | {"kind": kind}
    covered = np.array(own[PATCH_FACTS].covered)
    scale = covered / shape * 0.5
    layer = viewer.add_image(
        np.zeros(shape),
        scale=scale,
        translate=scale / 2 - 0.25,
        metadata={METADATA_KEY: own},
    )
    for number in (0, 9, len(result.grid) - 2):
        y, x = result.grid.origin[number] * 0.5 + 32 - 0.25
        assert say(layer, y, x) == own[PATCH_FACTS].words(number)


def test_the_place_stays_in_front_and_glass_is_left_to_napari(viewer, tmp_path) -> None:
    watch_layers(viewer)
    add(viewer, make_result(tmp_path))
    layer = viewer.layers["evidence: Luminal"]
    status = layer.get_status((100.0, 100.0), world=True)
    assert status["coordinates"] == f"{status['coords']}: {status['value']}"
    assert "evidence: Luminal +" in status["value"]
    for place in ((10.0, 10.0), (-500.0, 3.0)):
        assert "evidence" not in say(layer, *place)
    assert "value" in layer.get_status()


def test_layers_that_were_there_before_are_served_once(viewer, tmp_path) -> None:
    add(viewer, make_result(tmp_path))
    assert "evidence:" not in say(viewer.layers[-1], 100, 200)
    watch_layers(viewer)
    first = viewer.layers[-1].get_status
    assert say(viewer.layers[-1], 100, 200).count("evidence:") == 1
    watch_layers(viewer)
    assert viewer.layers[-1].get_status is first
    other = viewer.add_image(np.zeros((4, 4)))
    assert "get_status" not in vars(other)


def big_facts(count: int) -> PatchFacts:
    side = int(np.ceil(np.sqrt(count)))
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(count, 2)).astype(np.float32)
    index = np.full(side * side, -1, np.int32)
    index[:count] = np.arange(count)
    return PatchFacts(
        classes=("Luminal", "Basal/HER2"),
        called=0,
        step=(64.0, 64.0),
        extent=(128.0, 128.0),
        index=index.reshape(side, side),
        status=np.ones(count, np.uint8),
        flags=np.zeros(count, np.uint8),
        used=count,
        calls=np.full((count, 2), 0.5, np.float32),
        evidence=evidence,
        rank=evidence.argsort(axis=0).astype(np.int32) + 1,
        features=("ESR1 (RNA) +1",) * 2,
    )


def test_a_move_of_the_cursor_costs_the_same_for_a_hundred_thousand_patches() -> None:
    few, many = big_facts(100), big_facts(100_000)

    def seconds(facts: PatchFacts) -> float:
        limit = facts.index.shape[0] * 64.0
        places = np.random.default_rng(1).uniform(0, limit, (200, 2))
        begun = time.perf_counter()
        for y, x in places:
            facts.words(facts.at(y, x))
        return time.perf_counter() - begun

    seconds(few)
    # Work that grew with the patches would be a thousand times as much.
    assert seconds(many) < 50 * seconds(few)


@pytest.mark.gui
def test_status_bar_of_a_window_shows_it_for_a_store_that_is_opened(
    plugin_viewer, qtbot, tmp_path
) -> None:
    result = make_result(tmp_path, slide=SLIDE, attributions=make_attributions())
    plugin_viewer.open(str(result.path), plugin="napari-mmsubtype")
    layer = plugin_viewer.layers.selection.active
    assert layer.name == "evidence: Luminal"
    facts = layer.metadata[METADATA_KEY][PATCH_FACTS]
    bar = plugin_viewer.window._qt_window.statusBar()
    plugin_viewer.mouse_over_canvas = True
    words = facts.words(facts.at(200.5, 400.5))
    assert words
    plugin_viewer.cursor.position = (100.0, 200.0)
    window = plugin_viewer.window._qt_window
    # The thread that asks for it runs while the window is shown; it is asked directly.
    window.status_thread.calculate_status()
    qtbot.waitUntil(lambda: words in bar._coordinates.text(), timeout=5000)
