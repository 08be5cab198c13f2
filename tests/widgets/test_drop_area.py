from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragLeaveEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog

from builders.drags import drag_enters
from napari_mmsubtype.widgets.drop_area import DropArea


@pytest.fixture
def area(qtbot: Any) -> DropArea:
    widget = DropArea("Drop here", "All files (*)")
    qtbot.addWidget(widget)
    return widget


def mime(*urls: QUrl) -> QMimeData:
    data = QMimeData()
    data.setUrls(list(urls))
    return data


def drop(data: QMimeData) -> QDropEvent:
    return QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )


def test_files_and_folders_are_given_in_order(area, qtbot, tmp_path: Path) -> None:
    paths = [str(tmp_path / "b.csv"), str(tmp_path)]
    data = mime(*map(QUrl.fromLocalFile, paths))
    entered = drag_enters(data)
    entered.ignore()
    area.dragEnterEvent(entered)
    assert entered.isAccepted()
    assert "solid" in area.styleSheet()
    event = drop(data)
    with qtbot.waitSignal(area.pathsAdded, timeout=1000) as added:
        area.dropEvent(event)
    assert added.args == [paths]
    assert "dashed" in area.styleSheet()


def test_other_things_are_not_taken(area, qtbot) -> None:
    data = mime(QUrl("https://example.org/rna.csv"))
    entered = drag_enters(data)
    entered.ignore()
    area.dragEnterEvent(entered)
    assert not entered.isAccepted()
    event = drop(data)
    with qtbot.assertNotEmitted(area.pathsAdded):
        area.dropEvent(event)


def test_the_mark_goes_when_the_drag_leaves(area, tmp_path: Path) -> None:
    data = mime(QUrl.fromLocalFile(str(tmp_path)))
    entered = drag_enters(data)
    area.dragEnterEvent(entered)
    area.dragLeaveEvent(QDragLeaveEvent())
    assert "dashed" in area.styleSheet()


def test_buttons_ask_for_files_or_a_folder(area, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(
        QFileDialog, "getOpenFileNames", lambda *_: (["a.csv", "b.csv"], "")
    )
    with qtbot.waitSignal(area.pathsAdded, timeout=1000) as added:
        area.filesButton.click()
    assert added.args == [["a.csv", "b.csv"]]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "gdc")
    with qtbot.waitSignal(area.pathsAdded, timeout=1000) as added:
        area.folderButton.click()
    assert added.args == [["gdc"]]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    with qtbot.assertNotEmitted(area.pathsAdded):
        area.folderButton.click()
