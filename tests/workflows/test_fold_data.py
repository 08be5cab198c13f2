"""What is fitted on a fold knows its training part alone."""

import numpy as np
import pytest

from builders.crossval import draw, open_cohort, small_preset, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.splits import Split
from napari_mmsubtype.workflows.fold_data import TableCache, place_of, prepare_fold
from napari_mmsubtype.workflows.fold_plan import plan_folds


def prepared(folder, drawn, preset=None):
    preset = preset or small_preset()
    cohort = open_cohort(write(folder, drawn), preset)
    split = plan_folds(cohort, preset.validation).splits[0]
    return cohort, split, prepare_fold(cohort, preset, drawn["bags"], split)


def test_features_do_not_change_with_rows_that_are_not_trained_on(tmp_path):
    drawn = draw(24)
    cohort, split, first = prepared(tmp_path / "a", drawn)
    changed = draw(24)
    held = np.concatenate([split.test, split.validation])
    changed["rna"].iloc[held] = changed["rna"].iloc[held] * 7 + 3
    changed["clinical"].iloc[held, 0] += 40
    _, _, second = prepared(tmp_path / "b", changed)
    for modality in (Modality.RNA, Modality.CLINICAL):
        ours, theirs = first.specs[modality].features, second.specs[modality].features
        assert ours.equals(theirs)
        own = first.cases.omics[modality][first.train]
        np.testing.assert_array_equal(own, second.cases.omics[modality][second.train])
    moved = first.cases.omics[Modality.RNA][first.test]
    assert np.abs(moved - second.cases.omics[Modality.RNA][second.test]).max() > 1
    assert len(cohort) == 24


def test_positions_are_those_of_the_split(tmp_path):
    drawn = draw(24)
    drawn["rna"] = drawn["rna"].drop(index="P002")
    cohort, split, data = prepared(tmp_path, drawn)
    for part, rows in split.parts().items():
        names = [data.cases.patients[i] for i in data.parts()[part]]
        assert names == [cohort.patients[row] for row in rows]
    assert data.sites.tolist() == drawn["sites"]
    column = data.cases.modalities.index(Modality.RNA)
    lacking = [p for p, h in zip(data.cases.patients, data.cases.present[:, column],
                                 strict=True) if not h]  # fmt: skip
    assert lacking == ["P002"]


def test_parts_that_share_a_patient_are_refused_at_run_time(tmp_path):
    drawn = draw(24)
    cohort = open_cohort(write(tmp_path, drawn))
    bad = Split(0, 0, np.arange(10), np.arange(9, 14), np.arange(14, 24))
    with pytest.raises(ConfigurationError, match="1 patient in both train and valid"):
        prepare_fold(cohort, small_preset(), drawn["bags"], bad)


def test_the_same_features_are_fitted_once(tmp_path):
    drawn = draw(24)
    cohort = open_cohort(write(tmp_path, drawn))
    cache, preset = TableCache(cohort), small_preset()
    first = cache.fit(preset, Modality.RNA, range(12))
    assert cache.fit(preset, Modality.RNA, range(12)) is first
    assert cache.fit(preset, Modality.RNA, range(13)) is not first
    other = small_preset("modalities.rna.clip=3.0")
    assert cache.fit(other, Modality.RNA, range(12)) is not first


def test_a_table_without_training_patients_is_refused(tmp_path):
    drawn = draw(24)
    drawn["rna"] = drawn["rna"].iloc[12:]
    cohort = open_cohort(write(tmp_path, drawn))
    with pytest.raises(ConfigurationError, match="none of 12 training patients"):
        TableCache(cohort).fit(small_preset(), Modality.RNA, range(12))


def test_a_fixed_test_set_is_told_as_fold_zero():
    nothing = np.arange(0)
    assert place_of(Split(2, -1, nothing, nothing, nothing)) == {"repeat": 2, "fold": 0}
