"""A cohort knows what each patient has, and refuses those who have nothing."""

import numpy as np
import pandas as pd
import pytest

from builders.crossval import draw, open_cohort, small_preset, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows.cohort import fit_preset, make_cases
from napari_mmsubtype.workflows.embed import EmbeddedSlides


def test_patterns_labels_and_targets_are_those_of_the_manifest(tmp_path):
    drawn = draw(12)
    drawn["bags"][0] = drawn["bags"][0][:0]
    drawn["rna"] = drawn["rna"].drop(index=["P001", "P002"])
    preset = small_preset("heads={stage: {kind: ordinal, levels: [I, II, III, IV]}}")
    extra = pd.DataFrame({"stage": ["II"] * 11 + [""]})
    cohort = open_cohort(write(tmp_path, drawn, extra), preset)
    assert cohort.modalities == (Modality.IMAGE, Modality.RNA, Modality.CLINICAL)
    patterns = [cohort.pattern(row) for row in cohort.has()]
    assert patterns[:4] == [
        "rna+clinical",
        "image+clinical",
        "image+clinical",
        "image+rna+clinical",
    ]
    np.testing.assert_array_equal(cohort.labels, drawn["labels"])
    np.testing.assert_array_equal(cohort.targets["stage"], [1.0] * 11 + [np.nan])
    assert cohort.sites.tolist() == drawn["sites"]


def test_patients_without_anything_are_refused_by_line(tmp_path):
    drawn = draw(12)
    drawn["bags"][3] = drawn["bags"][3][:0]
    for table in ("rna", "clinical"):
        drawn[table] = drawn[table].drop(index="P003")
    with pytest.raises(ConfigurationError, match="line 5: the patient has no slide"):
        open_cohort(write(tmp_path, drawn))


def test_cases_hold_what_can_be_used_and_drop_the_rest(tmp_path):
    drawn = draw(6)
    cohort = open_cohort(write(tmp_path, drawn))
    bags = [bag if i else bag[:0] for i, bag in enumerate(drawn["bags"])]
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    used = np.array([False, True, True, True, True, True])
    cases = make_cases(cohort, bags, {Modality.RNA: (values, used)})
    assert cases.patients == cohort.patients[1:]
    np.testing.assert_array_equal(cases.omics[Modality.RNA], values[1:])
    assert cases.present.all()


def test_bags_of_slides_that_failed_are_empty(tmp_path):
    drawn = draw(3)
    cohort = open_cohort(write(tmp_path, drawn))
    path = tmp_path / "bag-1.npy"
    embedded = EmbeddedSlides(tmp_path, {"synthetic:seed=1": path}, {})
    bags = cohort.bags(embedded, 96)
    assert [len(bag) for bag in bags] == [0, 6, 0]
    np.testing.assert_array_equal(bags[1], drawn["bags"][1])


def test_a_preset_keeps_only_the_tables_that_there_are():
    preset = load_preset("evidence")
    fitted = fit_preset(preset, [Modality.RNA])
    assert list(fitted.modalities) == [Modality.RNA]
    assert set(fitted.fusion_training.drop) == {Modality.IMAGE, Modality.RNA}
    assert fitted.baselines.fusions == ("image_only", "rna_only", "late")
    assert fit_preset(preset, list(preset.modalities)) is preset
