from __future__ import annotations

import pytest

from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.widgets.quality_field import QualityField


@pytest.fixture
def field(qtbot) -> QualityField:
    widget = QualityField()
    qtbot.addWidget(widget)
    return widget


def test_untouched_it_leaves_the_choice_to_the_program(field) -> None:
    assert field.value() == {"exclude": None}


@pytest.mark.parametrize("exclude", [None, (), ("fold",), ("pen", "fold")])
def test_round_trip(field, exclude) -> None:
    field.setValue(AnalyzeRecipe(slide="a.svs", exclude=exclude))
    assert field.value() == {"exclude": exclude}
    field.setValue(AnalyzeRecipe(slide="a.svs"))
    assert field.value() == {"exclude": None}


def test_what_has_no_box_is_kept_and_named(field) -> None:
    recipe = AnalyzeRecipe(
        slide="a.svs", quality={"blur_ratio": 0.05}, min_tissue=0.2, edge="inside"
    )
    field.setValue(recipe)
    assert AnalyzeRecipe(slide="a.svs", **field.value()) == recipe
    assert field.note() == (
        "as the recipe says: min_tissue 0.2, edge inside, blur_ratio 0.05"
    )
    field.setValue(AnalyzeRecipe(slide="b.svs"))
    assert field.note() == ""


def test_change_is_told(field, qtbot) -> None:
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field._boxes["fold"].click()
    assert field.value()["exclude"] == ("pen", "blur", "fold", "bubble")
