from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtGui import QColor

from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.widgets.coverage_bar import (
    ENOUGH,
    TOO_LITTLE,
    CoverageBar,
    ThresholdBar,
)
from napari_mmsubtype.widgets.omics_lookup import Coverage


@pytest.fixture
def bar(qtbot: Any) -> CoverageBar:
    widget = CoverageBar()
    qtbot.addWidget(widget)
    widget.resize(200, 60)
    widget.show()
    return widget


def report(**changes: Any) -> ModalityReport:
    facts = {"matched": 203, "expected": 286, "weight_coverage": 0.693, **changes}
    return ModalityReport(modality="rna", used=not changes.get("reason"), **facts)


def test_words_and_bar_agree(bar) -> None:
    bar.setCoverage(Coverage(report(), 0.3, (("ESR1", 0.12), ("PGR", 0.05))))
    assert bar.text() == (
        "69% of the model's weight (needs 30%): 203 of 286 features matched, "
        "83 missing."
    )
    assert bar.bar.threshold() == 0.3
    assert bar.bar.accessibleName() == bar.text()
    lines = bar.toolTip().splitlines()
    assert lines[1:] == [
        "ESR1: 12.0% of the weight",
        "PGR: 5.0% of the weight",
        "and 81 more",
    ]


def test_a_refused_table_counts_as_missing(bar) -> None:
    bar.setCoverage(Coverage(report(reason="too few"), 0.3))
    assert bar.text().endswith("⚠ Counts as missing: too few.")


def test_a_table_that_cannot_serve_has_no_bar(bar) -> None:
    bar.setCoverage(Coverage(problem="none of the features"))
    assert bar.text() == "⚠ none of the features"
    assert not bar.bar.isVisible()
    bar.setCoverage(Coverage(report(), 0.3))
    assert bar.bar.isVisible()


def test_reports_of_older_versions_tell_the_share_of_features(bar) -> None:
    bar.setCoverage(Coverage(report(weight_coverage=None, coverage=0.5), 0.3))
    assert bar.text().startswith("50% of")


def test_nothing_missing_is_said(bar) -> None:
    bar.setCoverage(Coverage(report(matched=286), 0.3))
    assert bar.toolTip() == "No feature of the model is missing."


@pytest.mark.parametrize(("used", "color"), [(True, ENOUGH), (False, TOO_LITTLE)])
def test_color_and_mark_are_painted(bar, used, color) -> None:
    reason = {} if used else {"reason": "too few"}
    bar.setCoverage(Coverage(report(**reason, weight_coverage=0.8), 0.5))
    image = bar.bar.grab().toImage()
    scale = image.width() / bar.bar.width()
    y = image.height() // 2
    assert image.pixelColor(int(20 * scale), y) == QColor(color)
    middle = int(bar.bar.width() / 2 * scale)
    assert image.pixelColor(middle, y) == QColor(255, 255, 255)


def test_no_threshold_has_no_mark(qtbot) -> None:
    bar = ThresholdBar()
    qtbot.addWidget(bar)
    bar.resize(100, 14)
    bar.setParts([(1.0, ENOUGH)])
    bar.setThreshold(0.0)
    image = bar.grab().toImage()
    assert image.pixelColor(1, image.height() // 2) == QColor(ENOUGH)
