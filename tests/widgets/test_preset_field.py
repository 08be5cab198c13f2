from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_mmsubtype.widgets.preset_field import PresetField

TITLES = {"evidence": "adds up", "lung-mmlm": "lung"}


@pytest.fixture
def field(qtbot: Any) -> PresetField:
    field = PresetField()
    qtbot.addWidget(field)
    field.setChoices(TITLES)
    return field


def test_nothing_is_ticked_at_first(field: PresetField) -> None:
    assert field.list.count() == 2
    assert field.value() == ()


def test_ticks_are_the_value_and_are_told(field: PresetField, qtbot: Any) -> None:
    with qtbot.waitSignal(field.valueChanged):
        field.list.item(1).setCheckState(Qt.CheckState.Checked)
    assert field.value() == ("lung-mmlm",)
    field.setValue(["evidence"])
    assert field.value() == ("evidence",)


def test_variants_and_files_are_added(field: PresetField) -> None:
    field.setValue(["evidence:small", "/somewhere/own.yaml"])
    assert field.value() == ("evidence:small", "/somewhere/own.yaml")
    assert field.list.item(3).text() == "own.yaml"
    assert field.list.item(3).toolTip() == "/somewhere/own.yaml"


def test_presets_that_are_listed_later_keep_the_ticks(qtbot: Any) -> None:
    field = PresetField()
    qtbot.addWidget(field)
    field.setValue(["evidence"])
    field.setChoices(TITLES)
    assert field.value() == ("evidence",)
    assert field.list.count() == 2
    assert field.list.item(0).toolTip() == "adds up"


def test_a_file_that_is_chosen_is_ticked_once(
    field: PresetField, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: ("/somewhere/own.yaml", "")
    )
    with qtbot.waitSignal(field.valueChanged):
        field.browseButton.click()
    field.browseButton.click()
    assert field.value() == ("/somewhere/own.yaml",)
    assert field.list.count() == 3
