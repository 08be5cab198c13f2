"""One patient's clinical values as the numbers that a model was trained on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.omics.clinical_scales import read_level, read_number
from napari_mmsubtype.omics.clinical_schema import Kind, Variable
from napari_mmsubtype.omics.clinical_table import is_unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

UNKNOWN = "unknown"
"""Category of a value that is missing, or was not seen in training."""


def read_variables(features: pd.DataFrame) -> dict[str, Variable]:
    """Say how each variable of a model is read.

    Parameters
    ----------
    features : DataFrame
        As `clinical_fitting.ClinicalFit.features`; ``schema`` may be absent.

    Returns
    -------
    dict of str to Variable
        In the model's order.
    """
    found = {}
    for name, group in features.groupby("variable", sort=False):
        kinds = set(group["kind"]) - {"missing"}
        kind: Kind = "category" if "category" in kinds else "numeric"
        text = str(group["schema"].iloc[0]) if "schema" in group else ""
        found[str(name)] = Variable.from_text(text, kind)
    return found


def encode_clinical(
    row: Mapping[str, object], features: pd.DataFrame, *, clip: float
) -> tuple[NDArray[np.float32], tuple[str, ...], tuple[str, ...]]:
    """Encode one patient's clinical values.

    Parameters
    ----------
    row : mapping of str to object
        Value of each variable of the model, in its unit; variables may be absent.
    features : DataFrame
        As `clinical_fitting.ClinicalFit.features`.
    clip : float
        Z-scores are clipped to ± this.

    Returns
    -------
    values : ndarray of float32, shape (column,)
        Model-ready values.
    missing : tuple of str
        Variables without an answer.
    notes : tuple of str
        Answers that could not be used, and what was clipped.
    """
    missing: list[str] = []
    notes: list[str] = []
    encoded = np.empty(len(features), dtype=np.float64)
    variables = read_variables(features)
    for variable, group in features.groupby("variable", sort=False):
        name = str(variable)
        value = row.get(name)
        if is_unanswered(value):
            missing.append(name)
        if variables[name].kind == "category":
            part, note = _encode_category(name, value, group)
        else:
            part, note = _encode_number(name, value, group, variables[name], clip)
        encoded[features.index.get_indexer(group.index)] = part
        notes.extend(note)
    return encoded.astype(np.float32), tuple(missing), tuple(notes)


def spell_category(value: object) -> str:
    """Bring a category to one spelling.

    Parameters
    ----------
    value : object
        As written, or a number.

    Returns
    -------
    str
        `UNKNOWN` where it is no answer.
    """
    if is_unanswered(value):
        return UNKNOWN
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)  # A column of 1, 2 and gaps is read as 1.0, 2.0 by pandas.
    return re.sub(r"\s+", " ", str(value).strip()).casefold()


def read_scalar(value: object, variable: Variable) -> float:
    """Read a number, or the place of an ordinal.

    Parameters
    ----------
    value : object
        As written.
    variable : Variable
        What it is an answer of.

    Returns
    -------
    float
        NaN where it is neither.
    """
    if variable.kind == "ordinal":
        return read_level(value, variable.order)
    return read_number(value)


def _encode_number(
    name: str, value: object, group: pd.DataFrame, variable: Variable, clip: float
) -> tuple[NDArray[np.float64], list[str]]:
    """Encode a number or an ordinal, and its missing indicator."""
    number = read_scalar(value, variable)
    notes = []
    if np.isnan(number) and not is_unanswered(value):
        what = "no number" if variable.kind == "numeric" else "not in its order"
        notes.append(f"{name} is {value!r}, {what}: it counts as missing")
    numeric = (group["kind"] != "missing").to_numpy()
    absent = np.isnan(number)
    fill, mean, std = (group[c].to_numpy(np.float64) for c in ("fill", "mean", "std"))
    scaled = ((fill if absent else number) - mean) / std
    limited = np.clip(scaled, -clip, clip)
    if numeric.any() and not np.array_equal(limited[numeric], scaled[numeric]):
        notes.append(f"{name} {number:g} is far outside training and was clipped")
    return np.where(numeric, limited, float(absent)), notes


def _encode_category(
    variable: str, value: object, group: pd.DataFrame
) -> tuple[NDArray[np.float64], list[str]]:
    """Encode a category, an unseen or missing one by its fill."""
    level = spell_category(value)
    hit = (group["category"] == level).to_numpy()
    if hit.any():
        return hit.astype(np.float64), []
    notes = []
    if level != UNKNOWN:
        notes.append(f"{variable} {level!r} was not seen in training: taken as unknown")
    return group["fill"].to_numpy(np.float64).copy(), notes
