from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from napari_mmsubtype.evaluation.decision import DecisionRule, fit_decision


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn(rng, n, shares, spread=1.0):
    """Patients of unequal classes and the true probabilities of what they show."""
    shares = np.asarray(shares)
    labels = rng.choice(len(shares), size=n, p=shares)
    means = spread * np.eye(len(shares))
    shown = means[labels] + rng.normal(0, 1, (n, len(shares)))
    logits = shown @ means.T + np.log(shares)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return labels, chances / chances.sum(axis=1, keepdims=True)


def test_equal_weights_call_the_most_probable():
    rule = DecisionRule((1.0, 1.0, 1.0))
    assert rule.call([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]).tolist() == [1, 0]
    assert rule.threshold is None


def test_two_classes_have_a_threshold():
    rule = DecisionRule((1.0, 3.0))
    assert rule.threshold == pytest.approx(0.25)
    assert rule.call([[0.76, 0.24], [0.74, 0.26]]).tolist() == [0, 1]


@pytest.mark.parametrize("shares", [(0.8, 0.2), (0.6, 0.3, 0.1)])
def test_rare_classes_are_found_on_new_patients(rng, shares):
    labels, chances = drawn(rng, 600, shares)
    fresh, new = drawn(rng, 20_000, shares)
    rule = fit_decision(labels, chances)
    plain = balanced_accuracy_score(fresh, new.argmax(axis=1))
    reached = balanced_accuracy_score(fresh, rule.call(new))
    # Dividing true probabilities by the shares is the best that can be done.
    best = balanced_accuracy_score(fresh, (new / np.array(shares)).argmax(axis=1))
    assert reached > plain + 0.04
    assert reached > best - 0.01


def test_what_is_perfect_is_left_as_it_is(rng):
    labels = np.repeat([0, 1], [80, 20])
    chances = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    assert fit_decision(labels, chances).weights == (1.0, 1.0)


def test_without_a_class_the_most_probable_is_called():
    assert fit_decision([0, 0], [[0.9, 0.1], [0.2, 0.8]]).weights == (1.0, 1.0)


def test_rows_must_fit():
    with pytest.raises(ValueError, match="shape"):
        fit_decision([0, 1, 0], [[0.5, 0.5]])
