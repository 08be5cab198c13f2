"""One patient under two names: rows of tables that are almost the same."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.evaluation.leakage import Alarm
from napari_mmsubtype.evaluation.metrics import Estimate
from napari_mmsubtype.evaluation.patient_folds import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

NEAR = 0.25
"""Distance, in those of usual nearest neighbours, below which rows are the same."""

_LEAST_FEATURES = 20
_LEAST_ROWS = 3
_MOST_FEATURES = 2000
_LEAST_KNOWN = 0.5
_AT_ONCE = 1024
# Matching records that chance would give in the whole cohort; below, a match is none.
_CHANCE_PAIRS = 0.05
_LEAST_COLUMNS = 3
_MOST_NAMES = 3
# Pairs of equal cells that it takes to see that another column follows from a column.
_PAIRS_TO_TELL = 10
_MISSING = ("", "nan", "none", "<na>", "nat")


def duplicate_alarm(
    patients: Sequence[str],
    tables: Mapping[str, ArrayLike],
    columns: Mapping[str, Sequence[object]] | None = None,
) -> Alarm:
    """Ask whether a patient is in the cohort under two names.

    Parameters
    ----------
    patients : sequence of str, length n
        The patients, each once.
    tables : mapping of str to array_like of float, each of shape (n, g)
        Values by modality, such as RNA or mean embeddings of slides; rows of NaN for
        patients who lack it. Tables of fewer than 20 features that vary are too small
        to tell patients apart, and are passed over.
    columns : mapping of str to sequence, each of length n, optional
        Raw clinical columns: equal records count where chance would not give any.

    Returns
    -------
    Alarm
        Of the number of pairs, raised by one; it names patients and tables.
    """
    names = [str(patient) for patient in patients]
    if len(set(names)) != len(names):
        msg = f"{len(names)} rows hold {len(set(names))} patients; give each one row"
        raise ValueError(msg)
    found: dict[tuple[int, int], list[str]] = {}
    for table, values in tables.items():
        for pair in near_pairs(values):
            found.setdefault(pair, []).append(table)
    for pair in equal_records(columns or {}):
        found.setdefault(pair, []).append("clinical")
    number = float(len(found))
    value = Estimate(number, number, number)
    if not found:
        message = f"No two of {len(names)} patients have almost the same data"
        return Alarm("duplicate_patients", False, value, 1.0, message)
    shown = [
        f"{names[a]} and {names[b]} ({', '.join(where)})"
        for (a, b), where in sorted(found.items())
    ]
    message = (
        f"Almost the same data in {len(found)} pairs of patients, as if one were there "
        f"under two names: {listed(shown)}; remove one of each, or give both the same "
        "name"
    )
    return Alarm("duplicate_patients", True, value, 1.0, message)


def near_pairs(values: ArrayLike) -> list[tuple[int, int]]:
    """Find rows that are far nearer to each other than neighbours usually are.

    Parameters
    ----------
    values : array_like of float, shape (n, g)
        One row per patient; NaN where not known.

    Returns
    -------
    list of tuple of int
        Pairs of row numbers, the lower first.
    """
    rows = np.asarray(values, dtype=np.float64)
    known = np.isfinite(rows)
    if rows.ndim != 2 or rows.shape[1] < _LEAST_FEATURES:
        return []
    kept = np.flatnonzero(known.mean(axis=1) >= _LEAST_KNOWN)
    if len(kept) < _LEAST_ROWS:
        return []
    scaled = _scaled(rows[kept], known[kept])
    if scaled.shape[1] < _LEAST_FEATURES:
        return []
    squares = (scaled**2).sum(axis=1)
    nearest = np.empty(len(kept))
    close: list[tuple[int, int, float]] = []
    for start in range(0, len(kept), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        apart = squares[part, None] + squares - 2 * scaled[part] @ scaled.T
        own = np.arange(len(apart))
        apart[own, own + start] = np.inf
        nearest[part] = np.sqrt(np.maximum(apart.min(axis=1), 0))
        usual = np.median(nearest[: start + len(apart)])
        # The usual distance is settled below; here twice the limit is wide enough.
        for a, b in np.argwhere(apart < (2 * NEAR * usual) ** 2 + 1e-9):
            if a + start < b:
                distance = float(np.sqrt(max(apart[a, b], 0)))
                close.append((int(kept[a + start]), int(kept[b]), distance))
    limit = NEAR * float(np.median(nearest)) + 1e-6 * float(np.sqrt(squares.mean()))
    return [(a, b) for a, b, distance in close if distance <= limit]


def equal_records(columns: Mapping[str, Sequence[object]]) -> list[tuple[int, int]]:
    """Find patients whose clinical records are equal where chance would not have it.

    Parameters
    ----------
    columns : mapping of str to sequence, each of length n
        Raw columns.

    Returns
    -------
    list of tuple of int
        Pairs of row numbers, the lower first. Empty where the columns are so few or so
        coarse that equal records are expected.
    """
    words = [[_word(value) for value in values] for values in columns.values()]
    words = [column for column in words if len(set(column)) > 1]
    if len(words) < _LEAST_COLUMNS:
        return []
    records = list(zip(*words, strict=True))
    count = len(records)
    chance = pairs = count * (count - 1) / 2
    equal = _pairs_of(records)
    for column in _independent(words):
        # Were columns independent. Pairs that are equal in all of them are what is
        # asked for; one more than the others is what they may hide.
        chance *= (_pairs_of(column) - equal + 1) / (pairs + 1)
    if chance > _CHANCE_PAIRS:
        return []
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, record in enumerate(records):
        if sum(map(bool, record)) > len(record) / 2:
            groups.setdefault(record, []).append(row)
    # Larger groups speak of columns that depend on each other, not of one patient.
    small = [group for group in groups.values() if len(group) <= _MOST_NAMES]
    return [pair for group in small for pair in combinations(group, 2)]


def _independent(columns: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Leave out columns that follow from a single other one, the finest kept."""
    kept: list[Sequence[str]] = []
    for column in sorted(columns, key=_pairs_of):
        follows = any(
            _pairs_of(finer) >= _PAIRS_TO_TELL
            and _pairs_of(list(zip(finer, column, strict=True))) == _pairs_of(finer)
            for finer in kept
        )
        if not follows:
            kept.append(column)
    return kept


def _pairs_of(values: Sequence[object]) -> int:
    """Count pairs of rows with equal values."""
    return sum(times * (times - 1) // 2 for times in Counter(values).values())


def _scaled(rows: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Standardize the features that vary most; what is not known is usual."""
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, rows, 0.0).sum(axis=0) / count
    centered = np.where(known, rows - mean, 0.0)
    spread = np.sqrt((centered**2).sum(axis=0) / count)
    varied = np.flatnonzero(spread > 1e-9 * (np.abs(mean) + 1))
    chosen = varied[np.argsort(-spread[varied], kind="stable")[:_MOST_FEATURES]]
    found: NDArray[np.float64] = centered[:, chosen] / spread[chosen]
    return found


def _word(value: object) -> str:
    text = str(value).strip().casefold()
    return "" if text in _MISSING else text
