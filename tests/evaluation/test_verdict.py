from __future__ import annotations

import json

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from napari_mmsubtype.evaluation.verdict import Verdict, holm, p_text


@pytest.mark.parametrize("seed", range(5))
def test_holm_agrees_with_statsmodels(seed):
    values = np.random.default_rng(seed).random(7).round(1)
    found = holm([Verdict("mcnemar", 0.0, float(p)) for p in values])
    expected = multipletests(values, method="holm")[1]
    assert [v.p_holm for v in found] == pytest.approx(expected)
    assert {v.comparisons for v in found} == {7}


def test_tests_that_could_not_be_made_are_not_counted():
    found = holm([Verdict("delong", 1, 0.02), Verdict("delong", None, None)])
    assert (found[0].p_holm, found[0].comparisons) == (0.02, 1)
    assert found[1].p_holm is None
    assert holm([]) == []


def test_five_folds_never_show_a_difference_at_five_percent():
    verdict = Verdict("wilcoxon", 15, 0.0625, 0.0625, 5)
    assert not verdict.can_reach()
    assert not verdict.shows_difference()
    assert verdict.words() == (
        "p = 0.0625; the least this design can give is p = 0.0625, so it cannot show a "
        "difference at 0.05"
    )


def test_limit_grows_with_the_number_of_comparisons():
    alone = Verdict("wilcoxon", 36, 2 / 2**8, 2 / 2**8, 8)
    assert alone.shows_difference()
    many = holm([alone] * 7)[0]
    assert not many.can_reach()
    assert "p = 0.0547 after Holm for 7 comparisons" in many.words()
    assert "cannot show a difference" in many.words()


def test_low_p_is_not_believed_where_the_design_cannot_reach_it():
    # As a normal approximation would give for five folds.
    claimed = Verdict("wilcoxon", 15, 0.043, 0.0625, 5)
    assert not claimed.shows_difference()
    assert "cannot show a difference at 0.05" in claimed.words()


def test_words_say_what_is_and_what_is_not_shown():
    assert Verdict("delong", 3, 0.003).words() == "p = 0.003"
    assert Verdict("delong", 1, 0.3).words() == "p = 0.3; no difference shown"
    assert Verdict("delong", None, None, note="one class").words() == (
        "not made: one class"
    )


def test_short_form_of_a_p_value():
    assert p_text(1e-9) == "p < 0.001"
    assert p_text(0.0004, smallest=0.002) == "p = 0.0004"
    assert p_text(0.0416) == "p = 0.0416"


def test_record_survives_json():
    verdict = Verdict("mcnemar", -3.0, 0.25, 0.125, 4, "few", 0.5, 2)
    assert Verdict.from_record(json.loads(json.dumps(verdict.record()))) == verdict
    assert Verdict("delong", np.inf, 0.0).record()["statistic"] is None
