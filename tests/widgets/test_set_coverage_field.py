import pytest

from napari_mmsubtype.widgets.set_coverage_field import SetCoverageField

pytestmark = pytest.mark.gui


def test_default_is_left_out_of_the_request(qtbot):
    field = SetCoverageField()
    qtbot.addWidget(field)
    assert field.value() is None


@pytest.mark.parametrize("value", [None, 0.8, 0.99, 0.85])
def test_shows_what_a_recipe_says(qtbot, value):
    field = SetCoverageField()
    qtbot.addWidget(field)
    field.setValue(value)
    assert field.value() == value


def test_a_choice_is_announced(qtbot):
    field = SetCoverageField()
    qtbot.addWidget(field)
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field.setValue(0.95)
