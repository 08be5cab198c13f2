from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from napari.layers import Layer
from qtpy.QtGui import QGuiApplication

from builders.results import make_result
from fakes.jobs import FakeJob
from fakes.viewers import ADDRESS, FakeViewer, add_slide
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import DeviceLostError, NoTissueError
from napari_mmsubtype.plugin.layers import METADATA_KEY, slide_layers
from napari_mmsubtype.plugin.slide_pixel_size import set_slide_pixel_size
from napari_mmsubtype.slides.region_geojson import read_regions
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.widgets import analyze_panel
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
from napari_mmsubtype.widgets.result_panel import ResultPanel

FULL = AnalyzeRecipe(
    slide=ADDRESS,
    patient="P-7",
    mpp=0.25,
    stride_px=64,
    device="cpu",
    batch_size=16,
    out="/results",
)


@pytest.fixture
def viewer() -> FakeViewer:
    return FakeViewer()


def make_panel(qtbot: Any, viewer: Any, job: Any = None) -> AnalyzePanel:
    panel = AnalyzePanel(viewer, job=job)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture(autouse=True)
def _close_result_panels(viewer: FakeViewer, qtbot: Any) -> Any:
    yield
    for widget in viewer.window.dock_widgets.values():
        qtbot.waitUntil(lambda w=widget: not w._runner.is_running, timeout=10_000)
        widget.close()
        widget.deleteLater()
    viewer.window.dock_widgets.clear()


def test_round_trip(qtbot, viewer) -> None:
    panel = make_panel(qtbot, viewer)
    panel.setValue(FULL)
    assert panel.value() == FULL


def test_only_our_slides_are_offered(qtbot, viewer) -> None:
    viewer.add_layer(Layer.create(np.zeros((4, 4)), {}, "image"))
    panel = make_panel(qtbot, viewer)
    assert panel.form.slide.choice() is None
    layer = add_slide(viewer)
    assert panel.form.slide.choice().path == ADDRESS
    viewer.layers.remove(layer)
    assert panel.form.slide.choice() is None


def test_run_builds_exactly_one_recipe_and_shows_its_result(
    qtbot, viewer, tmp_path: Path
) -> None:
    job = FakeJob(make_result(tmp_path, slide=ADDRESS))
    panel = make_panel(qtbot, viewer, job)
    add_slide(viewer)
    panel.setValue(replace(FULL, mpp=None))
    with qtbot.waitSignal(panel.runner.finished, timeout=20_000):
        panel.bar.runButton.click()
        panel.run()  # a second click while running changes nothing
    assert job.recipe == replace(FULL, mpp=None)
    qtbot.waitUntil(lambda: len(viewer.window.dock_widgets) == 1, timeout=10_000)
    names = [layer.name for layer in viewer.layers]
    assert names == [
        "s",  # the slide was open already and is not added again
        "tissue",
        "patches",
        "class: Luminal / Basal/HER2",
        "evidence: Basal/HER2",
        "evidence: Luminal",
    ]
    (result_panel,) = viewer.window.dock_widgets.values()
    assert isinstance(result_panel, ResultPanel)
    assert result_panel.summary().prediction.label == "Luminal"


def test_second_run_replaces_the_layers_of_the_first(
    qtbot, viewer, tmp_path: Path
) -> None:
    result = make_result(tmp_path, slide=ADDRESS)
    panel = make_panel(qtbot, viewer, FakeJob(result))
    add_slide(viewer)
    for _ in range(2):
        with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
            panel.run()
    assert len(viewer.layers) == 6
    assert len(viewer.window.dock_widgets) == 1


def test_a_result_covers_no_other_slide(qtbot, viewer, tmp_path: Path) -> None:
    """The slide comes up when it is analyzed; one that is opened then stays on top."""
    panel = make_panel(qtbot, viewer, FakeJob(make_result(tmp_path, slide=ADDRESS)))
    slide, other = add_slide(viewer), add_slide(viewer, path="other.svs")
    panel.setValue(replace(FULL, mpp=None))
    panel.run()
    assert list(viewer.layers) == [other, slide]
    last = add_slide(viewer, path="last.svs")
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        pass
    assert len(viewer.layers) == 8
    assert viewer.layers[:2] == [other, slide]
    assert viewer.layers[-1] is last


def test_nothing_runs_while_something_is_missing(qtbot, viewer) -> None:
    job = FakeJob()
    panel = make_panel(qtbot, viewer, job)
    add_slide(viewer, mpp=None)
    panel.run()
    assert not panel.runner.is_running
    assert job.recipe is None
    assert "pixel size" in panel.form.notes()["slide"]


def test_setting_the_pixel_size_redraws_the_slide_in_microns(qtbot, viewer) -> None:
    panel = make_panel(qtbot, viewer)
    layer = add_slide(viewer, mpp=None)
    panel.form.slide._spin.setValue(0.25)
    np.testing.assert_allclose(layer.scale, 0.25)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    panel.form.slide._spin.setValue(0.0)
    np.testing.assert_allclose(layer.scale, 1.0)
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]


def test_error_is_a_notification_and_adds_no_layer(
    qtbot, viewer, notifications
) -> None:
    panel = make_panel(qtbot, viewer, FakeJob(error=NoTissueError("no tissue on it")))
    add_slide(viewer)
    with qtbot.waitSignal(panel.runner.finished, timeout=10_000):
        panel.run()
    assert notifications == ["no tissue on it"]
    assert len(viewer.layers) == 1
    assert panel.bar.runButton.isEnabled()


def test_cancelled_run_adds_nothing_and_can_be_run_again(
    qtbot, viewer, tmp_path: Path
) -> None:
    job = FakeJob(make_result(tmp_path), steps=1000, pause_s=0.01)
    panel = make_panel(qtbot, viewer, job)
    add_slide(viewer)
    panel.runner.progressed.connect(lambda _: panel.bar.cancelButton.click())
    with qtbot.waitSignal(panel.runner.cancelled, timeout=10_000):
        panel.run()
    assert job.closed_in == job.ran_in
    assert len(viewer.layers) == 1
    assert panel.bar.runButton.isEnabled()


def test_slide_is_opened_away_from_the_window(qtbot, viewer) -> None:
    panel = make_panel(qtbot, viewer)
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.openSlide(ADDRESS)
        assert len(viewer.layers) == 0
    assert panel.form.slide.choice().path == ADDRESS
    assert panel.form.slide.problem() == ""


def test_slide_that_is_opened_becomes_the_slide_of_the_form(qtbot, viewer) -> None:
    panel = make_panel(qtbot, viewer)
    add_slide(viewer, path="/x/TCGA-E2-A14V-01Z.tif")
    assert panel.value().patient == "TCGA-E2-A14V"
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.openSlide(ADDRESS)
    assert panel.value().slide == ADDRESS
    assert panel.value().patient is None
    assert panel.form.slide._other.isHidden()
    viewer.layers[0].name = "renamed"
    assert panel.value().slide == ADDRESS


def test_layer_of_another_slide_that_is_selected_is_told(qtbot, viewer) -> None:
    first = add_slide(viewer, path="/x/a.tif")
    second = add_slide(viewer, path="/x/b.tif")
    second.name = "second"
    panel = make_panel(qtbot, viewer)
    viewer.layers.selection.active = first
    assert not panel.form.slide._other.isHidden()
    panel.form.slide._take_other.click()
    assert panel.value().slide == "/x/a.tif"
    viewer.layers.selection.active = second
    assert "second" in panel.form.slide._other.text()
    assert panel.value().slide == "/x/a.tif"
    viewer.layers.selection.clear()
    assert panel.form.slide._other.isHidden()


def test_form_keeps_the_slide_whose_analysis_runs(qtbot, viewer, tmp_path) -> None:
    result = make_result(tmp_path, slide=ADDRESS)
    panel = make_panel(qtbot, viewer, FakeJob(result, steps=1000, pause_s=0.01))
    add_slide(viewer)
    with qtbot.waitSignal(panel.runner.started, timeout=10_000):
        panel.run()
    add_slide(viewer, path="/x/b.tif").name = "dropped"
    assert panel.value().slide == ADDRESS
    assert "dropped" in panel.form.slide._other.text()
    assert not panel.form.slide._other.isHidden()
    with qtbot.waitSignal(panel.runner.finished, timeout=10_000):
        panel.runner.cancel()


def test_slide_that_cannot_be_opened_is_reported(
    qtbot, viewer, notifications, tmp_path: Path
) -> None:
    panel = make_panel(qtbot, viewer)
    with qtbot.waitSignal(panel.opener.finished, timeout=20_000):
        panel.openSlide(str(tmp_path / "gone.svs"))
    assert "gone.svs" in notifications[0]
    assert panel.form.slide.openButton.isEnabled()


def test_request_can_be_copied_as_a_command(qtbot, viewer) -> None:
    panel = make_panel(qtbot, viewer)
    panel.setValue(FULL)
    panel._copy.click()
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[:3] == ["napari-mmsubtype", "analyze", ADDRESS]
    assert words[words.index("--mpp") + 1] == "0.25"


def draw_square(panel: AnalyzePanel, viewer: Any) -> Layer:
    square = [(0, 0), (0, 30), (30, 30), (30, 0)]
    layer = viewer.add_layer(Layer.create([square], {"name": "mine"}, "shapes"))
    panel.form.regions.setLayer(str(layer.unique_id))
    return layer


def test_drawn_regions_are_written_and_named_in_the_request(
    qtbot, viewer, tmp_path: Path
) -> None:
    job = FakeJob(make_result(tmp_path / "r", slide=ADDRESS))
    panel = make_panel(qtbot, viewer, job)
    add_slide(viewer)
    panel.form.out.setValue(str(tmp_path / "out"))
    draw_square(panel, viewer)
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.run()
    path = tmp_path / "out" / "synthetic-1.regions.geojson"
    assert job.recipe.regions == str(path)
    (region,) = read_regions(path)
    assert region.outline.max() == 30.5
    with qtbot.waitSignal(panel._copier.finished, timeout=10_000):
        panel._copy.click()
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[words.index("--regions") + 1] == str(path)


def test_shapes_that_enclose_nothing_are_refused(
    qtbot, viewer, notifications, tmp_path: Path
) -> None:
    job = FakeJob()
    panel = make_panel(qtbot, viewer, job)
    add_slide(viewer)
    panel.form.out.setValue(str(tmp_path))
    draw_square(panel, viewer).add_lines([[(0, 0), (9, 9)]])
    with qtbot.waitSignal(panel.runner.finished, timeout=10_000):
        panel.run()
    assert "of the kind line" in notifications[0]
    assert job.recipe is None


def test_regions_over_a_slide_that_was_closed_are_refused(
    qtbot, viewer, monkeypatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(analyze_panel, "show_error", told.append)
    panel = make_panel(qtbot, viewer)
    draw_square(panel, viewer)
    panel.form.slide.setValue(ADDRESS, 0.25)
    panel.run()
    panel._copy.click()
    assert len(told) == 2
    assert "open" in told[0]
    assert not panel.runner.is_running


def test_painting_ends_with_the_result(qtbot, viewer, tmp_path: Path) -> None:
    panel = make_panel(qtbot, viewer, FakeJob(make_result(tmp_path, slide=ADDRESS)))
    add_slide(viewer)
    about = {"kind": "tissue-edit", "path": ADDRESS}
    mask = Layer.create(
        np.ones((4, 4), np.uint8), {"metadata": {METADATA_KEY: about}}, "labels"
    )
    viewer.add_layer(mask)
    mask.mode = "paint"
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.run()
    assert (mask.mode, mask.visible) == ("pan_zoom", False)


def test_size_that_is_set_elsewhere_shows_in_the_panel(qtbot, viewer) -> None:
    panel = make_panel(qtbot, viewer)
    add_slide(viewer, mpp=None)
    set_slide_pixel_size(viewer, ADDRESS, 0.5)
    assert panel.value().mpp == 0.5
    panel.form.slide._spin.setValue(0.0)
    assert panel.form.slide.userMpp() is None
    assert panel.form.slide.problem()


def test_slide_without_pixel_size_is_warned_about(
    qtbot, viewer, monkeypatch, tmp_path: Path
) -> None:
    warned: list[tuple[str, str]] = []
    monkeypatch.setattr(
        analyze_panel, "warn_missing_pixel_size", lambda *words: warned.append(words)
    )
    path = tmp_path / "a.png"
    PIL.Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(path)
    panel = make_panel(qtbot, viewer)
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.openSlide(str(path))
    assert warned == [("a", str(path))]


def test_user_given_size_of_an_open_slide_is_kept(qtbot, viewer) -> None:
    ((data, kwargs, kind),) = slide_layers(open_slide(ADDRESS, mpp=0.4))
    panel = make_panel(qtbot, viewer)
    viewer.add_layer(Layer.create(data, kwargs, kind))
    assert panel.value().mpp == pytest.approx(0.4)


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_after_the_loss_of_a_device_the_panel_asks_whether_the_cpu_goes_on(
    qtbot, viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    asked: list[Any] = []

    def question(parent: Any) -> bool:
        asked.append(parent)
        return answer == "Yes"

    monkeypatch.setattr(analyze_panel, "ask_for_cpu", question)
    shown: list[str] = []
    monkeypatch.setattr("napari_mmsubtype.widgets.job_runner.show_error", shown.append)
    lost = FakeJob(error=DeviceLostError("the device stopped answering"))
    jobs = [lost, FakeJob(make_result(tmp_path, slide=ADDRESS))]
    recipes: list[AnalyzeRecipe] = []

    def make(recipe: AnalyzeRecipe) -> Any:
        recipes.append(recipe)
        return jobs[len(recipes) - 1](recipe)

    panel = make_panel(qtbot, viewer, make)
    add_slide(viewer)
    out = str(tmp_path / "out")
    panel.setValue(replace(FULL, mpp=None, device="auto", out=out))
    draw_square(panel, viewer)
    panel.run()
    panel.form.slide.setValue("/x/another.tif", 0.5)
    qtbot.waitUntil(lambda: bool(asked), timeout=20_000)
    if answer == "No":
        qtbot.wait(100)
        assert [recipe.device for recipe in recipes] == ["auto"]
        assert panel.bar.text() == "the device stopped answering"
        assert shown == []
        return
    qtbot.waitUntil(lambda: len(viewer.window.dock_widgets) == 1, timeout=20_000)
    assert [recipe.device for recipe in recipes] == ["auto", "cpu"]
    # What was lost goes on: its slide, in the regions that were drawn.
    assert recipes[1] == replace(recipes[0], device="cpu")
    assert recipes[0].regions is not None
    assert panel.value().slide == ADDRESS
    # The question said it; a notification would outlast the answer.
    assert shown == []
    assert "stopped answering" not in panel.bar.text()
