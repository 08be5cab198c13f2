from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QLabel, QWidget

from builders.results import (
    make_attributions,
    make_prediction,
    make_result,
    with_answers,
)
from builders.trust import FINE, with_trust
from napari_mmsubtype.core.result_words import DEMO_CAUTION, RESEARCH_ONLY
from napari_mmsubtype.widgets.charts import SignedBar, StackedBar
from napari_mmsubtype.widgets.result_summary import ResultSummary, summarize
from napari_mmsubtype.widgets.result_view import ResultView


@pytest.fixture
def summary(tmp_path: Path) -> ResultSummary:
    return replace(summarize(make_result(tmp_path)), prediction=make_prediction())


def texts(widget: QWidget) -> list[str]:
    return [label.text() for label in widget.findChildren(QLabel)]


def show(qtbot: Any, summary: ResultSummary) -> ResultView:
    view = ResultView(summary)
    qtbot.addWidget(view)
    return view


def test_call_and_probabilities_are_shown(qtbot, summary) -> None:
    shown = texts(show(qtbot, summary))
    assert shown[0] == "Luminal  80.0%"
    assert shown.count("20.0%") == 1
    assert RESEARCH_ONLY in shown


def test_the_call_from_less_data_is_shown_and_a_change_stands_out(
    qtbot, summary
) -> None:
    view = show(qtbot, summary)
    changed = [x for x in view.findChildren(QLabel) if x.text() == "Basal/HER2 70.0%"]
    assert len(changed) == 3
    assert all(label.font().bold() for label in changed)
    same = [x for x in view.findChildren(QLabel) if x.text() == "Luminal 80.0%"]
    assert same
    assert not any(label.font().bold() for label in same)


def test_one_bar_per_class_subset_and_share(qtbot, summary) -> None:
    view = show(qtbot, summary)
    assert len(view.findChildren(StackedBar)) == 2 + 7
    assert len(view.findChildren(SignedBar)) == 3
    assert "+2.00" in texts(view)


def test_features_and_gene_groups_have_signed_bars(qtbot, summary) -> None:
    without = len(show(qtbot, summary).findChildren(SignedBar))
    view = show(qtbot, replace(summary, attributions=make_attributions()))
    shown = texts(view)
    first = shown.index("Features that speak for Luminal (logits)")
    assert shown[first + 1 : first + 5] == [
        "GENE10 (RNA)", "+2.00", "GENE9 (RNA)", "-1.80",
    ]  # fmt: skip
    assert "Gene groups that speak for Luminal (logits)" in shown
    assert shown[shown.index("even (RNA)") + 1] == "+2.40"
    bars = view.findChildren(SignedBar)
    assert len(bars) == without + 8 + 2
    assert bars[-8].accessibleName() == "GENE10 (RNA) +2.00"
    assert "every value of the tables missing" in bars[-1].toolTip()
    assert not any("approximate" in text for text in shown)


def test_attributions_that_do_not_add_up_are_cautioned_against(qtbot, summary) -> None:
    coarse = replace(summary, attributions=make_attributions(gap=0.02))
    shown = texts(show(qtbot, coarse))
    assert sum("only within 0.02 logits" in text for text in shown) == 1


def test_long_names_of_gene_sets_leave_room_for_the_bars(qtbot, summary) -> None:
    found = make_attributions()
    groups = {"HALLMARK_ESTROGEN_RESPONSE_EARLY": (1, 2)}
    table = replace(found.tables[0], groups=groups)
    view = show(qtbot, replace(summary, attributions=replace(found, tables=(table,))))
    assert "HALLMARK_ES…SE_EARLY (RNA)" in texts(view)
    whole = "HALLMARK_ESTROGEN_RESPONSE_EARLY (RNA)"
    (bar,) = [b for b in view.findChildren(SignedBar) if whole in b.accessibleName()]
    assert whole in bar.toolTip()


def test_bars_can_be_read_without_seeing_them(qtbot, summary) -> None:
    view = show(qtbot, summary)
    bars = view.findChildren(StackedBar)
    assert bars[0].accessibleName() == "Luminal 80.0%"


def test_other_answers_are_shown_with_those_from_less_data(qtbot, summary) -> None:
    assert "What else the model answers" not in texts(show(qtbot, summary))
    told = replace(summary, prediction=with_answers(summary.prediction))
    view = show(qtbot, told)
    (label,) = [x for x in view.findChildren(QLabel) if x.text().startswith("2 times")]
    assert label.accessibleName().startswith("risk: 2 times the risk of death")
    assert "image alone: 1 times" in label.toolTip()
    assert "without RNA: 2 times" in label.toolTip()


def test_demo_model_is_cautioned_against_and_others_are_not(qtbot, summary) -> None:
    assert f"⚠ {DEMO_CAUTION}" in texts(show(qtbot, summary))
    other = texts(show(qtbot, replace(summary, is_demo=False)))
    assert not any(DEMO_CAUTION in text for text in other)


def test_image_alone_has_no_table_of_subsets(qtbot, summary) -> None:
    alone = replace(summary, prediction=make_prediction(("image",)))
    view = show(qtbot, alone)
    assert "The same call from less data" not in texts(view)
    assert len(view.findChildren(StackedBar)) == 2


def test_interrupted_analysis_says_how_to_go_on(qtbot, summary) -> None:
    shown = texts(show(qtbot, replace(summary, prediction=None)))
    assert "resume" in shown[0]


def test_colors_are_shown_where_something_was_asked(qtbot, summary) -> None:
    assert not any("colors:" in text for text in texts(show(qtbot, summary)))
    told = replace(summary, colors="profile X: applied")
    assert "colors: profile X: applied" in texts(show(qtbot, told))


def test_classes_left_and_likeness_are_shown(qtbot, summary) -> None:
    odd = replace(summary, prediction=with_trust(make_prediction()))
    view = show(qtbot, odd)
    words = view.findChild(QLabel, "conformal")
    assert words.text().startswith("with 90 % coverage: Luminal or Basal/HER2")
    assert "like the 240 of the calibration" in words.toolTip()
    guard = view.findChild(QLabel, "guard")
    assert guard.text().startswith("⚠ RNA: unlike all 264 training patients")
    assert guard.font().bold()


def test_all_well_is_shown_without_alarm(qtbot, summary) -> None:
    fine = replace(summary, prediction=with_trust(make_prediction(), FINE))
    view = show(qtbot, fine)
    guard = view.findChild(QLabel, "guard")
    assert guard.text() == "image and RNA: like the training patients"
    assert not guard.font().bold()


def test_older_results_say_nothing_of_trust(qtbot, summary) -> None:
    assert "How far to trust it" not in texts(show(qtbot, summary))
