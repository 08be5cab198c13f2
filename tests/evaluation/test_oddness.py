from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom

from napari_mmsubtype.core.trust import TYPICAL, UNLIKE, UNUSUAL
from napari_mmsubtype.evaluation.oddness import (
    MIN_PATIENTS,
    OddnessScale,
    cross_fitted,
    fit_scale,
)


def scale_of(n: int) -> OddnessScale:
    """Training patients whose scores are 1 to n."""
    return OddnessScale(np.zeros(1), np.ones(1), np.arange(1.0, n + 1))


def distance(score: float) -> list[float]:
    return [score**3]


@pytest.mark.parametrize(
    ("score", "below", "verdict"),
    [
        (0.5, 0, TYPICAL),
        (94.5, 94, TYPICAL),  # 6 of 100 would be as odd
        (95.5, 95, UNUSUAL),  # 5 of 100
        (98.5, 98, UNUSUAL),
        (99.5, 99, UNLIKE),  # 1 of 100
    ],
)
def test_verdicts_of_99_training_patients(score, below, verdict) -> None:
    assert scale_of(99).rank(distance(score)) == (below, verdict)


def test_few_training_patients_can_only_be_exceeded_all_of_them() -> None:
    assert scale_of(30).rank(distance(29.5)) == (29, TYPICAL)
    assert scale_of(30).rank(distance(30.5)) == (30, UNLIKE)


def test_as_odd_as_a_training_patient_is_not_odder() -> None:
    assert scale_of(99).rank(distance(99.0))[0] == 98


def test_new_patients_are_flagged_as_often_as_stated() -> None:
    n, fresh, repeats = 264, 150, 25
    rng = np.random.default_rng(0)
    flagged = {UNUSUAL: 0, UNLIKE: 0}
    for _ in range(repeats):
        scale = fit_scale(rng.chisquare(5, (n, 2)))
        for row in rng.chisquare(5, (fresh, 2)):
            verdict = scale.rank(row)[1]
            if verdict != TYPICAL:
                flagged[verdict] += 1
    # At most 5 % (1 %) of 265: 13 (2) places, hence beta-binomial counts.
    for count, places in (
        (flagged[UNUSUAL] + flagged[UNLIKE], 13),
        (flagged[UNLIKE], 2),
    ):
        law = betabinom(fresh, places, n + 1 - places)
        error = (count / repeats - law.mean()) / (law.std() / np.sqrt(repeats))
        assert abs(error) < 3.5


def test_parts_are_standard_and_the_oddest_counts() -> None:
    rng = np.random.default_rng(1)
    values = rng.chisquare([3, 300], (5000, 2)) / [3, 300]
    scale = fit_scale(values)
    parts = scale.parts(values)
    assert np.median(parts, axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert parts.std(axis=0) == pytest.approx([1, 1], rel=0.05)
    assert scale.score(values) == pytest.approx(parts.max(axis=1))
    assert replace(scale, two_sided=True).score([1.0, 0.0]) > 10


def test_round_trip_and_damage() -> None:
    scale = fit_scale(np.random.default_rng(0).chisquare(4, (50, 2)), two_sided=True)
    arrays = scale.to_arrays()
    again = OddnessScale.from_arrays(arrays)
    assert again.two_sided
    assert again.scores == pytest.approx(scale.scores, rel=1e-5)
    with pytest.raises(ValueError, match="lacks scores"):
        OddnessScale.from_arrays({k: v for k, v in arrays.items() if k != "scores"})
    for name, value in (("spread", np.zeros(2)), ("scores", np.array([np.nan]))):
        with pytest.raises(ValueError, match="does not describe training patients"):
            OddnessScale.from_arrays(arrays | {name: value})


def test_nobody_is_judged_by_a_fit_that_saw_them() -> None:
    seen: list[int] = []

    def judge(fit, others):
        assert not set(fit) & set(others)
        assert len(fit) + len(others) == 53
        seen.extend(others)
        return np.stack([others, others], axis=1).astype(float)

    found = cross_fitted(53, judge)
    assert sorted(seen) == list(range(53))
    assert np.array_equal(found[:, 0], np.arange(53))


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="19 training patients are too few"):
        cross_fitted(MIN_PATIENTS - 1, lambda fit, others: np.zeros((len(others), 1)))
