from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.feature_table import (
    CLINICAL_COLUMNS,
    FEATURE_COLUMNS,
    check_features,
)

TABLE = pd.DataFrame(
    {"fill": [1, 2], "feature": ["A", "B"], "mean": [1, 2], "std": [1.0, 0.5]}
)


def test_columns_order_and_types_are_completed():
    table = check_features(TABLE.assign(entrez=[None, 5]), Modality.RNA)
    assert tuple(table.columns) == FEATURE_COLUMNS
    assert table["entrez"].tolist() == ["", "5"]
    assert table["weight"].tolist() == [1, 1]
    assert all(table[c].dtype == np.float64 for c in ("mean", "std", "fill", "weight"))


def test_clinical_tables_have_columns_of_their_own():
    table = TABLE.assign(variable="v", kind="numeric", category="")
    assert tuple(check_features(table, Modality.CLINICAL).columns) == CLINICAL_COLUMNS


def test_what_the_schema_says_is_kept_only_where_it_says_something():
    table = TABLE.assign(variable="v", kind="numeric", category="", schema="")
    assert tuple(check_features(table, Modality.CLINICAL).columns) == CLINICAL_COLUMNS
    told = check_features(table.assign(schema=["{}", ""]), Modality.CLINICAL)
    assert tuple(told.columns) == (*CLINICAL_COLUMNS, "schema")
    assert told["schema"].tolist() == ["{}", ""]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.drop(columns="mean"), "no column 'mean'"),
        (TABLE.iloc[:0], "empty"),
        (TABLE.assign(std=[1.0, 0.0]), "not positive"),
        (TABLE.assign(fill=[np.nan, 1.0]), "missing"),
    ],
)
def test_unusable_tables_are_refused(table, words):
    with pytest.raises(ConfigurationError, match=words):
        check_features(table, Modality.RNA)
