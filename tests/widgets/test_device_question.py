from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from napari_mmsubtype.widgets.device_question import LOST, ask_for_cpu


@pytest.fixture
def parent(qtbot: Any) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


def answer(qtbot: Any, act: Any) -> list[str]:
    """Act on the question as soon as it is there; give what it said."""
    said: list[str] = []

    def look() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(20, look)
            return
        said.extend([box.text(), *(button.text() for button in box.buttons())])
        act(box)

    QTimer.singleShot(0, look)
    return said


@pytest.mark.parametrize(
    ("button", "means"), [("Go on with the CPU", True), ("Not now", False)]
)
def test_the_buttons_say_what_they_do(qtbot, parent, button, means) -> None:
    def press(box: Any) -> None:
        next(b for b in box.buttons() if b.text() == button).click()

    said = answer(qtbot, press)
    assert ask_for_cpu(parent) is means
    assert said[0] == LOST
    assert set(said[1:]) == {"Go on with the CPU", "Not now"}


@pytest.mark.parametrize(
    ("key", "means"), [(Qt.Key.Key_Escape, False), (Qt.Key.Key_Return, True)]
)
def test_keys_answer_too(qtbot, parent, key, means) -> None:
    answer(qtbot, lambda box: qtbot.keyClick(box, key))
    assert ask_for_cpu(parent) is means
