from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_mmsubtype.widgets.region_field import RegionField


@pytest.fixture
def field(qtbot: Any) -> RegionField:
    widget = RegionField()
    qtbot.addWidget(widget)
    return widget


def choose(field: RegionField, text: str) -> None:
    index = field._combo.findText(text)
    assert index >= 0, text
    field._combo.setCurrentIndex(index)
    field._combo.activated.emit(index)


def offered(field: RegionField) -> list[str]:
    return [field._combo.itemText(i) for i in range(field._combo.count())]


def test_whole_slide_is_the_default(field) -> None:
    assert field.value() is None
    assert field.layerKey() is None
    assert field.problem() == ""
    assert offered(field) == ["Whole slide", "From a file…"]
    assert field._classes.isHidden()


@pytest.mark.parametrize("value", [None, "/data/r.geojson"])
def test_round_trip(field, value: str | None) -> None:
    field.setValue("/data/other.geojson")
    field.setValue(value)
    assert field.value() == value


def test_layers_are_offered_and_the_choice_is_kept(field, qtbot) -> None:
    field.setLayers([("k1", "regions"), ("k2", "more")])
    assert offered(field)[1:3] == ["regions", "more"]
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        choose(field, "more")
    assert field.layerKey() == "k2"
    assert field.value() is None
    field.setLayers([("k2", "renamed")])
    assert field.layerKey() == "k2"
    assert field._combo.currentText() == "renamed"
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field.setLayers([])
    assert field.layerKey() is None
    assert field._combo.currentText() == "Whole slide"


def test_classes_and_saving_belong_to_drawn_regions(field, qtbot) -> None:
    field.setLayers([("k1", "regions")])
    assert not field._save.isEnabled()
    field.setLayer("k1")
    assert not field._classes.isHidden()
    assert field._save.isEnabled()
    assert field.drawnClass() == "Analyze"
    with qtbot.waitSignal(field.classChanged, timeout=1000) as told:
        field._class_buttons["Exclude"].click()
    assert told.args == ["Exclude"]
    assert field.drawnClass() == "Exclude"
    choose(field, "Whole slide")
    assert field._classes.isHidden()


def test_a_file_is_asked_for(field, monkeypatch) -> None:
    answers = iter([("/data/r.geojson", ""), ("", "")])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: next(answers))
    choose(field, "From a file…")
    assert field.value() == "/data/r.geojson"
    assert field._combo.currentText() == "r.geojson"
    choose(field, "From a file…")
    assert field.value() == "/data/r.geojson"
    assert field._combo.currentText() == "r.geojson"
    choose(field, "Whole slide")
    assert "r.geojson" in offered(field)


def test_files_that_cannot_serve_are_a_problem(field, tmp_path) -> None:
    field.setValue(str(tmp_path / "gone.geojson"))
    assert field.problem() == "There is no file named gone.geojson."
    field.setValue(str(tmp_path))
    assert "is a folder" in field.problem()
    (tmp_path / "r.geojson").write_text("{}")
    field.setValue(str(tmp_path / "r.geojson"))
    assert field.problem() == ""


def test_the_same_layers_do_not_disturb(field) -> None:
    field.setLayers([("k1", "regions")])
    field._combo.setCurrentIndex(1)
    field.setLayers([("k1", "regions")])
    assert field._combo.currentIndex() == 1
