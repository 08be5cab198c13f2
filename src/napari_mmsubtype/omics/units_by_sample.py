"""Whether all samples of a table are in the same unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.units import EXPRESSION, LOG2_MAXIMUM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.omics.units import Unit

_MIN_FEATURES = 20
_LINEAR_MAXIMUM = 10 * LOG2_MAXIMUM
_REFERENCE_SAMPLES = 20
_MIN_CORRELATION = 0.7
_MAX_DISTANCE = 2.0
_MAX_ZSCORE_MEDIAN = 2.0
_MAX_OUTSIDE = 0.1
_SHOWN = 3


def check_samples(
    values: NDArray[np.floating], samples: Sequence[str], unit: Unit
) -> None:
    """Refuse a table whose samples are in different units.

    Parameters
    ----------
    values : ndarray of float, shape (sample, feature)
        NaN where missing.
    samples : sequence of str
        Their names.
    unit : Unit
        Unit of the table as a whole.

    Raises
    ------
    TableReadError
        If logarithms stand beside linear values, counts beside TPM or FPKM, z-scores
        beside expression, or beta beside M-values.
    """
    if values.shape[0] < 2 or values.shape[1] < _MIN_FEATURES:
        return
    filled = np.isfinite(values).any(axis=1)
    odd, other = np.zeros(len(samples), dtype=bool), ""
    if unit.quantity in EXPRESSION and not unit.is_log:
        odd, other = _logarithms(values, filled), "logarithms"
        if not odd.any():
            odd, other = _counts(values, filled), "whole counts"
    elif unit.quantity == "z-score":
        odd, other = _expression(values, filled), "expression, never negative"
    elif unit.quantity == "m-value":
        odd, other = _betas(values, filled), "beta values, all within 0 to 1"
    elif unit.quantity == "beta":
        odd, other = _outside(values, filled), "no beta values, often outside 0 to 1"
    if not odd.any():
        return
    listed = ", ".join(repr(samples[i]) for i in np.flatnonzero(odd)[:_SHOWN])
    more = " …" if odd.sum() > _SHOWN else ""
    msg = (
        f"samples are in different units: {int(odd.sum())} of {len(samples)} "
        f"({listed}{more}) look like {other}, the rest like {unit.name}; bring all to "
        "one unit, or keep them in tables of their own"
    )
    raise TableReadError(msg)


def _logarithms(
    values: NDArray[np.floating], filled: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find samples that resemble the logarithm of the linear ones."""
    odd = np.zeros(len(values), dtype=bool)
    highest = np.where(filled, np.nanmax(values, axis=1, initial=-np.inf), np.nan)
    small = np.flatnonzero(highest <= LOG2_MAXIMUM)
    large = np.flatnonzero(highest > _LINEAR_MAXIMUM)[:_REFERENCE_SAMPLES]
    if not (small.size and large.size):
        return odd
    linear = np.nan_to_num(np.maximum(values[large], 0.0))
    expected = np.log2(linear + 1.0).mean(axis=0)
    for row in small:
        found = np.isfinite(values[row])
        ours, theirs = values[row][found], expected[found]
        if ours.size < _MIN_FEATURES or not (np.ptp(ours) and np.ptp(theirs)):
            continue
        alike = np.corrcoef(ours, theirs)[0, 1] > _MIN_CORRELATION
        near = np.median(np.abs(ours - theirs)) < _MAX_DISTANCE
        odd[row] = bool(alike and near)
    return odd


def _counts(
    values: NDArray[np.floating], filled: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find samples of whole numbers among samples of others."""
    whole = np.zeros(len(values), dtype=bool)
    for row in np.flatnonzero(filled):
        found = values[row][np.isfinite(values[row])]
        if np.all(found == np.rint(found)):
            whole[row] = np.unique(found).size >= _MIN_FEATURES
    return whole if not whole[filled].all() else np.zeros_like(whole)


def _expression(
    values: NDArray[np.floating], filled: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find samples without a negative value among z-scores."""
    odd = np.zeros(len(values), dtype=bool)
    for row in np.flatnonzero(filled):
        found = values[row][np.isfinite(values[row])]
        odd[row] = bool(
            found.size >= _MIN_FEATURES
            and found.min() >= 0
            and np.median(found) > _MAX_ZSCORE_MEDIAN
        )
    return odd if not odd[filled].all() else np.zeros_like(odd)


def _betas(
    values: NDArray[np.floating], filled: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find samples all within 0 to 1 among M-values."""
    with np.errstate(invalid="ignore"):
        outside = (values < 0) | (values > 1)
    return np.asarray(filled & ~outside.any(axis=1))


def _outside(
    values: NDArray[np.floating], filled: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find samples often outside 0 to 1 among betas."""
    with np.errstate(invalid="ignore"):
        outside = (values < 0) | (values > 1)
    return np.asarray(filled & (outside.mean(axis=1) > _MAX_OUTSIDE))
