from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_mmsubtype.slides.slide import Slide
from napari_mmsubtype.widgets.associated_images import AssociatedImages, PictureDialog
from napari_mmsubtype.widgets.slide_field import SlideChoice, SlideField

ADDRESS = "synthetic:seed=1,size=256"
PICTURE = np.zeros((40, 90, 3), np.uint8)
PICTURE[:, :45] = (255, 0, 0)


@pytest.fixture
def images(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> AssociatedImages:
    window = QWidget()
    qtbot.addWidget(window)
    field = SlideField(window)
    field.setChoices([SlideChoice("s", ADDRESS, associated=("macro", "label"))])
    made = AssociatedImages(field, window)

    def read(_: Slide, name: str) -> Any:
        if name in ("macro", "label"):
            return PICTURE
        raise KeyError(name)

    monkeypatch.setattr(Slide, "read_associated", read)
    return made


def dialogs(images: AssociatedImages) -> list[PictureDialog]:
    return images._window.findChildren(PictureDialog)


def show(qtbot: Any, images: AssociatedImages, name: str) -> None:
    with qtbot.waitSignal(images.runner.finished, timeout=10_000):
        images._field.associatedRequested.emit(name)


def test_macro_is_shown_as_it_is(qtbot, images) -> None:
    show(qtbot, images, "macro")
    (dialog,) = dialogs(images)
    assert dialog.windowTitle() == "macro of synthetic-1"
    picture = dialog._picture.toImage()
    assert (picture.width(), picture.height()) == (90, 40)
    assert picture.pixelColor(10, 10).getRgb()[:3] == (255, 0, 0)
    assert picture.pixelColor(80, 10).getRgb()[:3] == (0, 0, 0)
    drawn = dialog._label.pixmap()
    assert drawn.width() / drawn.height() == pytest.approx(90 / 40, rel=0.05)


@pytest.mark.parametrize("answer", ["Yes", "Cancel"])
def test_label_is_shown_only_after_a_question(
    qtbot, images, monkeypatch, answer: str
) -> None:
    asked: list[str] = []

    def question(_: Any, __: str, text: str, *___: Any) -> Any:
        asked.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(QMessageBox, "question", question)
    if answer == "Yes":
        show(qtbot, images, "label")
        assert len(dialogs(images)) == 1
    else:
        images.show("label")
        assert not images.runner.is_running
        assert dialogs(images) == []
    assert "may carry a patient's name" in asked[0]


def test_image_that_is_gone_is_one_error(qtbot, images, notifications) -> None:
    show(qtbot, images, "thumbnail")
    assert "no image named 'thumbnail'" in notifications[0]
    assert dialogs(images) == []


def test_nothing_is_shown_without_a_slide(images) -> None:
    images._field.setChoices([])
    images.show("macro")
    assert not images.runner.is_running


@pytest.mark.parametrize("shape", [(3, 2000, 3), (900, 1, 3), (1, 1, 3)])
def test_odd_pictures_have_a_window_that_fits_a_screen(qtbot, shape) -> None:
    dialog = PictureDialog("odd", np.zeros(shape, np.uint8))
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.width() <= 760
    assert dialog.height() <= 760
