from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_mmsubtype.widgets.table_field import TableField


@pytest.fixture
def field(qtbot: Any) -> TableField:
    widget = TableField("Choose a table")
    qtbot.addWidget(widget)
    return widget


def test_the_reading_goes_with_its_path(field) -> None:
    field.setTable("a.csv", {"unit": "tpm", "samples_in": "rows"})
    assert field.reading() == {"unit": "tpm", "samples_in": "rows"}
    assert field.toolTip() == "a.csv\nunit: tpm\nsamples in: rows"
    field.setValue("b.csv")
    assert field.reading() == {}
    assert field.toolTip() == "b.csv"
    field.setTable(None)
    assert (field.value(), field.reading()) == (None, {})


def test_a_folder_of_gdc_files_is_taken(field, tmp_path: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    event = QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    field.dropEvent(event)
    assert field.value() == str(tmp_path)
    assert field.problem() == ""


def test_a_missing_file_is_a_problem(field, tmp_path: Path) -> None:
    field.setValue(str(tmp_path / "gone.csv"))
    assert field.problem() == "There is no file named gone.csv."
