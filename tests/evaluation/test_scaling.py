from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import softmax

from napari_mmsubtype.evaluation.calibration import TEMPERATURE_RANGE, log_loss
from napari_mmsubtype.evaluation.scaling import Scaling, fit_scaling


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the very probabilities that the logits state."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 3))
    chances = softmax(logits, axis=1).cumsum(axis=1)
    return (rng.random(n)[:, None] > chances).sum(axis=1), logits


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.9, -0.6, -0.3)])
def test_planted_scaling_is_found(factor, shift) -> None:
    labels, logits = rows(20_000)
    # What the model says is off by the planted scaling, which undoes it.
    found = fit_scaling(labels, (logits - np.array(shift)) * factor)
    assert found.temperature == pytest.approx(factor, rel=0.05)
    assert found.offset == pytest.approx(shift, abs=0.07)
    assert sum(found.offset) == pytest.approx(0, abs=1e-9)


def test_probabilities_follow_the_formula() -> None:
    found = Scaling(2.0, (0.5, -0.5)).probabilities([[1.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(found, softmax([[1.0, 1.0], [0.5, -0.5]], axis=1))
    np.testing.assert_allclose(Scaling(2.0).probabilities([4.0, 0.0]), softmax([2, 0]))


def posterior(place: np.ndarray, labels, logits, around: np.ndarray) -> float:
    scaled = logits / math.exp(place[0]) + place[1:]
    return len(labels) * log_loss(labels, scaled) + ((place - around) ** 2).sum() / 2


@pytest.mark.parametrize("n", [5, 200])
def test_it_is_the_most_probable_of_its_neighbours(n) -> None:
    labels, logits = rows(n, seed=2)
    around = Scaling(1.5, (0.2, -0.1, -0.1))
    found = fit_scaling(labels, logits * 2, around=around)
    place, start = (
        np.array([math.log(s.temperature), *s.offset]) for s in (found, around)
    )
    best = posterior(place, labels, logits * 2, start)
    for axis in range(4):
        for step in (-0.03, 0.03):
            beside = place.copy()
            beside[axis] += step
            assert posterior(beside, labels, logits * 2, start) > best


def test_few_patients_move_it_little_and_none_of_them_without_bound() -> None:
    separable = fit_scaling([0, 1], [[9.0, 0.0], [0.0, 9.0]])
    assert TEMPERATURE_RANGE[0] < separable.temperature < 1
    around = Scaling(3.0, (0.4, -0.4))
    one = fit_scaling([0], [[1.0, 0.0]], around=around)
    assert one.temperature == pytest.approx(3.0, rel=0.2)
    assert one.offset == pytest.approx(around.offset, abs=0.3)


def test_answers_that_are_the_same_for_all_become_the_shares_of_the_classes() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    found = fit_scaling(labels, np.tile([0.0, 0.4, -1.0], (1000, 1)))
    expected = [0.6, 0.3, 0.1]
    given = found.probabilities([0.0, 0.4, -1.0])
    np.testing.assert_allclose(given, expected, atol=0.005)


def test_copies_of_patients_give_no_more_certainty() -> None:
    labels, logits = rows(60, seed=1)
    names = [f"P{i}" for i in range(60)]
    once = fit_scaling(labels, logits, patients=names)
    many = np.tile(np.arange(60), 20)
    again = fit_scaling(labels[many], logits[many], patients=[names[i] for i in many])
    assert again.temperature == pytest.approx(once.temperature, rel=1e-4)
    assert again.offset == pytest.approx(once.offset, abs=1e-4)
    surer = fit_scaling(labels[many], logits[many])
    assert surer.offset != pytest.approx(once.offset, abs=1e-3)


@pytest.mark.parametrize(
    ("labels", "logits", "patients", "message"),
    [
        ([], np.empty((0, 2)), None, "finite logits"),
        ([0], [[np.inf, 0.0]], None, "finite logits"),
        ([0], [0.0, 1.0], None, "finite logits"),
        ([0], [[0.0, 1.0]] * 2, None, "2 rows need as many labels, found 1"),
        ([0, 1], [[0.0, 1.0]] * 2, ["P"], "2 rows need as many patients, found 1"),
        ([0, -1], [[0.0, 1.0]] * 2, None, "labels must be 0 to 1, found -1 to 0"),
    ],
)
def test_what_does_not_fit_is_refused(labels, logits, patients, message) -> None:
    with pytest.raises(ValueError, match=message):
        fit_scaling(labels, logits, patients=patients)
