"""Clinical variables: typed and learned from training patients, then encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_table import is_unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Kind = Literal["numeric", "category"]

UNKNOWN = "unknown"
"""Category of a value that is missing, or was not seen in training."""

_MIN_NUMERIC = 0.95
_MIN_DISTINCT = 6
_MAX_CATEGORIES = 30
_MIN_CATEGORY_COUNT = 2
_STD_FLOOR = 1e-6
# Three digits after a comma are as likely thousands: not read as a number.
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]{1,2}")


def fit_clinical(
    frame: pd.DataFrame, schema: Mapping[str, Kind] | None = None
) -> pd.DataFrame:
    """Learn the encoding of clinical variables from training patients.

    A numeric variable becomes its z-score and, where training patients lack it, a
    missing indicator. A category becomes one column per level that at least two
    training patients have, and one for `UNKNOWN` where training patients have a rarer
    level or none. Without that column an unknown answer takes the training shares.

    Parameters
    ----------
    frame : DataFrame
        Training patients only, one column per variable, text or numbers.
    schema : mapping of str to {"numeric", "category"} or None, default: None
        Variables to encode and their kinds; None encodes every column, as numbers where
        nearly all answers are numbers and there are at least six different ones.

    Returns
    -------
    DataFrame
        One row per model column: ``feature``, ``variable``, ``kind`` (``numeric``,
        ``category`` or ``missing``), ``category``, ``mean``, ``std``, ``fill``.

    Raises
    ------
    ConfigurationError
        If a variable is absent, has no answers, or cannot be of the kind declared.
    """
    chosen: Mapping[str, Kind | None] = (
        dict.fromkeys(map(str, frame.columns)) if schema is None else dict(schema)
    )
    rows: list[dict[str, Any]] = []
    for variable, declared in chosen.items():
        if variable not in frame.columns:
            listed = ", ".join(map(str, frame.columns[:8]))
            msg = f"clinical variable {variable!r} is not among the columns ({listed})"
            raise ConfigurationError(msg)
        values = frame[variable]
        kind = declared or _kind(values)
        if kind == "numeric":
            rows.extend(_fit_numeric(variable, values))
        else:
            rows.extend(_fit_category(variable, values))
    if not rows:
        msg = "no clinical variable varies among the training patients; name others"
        raise ConfigurationError(msg)
    return pd.DataFrame(rows)


def encode_clinical(
    row: Mapping[str, object], features: pd.DataFrame, *, clip: float
) -> tuple[NDArray[np.float32], tuple[str, ...], tuple[str, ...]]:
    """Encode one patient's clinical values.

    Parameters
    ----------
    row : mapping of str to object
        Value of each variable of the model; variables may be absent.
    features : DataFrame
        As `fit_clinical`.
    clip : float
        Numeric z-scores are clipped to ± this.

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
    for variable, group in features.groupby("variable", sort=False):
        value = row.get(str(variable))
        if is_unanswered(value):
            missing.append(str(variable))
        numeric = (group["kind"] != "category").any()
        encode = _encode_numeric if numeric else _encode_category
        part, note = encode(str(variable), value, group, clip)
        encoded[features.index.get_indexer(group.index)] = part
        notes.extend(note)
    return encoded.astype(np.float32), tuple(missing), tuple(notes)


def _kind(values: pd.Series[Any]) -> Kind:
    """Tell numbers from categories."""
    answers = values[~values.map(is_unanswered)]
    numbers = answers.map(_number)
    share = float(numbers.notna().mean()) if len(answers) else 0.0
    enough = numbers.nunique() >= _MIN_DISTINCT
    return "numeric" if share >= _MIN_NUMERIC and enough else "category"


def _number(value: object) -> float:
    """Read one number; NaN where the value is none."""
    if is_unanswered(value):
        return float("nan")
    text = str(value).strip()
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def _category(value: object) -> str:
    """Bring a category to one spelling."""
    if is_unanswered(value):
        return UNKNOWN
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)  # A column of 1, 2 and gaps is read as 1.0, 2.0 by pandas.
    return re.sub(r"\s+", " ", str(value).strip()).casefold()


def _fit_numeric(variable: str, values: pd.Series[Any]) -> list[dict[str, Any]]:
    """Learn scale and fill of a numeric variable."""
    numbers = values.map(_number).to_numpy(dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    if known.size == 0:
        msg = f"clinical variable {variable!r} has no number in training"
        raise ConfigurationError(msg)
    rows = []
    entry = {"variable": variable, "category": ""}
    if (std := float(known.std())) > _STD_FLOOR:
        rows.append(
            {
                "feature": variable,
                "kind": "numeric",
                "mean": float(known.mean()),
                "std": std,
                "fill": float(np.median(known)),
                **entry,
            }
        )
    absent = 1.0 - known.size / numbers.size
    if absent > 0:
        scale = {"mean": 0.0, "std": 1.0, "fill": 1.0}
        rows.append(
            {"feature": f"{variable}=missing", "kind": "missing", **scale, **entry}
        )
    return rows


def _fit_category(variable: str, values: pd.Series[Any]) -> list[dict[str, Any]]:
    """Learn the levels of a categorical variable and how common they are."""
    levels = values.map(_category)
    shares = levels.value_counts()
    kept = sorted(
        str(level)
        for level, count in shares.items()
        if count >= _MIN_CATEGORY_COUNT and level != UNKNOWN
    )
    if len(kept) > _MAX_CATEGORIES:
        msg = (
            f"clinical variable {variable!r} has {len(kept)} levels (at most "
            f"{_MAX_CATEGORIES}); is it an identifier or a number?"
        )
        raise ConfigurationError(msg)
    others = 1.0 - float(levels.isin(kept).mean())
    names = [*kept, UNKNOWN] if others > 0 else kept
    if len(names) < 2:
        return []  # The same for every training patient: it can tell nothing.
    return [
        {
            "feature": f"{variable}={name}",
            "variable": variable,
            "kind": "category",
            "category": name,
            "mean": 0.0,
            "std": 1.0,
            # With a column for unknown, no answer is an answer of its own.
            "fill": float(name == UNKNOWN)
            if others
            else float(np.mean(levels == name)),
        }
        for name in names
    ]


def _encode_numeric(
    variable: str, value: object, group: pd.DataFrame, clip: float
) -> tuple[NDArray[np.float64], list[str]]:
    """Encode a number and its missing indicator."""
    number = _number(value)
    notes = []
    if np.isnan(number) and not is_unanswered(value):
        notes.append(f"{variable} is {value!r}, no number: it counts as missing")
    numeric = (group["kind"] == "numeric").to_numpy()
    absent = np.isnan(number)
    fill, mean, std = (group[c].to_numpy(np.float64) for c in ("fill", "mean", "std"))
    scaled = ((fill if absent else number) - mean) / std
    limited = np.clip(scaled, -clip, clip)
    if numeric.any() and not np.array_equal(limited[numeric], scaled[numeric]):
        notes.append(f"{variable} {number:g} is far outside training and was clipped")
    return np.where(numeric, limited, float(absent)), notes


def _encode_category(
    variable: str, value: object, group: pd.DataFrame, _: float
) -> tuple[NDArray[np.float64], list[str]]:
    """Encode a category, an unseen or missing one by its fill."""
    level = _category(value)
    hit = (group["category"] == level).to_numpy()
    if hit.any():
        return hit.astype(np.float64), []
    notes = []
    if level != UNKNOWN:
        notes.append(f"{variable} {level!r} was not seen in training: taken as unknown")
    return group["fill"].to_numpy(np.float64).copy(), notes
