from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialogButtonBox, QPushButton

from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.widgets import pixel_size_dialog
from napari_mmsubtype.widgets.pixel_size_dialog import PixelSizeDialog, set_pixel_size


def slide_layer(name: str, mpp: float | None = None, **more: Any) -> Layer:
    facts = {
        "kind": "slide",
        "path": f"/s/{name}.svs",
        "mpp": [mpp, mpp] if mpp else None,
        "mpp_source": "vendor" if mpp else "none",
        **more,
    }
    image = np.zeros((60, 80, 3), np.uint8)
    scale = [mpp or 1] * 2
    return Image(
        image, rgb=True, name=name, scale=scale, metadata={METADATA_KEY: facts}
    )


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_layer(slide_layer("bare", objective="20x"))
    viewer.add_layer(slide_layer("known", 0.25))
    return viewer


@pytest.fixture
def open_dialog(qtbot: Any, viewer: ViewerModel) -> Any:
    def make(path: str | None = None) -> PixelSizeDialog:
        dialog = PixelSizeDialog(viewer, path)
        # It deletes itself when closed; the test still looks at it then.
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        qtbot.addWidget(dialog)
        return dialog

    return make


def button(dialog: PixelSizeDialog, text: str) -> QPushButton:
    (found,) = [
        b for b in dialog.findChildren(QPushButton) if b.text().replace("&", "") == text
    ]
    return found


def ok(dialog: PixelSizeDialog) -> QPushButton:
    return dialog._buttons.button(QDialogButtonBox.StandardButton.Ok)


def test_slide_asked_for_is_shown(open_dialog) -> None:
    dialog = open_dialog("/s/bare.svs")
    assert dialog._combo.currentText() == "bare"
    assert "does not say" in dialog._told.text()
    assert "Objective: 20x" in dialog._told.text()
    dialog._combo.setCurrentIndex(1)
    assert "The file says 0.25 µm/px" in dialog._told.text()
    assert dialog._spin.value() == 0.25


def test_selected_slide_comes_first_then_the_one_without_size(
    open_dialog, viewer
) -> None:
    viewer.layers.selection.active = viewer.layers["known"]
    assert open_dialog()._combo.currentText() == "known"
    viewer.layers.selection.clear()
    assert open_dialog()._combo.currentText() == "bare"


def test_objective_buttons_fill_the_size_in(open_dialog, viewer) -> None:
    dialog = open_dialog("/s/bare.svs")
    for text, mpp in (("40x", 0.25), ("20x", 0.5), ("10x", 1.0)):
        button(dialog, text).click()
        assert dialog._spin.value() == mpp
    dialog.accept()
    layer = viewer.layers["bare"]
    np.testing.assert_allclose(layer.scale, 1.0)
    assert layer.metadata[METADATA_KEY]["mpp_source"] == "user"
    assert not dialog.isVisible()


@pytest.mark.parametrize("mpp", [0.0, 0.04, 25.0, 1000.0])
def test_unbelievable_sizes_are_refused(open_dialog, viewer, mpp: float) -> None:
    dialog = open_dialog("/s/bare.svs")
    dialog.show()
    dialog._spin.setValue(mpp)
    assert "not believable" in dialog._note.text()
    assert not ok(dialog).isEnabled()
    dialog.accept()
    assert dialog.isVisible()
    assert viewer.layers["bare"].metadata[METADATA_KEY]["mpp"] is None
    dialog._spin.setValue(0.5)
    assert dialog._note.text() == ""
    assert ok(dialog).isEnabled()


def test_everything_can_be_done_from_the_keyboard(open_dialog, viewer, qtbot) -> None:
    dialog = open_dialog("/s/bare.svs")
    dialog.show()
    qtbot.waitExposed(dialog)
    QTest.keyClicks(dialog._spin, "0.3")
    QTest.keyClick(dialog._spin, Qt.Key.Key_Return)
    np.testing.assert_allclose(viewer.layers["bare"].scale, 0.3)
    reachable = {w.focusPolicy() for w in dialog.findChildren(QPushButton)}
    assert all(policy & Qt.FocusPolicy.TabFocus for policy in reachable)


def test_without_a_slide_it_says_what_to_do(monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pixel_size_dialog, "show_info", told.append)
    monkeypatch.setattr(pixel_size_dialog.napari, "current_viewer", ViewerModel)
    set_pixel_size()
    assert "Open a slide first" in told[0]
