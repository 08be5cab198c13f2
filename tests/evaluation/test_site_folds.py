from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.site_folds import site_folds


def cohort(seed: int = 0, patients: int = 200, sites: int = 14):
    rng = np.random.default_rng(seed)
    site = rng.choice(sites, size=patients, p=rng.dirichlet(np.ones(sites)))
    labels = (rng.random(patients) < 0.3).astype(int)
    rows = np.sort(rng.choice(patients, size=2 * patients))
    names = [f"P{i:03d}" for i in rows]
    return labels[rows], names, [f"S{s:02d}" for s in site[rows]]


def test_sites_stay_whole_and_counts_are_of_patients():
    labels, patients, sites = cohort()
    found = site_folds(labels, patients, sites, 4)
    assert [found.site_fold[s] for s in sites] == found.folds.tolist()
    for fold in range(4):
        for value in (0, 1):
            rows = (found.folds == fold) & (labels == value)
            assert found.counts[fold, value] == len(set(np.array(patients)[rows]))
    k, totals = 4, found.counts.sum(axis=0)
    assert found.criterion == ((k * found.counts - totals) ** 2).sum()


def test_sites_that_share_a_patient_stay_together():
    labels, patients, sites = cohort()
    patients[0] = patients[-1] = "moved"
    sites[0], sites[-1] = "S-first", "S-last"
    labels[0] = labels[-1] = 1
    found = site_folds(labels, patients, sites, 3)
    assert found.site_fold["S-first"] == found.site_fold["S-last"]
    assert found.notes == (
        "the sites S-first, S-last share a patient and stay in one fold",
    )


def test_folds_without_a_class_are_told():
    labels = [0] * 12 + [1] * 6
    patients = [f"P{i}" for i in range(18)]
    sites = [f"S{i // 2}" for i in range(12)] + ["T0"] * 3 + ["T1"] * 3
    found = site_folds(labels, patients, sites, 3, classes=("a", "b"))
    assert found.notes == (
        "1 of 3 folds hold no patient of 'b': its numbers come from the others",
    )


def test_folds_follow_the_names_and_not_the_order_of_the_rows():
    labels, patients, sites = cohort(3)
    found = site_folds(labels, patients, sites, 3, seed=1)
    order = np.random.default_rng(0).permutation(len(labels))
    again = site_folds(
        labels[order],
        [patients[i] for i in order],
        [sites[i] for i in order],
        3,
        seed=1,
    )
    np.testing.assert_array_equal(again.folds, found.folds[order])


@pytest.mark.parametrize(
    ("sites", "folds", "message"),
    [
        (["A", "B"] * 6, 3, "need 3 sites at least, found 2"),
        (["A", "", "B", " "] * 3, 2, r"6 patients have no site \(P1, P11, P3 and 3"),
        (
            ["A", "B", "C"] * 2 + ["X"] * 6,
            2,
            r"all 6 patients of 'Basal' come from one site \(X\)",
        ),
        (["A", "B", "C"] * 4, 7, "'Luminal': 6, 'Basal': 6; use at most 6 folds"),
    ],
)
def test_cohorts_without_such_folds_are_refused(sites, folds, message):
    labels = [0] * 6 + [1] * 6
    patients = [f"P{i}" for i in range(12)]
    with pytest.raises(ConfigurationError, match=message):
        site_folds(labels, patients, sites, folds, classes=("Luminal", "Basal"))


def test_rows_need_a_site_each():
    with pytest.raises(ValueError, match="need as many sites"):
        site_folds([0, 0, 1, 1], list("abcd"), ["S"], 2)


@pytest.mark.real_data
def test_sites_of_tcga_fall_into_even_folds(real_data):
    table = pd.read_csv(real_data / "cohort_tcga_brca.csv")
    table = table[table["label"].notna()]
    labels = (table["label"] != "Luminal").astype(int)
    start = time.monotonic()
    found = site_folds(labels, table["patient_id"], table["site"], 5)
    assert time.monotonic() - start < 60
    # 37 hospitals can be dealt out as evenly as the patients themselves.
    assert found.is_optimal
    assert np.ptp(found.counts, axis=0).tolist() == [1, 1]
