from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.omics.duplicates import merge_features, merge_samples
from napari_mmsubtype.omics.reading import UNNAMED, Reading


def reading(features, values, **more):
    values = np.array(values, dtype=np.float32)
    return Reading([f"S{i}" for i in range(len(values))], features, values, **more)


@pytest.mark.parametrize(
    ("summed", "expected", "word"),
    [(True, [4, 5, np.nan], "summed"), (False, [2, 5, np.nan], "averaged")],
)
def test_repeats_are_merged_without_their_missing_values(summed, expected, word):
    given = reading(["A", "B", "A "], [[1, 0, 3], [np.nan, 0, 5], [np.nan, 0, np.nan]])
    merged = merge_features(given, summed=summed)
    assert list(merged.features) == ["A", "B"]
    np.testing.assert_array_equal(merged.values[:, 0], np.float32(expected))
    assert f"1 features stood more than once (A) and were {word}" in merged.steps[0]


def test_identifiers_stay_with_their_feature():
    beside = pd.DataFrame({"entrez": ["1", "2", "3", "4"]})
    given = reading(["", "A", "B", "A"], [[9, 1, 2, 3]], identifiers=beside)
    merged = merge_features(given, summed=False)
    assert merged.identifiers["entrez"].tolist() == ["2", "3"]
    np.testing.assert_array_equal(merged.values, [[2, 2]])


def test_what_is_no_feature_is_dropped():
    names = ["A", " ", f"{UNNAMED}3", "ENSG00000182378.15_PAR_Y", "1-Sep"]
    merged = merge_features(reading(names, [[1, 2, 3, 4, 5]]), summed=False)
    assert list(merged.features) == ["A", "1-Sep"]
    assert merged.values.tolist() == [[1, 5]]
    assert "3 features without a name" in merged.steps[0]
    assert "1 features are dates, not genes (1-Sep)" in merged.steps[1]


def test_unique_features_are_not_copied():
    given = reading(["A", "B"], [[1, 2]])
    assert merge_features(given, summed=True).values is given.values


def test_samples_of_equal_values_merge_with_what_is_known_of_them():
    given = Reading(
        ["a", "b", "a", "b", "c"],
        ["x"],
        np.float32([[1], [2], [1], [3], [np.nan]]),
        obs=pd.DataFrame({"patient": list("ABABC")}),
    )
    merged = merge_samples(given)
    assert list(merged.samples) == ["a", "b", "b", "c"]
    assert merged.obs["patient"].tolist() == ["A", "B", "B", "C"]
    assert merged.steps == (
        "1 samples repeated with equal values dropped",
        "1 samples stand more than once with different values (b); none of them can be "
        "chosen: keep one row of each",
        "1 samples have no value at all (c)",
    )


def test_samples_without_a_name_are_dropped():
    values = np.float32([[1], [2], [np.nan], [np.nan]])
    given = Reading(["a", " ", f"{UNNAMED}3", ""], ["x"], values)
    merged = merge_samples(given)
    assert list(merged.samples) == ["a"]
    assert merged.values.tolist() == [[1]]
    assert merged.steps == ("3 samples without a name dropped",)


def test_sums_of_reads_are_no_genes():
    names = ["ESR1", "__no_feature", "N_unmapped", "TOTAL", "sum ", "N4BP1"]
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    merged = merge_features(Reading(["a", "b"], names, values), summed=True)
    assert merged.features == ["ESR1", "N4BP1"]
    assert merged.values.tolist() == [[0, 5], [6, 11]]
    assert "4 features" in merged.steps[-1]
