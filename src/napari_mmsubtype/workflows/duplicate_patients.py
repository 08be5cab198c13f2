"""One patient under two identifiers, by what the data show."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.workflows.cohort import Cohort

SAME = 0.999
"""Correlation of standardized profiles above which two are one measurement."""

LEAST_FEATURES = 20
_BLOCK = 512


def find_duplicates(
    cohort: Cohort, bags: Sequence[NDArray[np.floating]]
) -> list[tuple[str, str, str]]:
    """Find patients whose tables or slides are the same.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    bags : sequence of ndarray, each of shape (patches, d)
        Their embeddings.

    Returns
    -------
    list of tuple of str
        Two identifiers and the modality that gave them away, each pair once.
    """
    found: dict[tuple[int, int], str] = {}
    for modality, table in cohort.tables.items():
        if modality is Modality.CLINICAL:
            continue
        rows = np.flatnonzero(table.has)
        matrix = table.table.X
        values = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        for a, b in same_rows(values):
            found.setdefault((int(rows[a]), int(rows[b])), str(modality))
    for a, b in _same_bags(bags):
        found.setdefault((a, b), str(Modality.IMAGE))
    names = cohort.patients
    return [(names[a], names[b], what) for (a, b), what in sorted(found.items())]


def same_rows(values: NDArray[np.floating]) -> list[tuple[int, int]]:
    """Find rows that are one measurement.

    Parameters
    ----------
    values : ndarray of float, shape (n, g)
        NaN where missing.

    Returns
    -------
    list of tuple of int
        Pairs of rows, the smaller first.
    """
    if len(values) < 3 or values.shape[1] < LEAST_FEATURES:
        return []
    plain = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    center = np.nanmedian(plain, axis=0)
    spread = np.nanmedian(np.abs(plain - center), axis=0) * 1.4826
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.clip((plain - center) / spread, -6, 6)
    scaled = np.nan_to_num(scaled[:, np.isfinite(spread) & (spread > 0)])
    if scaled.shape[1] < LEAST_FEATURES:
        return []
    scaled -= scaled.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit = scaled / np.maximum(norm, 1e-12)
    pairs = []
    for start in range(0, len(unit), _BLOCK):
        near = unit[start : start + _BLOCK] @ unit.T > SAME
        for a, b in zip(*np.nonzero(near), strict=True):
            if start + a < b:
                pairs.append((int(start + a), int(b)))
    return pairs


def _same_bags(bags: Sequence[NDArray[np.floating]]) -> list[tuple[int, int]]:
    """Find patients with the very same embeddings."""
    seen: dict[str, list[int]] = {}
    for row, bag in enumerate(bags):
        if len(bag):
            mark = hashlib.sha256(np.ascontiguousarray(bag).tobytes()).hexdigest()
            seen.setdefault(mark, []).append(row)
    return [
        (a, b)
        for rows in seen.values()
        for i, a in enumerate(rows)
        for b in rows[i + 1 :]
    ]
