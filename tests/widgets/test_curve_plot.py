from __future__ import annotations

import math
from typing import Any

from qtpy.QtGui import QColor

from napari_mmsubtype.widgets.curve_plot import CurvePlot


def make_plot(qtbot: Any) -> CurvePlot:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    plot.resize(300, 120)
    return plot


def test_lower_losses_are_lower_and_later_epochs_further_right(qtbot) -> None:
    plot = make_plot(qtbot)
    plot.setCurves([1.0, 0.5, 0.25], [1.1, 0.8, 0.9], best=1)
    lines = plot.points()
    xs = [point.x() for point in lines["training"]]
    ys = [point.y() for point in lines["training"]]
    assert xs == sorted(xs)
    assert ys == sorted(ys)  # y grows downwards
    assert lines["validation"][1].y() > lines["validation"][2].y()
    # Both lines share one scale: the highest loss of all is at the top.
    assert min(p.y() for line in lines.values() for p in line) == (
        lines["validation"][0].y()
    )


def test_losses_that_are_no_numbers_are_left_out(qtbot) -> None:
    plot = make_plot(qtbot)
    plot.setCurves([1.0, math.nan, 0.5], [math.inf, 0.9, 0.8], best=2)
    lines = plot.points()
    assert (len(lines["training"]), len(lines["validation"])) == (2, 2)
    assert not plot.grab().isNull()


def test_one_epoch_and_none_can_be_drawn(qtbot) -> None:
    plot = make_plot(qtbot)
    assert plot.points() == {"training": [], "validation": []}
    plot.setCurves([0.7], [0.7], best=0)
    assert len(plot.points()["training"]) == 1
    assert not plot.grab().isNull()


def test_both_lines_are_painted(qtbot) -> None:
    plot = make_plot(qtbot)
    plot.setCurves([1.0, 0.0], [0.0, 1.0], best=0)
    image = plot.grab().toImage()
    seen = {
        QColor(image.pixel(x, y)).name()
        for x in range(image.width())
        for y in range(image.height())
    }
    assert {"#56b4e9", "#e69f00"} <= seen
