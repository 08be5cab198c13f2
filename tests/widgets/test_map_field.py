from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._layer_actions import _duplicate_layer

from builders.bundles import tiny_bundle
from builders.results import make_result
from napari_mmsubtype.plugin.hover import watch_layers
from napari_mmsubtype.plugin.map_layers import CAM, evidence_layers
from napari_mmsubtype.plugin.placement import METADATA_KEY, store_of
from napari_mmsubtype.results.map_scale import LINEAR, SYMLOG
from napari_mmsubtype.results.patch_facts import gather_facts
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.widgets.layer_adder import build_images
from napari_mmsubtype.widgets.map_field import MapField
from napari_mmsubtype.widgets.result_summary import summarize
from napari_mmsubtype.workflows.analyze import analyze


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


@pytest.fixture
def field(qtbot: Any, viewer: Any) -> Any:
    field = MapField(viewer)
    qtbot.addWidget(field)
    yield field
    field.stop()
    qtbot.waitUntil(lambda: not field._runner.is_running, timeout=10_000)


def show(viewer: Any, result: Any) -> None:
    for layer in evidence_layers(result):
        viewer.add_layer(Layer.create(*layer))


def entries(combo: Any) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def test_a_scale_recolors_the_layers_of_this_result_and_says_so(
    field, viewer, tmp_path
) -> None:
    first = make_result(tmp_path / "a")
    other = make_result(tmp_path / "b")
    show(viewer, first)
    show(viewer, other)
    field.setResult(summarize(first))
    assert field.legend().startswith("evidence: Luminal: Full color")
    assert field.colors.words()[1:] == (
        "0",
        f"for Luminal +{viewer.layers[1].contrast_limits[1]:.2g}",
    )
    viewer.layers.selection.active = viewer.layers[0]
    field.describe()
    assert field.legend().startswith("evidence: Basal/HER2: Full color")
    viewer.layers.selection.active = None
    mine, foreign = viewer.layers[1], viewer.layers[3]
    before = np.array(mine.data), foreign.contrast_limits, mine.colormap.name
    field.scaleCombo.setCurrentText(SYMLOG)
    largest = mine.metadata[METADATA_KEY]["range"][1]
    assert mine.contrast_limits == pytest.approx([-largest, largest])
    assert mine.colormap.name != before[2]
    assert foreign.contrast_limits == before[1]
    np.testing.assert_array_equal(mine.data, before[0])
    assert field.legend().startswith("evidence: Luminal: Logarithmic from")
    assert field.colors.words()[2] == f"for Luminal +{largest:.2g}"
    field.scaleCombo.setCurrentText(LINEAR)
    assert mine.colormap.name == before[2]
    assert "the largest value of the slide" in field.legend()


def test_layers_that_come_later_have_the_scale_that_is_chosen(
    field, viewer, tmp_path
) -> None:
    result, other = make_result(tmp_path / "a"), make_result(tmp_path / "b")
    summary = summarize(result)

    def colors() -> list[str]:
        return [layer.colormap.name for layer in viewer.layers]

    show(viewer, result)
    field.setResult(summary)
    field.scaleCombo.setCurrentText(SYMLOG)
    chosen = [f"evidence {name} ({SYMLOG})" for name in ("Basal/HER2", "Luminal")]
    assert colors() == chosen
    viewer.layers.clear()
    show(viewer, result)
    assert colors() == chosen
    # Removed, forgotten, and opened again.
    viewer.layers.clear()
    field.setResult(None)
    assert field.legend() == ""
    show(viewer, result)
    field.setResult(summary)
    assert colors() == chosen
    show(viewer, other)
    assert colors() == [*chosen, "evidence Basal/HER2", "evidence Luminal"]


def test_views_are_drawn_no_more_once_no_result_is_shown(
    field, viewer, qtbot, tmp_path
) -> None:
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    result = analyze("synthetic:seed=5,size=768", late, out=tmp_path, device="cpu")
    field.setResult(summarize(result))
    field.viewCheck.setChecked(True)
    field.setResult(None)
    assert not field.follower.is_following
    qtbot.waitUntil(lambda: not field.follower._runner.is_running, timeout=20_000)
    assert len(viewer.layers) == 0


def test_a_closed_field_no_longer_listens(qtbot, viewer) -> None:
    inserted = viewer.layers.events.inserted
    before = len(inserted.callbacks)
    field = MapField(viewer)
    assert len(inserted.callbacks) == before + 1
    field.deleteLater()
    qtbot.waitUntil(lambda: len(inserted.callbacks) == before, timeout=5000)


def test_an_exact_map_offers_rollout_alone_and_no_result_nothing(
    field, tmp_path
) -> None:
    field.setResult(None)
    assert not field.isEnabled()
    field.setResult(summarize(make_result(tmp_path / "a", complete=False)))
    assert not field.isEnabled()
    field.setResult(summarize(make_result(tmp_path / "b")))
    assert field.isEnabled()
    assert entries(field.methodCombo) == ["attention-rollout"]
    assert field.legend() == ""
    assert field.colors.isHidden()


def test_where_no_other_method_is_left_none_is_offered(field, qtbot, tmp_path) -> None:
    field.show()
    exact = tiny_bundle(tmp_path / "exact")
    result = analyze("synthetic:seed=5,size=768", exact, out=tmp_path, device="cpu")
    field.setResult(summarize(result))
    assert entries(field.methodCombo) == []
    parts = (field.methodCombo, field.viewCheck, field._bar)
    assert not any(part.isVisible() for part in parts)
    field.setResult(summarize(make_result(tmp_path / "older")))
    assert entries(field.methodCombo) == ["attention-rollout"]
    assert all(part.isVisible() for part in parts)


def test_the_whole_slide_is_drawn_by_another_method(
    field, viewer, qtbot, tmp_path
) -> None:
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=768"
    result = analyze(slide, late, out=tmp_path, device="cpu")
    watch_layers(viewer)
    show(viewer, result)
    field.setResult(summarize(result))
    assert result.cam_method == "grad-cam"
    assert entries(field.methodCombo) == ["grad-cam++", "hires-cam", "layer-cam"]
    field.methodCombo.setCurrentText("layer-cam")
    for _ in range(2):
        with qtbot.waitSignal(field._adder.finished, timeout=20_000):
            field._bar.runButton.click()
        assert len(viewer.layers) == 4
        qtbot.waitUntil(lambda: not field._runner.is_running, timeout=10_000)
    (cam,) = open_result(result.path).cams
    index = [c.name for c in result.classes].index(result.prediction.label)
    layer = viewer.layers[f"layer-cam: {result.prediction.label}"]
    # Two maps seen through one another could not be read.
    assert [each for each in viewer.layers if each.visible] == [layer]
    assert viewer.layers[-1] is layer
    assert field.legend().startswith(f"{layer.name}: Full color")
    np.testing.assert_array_equal(layer.data, cam.read(index, against_others=True))
    grid, pixel = result.grid, result.pixel_size
    y, x = grid.origin[3] + np.array(grid.extent) / 2
    told = layer.get_status((y * pixel.y, x * pixel.x), world=True)["value"]
    assert told == gather_facts(result).words(3, index)


def test_a_copy_of_a_drawn_map_stays_when_it_is_drawn_again(
    field, viewer, qtbot, tmp_path
) -> None:
    result = make_result(tmp_path)

    def drawn() -> list[Any]:
        entries = evidence_layers(result)
        for entry in entries:
            entry[1]["metadata"][METADATA_KEY]["kind"] = CAM
        return build_images(entries)

    show(viewer, result)
    own = list(viewer.layers)
    first, second = drawn(), drawn()
    field._on_drawn(first)
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=10_000)
    viewer.layers.selection = {first[0]}
    _duplicate_layer(viewer.layers)
    copy = viewer.layers[3]
    field._on_drawn(second)
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=10_000)
    assert list(viewer.layers) == [*own, copy, *second]


def test_a_map_that_ends_late_leaves_the_maps_of_another_result_alone(
    field, viewer, qtbot, tmp_path
) -> None:
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=768"
    result = analyze(slide, late, out=tmp_path, device="cpu")
    show(viewer, result)
    field.setResult(summarize(result))
    other = make_result(tmp_path / "other")
    with qtbot.waitSignal(field._runner.finished, timeout=20_000):
        field.drawSlide()
        show(viewer, other)
        field.setResult(summarize(other))
    assert field._bar.text() == "", "nothing was drawn of this one"
    qtbot.waitUntil(lambda: len(viewer.layers) == 6, timeout=10_000)
    shown = [layer for layer in viewer.layers if layer.visible]
    facts = [layer.metadata[METADATA_KEY] for layer in shown]
    assert [(each["store"], each["method"], each["class"]) for each in facts] == [
        (str(result.path), "grad-cam++", result.prediction.label),
        (str(other.path), "cam", other.prediction.label),
    ]


def test_a_map_of_a_result_that_was_removed_meanwhile_does_not_come_back(
    field, viewer, qtbot, tmp_path
) -> None:
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=768"
    result = analyze(slide, late, out=tmp_path, device="cpu")
    other = make_result(tmp_path / "other")
    show(viewer, result)
    show(viewer, other)
    field.setResult(summarize(result))
    with qtbot.waitSignal(field._runner.finished, timeout=20_000):
        field.drawSlide()
        for layer in [x for x in viewer.layers if store_of(x) == str(result.path)]:
            viewer.layers.remove(layer)
    qtbot.wait(50)
    assert {store_of(layer) for layer in viewer.layers} == {str(other.path)}
    assert len(open_result(result.path).cams) == 1


def test_how_a_map_ended_is_told_under_its_result_alone(
    field, viewer, qtbot, tmp_path
) -> None:
    field.show()
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=768"
    result = analyze(slide, late, out=tmp_path, device="cpu")
    show(viewer, result)
    field.setResult(summarize(result))
    with qtbot.waitSignal(field._runner.finished, timeout=20_000):
        field.drawSlide()
    assert field._bar.text() == "Done."
    none_left = replace(summarize(make_result(tmp_path / "b")), other_methods=())
    field.setResult(none_left)
    assert field._bar.text() == ""
    field.setResult(summarize(result))
    with qtbot.waitSignal(field._runner.finished, timeout=20_000):
        field.drawSlide()
        field.setResult(none_left)
        assert field._bar.isVisible(), "it can be cancelled"
        assert field._bar.text()
    assert not field._bar.isVisible()


def test_choosing_another_method_ends_the_drawing_of_views(
    field, viewer, qtbot, tmp_path
) -> None:
    late = tiny_bundle(tmp_path / "late", fusion="late", width=32)
    slide = "synthetic:seed=5,size=768"
    result = analyze(slide, late, out=tmp_path, device="cpu")
    field.setResult(summarize(result))
    field.methodCombo.setCurrentText("hires-cam")
    field.viewCheck.setChecked(True)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    assert field.follower.is_following
    field.methodCombo.setCurrentText("layer-cam")
    assert not field.viewCheck.isChecked()
    assert not field.follower.is_following
    qtbot.waitUntil(lambda: not field.follower._runner.is_running, timeout=10_000)
    assert [layer.name for layer in viewer.layers][-1].startswith("hires-cam")
