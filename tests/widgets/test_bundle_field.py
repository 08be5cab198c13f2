from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_mmsubtype.widgets.bundle_field import BundleField


@pytest.fixture
def field(qtbot: Any) -> BundleField:
    widget = BundleField()
    qtbot.addWidget(widget)
    return widget


def test_demo_is_the_default_and_says_what_it_is(field) -> None:
    assert field.value() == "demo"
    assert "synthetic" in field._combo.currentText()


@pytest.mark.parametrize(
    "value", ["demo", "/models/brca", "/models/lung.zip", "hf://org/name@v1"]
)
def test_round_trip(field, value: str) -> None:
    field.setValue(value)
    assert field.value() == value
    assert field._combo.currentData() == value


def test_a_path_is_offered_once(field) -> None:
    field.setValue("/models/brca")
    field.setValue("demo")
    count = field._combo.count()
    field.setValue("/models/brca")
    assert field._combo.count() == count


def test_problem_names_what_is_wrong(field, tmp_path: Path) -> None:
    assert field.problem() == ""
    field.setValue(str(tmp_path / "gone"))
    assert "no model" in field.problem()
    field.setValue(str(tmp_path))
    assert "bundle.json" in field.problem()
    (tmp_path / "bundle.json").write_text("{}")
    assert field.problem() == ""
    other = tmp_path / "model.pt"
    other.touch()
    field.setValue(str(other))
    assert "zip" in field.problem()


@pytest.mark.parametrize(
    ("text", "dialog", "answer"),
    [
        ("Choose folder…", "getExistingDirectory", "/models/x"),
        ("Choose zip file…", "getOpenFileName", ("/models/x", "")),
    ],
)
def test_choosing_a_path(field, monkeypatch, qtbot, text, dialog, answer) -> None:
    monkeypatch.setattr(QFileDialog, dialog, lambda *_: answer)
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field._on_activated(field._combo.findText(text))
    assert field.value() == "/models/x"


def test_giving_up_the_dialog_keeps_the_model(field, monkeypatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    field._combo.setCurrentIndex(field._combo.findText("Choose folder…"))
    field._on_activated(field._combo.currentIndex())
    assert field.value() == "demo"
    assert field._combo.currentData() == "demo"


def texts(field) -> list[str]:
    return [field._combo.itemText(i) for i in range(field._combo.count())]


@pytest.fixture
def library(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "library"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "bundle.json").write_text("{}")
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(folder))
    return folder


def test_bundles_of_the_library_are_listed_by_name(library, field, qtbot) -> None:
    assert texts(field)[1] == "mine"
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field._on_activated(1)
    assert field.value() == "mine"
    assert field.problem() == ""


def test_the_list_is_brought_up_to_date_when_it_opens(library, field) -> None:
    field.setValue("/models/brca")
    (library / "new").mkdir()
    (library / "packed.zip").write_bytes(b"")
    field._combo.showPopup()
    field._combo.hidePopup()
    listed = [text for text in texts(field) if text]
    assert listed[1:5] == ["mine", "new", "packed", "brca"]
    assert listed[-2:] == ["Choose folder…", "Choose zip file…"]
    assert field.value() == "/models/brca"
    assert field._combo.currentData() == "/models/brca"


def test_a_broken_bundle_of_the_library_is_said_to_be_broken(library, field) -> None:
    (library / "mine" / "bundle.json").unlink()
    field.setValue("mine")
    assert field.problem() == "mine is no model: it holds no bundle.json."
    field.setValue("unknown")
    assert field.problem() == "There is no model at unknown."


def test_an_address_is_taken_as_it_is(field) -> None:
    field.setValue("hf://org/name")
    assert field.problem() == ""
    assert field._combo.currentText() == "hf://org/name"


def test_a_name_that_is_also_here_is_a_problem(library, field, monkeypatch) -> None:
    here = library.parent / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "bundle.json").write_text('{"name": "another"}')
    monkeypatch.chdir(here)
    field.setValue("mine")
    assert "also here" in field.problem()


def test_a_library_that_cannot_be_read_leaves_the_demo(
    library, field, monkeypatch, caplog
) -> None:
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(library), "iterdir", refuse)
    field.refresh()
    assert texts(field)[0].startswith("demo")
    assert "mine" not in texts(field)
    assert "library of bundles" in caplog.text
