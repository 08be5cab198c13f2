from __future__ import annotations

from typing import Any

import pytest

from napari_mmsubtype.widgets.tissue_field import TissueField


@pytest.fixture
def field(qtbot: Any) -> TissueField:
    widget = TissueField()
    qtbot.addWidget(widget)
    return widget


def test_tissue_is_found_by_default(field) -> None:
    assert field.value() is None
    assert field.problem() == ""
    assert "found" in field._text.text()
    assert not field.editButton.isEnabled()
    field.setSlide("/s/a.svs")
    assert field.editButton.isEnabled()
    assert field._reset.isHidden()


def test_each_slide_has_its_own_mask(field, qtbot) -> None:
    field.setSlide("/s/a.svs")
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field.setMask("/s/b.svs", "/r/b.tissue.zarr")
    assert field.value() is None
    field.setSlide("/s/b.svs")
    assert field.value() == "/r/b.tissue.zarr"
    assert field._text.text() == "edited mask"


def test_found_tissue_can_be_gone_back_to(field, qtbot) -> None:
    field.setSlide("/s/a.svs")
    field.setValue("/r/a.tissue.zarr")
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field._reset.click()
    assert field.value() is None


def test_mask_that_is_gone_is_a_problem(field, tmp_path) -> None:
    field.setSlide("/s/a.svs")
    field.setValue(str(tmp_path / "a.tissue.zarr"))
    assert "a.tissue.zarr is gone" in field.problem()
    (tmp_path / "a.tissue.zarr").mkdir()
    assert field.problem() == ""


def test_editing_is_asked_for(field, qtbot) -> None:
    field.setSlide("/s/a.svs")
    with qtbot.waitSignal(field.editRequested, timeout=1000):
        field.editButton.click()
