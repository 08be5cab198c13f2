from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstest
from sklearn.metrics import roc_auc_score

from napari_mmsubtype.evaluation.probes import (
    area_within,
    association_p,
    probe_area,
    probe_scores,
)


def test_area_within_folds_is_their_mean_by_pairs():
    rng = np.random.default_rng(0)
    labels, folds = rng.integers(2, size=90), rng.integers(3, size=90)
    scores = rng.random((90, 2)) + np.eye(2)[labels] / 2
    areas, pairs = [], []
    for fold in range(3):
        own = folds == fold
        areas.append(roc_auc_score(labels[own], scores[own, 1]))
        pairs.append((labels[own] == 1).sum() * (labels[own] == 0).sum())
    found = area_within(np.ones((1, 90)), labels, scores, folds)
    assert found[0] == pytest.approx(np.average(areas, weights=pairs))


def test_groups_that_say_nothing_have_an_area_of_one_half():
    # Pooled over folds it would be below: training shares oppose held-out ones.
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    folds = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = probe_area(labels, np.zeros(8), list("abcdefgh"), folds, repeats=20)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_p_of_an_association_is_uniform_without_one():
    rng = np.random.default_rng(0)
    patients = [f"P{i}" for i in range(60)]
    p = [
        association_p(rng.integers(3, size=60), rng.integers(5, size=60), patients)
        for _ in range(120)
    ]
    assert kstest(p, "uniform").pvalue > 0.01
    groups = np.repeat([0, 1, 2], 20)
    assert association_p(groups, groups, patients) == 0.001


def test_association_agrees_with_the_chi_square_of_a_large_table():
    rng = np.random.default_rng(3)
    groups = rng.integers(3, size=900)
    labels = (rng.random(900) < 0.3 + 0.04 * groups).astype(int)
    table = np.zeros((3, 2))
    np.add.at(table, (groups, labels), 1)
    found = association_p(labels, groups, [f"P{i:03d}" for i in range(900)])
    assert found == pytest.approx(chi2_contingency(table).pvalue, abs=0.03)


def test_fold_without_two_training_classes_is_left_uniform():
    labels, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0])
    found = probe_scores(labels, np.eye(5), folds)
    np.testing.assert_allclose(found[:2], 1 / 3)
    np.testing.assert_allclose(found[2:4, 1], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
