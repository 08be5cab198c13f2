from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.evaluation.duplicate_patients import (
    duplicate_alarm,
    equal_records,
    near_pairs,
)


def table(seed: int = 0, n: int = 120, features: int = 80):
    """Make rows with few strong directions, as omics have."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(size=(n, 4)) @ rng.normal(size=(4, features))
    return 2 * strong + rng.normal(size=(n, features))


def test_equal_and_almost_equal_rows_are_found():
    rows = table()
    rows[100] = rows[7]
    rows[50] = rows[3] + np.random.default_rng(1).normal(scale=0.1, size=80)
    assert sorted(near_pairs(rows)) == [(3, 50), (7, 100)]


@pytest.mark.parametrize("seed", range(5))
def test_different_patients_are_not_found(seed):
    assert near_pairs(table(seed)) == []


def test_rows_of_few_directions_are_not_found():
    # Two directions and little noise: neighbours are near, but no nearer than usual.
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 40))
    rows += rng.normal(scale=0.3, size=rows.shape)
    assert near_pairs(rows) == []


def test_gaps_and_patients_without_the_table_are_passed_over():
    rows = table()
    rows[np.random.default_rng(2).random(rows.shape) < 0.05] = np.nan
    rows[20:40] = np.nan
    rows[90] = rows[5]
    assert near_pairs(rows) == [(5, 90)]


def test_pairs_are_found_across_blocks(monkeypatch):
    from napari_mmsubtype.evaluation import duplicate_patients

    monkeypatch.setattr(duplicate_patients, "_AT_ONCE", 25)
    rows = table()
    rows[110] = rows[2]
    rows[30] = rows[29]
    assert sorted(near_pairs(rows)) == [(2, 110), (29, 30)]


def test_few_features_tell_no_patients_apart():
    rows = np.random.default_rng(0).integers(0, 3, (100, 10)).astype(float)
    assert near_pairs(rows) == []


def records(n: int = 150, seed: int = 0):
    rng = np.random.default_rng(seed)
    return {
        "age_days": rng.integers(9000, 30000, n).tolist(),
        "stage": rng.choice(["I", "II", "III"], n).tolist(),
        "sex": ["female"] * n,
        "t": rng.choice(["T1", "T2"], n).tolist(),
        "weight": rng.integers(45, 110, n).tolist(),
    }


def test_equal_records_are_found_where_they_say_something():
    columns = records()
    for values in columns.values():
        values[140] = values[12]
    assert equal_records(columns) == [(12, 140)]
    # Without the exact age, many patients are alike.
    del columns["age_days"]
    assert equal_records(columns) == []
    # Nor do columns that say the same count as many.
    columns |= {f"copy of {name}": list(values) for name, values in columns.items()}
    assert equal_records(columns) == []


def test_records_of_gaps_are_not_equal():
    columns = records()
    for name in ("age_days", "stage", "t", "weight"):
        columns[name][4] = columns[name][9] = None
    assert equal_records(columns) == []


def test_alarm_names_patients_and_where_they_are_alike():
    rna, columns = table(), records(120)
    rna[60] = rna[8]
    for values in columns.values():
        values[60] = values[8]
    found = duplicate_alarm([f"P{i}" for i in range(120)], {"rna": rna}, columns)
    assert found.raised
    assert found.value.value == 1
    assert "P8 and P60 (rna, clinical)" in found.message


def test_cohort_without_duplicates_raises_nothing():
    found = duplicate_alarm([f"P{i}" for i in range(120)], {"rna": table()})
    assert not found.raised
    assert found.message == "No two of 120 patients have almost the same data"


def test_patients_stand_once():
    with pytest.raises(ValueError, match="2 rows hold 1 patients"):
        duplicate_alarm(["a", "a"], {})


@pytest.mark.real_data
def test_patients_of_tcga_are_all_different(real_data):
    import pandas as pd

    file = real_data / "omics" / "tcga_brca_rnaseq_zscores.csv.gz"
    rows = pd.read_csv(file, index_col=0).to_numpy(dtype=float)
    assert len(rows) > 900
    assert near_pairs(rows) == []
    rows[5] = rows[400] + 0.01
    assert near_pairs(rows) == [(5, 400)]
