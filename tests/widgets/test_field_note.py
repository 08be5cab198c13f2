from __future__ import annotations

from qtpy.QtWidgets import QLabel, QLineEdit

from napari_mmsubtype.widgets.field_note import NotedField


def test_note_appears_and_goes(qtbot) -> None:
    noted = NotedField(QLineEdit())
    qtbot.addWidget(noted)
    label = noted.findChild(QLabel, "note")
    assert label.isHidden()
    noted.setNote("Open a slide first.")
    assert noted.note() == "Open a slide first."
    assert not label.isHidden()
    noted.setNote("")
    assert noted.note() == ""
    assert label.isHidden()
