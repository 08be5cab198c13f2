from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from napari_mmsubtype.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    binary_auc,
    bootstrap,
    roc_auc,
)


def sample(n: int, classes: int, seed: int, decimals: int = 2):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n)])
    scores = rng.random((len(labels), classes)).round(decimals) + 0.01
    return labels, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_binary_metrics_agree_with_scikit_learn(seed: int) -> None:
    labels, probabilities = sample(60, 2, seed)
    assert roc_auc(labels, probabilities) == pytest.approx(
        reference.roc_auc_score(labels, probabilities[:, 1])
    )
    hard = probabilities.argmax(axis=1)
    assert accuracy(labels, probabilities) == pytest.approx(
        reference.accuracy_score(labels, hard)
    )
    assert balanced_accuracy(labels, probabilities) == pytest.approx(
        reference.balanced_accuracy_score(labels, hard)
    )


def test_macro_auc_agrees_with_scikit_learn_for_three_classes() -> None:
    labels, probabilities = sample(80, 3, 0)
    expected = reference.roc_auc_score(labels, probabilities, multi_class="ovr")
    assert roc_auc(labels, probabilities) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_auc_counts_pairs_with_ties_as_half(rows: list[tuple[bool, int]]) -> None:
    positive = np.array([r[0] for r in rows])
    scores = np.array([r[1] for r in rows], dtype=float)
    if positive.all() or not positive.any():
        with pytest.raises(ValueError, match="both classes"):
            binary_auc(positive, scores)
        return
    a, b = scores[positive][:, None], scores[~positive][None, :]
    assert binary_auc(positive, scores) == pytest.approx(
        np.mean((a > b) + 0.5 * (a == b))
    )


def test_constant_answer_has_balanced_accuracy_of_chance() -> None:
    labels = np.array([0] * 9 + [1])
    probabilities = np.tile([0.9, 0.1], (10, 1))
    assert accuracy(labels, probabilities) == pytest.approx(0.9)
    assert balanced_accuracy(labels, probabilities) == pytest.approx(0.5)


def test_bootstrap_interval_matches_the_binomial_spread() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 200)
    correct = rng.random(400) < 0.8
    call = np.where(correct, labels, 1 - labels)
    probabilities = np.eye(2)[call]
    patients = [f"p{i}" for i in range(400)]
    estimate = bootstrap(balanced_accuracy, labels, probabilities, patients)
    p = correct.mean()
    half = 1.96 * np.sqrt(p * (1 - p) / 400)
    assert estimate.low == pytest.approx(p - half, abs=0.01)
    assert estimate.high == pytest.approx(p + half, abs=0.01)
    assert estimate.low < estimate.value < estimate.high


def test_bootstrap_draws_patients_and_not_rows() -> None:
    # Ten copies of each row say nothing new: by patient, the interval stays as wide.
    labels, probabilities = sample(38, 2, 3)
    patients = [f"p{i}" for i in range(len(labels))]
    once = bootstrap(roc_auc, labels, probabilities, patients, repeats=800)
    many = bootstrap(
        roc_auc,
        np.tile(labels, 10),
        np.tile(probabilities, (10, 1)),
        patients * 10,
        repeats=800,
    )
    assert many.value == pytest.approx(once.value)
    assert many.high - many.low == pytest.approx(once.high - once.low, rel=0.15)


def test_bootstrap_repeats_under_one_seed() -> None:
    labels, probabilities = sample(30, 2, 4)
    patients = [str(i) for i in range(len(labels))]
    draws = [
        bootstrap(roc_auc, labels, probabilities, patients, repeats=50, seed=s)
        for s in (1, 1, 2)
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1], [[0.5, 0.5]], "expected labels of shape"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "labels from 0 to 1"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], "not finite"),
    ],
)
def test_bad_rows_are_refused(labels, probabilities, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accuracy(labels, probabilities)


def test_bootstrap_wants_one_patient_per_row() -> None:
    with pytest.raises(ValueError, match="as many patients"):
        bootstrap(accuracy, [0, 1], [[1, 0], [0, 1]], ["a"])


def test_estimate_reads_as_one_line() -> None:
    labels, probabilities = sample(20, 2, 5)
    estimate = bootstrap(accuracy, labels, probabilities, [str(i) for i in range(22)])
    assert str(estimate).startswith(f"{estimate.value:.3f} [")
