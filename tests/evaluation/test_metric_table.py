from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from napari_mmsubtype.evaluation import metrics
from napari_mmsubtype.evaluation.metric_table import (
    class_table,
    classification_estimates,
    confusion_table,
    mean_estimates,
)


def rows(n: int = 120, classes: int = 3, seed: int = 0, skill: float = 1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + skill * np.eye(classes)[labels]
    scores = np.exp(logits)
    patients = [f"P{i // 2:03d}" for i in range(n)]
    return labels, scores / scores.sum(axis=1, keepdims=True), patients


def test_values_agree_with_scikit_learn():
    labels, scores, patients = rows()
    found = classification_estimates(labels, scores, patients, repeats=10)
    onehot, called = np.eye(3)[labels], scores.argmax(axis=1)
    expected = {
        "roc_auc": reference.roc_auc_score(labels, scores, multi_class="ovr"),
        "roc_auc_micro": reference.roc_auc_score(
            labels, scores, multi_class="ovr", average="micro"
        ),
        "average_precision": reference.average_precision_score(onehot, scores),
        "average_precision_micro": reference.average_precision_score(
            onehot, scores, average="micro"
        ),
        "log_loss": reference.log_loss(labels, scores),
        "brier": ((scores - onehot) ** 2).sum(axis=1).mean(),
        "mean_absolute_error": np.abs(called - labels).mean(),
    }
    assert {k: found[k].value for k in expected} == pytest.approx(expected)


def test_two_classes_are_judged_by_the_second():
    labels, scores, patients = rows(classes=2)
    found = classification_estimates(labels, scores, patients, repeats=10)
    assert found["average_precision"].value == pytest.approx(
        reference.average_precision_score(labels, scores[:, 1])
    )
    assert found["roc_auc"].value == pytest.approx(metrics.roc_auc(labels, scores))
    # Half of ours, as the other class is off by the same.
    assert found["brier"].value / 2 == pytest.approx(
        reference.brier_score_loss(labels, scores[:, 1])
    )


@pytest.mark.parametrize("name", ["roc_auc", "balanced_accuracy"])
def test_intervals_agree_with_a_loop_over_resamples(name):
    labels, scores, patients = rows(n=160)
    # One class per patient, so that both ways have the same strata.
    labels = np.repeat(labels[::2], 2)
    found = classification_estimates(labels, scores, patients, seed=1)[name]
    looped = metrics.bootstrap(getattr(metrics, name), labels, scores, patients)
    assert found.value == pytest.approx(looped.value)
    assert found.low == pytest.approx(looped.low, abs=0.01)
    assert found.high == pytest.approx(looped.high, abs=0.01)


def test_resampling_within_folds_holds_folds_fixed():
    # Each fold is wholly right or wholly wrong: within folds nothing can vary.
    labels = np.tile([0, 1], 20)
    folds = np.repeat([0, 1], 20)
    called = np.where(folds == 0, labels, 1 - labels)
    patients = [f"P{i}" for i in range(40)]
    within = classification_estimates(
        labels, np.eye(2)[called], patients, folds=folds, repeats=200
    )["accuracy"]
    across = classification_estimates(labels, np.eye(2)[called], patients, repeats=200)[
        "accuracy"
    ]
    assert (within.low, within.value, within.high) == (0.5, 0.5, 0.5)
    assert across.high - across.low > 0.2


def test_further_averages_get_intervals_too():
    labels, scores, patients = rows()
    inside = np.where(np.arange(120) % 10 == 0, 0.0, 1.0)
    inside[-20:] = np.nan
    found = classification_estimates(
        labels, scores, patients, averages={"conformal_coverage": inside}, repeats=200
    )["conformal_coverage"]
    assert found.value == pytest.approx(0.9)
    assert 0.8 < found.low < 0.9 < found.high < 1


@pytest.mark.parametrize("seed", range(3))
def test_every_value_lies_in_its_interval(seed):
    # Well-calibrated answers: resampling alone raises their calibration error.
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, 150)
    labels = (rng.random(150) < p).astype(int)
    found = classification_estimates(
        labels, np.column_stack([1 - p, p]), [f"P{i}" for i in range(150)], repeats=400
    )
    for name, estimate in found.items():
        assert estimate.low <= estimate.value <= estimate.high, name
    assert found["ece"].low >= 0


def test_class_that_does_not_occur_leaves_areas_out_and_the_rest_in():
    labels, scores, patients = rows()
    known = labels < 2
    kept = [p for p, k in zip(patients, known, strict=True) if k]
    found = classification_estimates(labels[known], scores[known], kept, repeats=20)
    assert found["roc_auc"] is None
    assert found["balanced_accuracy"].value == pytest.approx(
        metrics.balanced_accuracy(labels[known], scores[known])
    )


def test_class_table_agrees_with_scikit_learn():
    labels, scores, _ = rows()
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        labels, scores.argmax(axis=1)
    )
    for value, row in enumerate(class_table(labels, scores, "abc")):
        assert row == pytest.approx(
            {
                "name": "abc"[value],
                "support": support[value],
                "precision": precision[value],
                "recall": recall[value],
                "f1": f1[value],
                "roc_auc": reference.roc_auc_score(labels == value, scores[:, value]),
                "average_precision": reference.average_precision_score(
                    labels == value, scores[:, value]
                ),
            }
        )


def test_class_without_rows_has_gaps_and_no_zeros():
    row = class_table([0, 0], [[0.9, 0.1], [0.8, 0.2]], ("a", "b"))[1]
    assert row == {
        "name": "b",
        "support": 0,
        "precision": None,
        "recall": None,
        "f1": None,
        "roc_auc": None,
        "average_precision": None,
    }


def test_confusion_has_truth_along_the_rows():
    scores = np.eye(2)[[0, 1, 1, 0]]
    assert confusion_table([0, 0, 0, 1], scores) == [[1, 2], [1, 0]]


def test_means_have_intervals_and_leave_out_what_is_not_known():
    values = np.array([1.0, 3.0, np.nan, 5.0])
    given = {"known": values, "unknown": np.full(4, np.nan)}
    found = mean_estimates(given, list("abcd"), np.zeros(4), repeats=400)
    assert found["unknown"] is None
    assert found["known"].value == 3.0
    assert 1.0 <= found["known"].low < 3.0 < found["known"].high <= 5.0


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [[0.5, 0.5]], "expected labels of shape"),
        ([0, 2], [[0.5, 0.5]] * 2, "labels from 0 to 1"),
        ([0, 1], [[np.nan, 0.5]] * 2, "finite probabilities"),
        ([0, 1], [[3.0, -2.0]] * 2, "from 0 to 1"),
    ],
)
def test_bad_rows_are_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        classification_estimates(labels, scores, ["a", "b"])
