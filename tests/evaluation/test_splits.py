from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.patient_folds import patient_folds
from napari_mmsubtype.evaluation.site_folds import site_folds
from napari_mmsubtype.evaluation.splits import (
    HELD_OUT,
    assert_disjoint,
    fold_splits,
    held_out_split,
)


def cohort(seed: int = 0, patients: int = 60):
    rng = np.random.default_rng(seed)
    label = (np.arange(patients) % 3 == 0).astype(int)
    rows = np.concatenate([np.arange(patients), rng.choice(patients, size=40)])
    return label[rows], [f"P{i:02d}" for i in rows], [f"S{i % 12:02d}" for i in rows]


def test_every_row_is_judged_once_and_trained_on_otherwise():
    labels, patients, _ = cohort()
    folds = patient_folds(labels, patients, 4)
    splits = fold_splits(folds, labels, patients, validation=0.25)
    judged = np.concatenate([split.test for split in splits])
    assert sorted(judged) == list(range(len(labels)))
    for split in splits:
        rows = np.concatenate(list(split.parts().values()))
        assert sorted(rows) == list(range(len(labels)))
        names = {k: set(np.array(patients)[v]) for k, v in split.parts().items()}
        assert not names["train"] & names["validation"]
        assert not (names["train"] | names["validation"]) & names["test"]
        share = len(names["validation"]) / len(names["validation"] | names["train"])
        assert share == pytest.approx(0.25, abs=0.03)
        assert split.name == f"repeat 1, fold {split.fold + 1}"


def test_validation_patients_follow_seed_repeat_and_fold():
    labels, patients, _ = cohort()
    folds = patient_folds(labels, patients, 3)

    def drawn(**options):
        splits = fold_splits(folds, labels, patients, **options)
        return [split.validation.tolist() for split in splits]

    assert drawn(seed=1) == drawn(seed=1)
    assert drawn(seed=1) != drawn(seed=2)
    assert drawn(seed=1) != drawn(seed=1, repeat=1)
    assert drawn(validation=0) == [[], [], []]


def test_fixed_test_set_is_in_no_fold():
    labels, patients, _ = cohort()
    held = np.isin(patients, ["P00", "P01", "P02", "P03"])
    folds = np.where(held, HELD_OUT, patient_folds(labels, patients, 3))
    for split in fold_splits(folds, labels, patients):
        assert not held[np.concatenate(list(split.parts().values()))].any()
    final = held_out_split(held, labels, patients)
    assert final.name == "fixed test set"
    np.testing.assert_array_equal(final.test, np.flatnonzero(held))
    assert not held[np.concatenate([final.train, final.validation])].any()


def test_patient_on_both_sides_is_refused():
    labels, patients, _ = cohort()
    folds = patient_folds(labels, patients, 3)
    folds[-1] = (folds[-1] + 1) % 3
    with pytest.raises(ConfigurationError, match=f"1 patient in both .*{patients[-1]}"):
        fold_splits(folds, labels, patients)


def test_site_on_both_sides_is_refused_where_sites_are_kept_whole():
    labels, patients, sites = cohort()
    whole = site_folds(labels, patients, sites, 3).folds
    assert len(fold_splits(whole, labels, patients, sites=sites)) == 3
    dealt = patient_folds(labels, patients, 3)
    with pytest.raises(ConfigurationError, match="10 sites in both train and test"):
        fold_splits(dealt, labels, patients, sites=sites)


def test_parts_are_told_by_name():
    with pytest.raises(
        ConfigurationError, match=r"2 patients in both b and c \(x, y\)"
    ):
        assert_disjoint({"a": [0], "b": [1, 2], "c": [3, 4]}, ["w", "x", "y", "x", "y"])
    assert_disjoint({"a": [0, 0], "b": []}, ["w"])


def test_class_that_no_training_patient_has_is_refused():
    with pytest.raises(ConfigurationError, match="fold 2: no training patient of 'b'"):
        fold_splits(
            [0, 0, 1, 1], [0, 0, 1, 0], list("wxyz"), validation=0, classes=("a", "b")
        )


@pytest.mark.parametrize("held", [[False] * 4, [True] * 4])
def test_test_set_of_none_or_all_is_refused(held):
    with pytest.raises(ConfigurationError, match="holds some of the patients"):
        held_out_split(held, [0, 1, 0, 1], list("abcd"))


def test_one_fold_is_none():
    with pytest.raises(ConfigurationError, match="two folds or more, found 1"):
        fold_splits([0, 0, HELD_OUT], [0, 1, 1], list("abc"))
