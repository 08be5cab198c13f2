from __future__ import annotations

import json

import numpy as np
import pytest

from napari_mmsubtype.evaluation import metrics
from napari_mmsubtype.evaluation.comparison import (
    adjusted,
    compare_models,
    comparison_record,
    mean_by_patient,
)
from napari_mmsubtype.evaluation.paired_tests import corrected_t, delong, wilcoxon


def answers(seed: int = 0, n: int = 150, repeats: int = 2, skills=(2.5, 0.5)):
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(n) % 3 == 0, repeats).astype(int)
    patients = np.tile([f"P{i:03d}" for i in range(n)], repeats).tolist()
    folds = np.concatenate([rng.permutation(n) % 5 for _ in range(repeats)])
    again = np.repeat(np.arange(repeats), n)
    models = []
    for skill in skills:
        p = 1 / (1 + np.exp(-rng.normal(skill * (2 * labels - 1), 2)))
        models.append(np.column_stack([1 - p, p]))
    return labels, *models, patients, folds, again


def test_difference_and_its_interval():
    labels, one, other, patients, folds, again = answers()
    found = compare_models(
        labels, one, other, patients, folds, repeats=again, resamples=400
    )
    assert found.patients == 150
    assert found.difference.value == pytest.approx(
        metrics.balanced_accuracy(labels, one)
        - metrics.balanced_accuracy(labels, other)
    )
    assert 0 < found.difference.low < found.difference.value < found.difference.high
    names = ["delong", "mcnemar", "corrected_t", "wilcoxon", "permutation"]
    assert [test.name for test in found.tests] == names


def test_tests_see_what_they_should():
    labels, one, other, patients, folds, again = answers()
    found = compare_models(
        labels,
        one,
        other,
        patients,
        folds,
        repeats=again,
        metric="roc_auc",
        resamples=20,
    )
    tests = {test.name: test for test in found.tests}
    values = []
    for repeat in range(2):
        for fold in range(5):
            own = (again == repeat) & (folds == fold)
            areas = [metrics.roc_auc(labels[own], s[own]) for s in (one, other)]
            values.append(areas[0] - areas[1])
    assert tests["corrected_t"].p == pytest.approx(corrected_t(values, 0.25).p)
    assert tests["wilcoxon"].p == pytest.approx(wilcoxon(values[:5]).p)
    assert tests["wilcoxon"].smallest_p == 0.0625
    averaged = delong(
        labels[:150], (one[:150] + one[150:]) / 2, (other[:150] + other[150:]) / 2
    )
    assert tests["delong"].statistic == pytest.approx(averaged.statistic)


def test_model_does_not_differ_from_itself():
    labels, one, _, patients, folds, _ = answers(repeats=1)
    found = compare_models(labels, one, one, patients, folds, resamples=20)
    assert (found.difference.low, found.difference.high) == (0, 0)
    assert [test.p for test in found.tests] == [1, 1, 1, 1, 1]
    assert not any(test.shows_difference() for test in found.tests)


def test_folds_without_a_class_leave_fold_tests_out():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    folds = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.eye(2)[labels]
    found = compare_models(labels, scores, scores, list("abcdefgh"), folds, resamples=9)
    assert [test.p for test in found.tests] == [1, 1, None, None, 1]
    assert found.tests[2].note == "too few folds hold every class"
    assert found.effect_size is None


def test_several_comparisons_are_adjusted_test_by_test():
    made = [compare_models(*answers(s)[:5], resamples=9) for s in range(3)]
    for place in range(5):
        raw = [c.tests[place].p for c in made]
        held = [c.tests[place].p_holm for c in adjusted(made)]
        assert min(held) == pytest.approx(min(1, 3 * min(raw)))
        assert all(h >= r for h, r in zip(held, raw, strict=True))
    assert adjusted([]) == []


def test_record_is_plain_json():
    record = comparison_record(compare_models(*answers()[:5], resamples=9))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == ["metric", "patients", "difference", "tests", "effect_size"]


def test_rows_of_a_patient_are_averaged():
    found = mean_by_patient(["b", "a", "b"], [[1.0, 2], [5, 6], [3, 4]])
    np.testing.assert_allclose(found, [[5, 6], [2, 3]])


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="found 'f2'"):
        compare_models([0, 1], np.eye(2), np.eye(2), ["a", "b"], [0, 1], metric="f2")
