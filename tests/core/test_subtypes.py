import pytest

from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL, Subtype


def test_rgb_is_the_hex_color():
    assert Subtype("a", "#ff8000").rgb == (1.0, 128 / 255, 0.0)


@pytest.mark.parametrize(
    ("name", "color"), [("", "#000000"), ("a", "red"), ("a", "#ff")]
)
def test_refuses_nameless_and_colorless(name, color):
    with pytest.raises(ValueError, match=r"name|colour"):
        Subtype(name, color)


def test_shipped_classes_can_be_told_apart():
    assert LUMINAL.color != BASAL_HER2.color
