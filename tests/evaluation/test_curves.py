from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from napari_mmsubtype.evaluation.curves import (
    decision_curve,
    precision_band,
    reliability,
    risk_coverage,
    roc_band,
)


def rows(seed: int = 0, n: int = 300):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.35
    scores = (1 / (1 + np.exp(-rng.normal(1.5 * (2 * positive - 1), 1.5)))).round(2)
    return positive, scores, [f"P{i}" for i in range(n)]


def test_roc_curve_is_that_of_scikit_learn_inside_its_band():
    positive, scores, patients = rows()
    band = roc_band(positive, scores, patients)
    x, y, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(band.y, np.interp(band.x, x, y))
    assert (band.low <= band.y + 1e-9).all()
    assert (band.y <= band.high + 1e-9).all()
    assert np.mean(band.high - band.low) > 0.03
    area = np.trapezoid(band.y, band.x)
    assert area == pytest.approx(reference.roc_auc_score(positive, scores), abs=0.005)


def test_precision_curve_sums_to_the_average_precision():
    positive, scores, patients = rows(1)
    band = precision_band(positive, scores, patients, draws=200)
    assert band.y[1:].mean() == pytest.approx(
        reference.average_precision_score(positive, scores), abs=0.01
    )
    assert band.y[-1] == pytest.approx(
        positive.sum() / (scores >= scores[positive].min()).sum()
    )
    assert (band.low <= band.high).all()
    assert np.mean((band.low <= band.y + 1e-9) & (band.y <= band.high + 1e-9)) > 0.9


def test_rows_of_a_patient_do_not_narrow_a_band():
    positive, scores, patients = rows(n=60)
    once = roc_band(positive, scores, patients)
    many = roc_band(np.tile(positive, 5), np.tile(scores, 5), patients * 5)
    np.testing.assert_allclose(once.high - once.low, many.high - many.low, atol=1e-9)


@pytest.mark.parametrize("draw", [roc_band, precision_band])
def test_one_class_has_no_curve(draw):
    with pytest.raises(ValueError, match="rows of the class and others, found 2"):
        draw([True, True], [0.1, 0.2], ["a", "b"])


def test_reliability_counts_bins_of_equal_mass():
    said = np.linspace(0.01, 0.99, 100)
    correct = np.random.default_rng(0).random(100) < said
    found = reliability(correct, said, bins=4)
    assert found.count.tolist() == [25] * 4
    for place in range(4):
        part = slice(25 * place, 25 * place + 25)
        assert found.said[place] == pytest.approx(said[part].mean())
        hits = int(correct[part].sum())
        interval = binomtest(hits, 25).proportion_ci(method="wilson")
        assert found.found[place] == hits / 25
        assert (found.low[place], found.high[place]) == pytest.approx(tuple(interval))


def test_net_benefit_by_hand():
    positive = np.array([1, 1, 0, 0, 0], dtype=bool)
    found = decision_curve(positive, [0.9, 0.4, 0.6, 0.2, 0.1], [0.2, 0.5])
    # At 0.2: 2 hits, 2 false alarms, odds 1/4; at 0.5: 1 hit, 1 false alarm, odds 1.
    np.testing.assert_allclose(found.model, [(2 - 2 / 4) / 5, 0], atol=1e-15)
    np.testing.assert_allclose(found.everyone, [(2 - 3 / 4) / 5, (2 - 3) / 5])


def test_perfect_model_has_the_benefit_of_the_share():
    positive = np.array([1, 0, 0, 0], dtype=bool)
    np.testing.assert_allclose(decision_curve(positive, positive * 1.0).model, 0.25)


def test_threshold_of_certainty_is_refused():
    with pytest.raises(ValueError, match="above 0 and below 1"):
        decision_curve([True], [0.5], [0.5, 1.0])


def test_risk_falls_with_coverage_where_confidence_tells():
    labels = np.array([0, 0, 0, 0])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.4, 0.6]])
    found = risk_coverage(labels, probabilities)
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1])
    # 0.8 twice: both are kept together, one of them wrong.
    np.testing.assert_allclose(found.risk, [0, 1 / 3, 1 / 3, 0.5])
    assert found.area == pytest.approx(np.mean([0, 1 / 3, 1 / 3, 0.5]))
