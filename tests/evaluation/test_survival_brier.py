"""The integrated Brier score is what its definition says, worked out one by one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.evaluation.survival import kaplan_meier
from napari_mmsubtype.evaluation.survival_brier import (
    FollowUp,
    brier_parts,
    cox_survival,
    horizon,
    reference_survival,
)


def drawn(n, seed=0, *, ties=False):
    """Draw patients whose log-risk is known, some of them lost sight of."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    dies, lost = rng.exponential(20 * np.exp(-risk)), rng.exponential(25, n)
    time = np.minimum(dies, lost)
    return (np.ceil(time) if ties else time), dies <= lost, risk


def by_definition(time, event, survival, times, training):
    """Graf's score: patient by patient, time by time, in plain loops."""

    def followed(t, *, before):
        share = 1.0
        for moment in sorted(set(training.time.tolist())):
            if moment > t or (before and moment == t):
                break
            here = training.time == moment
            at_risk = (training.time >= moment).sum()
            share *= 1 - (here & ~training.event).sum() / at_risk
        return share

    scores = []
    for k, t in enumerate(times):
        total = 0.0
        for i in range(len(time)):
            if time[i] <= t and event[i]:
                total += survival[i, k] ** 2 / followed(time[i], before=True)
            elif time[i] > t:
                total += (1 - survival[i, k]) ** 2 / followed(t, before=False)
        scores.append(total / len(time))
    area = sum(
        (scores[k] + scores[k + 1]) / 2 * (times[k + 1] - times[k])
        for k in range(len(times) - 1)
    )
    return area / (times[-1] - times[0])


@pytest.mark.parametrize("ties", [False, True])
def test_it_is_the_score_of_graf(ties):
    time, event, _ = drawn(25, 1, ties=ties)
    known, happened, _ = drawn(40, 2, ties=ties)
    training = FollowUp(known, happened)
    times = np.linspace(0, horizon(time), 9)
    survival = np.sort(np.random.default_rng(3).uniform(size=(25, 9)))[:, ::-1]
    found = brier_parts(time, event, survival, times, training)
    expected = by_definition(time, event, survival, times, training)
    assert found.mean() == pytest.approx(expected, rel=1e-12)


def test_a_coin_scores_a_quarter_and_an_oracle_nothing():
    time, _, _ = drawn(50)
    event = np.ones(50, bool)
    training, times = FollowUp(time, event), np.linspace(0, 30, 41)
    half = brier_parts(time, event, np.full((50, 41), 0.5), times, training)
    np.testing.assert_allclose(half, 0.25)
    oracle = (time[:, None] > times).astype(float)
    assert not brier_parts(time, event, oracle, times, training).any()


def test_censoring_does_not_move_the_score():
    # With everyone followed to the end, the same patients score the same on average.
    rng = np.random.default_rng(5)
    dies = rng.exponential(20, 20_000)
    lost = rng.exponential(30, 20_000)
    times = np.linspace(0, 25, 51)
    survival = np.broadcast_to(np.exp(-times / 12), (20_000, 51))
    everyone = np.ones(20_000, bool)
    full = brier_parts(dies, everyone, survival, times, FollowUp(dies, everyone))
    seen, event = np.minimum(dies, lost), dies <= lost
    some = brier_parts(seen, event, survival, times, FollowUp(seen, event))
    assert some.mean() == pytest.approx(full.mean(), abs=0.004)
    # Leaving the lost ones out would not do: they are those who live longest.
    naive = brier_parts(
        seen[event], everyone[: event.sum()], survival[event], times,
        FollowUp(seen[event], everyone[: event.sum()]),
    )  # fmt: skip
    assert abs(naive.mean() - full.mean()) > 0.02


def test_the_true_risk_beats_the_same_curve_for_all():
    time, event, risk = drawn(400)
    training = FollowUp(time[:200], event[:200])
    times = np.linspace(0, horizon(time), 60)
    own = cox_survival(risk[200:], times, training, risk[:200])
    same = np.broadcast_to(reference_survival(times, training), own.shape)
    judged = (time[200:], event[200:])
    good = brier_parts(*judged, own, times, training).mean()
    plain = brier_parts(*judged, same, times, training).mean()
    assert good < 0.8 * plain < 0.25


def test_equal_risks_give_the_curve_of_nelson_and_aalen():
    time, event, _ = drawn(60, ties=True)
    training, times = FollowUp(time, event), np.arange(0, 30.0)
    found = cox_survival([2.0, 3.0], times, training, np.full(60, 2.0))
    hazard = [
        sum(
            (event & (time == t)).sum() / (time >= t).sum()
            for t in np.unique(time)
            if t <= limit
        )
        for limit in times
    ]
    np.testing.assert_allclose(found[0], np.exp(-np.array(hazard)))
    np.testing.assert_allclose(found[1], found[0] ** np.e)
    far = cox_survival([700.0], times, training, np.linspace(-900, 700, 60))
    assert np.isfinite(far).all()


def test_the_same_curve_for_all_is_that_of_kaplan_and_meier():
    time, event, _ = drawn(30)
    curve = kaplan_meier(time, event)
    found = reference_survival(curve.time, FollowUp(time, event))
    np.testing.assert_array_equal(found, curve.share)


def test_nothing_is_said_beyond_the_training_patients():
    training = FollowUp(np.array([1.0, 2.0]), np.array([True, False]))
    found = brier_parts([3.0], [True], [[1.0, 0.5]], [0.0, 2.5], training)
    assert np.isnan(found).all()
    with pytest.raises(ValueError, match=r"found \(1, 2\) for 1 patients and 3 times"):
        brier_parts([3.0], [True], [[1.0, 0.5]], [0.0, 1.0, 2.0], training)


def test_the_horizon_is_reached_by_a_fifth():
    assert horizon(np.arange(101.0)) == 80.0
