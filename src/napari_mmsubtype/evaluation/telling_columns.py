"""Columns of a clinical table that almost say the class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.evaluation.leakage import Alarm
from napari_mmsubtype.evaluation.probes import area_estimate, area_within
from napari_mmsubtype.evaluation.resampling import REPEATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

COLUMN_LIMIT = 0.95
"""Area under the ROC curve from which on a single column alarms."""

_BINS = 10
_FEW_VALUES = 12
_MISSING = ("", "nan", "none", "<na>", "nat")


def telling_column_alarm(
    labels: ArrayLike,
    columns: Mapping[str, Sequence[object]],
    patients: Sequence[str],
    folds: ArrayLike,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Alarm:
    """Ask whether a single clinical column predicts the class almost perfectly.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, from 0.
    columns : mapping of str to sequence, each of length n
        Raw columns that are an input: numbers, words, empty where not known.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,)
        Fold of each row.
    repeats : int, default: 2000
        Resamples behind the interval.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Alarm
        Of the column that tells most. Each is judged out of fold, by how often the
        classes go with its values, or with tenths of its range of values, among the
        training rows; that it is missing is a value too.
    """
    truth = np.asarray(labels, dtype=np.int64)
    place = np.asarray(folds, dtype=np.int64)
    once = np.ones((1, len(truth)))
    count = int(truth.max()) + 1
    found: dict[str, float] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    for name, values in columns.items():
        if len(values) != len(truth):
            msg = f"{len(truth)} rows need as many values, {name!r} has {len(values)}"
            raise ValueError(msg)
        scores[name] = _column_scores(truth, values, place, count)
        area = area_within(once, truth, scores[name], place)[0]
        found[name] = float(np.nan_to_num(area))
    if not found:
        message = "No clinical column is an input."
        return Alarm("clinical_column", False, None, COLUMN_LIMIT, message)
    telling = sorted(found, key=lambda name: -found[name])
    best = telling[0]
    value = area_estimate(
        truth, scores[best], patients, place, repeats=repeats, seed=seed
    )
    raised = value is not None and value.value >= COLUMN_LIMIT
    named = ", ".join(repr(n) for n in telling if found[n] >= COLUMN_LIMIT)
    message = (
        f"The clinical column {named} alone tells the class (ROC-AUC {value}): it is "
        "likely the label in other words or its consequence; leave it out"
        if raised
        else f"No clinical column alone tells the class: {best!r} tells most, with a "
        f"ROC-AUC of {value}"
    )
    return Alarm("clinical_column", raised, value, COLUMN_LIMIT, message)


def _column_scores(
    truth: NDArray[np.int64],
    values: Sequence[object],
    folds: NDArray[np.int64],
    count: int,
) -> NDArray[np.float64]:
    """Predict held-out rows from the classes that go with the value of a column."""
    words = np.array([_word(value) for value in values], dtype=str)
    numbers = _numbers(words)
    scores = np.empty((len(truth), count))
    for fold in np.unique(folds):
        held = folds == fold
        levels = words if numbers is None else _binned(numbers, ~held)
        _, level = np.unique(levels, return_inverse=True)
        share = np.bincount(truth[~held], minlength=count).astype(np.float64)
        share = np.maximum(share, 0.5)
        table = np.zeros((int(level.max()) + 1, count))
        np.add.at(table, (level[~held], truth[~held]), 1)
        # Against the share of each class, and as one unseen row would have it.
        table = (table + share / share.sum()) / share
        scores[held] = (table / table.sum(axis=1, keepdims=True))[level[held]]
    return scores


def _word(value: object) -> str:
    text = str(value).strip().casefold()
    return "" if text in _MISSING else text


def _numbers(words: NDArray[np.str_]) -> NDArray[np.float64] | None:
    """Read a column as numbers if it holds many different ones and nothing else."""
    try:
        found = np.array([float(word) if word else np.nan for word in words])
    except ValueError:
        return None
    known = found[np.isfinite(found)]
    return found if len(np.unique(known)) > _FEW_VALUES else None


def _binned(
    numbers: NDArray[np.float64], training: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Part numbers at tenths of the training rows; missing ones have a bin too."""
    known = numbers[training & np.isfinite(numbers)]
    if not len(known):
        return np.isfinite(numbers).astype(np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    place = np.searchsorted(edges, np.nan_to_num(numbers), side="right")
    return np.where(np.isfinite(numbers), place, -1).astype(np.int64)
