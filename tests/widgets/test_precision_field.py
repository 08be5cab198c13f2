import pytest

from napari_mmsubtype.core.recipe import COHORT_PRECISIONS, PRECISIONS
from napari_mmsubtype.widgets.precision_field import PrecisionField

pytestmark = pytest.mark.gui


def test_nothing_is_forced_at_first(qtbot):
    field = PrecisionField()
    qtbot.addWidget(field)
    assert field.value() == "auto"


@pytest.mark.parametrize("value", PRECISIONS)
def test_shows_what_a_recipe_says(qtbot, value):
    field = PrecisionField()
    qtbot.addWidget(field)
    field.setValue(value)
    assert field.value() == value


def test_a_choice_is_announced(qtbot):
    field = PrecisionField()
    qtbot.addWidget(field)
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field.setValue("float32")


@pytest.mark.parametrize("value", COHORT_PRECISIONS)
def test_a_cohort_is_offered_what_treats_all_slides_alike(qtbot, value):
    field = PrecisionField(cohort=True)
    qtbot.addWidget(field)
    field.setValue(value)
    assert field.value() == value
    assert field._combo.count() == len(COHORT_PRECISIONS)
