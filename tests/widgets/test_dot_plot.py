from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_mmsubtype.widgets.dot_plot import DotPlot

CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [np.nan, np.nan]], np.float32)
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def plot(qtbot: Any) -> DotPlot:
    widget = DotPlot()
    qtbot.addWidget(widget)
    widget.resize(220, 260)
    widget.setPoints(CORNERS)
    widget.setColors(np.array([RED, BLUE, RED, BLUE, RED], np.uint8))
    return widget


def color_at(plot: DotPlot, place: Any) -> tuple[int, int, int]:
    image = plot.grab().toImage()
    ratio = image.devicePixelRatio()
    color = image.pixelColor(round(place[0] * ratio), round(place[1] * ratio))
    return color.red(), color.green(), color.blue()


def point(place: Any) -> QPoint:
    return QPoint(round(float(place[0])), round(float(place[1])))


def lasso(qtbot: Any, plot: DotPlot, places: list[tuple[int, int]]) -> None:
    button = Qt.MouseButton.LeftButton
    qtbot.mousePress(plot, button, pos=point(places[0]))
    for place in places[1:]:
        qtbot.mouseMove(plot, point(place))
    qtbot.mouseRelease(plot, button, pos=point(places[-1]))


def test_dots_lie_on_one_scale_in_their_colors(plot) -> None:
    places = plot.places()
    across, down = places[1] - places[0], places[2] - places[0]
    assert across[0] == pytest.approx(down[1]) == pytest.approx(200)
    assert np.isnan(places[4]).all()
    for place, color in zip(places[:4], (RED, BLUE, RED, BLUE), strict=True):
        assert color_at(plot, place) == color


def test_a_line_around_dots_chooses_them_and_dims_the_others(plot, qtbot) -> None:
    with qtbot.waitSignal(plot.chosen) as told:
        lasso(qtbot, plot, [(1, 1), (90, 1), (90, 258), (1, 258)])
    assert told.args[0].tolist() == [0, 2]
    places = plot.places()
    assert color_at(plot, places[0]) == RED
    assert max(color_at(plot, places[1])) < 100


def test_a_click_chooses_the_nearest_dot_or_none(plot, qtbot) -> None:
    places = plot.places()
    for place, found in ((places[3] - 2, [3]), ((110, 130), [])):
        with qtbot.waitSignal(plot.chosen) as told:
            qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=point(place))
        assert told.args[0].tolist() == found
    assert color_at(plot, places[1]) == BLUE


def test_a_ring_marks_a_dot(plot) -> None:
    x, y = plot.places()[0]
    before = color_at(plot, (x + 7, y))
    plot.setMarked(0)
    assert min(color_at(plot, (x + 7, y))) > max(before) + 50
    plot.setMarked(4)
    assert color_at(plot, (x + 7, y)) == before


def test_dots_behind_are_drawn_and_cannot_be_chosen(plot, qtbot) -> None:
    plot.setPoints(CORNERS, np.array([[0.5, 0.5]], np.float32))
    plot.setColors(np.full((5, 3), 200, np.uint8), np.array([[0, 200, 0]], np.uint8))
    assert color_at(plot, (110, 130)) == (0, 200, 0)
    with qtbot.waitSignal(plot.chosen) as told:
        lasso(qtbot, plot, [(60, 80), (160, 80), (160, 180), (60, 180)])
    assert told.args[0].tolist() == []


def test_nothing_to_show_is_an_empty_sheet(qtbot) -> None:
    plot = DotPlot()
    qtbot.addWidget(plot)
    plot.setPoints(np.full((3, 2), np.nan, np.float32))
    plot.resize(100, 100)
    paper = color_at(plot, (50, 50))
    assert max(paper) < 50
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))


def test_a_hundred_thousand_dots_are_drawn_in_one_go(qtbot) -> None:
    plot = DotPlot()
    qtbot.addWidget(plot)
    plot.resize(600, 600)
    points = np.random.default_rng(0).normal(size=(100_000, 2)).astype(np.float32)

    def seconds(count: int) -> float:
        plot.setPoints(points[:count])
        begun = time.perf_counter()
        plot.grab()
        return time.perf_counter() - begun

    seconds(1000)
    # Dots that were painted one by one would take hundreds of times as long.
    assert seconds(100_000) < 60 * max(seconds(1000), 0.01)
