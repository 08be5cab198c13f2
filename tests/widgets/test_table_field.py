from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_mmsubtype.core.table_files import table_endings
from napari_mmsubtype.widgets.table_field import TABLES, TableField


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


def dropped(path: Path) -> QDropEvent:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    event.mime = mime  # Qt does not keep it alive
    return event


def test_a_folder_of_gdc_files_is_taken(field, tmp_path: Path) -> None:
    field.dropEvent(dropped(tmp_path))
    assert field.value() == str(tmp_path)
    assert field.problem() == ""


def test_a_missing_file_is_a_problem(field, tmp_path: Path) -> None:
    field.setValue(str(tmp_path / "gone.csv"))
    assert field.problem() == "There is no file named gone.csv."


def test_files_and_folders_can_be_browsed_for(field, tmp_path, monkeypatch) -> None:
    asked = []

    def files(parent: Any, title: str, start: str, name_filter: str) -> Any:
        asked.append(name_filter)
        return "/data/rna.gct", ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", files)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    file, folder = field.browseButton.menu().actions()
    file.trigger()
    assert field.value() == "/data/rna.gct"
    folder.trigger()
    assert field.value() == str(tmp_path)
    assert field.problem() == ""
    assert asked == [TABLES]


def test_every_file_that_is_read_is_offered() -> None:
    for ending in table_endings():
        assert f" *{ending} " in TABLES.replace("(", " ").replace(")", " ")


def test_a_clinical_table_is_no_folder(qtbot, tmp_path: Path) -> None:
    field = TableField("Choose a clinical table", folders=False)
    qtbot.addWidget(field)
    assert field.browseButton.menu() is None
    field.dropEvent(dropped(tmp_path))
    assert field.value() is None
    field.setValue(str(tmp_path))
    assert "is a folder; choose a file" in field.problem()
