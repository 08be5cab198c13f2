"""The table that says what a model's inputs are and how they are scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

FEATURE_COLUMNS = (
    "feature", "ensembl", "entrez", "aliases", "mean", "std", "fill", "weight",
)  # fmt: skip
"""Columns of a feature table of RNA or methylation."""

CLINICAL_COLUMNS = ("feature", "variable", "kind", "category", "mean", "std", "fill")
"""Columns of a clinical feature table."""

SCHEMA_COLUMN = "schema"
"""Further clinical column, there only where a variable has an order, unit or columns of
its own: `clinical_schema.Variable.to_text`."""

_TEXT = {
    "feature", "ensembl", "entrez", "aliases", "variable", "kind", "category",
    SCHEMA_COLUMN,
}  # fmt: skip


def check_features(features: pd.DataFrame, modality: Modality) -> pd.DataFrame:
    """Bring a feature table to its columns, order and types.

    Parameters
    ----------
    features : DataFrame
        One row per input of a model; identifiers and ``weight`` may be absent.
    modality : Modality
        RNA, methylation or clinical.

    Returns
    -------
    DataFrame
        `FEATURE_COLUMNS`, or `CLINICAL_COLUMNS` and where needed `SCHEMA_COLUMN`: text
        without gaps, and float64.

    Raises
    ------
    ConfigurationError
        If a column or a number is missing, or a spread is not positive.
    """
    import pandas as pd

    clinical = modality is Modality.CLINICAL
    columns: tuple[str, ...] = CLINICAL_COLUMNS if clinical else FEATURE_COLUMNS
    if clinical and SCHEMA_COLUMN in features and features[SCHEMA_COLUMN].any():
        columns += (SCHEMA_COLUMN,)
    optional = {"ensembl": "", "entrez": "", "aliases": "", "weight": 1.0}
    table = pd.DataFrame(index=pd.RangeIndex(len(features)))
    for column in columns:
        if column in features:
            given = features[column].to_numpy()
        elif column in optional:
            given = np.full(len(features), optional[column], dtype=object)
        else:
            msg = f"{modality.value} feature table has no column {column!r}"
            raise ConfigurationError(msg)
        if column in _TEXT:
            cells = ["" if pd.isna(cell) else str(cell) for cell in given]
            if column == "entrez":
                # A column of numbers with gaps holds floats in pandas.
                cells = [cell.removesuffix(".0") for cell in cells]
            table[column] = np.array(cells, dtype=object)
        else:
            table[column] = given.astype(np.float64)
    numbers = table.select_dtypes("number").to_numpy()
    if not len(table) or not np.isfinite(numbers).all() or (table["std"] <= 0).any():
        msg = (
            f"{modality.value} feature table is empty, or holds a mean, std, fill or "
            "weight that is missing, or a std that is not positive"
        )
        raise ConfigurationError(msg)
    return table
