from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from napari_mmsubtype.evaluation import weighted_metrics as weighted
from napari_mmsubtype.evaluation.calibration import expected_calibration_error


def rows(seed: int, n: int = 60, classes: int = 3, draws: int = 4):
    """Make labels, tied probabilities and integer weights, some of them zero."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n)])
    scores = rng.random((len(labels), classes)).round(1) + 0.05
    weights = rng.integers(0, 4, (draws, len(labels))).astype(float)
    weights[:, :classes] = 1
    return labels, scores / scores.sum(axis=1, keepdims=True), weights


@pytest.mark.parametrize("seed", range(4))
def test_areas_agree_with_scikit_learn_by_weight(seed):
    labels, scores, weights = rows(seed)
    positive, ranked = labels == 1, scores[:, 1]
    areas = weighted.ranking(weights, positive, ranked)
    precise = weighted.average_precision(weights, positive, ranked)
    for place, weight in enumerate(weights):
        assert areas[place] == pytest.approx(
            reference.roc_auc_score(positive, ranked, sample_weight=weight)
        )
        assert precise[place] == pytest.approx(
            reference.average_precision_score(positive, ranked, sample_weight=weight)
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 4])
def test_calls_agree_with_scikit_learn_by_weight(seed, classes):
    labels, scores, weights = rows(seed, classes=classes)
    called = scores.argmax(axis=1)
    table = weighted.confusion(weights, labels, called, classes)
    found = weighted.call_metrics(table)
    for place, weight in enumerate(weights):
        options = {"sample_weight": weight}
        np.testing.assert_allclose(
            table[place], reference.confusion_matrix(labels, called, **options)
        )
        expected = {
            "accuracy": reference.accuracy_score(labels, called, **options),
            "balanced_accuracy": reference.balanced_accuracy_score(
                labels, called, **options
            ),
            "f1": reference.f1_score(labels, called, average="macro", **options),
            "mcc": reference.matthews_corrcoef(labels, called, **options),
            "kappa": reference.cohen_kappa_score(labels, called, **options),
            "quadratic_kappa": reference.cohen_kappa_score(
                labels, called, weights="quadratic", **options
            ),
        }
        assert {k: v[place] for k, v in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_calibration_error_is_that_of_rows_written_out(seed):
    labels, scores, weights = rows(seed)
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == labels
    found = weighted.calibration_error(weights, confidence, correct)
    for place, weight in enumerate(weights.astype(int)):
        expected = expected_calibration_error(
            np.repeat(labels, weight), np.repeat(scores, weight, axis=0)
        )
        assert found[place] == pytest.approx(expected)


def test_area_under_risk_by_hand():
    # Surest first: right, wrong, right, right; risks 0, 1/2, 1/3, 1/4.
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, False, True, True])
    once = np.ones((1, 4))
    assert weighted.area_under_risk(once, confidence, correct)[0] == pytest.approx(
        (0 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    )
    # Rows that cannot be told apart are kept together: the risk is that of all.
    same = weighted.area_under_risk(once, np.full(4, 0.5), correct)
    assert same[0] == pytest.approx(1 / 4)


def test_mean_leaves_out_what_is_not_known():
    found = weighted.mean(
        np.array([[1.0, 2, 5], [0, 0, 1]]), np.array([4.0, 1, np.nan])
    )
    np.testing.assert_allclose(found, [2, np.nan])


def test_constant_call_knows_nothing():
    table = np.array([[[8.0, 0], [2, 0]]])
    found = weighted.call_metrics(table)
    assert found["mcc"] == 0
    assert found["balanced_accuracy"] == 0.5
    assert found["kappa"] == 0


def test_one_class_has_no_areas():
    once, all_positive = np.ones((1, 3)), np.ones(3, dtype=bool)
    scores = np.array([0.1, 0.2, 0.3])
    for positive in (all_positive, ~all_positive):
        assert np.isnan(weighted.ranking(once, positive, scores)).all()
        assert np.isnan(weighted.average_precision(once, positive, scores)).all()
