from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_mmsubtype.widgets import save_dialog
from napari_mmsubtype.widgets.save_dialog import ask_save_path

YES = save_dialog.QMessageBox.StandardButton.Yes
NO = save_dialog.QMessageBox.StandardButton.No
ENDINGS = (".html", ".htm")


class User:
    """Types names into the dialog, and answers whether files may be replaced."""

    def __init__(self, monkeypatch: Any, parent: QWidget) -> None:
        self._parent = parent
        self.names: list[str] = []
        self.answers: list[Any] = []
        self.started: list[str] = []
        self.asked: list[str] = []
        monkeypatch.setattr(save_dialog.QFileDialog, "getSaveFileName", self._type)
        monkeypatch.setattr(save_dialog.QMessageBox, "question", self._answer)

    def _type(self, *words: Any) -> tuple[str, str]:
        self.started.append(words[2])
        return self.names.pop(0), ""

    def _answer(self, *words: Any) -> Any:
        self.asked.append(words[2])
        return self.answers.pop(0)

    def saves(self) -> str:
        return ask_save_path(self._parent, "Save", "/start.html", "HTML", ENDINGS)


@pytest.fixture
def user(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> User:
    parent = QWidget()
    qtbot.addWidget(parent)
    return User(monkeypatch, parent)


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("/x/a", "/x/a.html"),
        ("/x/report v1.2", "/x/report v1.2.html"),
        ("/x/a.html", "/x/a.html"),
        ("/x/a.HTM", "/x/a.HTM"),
        ("", ""),
    ],
)
def test_names_get_their_ending(user: User, typed: str, path: str) -> None:
    user.names = [typed]
    assert user.saves() == path
    assert user.started == ["/start.html"]


def test_a_file_that_the_ending_leads_to_is_asked_about(
    user: User, tmp_path: Path
) -> None:
    (tmp_path / "ok.html").touch()
    typed, path = str(tmp_path / "ok"), str(tmp_path / "ok.html")
    user.names, user.answers = [typed], [YES]
    assert user.saves() == path
    assert "ok.html already exists" in user.asked[0]
    user.names, user.answers = [typed, ""], [NO]
    assert user.saves() == ""
    assert user.started[-1] == path


def test_a_whole_name_was_asked_about_by_the_dialog(user: User, tmp_path: Path) -> None:
    (tmp_path / "ok.html").touch()
    user.names = [str(tmp_path / "ok.html")]
    assert user.saves() == str(tmp_path / "ok.html")
    assert not user.asked
