from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import concordance_index
from scipy.stats import kstest

from napari_mmsubtype.evaluation.survival import (
    concordance,
    concordance_estimate,
    kaplan_meier,
    logrank,
    risk_groups,
)


def cohort(seed: int, n: int = 80, strength: float = 1.0):
    """Make exponential survival with random censoring, times and risks tied."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n).round(1)
    dies = rng.exponential(np.exp(-strength * risk) * 10)
    lost = rng.exponential(12, size=n)
    return np.ceil(np.minimum(dies, lost)), dies <= lost, risk


@pytest.mark.parametrize("seed", range(5))
def test_concordance_agrees_with_lifelines(seed):
    time, event, risk = cohort(seed)
    # Where two have the event at once, lifelines compares them; neither was first.
    time = time + np.where(event, np.random.default_rng(0).random(80) * 0.5, 0.9)
    assert concordance(time, event, risk) == pytest.approx(
        concordance_index(time, -risk, event)
    )


def test_concordance_by_hand():
    # Pairs: (1 before 2, 3, 4) and (3 before 4); 2 was lost sight of.
    time, event = [1, 2, 3, 4], [1, 0, 1, 0]
    assert concordance(time, event, [4, 3, 2, 1]) == 1
    assert concordance(time, event, [3, 3, 0, 1]) == pytest.approx(
        (0.5 + 1 + 1 + 0) / 4
    )
    # At the time of an event, one lost sight of outlived it; two events tell nothing.
    assert concordance([2, 2], [1, 0], [1, 0]) == 1
    assert concordance([2, 2], [1, 1], [1, 0]) is None


def test_patients_of_different_folds_are_not_compared():
    time, event, risk = cohort(1)
    folds = np.arange(80) % 2
    shifted = risk + 100 * folds
    inside = concordance(time, event, risk, folds=folds)
    assert concordance(time, event, shifted, folds=folds) == pytest.approx(inside)
    assert concordance(time, event, shifted) != pytest.approx(inside, abs=0.05)


def test_uno_follows_its_definition():
    time, event, risk = cohort(2, n=40)
    training = cohort(3, n=60)[:2]
    lost = KaplanMeierFitter().fit(training[0], ~training[1])
    top = bottom = 0.0
    for i in range(40):
        followed = float(lost.predict(time[i] - 1e-9))
        for j in range(40):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if event[i] and later and followed > 0:
                bottom += followed**-2
                tie = 0.5 * (risk[i] == risk[j])
                top += ((risk[i] > risk[j]) + tie) * followed**-2
    found = concordance(time, event, risk, censoring=training)
    assert found == pytest.approx(top / bottom)
    assert found != pytest.approx(concordance(time, event, risk), abs=1e-4)


def test_uno_without_censoring_is_harrell():
    time, _, risk = cohort(4)
    everyone = np.ones(80)
    assert concordance(
        time, everyone, risk, censoring=(time, everyone)
    ) == pytest.approx(concordance(time, everyone, risk))


def test_interval_of_the_concordance_resamples_patients():
    time, event, risk = cohort(5, n=150)
    patients = [f"P{i:03d}" for i in range(150)]
    found = concordance_estimate(time, event, risk, patients, repeats=400)
    assert found.value == pytest.approx(concordance(time, event, risk))
    rng, rows = np.random.default_rng(0), np.arange(150)
    draws = []
    for _ in range(400):
        drawn = np.concatenate(
            [rng.choice(rows[event == e], (event == e).sum()) for e in (True, False)]
        )
        draws.append(concordance(time[drawn], event[drawn], risk[drawn]))
    assert [found.low, found.high] == pytest.approx(
        list(np.quantile(draws, [0.025, 0.975])), abs=0.015
    )


def test_nobody_to_compare_has_no_estimate():
    assert concordance_estimate([1, 2], [0, 0], [1, 2], ["a", "b"], repeats=5) is None


@pytest.mark.parametrize("seed", range(3))
def test_logrank_agrees_with_lifelines(seed):
    time, event, risk = cohort(seed)
    high = risk > 0
    found = logrank(time, event, high)
    expected = logrank_test(time[high], time[~high], event[high], event[~high])
    assert found.p == pytest.approx(expected.p_value)
    assert found.statistic**2 == pytest.approx(expected.test_statistic)
    assert found.statistic > 0


def test_p_of_logrank_is_uniform_where_groups_are_alike():
    p = []
    for seed in range(200):
        time, event, _ = cohort(seed, strength=0)
        p.append(logrank(time, event, np.arange(80) % 2).p)
    assert kstest(p, "uniform").pvalue > 0.01


def test_logrank_of_one_group_is_not_made():
    found = logrank([1, 2], [1, 1], [1, 1])
    assert found.words() == "not made: 2 patients at high and 0 at low risk, 2 events"


@pytest.mark.parametrize("seed", range(3))
def test_kaplan_meier_agrees_with_lifelines(seed):
    time, event, _ = cohort(seed)
    curve = kaplan_meier(time, event)
    fit = KaplanMeierFitter().fit(time, event)
    table = fit.survival_function_["KM_estimate"]
    np.testing.assert_allclose(curve.share, table.loc[curve.time], atol=1e-12)
    bounds = fit.confidence_interval_.loc[curve.time].to_numpy()
    inner = (curve.share > 0) & (curve.share < 1)
    np.testing.assert_allclose(curve.low[inner], bounds[inner, 0], atol=1e-9)
    np.testing.assert_allclose(curve.high[inner], bounds[inner, 1], atol=1e-9)
    expected = fit.event_table["at_risk"].loc[curve.time]
    np.testing.assert_array_equal(curve.at_risk, expected)


def test_groups_part_at_the_median_of_training():
    # By their own median, two of four would be at high risk.
    assert risk_groups([1, 2, 3, 9], [4, 5, 6]).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("time", "event", "message"),
    [
        ([1, 2], [1], "of shape"),
        ([-1, 2], [1, 0], "finite times"),
        ([1, np.nan], [1, 0], "finite times"),
        ([1, 2], [1, 2], "events of 0 or 1"),
    ],
)
def test_bad_follow_up_is_refused(time, event, message):
    with pytest.raises(ValueError, match=message):
        concordance(time, event, [0.0, 1.0])
