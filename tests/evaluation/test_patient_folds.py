from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.patient_folds import (
    drawn_patients,
    patient_classes,
    patient_folds,
    repeated_folds,
)


def cohort(counts: tuple[int, ...], seed: int = 0, most_rows: int = 4):
    """Make patients of classes, with one to `most_rows` rows each, shuffled."""
    rng = np.random.default_rng(seed)
    of_patient = np.repeat(np.arange(len(counts)), counts)
    rows = np.repeat(
        np.arange(len(of_patient)), rng.integers(1, most_rows + 1, len(of_patient))
    )
    rng.shuffle(rows)
    return of_patient[rows], [f"P{i:04d}" for i in rows]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(5, 40), min_size=2, max_size=4),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_folds_keep_patients_whole_and_hold_each_class_alike(counts, k, seed):
    labels, patients = cohort(tuple(counts), seed)
    folds = patient_folds(labels, patients, k, seed=seed)
    assert set(folds) == set(range(k))
    by_patient = dict(zip(patients, folds, strict=True))
    assert [by_patient[p] for p in patients] == folds.tolist()
    for value, count in enumerate(counts):
        own = {p for p, y in zip(patients, labels, strict=True) if y == value}
        held = np.bincount([by_patient[p] for p in own], minlength=k)
        assert held.sum() == count
        assert held.max() - held.min() <= 1


def test_folds_do_not_depend_on_the_order_of_the_rows():
    labels, patients = cohort((30, 12))
    folds = patient_folds(labels, patients, seed=3)
    order = np.random.default_rng(1).permutation(len(labels))
    again = patient_folds(labels[order], [patients[i] for i in order], seed=3)
    np.testing.assert_array_equal(again, folds[order])
    assert (patient_folds(labels, patients, seed=4) != folds).any()


def test_patient_with_rows_of_two_classes_stays_whole():
    labels = [0, 1] + [0] * 10 + [1] * 10
    patients = ["both", "both", *(f"P{i}" for i in range(20))]
    folds = patient_folds(labels, patients, 2)
    assert folds[0] == folds[1]
    assert patient_classes(labels, patients).counts() == {0: 11, 1: 11}


def test_repeats_differ_and_begin_with_the_plain_folds():
    labels, patients = cohort((25, 25))
    repeats = repeated_folds(labels, patients, 5, 3, seed=7)
    np.testing.assert_array_equal(repeats[0], patient_folds(labels, patients, seed=7))
    assert len({tuple(folds) for folds in repeats}) == 3
    np.testing.assert_array_equal(
        repeats, repeated_folds(labels, patients, 5, 3, seed=7)
    )


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (1, "two folds or more, found 1"),
        (5, r"'Basal': 3; use at most 3 folds, join the class"),
    ],
)
def test_folds_that_cannot_hold_every_class_are_refused(folds, message):
    labels, patients = cohort((10, 3))
    with pytest.raises(ConfigurationError, match=message):
        patient_folds(labels, patients, folds, classes=("Luminal", "Basal"))


def test_only_patient_of_a_class_gets_no_useless_advice():
    with pytest.raises(ConfigurationError, match=r"class 1: 1; join the class") as told:
        patient_folds([0, 0, 1, 1], ["a", "b", "c", "c"], 2)
    assert "at most" not in str(told.value)


def test_no_repeat_is_refused():
    with pytest.raises(ConfigurationError, match="one repeat or more, found 0"):
        repeated_folds([0, 0, 1, 1], list("abcd"), 2, 0)


def test_drawn_patients_are_whole_and_of_each_class_its_share():
    labels, patients = cohort((50, 20, 2, 1))
    drawn = drawn_patients(labels, patients, 0.2, seed=5)
    names = set(np.asarray(patients)[drawn])
    assert not names & set(np.asarray(patients)[~drawn])
    of = dict(zip(patients, labels, strict=True))
    assert np.bincount([of[p] for p in names], minlength=4).tolist() == [10, 4, 1, 0]
    assert (drawn_patients(labels, patients, 0.2, seed=6) != drawn).any()


def test_patient_of_two_classes_is_drawn_or_left_as_a_whole():
    labels = [0] * 6 + [1] * 2
    patients = ["a", "b", "c", "d", "e", "x", "x", "y"]
    for seed in range(8):
        drawn = drawn_patients(labels, patients, 0.3, seed=seed)
        assert drawn[5] == drawn[6]
        assert drawn[6:].sum() == 1
        assert drawn[:6].sum() == 2


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_share_must_leave_someone_on_both_sides(share):
    with pytest.raises(ConfigurationError, match="above 0 and below 1"):
        drawn_patients([0, 0, 1, 1], list("abcd"), share)


def test_rows_need_a_patient_each():
    with pytest.raises(ValueError, match="one patient per row"):
        patient_classes([0, 1], ["a"])
