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


@pytest.mark.parametrize("value", ["demo", "/models/brca", "/models/lung.zip"])
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
