from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_mmsubtype.plugin.layers import slide_layers
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.slides.tissue_file import read_tissue, write_tissue
from napari_mmsubtype.widgets import tissue_editor
from napari_mmsubtype.widgets.analyze_form import AnalyzeForm
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
from napari_mmsubtype.widgets.slide_field import SlideChoice
from napari_mmsubtype.widgets.tissue_editor import TissueEditor, mask_places

ADDRESS = "synthetic:seed=1,size=512x768"


class Editor:
    """The editor with its form over a viewer that is never shown."""

    def __init__(self, qtbot: Any, folder: Path) -> None:
        self.qtbot = qtbot
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.form = AnalyzeForm(self.window)
        self.viewer = ViewerModel()
        self.editor = TissueEditor(self.viewer, self.form, self.window)
        self.form.out.setValue(str(folder))
        self.form.slide.setChoices([SlideChoice("s", ADDRESS, 0.5, "vendor")])
        self.asked: list[Path] = []

    def show_slide(self) -> Layer:
        ((data, kwargs, kind),) = slide_layers(open_slide(ADDRESS))
        return self.viewer.add_layer(Layer.create(data, kwargs, kind))

    def answer(self, answer: bool | None) -> None:
        def ask(former: Path) -> bool | None:
            self.asked.append(former)
            return answer

        self.editor.ask = ask

    def edit(self) -> Any:
        with self.qtbot.waitSignal(self.editor.runner.finished, timeout=20_000):
            self.form.tissue.editButton.click()
        return self.viewer.layers[-1]


@pytest.fixture
def editor(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr(tissue_editor, "SPARE_FOLDER", tmp_path / "home")
    return Editor(qtbot, tmp_path / "results")


def test_tissue_is_found_and_laid_over_the_slide(editor, tmp_path: Path) -> None:
    slide = editor.show_slide()
    layer = editor.edit()
    assert isinstance(layer, Labels)
    path = tmp_path / "results" / "synthetic-1.tissue.zarr"
    assert editor.form.tissue.value() == str(path)
    assert editor.form.value().tissue == str(path)
    with open_slide(ADDRESS) as opened:
        found = find_tissue(opened).mask
    np.testing.assert_array_equal(np.asarray(layer.data[...]) != 0, found)
    assert layer.mode == "paint"
    assert editor.viewer.layers.selection.active is layer
    corner = slide.world_to_data(layer.data_to_world((-0.5, -0.5)))
    np.testing.assert_allclose(corner, (-0.5, -0.5), atol=1e-6)


def test_what_is_painted_is_what_is_analyzed(editor) -> None:
    editor.show_slide()
    layer = editor.edit()
    layer.brush_size = 400
    layer.paint((10, 10), 1)
    with open_slide(ADDRESS) as slide:
        assert read_tissue(editor.form.tissue.value(), slide).mask.all()


def test_mask_that_is_open_is_taken_up_again(editor) -> None:
    slide = editor.show_slide()
    layer = editor.edit()
    layer.mode, layer.visible = "pan_zoom", False
    editor.viewer.layers.selection.active = slide
    editor.form.tissue.editButton.click()
    assert not editor.editor.runner.is_running
    assert len(editor.viewer.layers) == 2
    assert (layer.mode, layer.visible) == ("paint", True)
    assert editor.viewer.layers.selection.active is layer


def test_closed_mask_is_opened_with_what_was_painted(editor) -> None:
    editor.show_slide()
    layer = editor.edit()
    layer.data[...] = 0
    layer.data[3:5, 3:5] = 1
    editor.viewer.layers.remove(layer)
    again = editor.edit()
    assert np.asarray(again.data[...]).sum() == 4


@pytest.mark.parametrize(("answer", "kept"), [(True, True), (False, False)])
def test_mask_of_an_earlier_session_is_asked_about(
    editor, tmp_path: Path, answer: bool, kept: bool
) -> None:
    editor.show_slide()
    path = tmp_path / "results" / "synthetic-1.tissue.zarr"
    with open_slide(ADDRESS) as slide:
        found = find_tissue(slide)
        found.mask[...] = False
        found.mask[0, 0] = True
        write_tissue(path, found, slide)
    editor.answer(answer)
    layer = editor.edit()
    assert editor.asked == [path]
    assert bool(np.asarray(layer.data[...]).sum() == 1) is kept


@pytest.mark.parametrize(
    ("text", "answer"), [("Go on with it", True), ("Find anew", False), ("", None)]
)
def test_question_names_the_file(
    editor, monkeypatch, text: str, answer: bool | None
) -> None:
    seen: list[str] = []

    def press(box: QMessageBox) -> None:
        seen.append(box.informativeText())
        buttons = [b for b in box.buttons() if b.text() == text]
        for button in buttons or [box.button(QMessageBox.StandardButton.Cancel)]:
            button.click()

    monkeypatch.setattr(QMessageBox, "exec", press)
    assert editor.editor.ask(Path("/r/a.tissue.zarr")) is answer
    assert "a.tissue.zarr" in seen[0]


def test_asking_may_be_answered_by_nothing(editor, tmp_path: Path) -> None:
    editor.show_slide()
    (tmp_path / "results" / "synthetic-1.tissue.zarr").mkdir(parents=True)
    editor.answer(None)
    editor.form.tissue.editButton.click()
    assert not editor.editor.runner.is_running
    assert editor.form.tissue.value() is None


def test_outlines_become_a_mask_that_can_be_painted_on(editor, tmp_path: Path) -> None:
    editor.show_slide()
    with open_slide(ADDRESS) as slide:
        found = find_tissue(slide)
        outlines = write_tissue(tmp_path / "m.geojson", found, slide)
    editor.form.tissue.setValue(str(outlines))
    layer = editor.edit()
    np.testing.assert_array_equal(np.asarray(layer.data[...]) != 0, found.mask)
    assert editor.form.tissue.value().endswith("synthetic-1.tissue.zarr")


def test_mask_goes_home_where_the_folder_cannot_be_written(
    editor, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file is in the way")
    editor.show_slide()
    layer = editor.edit()
    assert isinstance(layer, Labels)
    assert Path(editor.form.tissue.value()).parent == tmp_path / "home"
    assert mask_places(tmp_path, ADDRESS)[1] == Path(editor.form.tissue.value())


def test_nothing_is_done_without_a_pixel_size_or_a_layer(editor, monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(tissue_editor, "show_info", told.append)
    editor.form.tissue.editButton.click()
    assert "Open s in the viewer" in told[0]
    editor.form.slide.setChoices([SlideChoice("s", ADDRESS)])
    editor.form.tissue.editButton.click()
    assert "pixel size" in editor.form.notes()["slide"]
    assert not editor.editor.runner.is_running


def test_errors_are_shown_once(editor, notifications, tmp_path: Path) -> None:
    editor.show_slide()
    editor.form.tissue.setValue(str(tmp_path / "gone.tissue.zarr"))
    before = list(editor.viewer.layers)
    editor.edit()
    assert "no tissue mask" in notifications[0]
    assert list(editor.viewer.layers) == before
    assert editor.form.tissue.editButton.isEnabled()


@pytest.mark.gui
def test_brush_paints_with_the_mouse_in_a_real_window(
    make_napari_viewer, qtbot, tmp_path: Path
) -> None:
    """Strokes on the canvas go through napari to the file and to the request."""
    viewer = make_napari_viewer(show=True)
    panel = AnalyzePanel(viewer)
    viewer.window.add_dock_widget(panel)
    with qtbot.waitSignal(panel._adder.finished, timeout=20_000):
        panel.openSlide(ADDRESS)
    panel.form.out.setValue(str(tmp_path))
    with qtbot.waitSignal(panel.tissue.runner.finished, timeout=20_000):
        panel.form.tissue.editButton.click()
    layer = viewer.layers[-1]
    layer.data[...] = 0
    layer.refresh()
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.waitExposed(canvas)
    middle, right = QPoint(canvas.width() // 2, canvas.height() // 2), QPoint(30, 0)
    QTest.mouseMove(canvas, middle)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(canvas, middle + right)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + right)
    qtbot.waitUntil(lambda: bool(np.asarray(layer.data[...]).any()), timeout=5000)
    with open_slide(ADDRESS) as slide:
        mask = read_tissue(panel.value().tissue, slide).mask
    rows, cols = mask.shape
    assert mask[rows // 2, cols // 2]
    assert not mask[0, 0]
