from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_mmsubtype.widgets.charts import SignedBar, StackedBar

BLUE, ORANGE = "#0072b2", "#d55e00"


def colors_across(bar: QWidget) -> list[str]:
    """Colour of each pixel along the middle of the bar."""
    bar.resize(101, 14)
    image = bar.grab().toImage()
    ratio = image.width() / 101
    return [
        QColor(image.pixel(int((x + 0.5) * ratio), image.height() // 2)).name()
        for x in range(101)
    ]


@pytest.fixture
def stacked(qtbot: Any) -> StackedBar:
    bar = StackedBar()
    qtbot.addWidget(bar)
    return bar


@pytest.fixture
def signed(qtbot: Any) -> SignedBar:
    bar = SignedBar()
    qtbot.addWidget(bar)
    return bar


def test_parts_take_their_share_of_the_width(stacked) -> None:
    stacked.setParts([(0.8, BLUE), (0.2, ORANGE)])
    colors = colors_across(stacked)
    assert colors.count(BLUE) == pytest.approx(81, abs=2)
    assert colors.count(ORANGE) == pytest.approx(20, abs=2)
    assert colors[0] == BLUE
    assert colors[-1] == ORANGE


def test_a_single_part_leaves_the_rest_as_track(stacked) -> None:
    stacked.setParts([(0.3, BLUE)])
    colors = colors_across(stacked)
    assert colors.count(BLUE) == pytest.approx(30, abs=2)
    assert colors[-1] not in (BLUE, ORANGE)


@pytest.mark.parametrize(("value", "half"), [(1.0, "right"), (-1.0, "left")])
def test_signed_bar_grows_from_the_middle(signed, value: float, half: str) -> None:
    signed.setValue(value, 2.0, BLUE)
    places = [x for x, color in enumerate(colors_across(signed)) if color == BLUE]
    assert len(places) == pytest.approx(25, abs=2)
    assert (min(places) >= 50) if half == "right" else (max(places) <= 50)


def test_signed_bar_of_nothing_is_empty(signed) -> None:
    signed.setValue(0.0, 0.0, BLUE)
    assert BLUE not in colors_across(signed)
