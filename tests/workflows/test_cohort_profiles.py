"""Patients have one row per modality; maps need no label and no outlier."""

import numpy as np
import pytest

from builders.crossval import draw, open_cohort, write
from napari_mmsubtype.workflows import cohort_profiles
from napari_mmsubtype.workflows.cohort_profiles import patient_maps, patient_profiles


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    drawn = draw(30)
    drawn["bags"][4] = drawn["bags"][4][:0]
    drawn["rna"] = drawn["rna"].drop(index="P007")
    cohort = open_cohort(write(tmp_path_factory.mktemp("cohort"), drawn))
    return drawn, cohort, patient_profiles(cohort, drawn["bags"])


def test_rows_are_those_of_the_table_and_means_of_the_bags(profiles):
    drawn, _, found = profiles
    assert set(found) == {"image", "rna"}
    np.testing.assert_allclose(found["rna"][3], drawn["rna"].loc["P003"], rtol=1e-6)
    assert np.isnan(found["rna"][7]).all()
    mean = np.asarray(drawn["bags"][3], float).mean(axis=0)
    np.testing.assert_allclose(found["image"][3], mean)
    assert np.isnan(found["image"][4]).all()


def test_maps_hold_the_patients_who_have_the_modality(profiles, monkeypatch):
    drawn, cohort, found = profiles
    seen = []

    def layout(rows, *, seed):
        seen.append(rows)
        return rows[:, :2]

    monkeypatch.setattr(cohort_profiles, "patient_map", layout)
    found = {"rna": found["rna"].copy()}
    found["rna"][2, 5] = 1e6
    maps = patient_maps({"rna": found["rna"]}, cohort.patients, seed=0)
    assert maps["rna"]["patients"] == [p for p in cohort.patients if p != "P007"]
    (rows,) = seen
    assert rows.shape == (29, drawn["rna"].shape[1])
    assert np.abs(rows).max() == 6
    np.testing.assert_allclose(np.median(rows, axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(maps["rna"]["x"], rows[:, 0])


def test_too_few_patients_and_constant_tables_have_no_map(profiles):
    _, cohort, found = profiles
    few = np.full_like(found["rna"], np.nan)
    few[:5] = found["rna"][:5]
    flat = np.zeros((30, 25))
    nothing = np.full((30, 3), np.nan)
    given = {"few": few, "flat": flat, "nothing": nothing}
    assert patient_maps(given, cohort.patients, seed=0) == {}
