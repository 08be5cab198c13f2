"""Folds that a cohort table brings along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.patient_folds import listed
from napari_mmsubtype.evaluation.splits import HELD_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TEST_NAMES = ("test", "holdout", "held out")
"""What a fixed test set may be called in a column of folds."""

_MISSING = ("", "nan", "none", "<na>")


@dataclass(frozen=True, slots=True, eq=False)
class GivenFolds:
    """Folds as a column names them.

    Attributes
    ----------
    folds : ndarray of int64, shape (n,)
        Fold of each row, 0 to ``k - 1``; `splits.HELD_OUT` for the fixed test set.
    names : tuple of str
        What the column calls each fold.
    """

    folds: NDArray[np.int64]
    names: tuple[str, ...]


def given_folds(values: Sequence[object], patients: Sequence[str]) -> GivenFolds:
    """Read folds from a column of the cohort table.

    Parameters
    ----------
    values : sequence of object, length n
        Name or number of each row's fold; one of `TEST_NAMES` for a fixed test set.
    patients : sequence of str, length n
        Patient of each row.

    Returns
    -------
    GivenFolds
        Numbered in the order of their names, numbers as numbers.

    Raises
    ------
    ConfigurationError
        If a row has no fold, a patient is in two, or there are fewer than two folds.

    Examples
    --------
    >>> given_folds(["10", "2", "test"], ["a", "b", "c"]).folds.tolist()
    [1, 0, -1]
    """
    called = [_name(value) for value in values]
    named = [str(patient) for patient in patients]
    if len(called) != len(named):
        msg = f"{len(named)} rows need as many folds, found {len(called)}"
        raise ValueError(msg)
    blank = sorted({p for p, v in zip(named, called, strict=True) if not v})
    if blank:
        msg = (
            f"{len(blank)} patients have no fold ({listed(blank)}); give each row a "
            f"fold, or {TEST_NAMES[0]!r} for the fixed test set"
        )
        raise ConfigurationError(msg)
    _refuse_torn(called, named)
    order = sorted(set(called) - {TEST_NAMES[0]}, key=_sorting)
    if len(order) < 2:
        msg = (
            f"a cross-validation has two folds or more, found {len(order)} "
            f"({listed(order)}); name at least two in the column"
        )
        raise ConfigurationError(msg)
    number = {name: place for place, name in enumerate(order)}
    folds = np.array([number.get(name, HELD_OUT) for name in called], dtype=np.int64)
    return GivenFolds(folds, tuple(order))


def _name(value: object) -> str:
    """Bring a cell to the name of its fold; 1.0, as empty cells make of 1, is 1."""
    text = str(value).strip()
    if text.casefold() in _MISSING:
        return ""
    if text.casefold().replace("_", " ").replace("-", " ") in TEST_NAMES:
        return TEST_NAMES[0]
    head, _, tail = text.partition(".")
    return head if head.isdigit() and tail and not tail.strip("0") else text


def _refuse_torn(called: Sequence[str], patients: Sequence[str]) -> None:
    """Refuse patients with rows in two folds."""
    first: dict[str, str] = {}
    rows = zip(patients, called, strict=True)
    torn = sorted({p for p, v in rows if first.setdefault(p, v) != v})
    if torn:
        msg = (
            f"{len(torn)} patients have rows in more than one fold ({listed(torn)}): "
            "what was learned from would be judged; give all rows of a patient one fold"
        )
        raise ConfigurationError(msg)


def _sorting(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.isdigit() else (1, 0, name)
