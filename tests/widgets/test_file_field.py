from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_mmsubtype.widgets.file_field import FileField


@pytest.fixture
def field(qtbot: Any) -> FileField:
    widget = FileField("Choose a table")
    qtbot.addWidget(widget)
    return widget


def dropped(*paths: Path) -> QDropEvent:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    event.owner = mime  # Qt does not keep the data alive
    return event


@pytest.mark.parametrize("value", [None, "/data/rna.csv", "C:/données/rna 1.csv"])
def test_round_trip(field, value) -> None:
    field.setValue(value)
    assert field.value() == value


def test_home_is_spelled_out(field) -> None:
    field.setValue("~/rna.csv")
    assert field.value() == str(Path.home() / "rna.csv")


def test_change_is_told(field, qtbot) -> None:
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field.setValue("a.csv")


def test_empty_is_no_problem_but_a_missing_file_is(field, tmp_path: Path) -> None:
    assert field.problem() == ""
    field.setValue(str(tmp_path / "gone.csv"))
    assert field.problem() == "There is no file named gone.csv."
    field.setValue(str(tmp_path))
    assert "folder" in field.problem()
    (tmp_path / "here.csv").touch()
    field.setValue(str(tmp_path / "here.csv"))
    assert field.problem() == ""


def test_folder_field_accepts_one_that_will_be_made(qtbot, tmp_path: Path) -> None:
    field = FileField("Results", folder=True)
    qtbot.addWidget(field)
    field.setValue(str(tmp_path / "new"))
    assert field.problem() == ""
    (tmp_path / "file").touch()
    field.setValue(str(tmp_path / "file"))
    assert "choose a folder" in field.problem()


def test_a_dropped_file_is_taken(field, tmp_path: Path) -> None:
    path = tmp_path / "rna.csv"
    path.touch()
    field.dropEvent(dropped(path))
    assert field.value() == str(path)


def test_two_files_or_a_folder_are_not_taken(field, tmp_path: Path) -> None:
    field.dropEvent(dropped(tmp_path / "a", tmp_path / "b"))
    field.dropEvent(dropped(tmp_path))
    assert field.value() is None


def test_browse_sets_the_chosen_file(field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: ("/data/chosen.csv", "")
    )
    field._browse()
    assert field.value() == "/data/chosen.csv"


def test_browse_that_is_given_up_changes_nothing(
    field, monkeypatch: pytest.MonkeyPatch
) -> None:
    field.setValue("a.csv")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    field._browse()
    assert field.value() == "a.csv"
