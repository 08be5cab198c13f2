"""Values that a unit cannot have: clipped where few, refused where it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_mmsubtype.omics.library_size import WHOLE_TRANSCRIPTOME
from napari_mmsubtype.omics.units import (
    EXPRESSION,
    LOG2_MAXIMUM,
    M_OFFSET,
    Unit,
    looks_logged,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Float = TypeVar("_Float", bound=np.floating)

_ROUNDING = 1e-3  # of tables that write three or four digits
_M_LIMIT = float(np.log2((1 + M_OFFSET) / M_OFFSET))
# The most abundant transcripts are above 0.1 % of all: log2(1000) is 10. Logged again,
# the largest logarithm there is, 20, is below 4.4.
_LEAST_TOP = 6.0


def settle_values(
    values: NDArray[_Float], unit: Unit, clip: float
) -> tuple[NDArray[_Float], tuple[str, ...]]:
    """Bring values that a unit cannot have to the nearest that it can, and say so.

    Parameters
    ----------
    values : ndarray of float
        NaN where missing.
    unit : Unit
        Their unit.
    clip : float
        Limit of the bundle for z-scores.

    Returns
    -------
    values : ndarray of the same type
        Beta within 0 to 1, M-values within ±6.66 (what beta 0 and 1 become), counts,
        TPM and FPKM at least 0, logarithms at least that of 0, z-scores within ± clip;
        infinite ones NaN.
    notes : tuple of str
        How many were changed, and their range; empty where none.
    """
    given = values.copy()
    notes = []
    infinite = np.isinf(given)
    if infinite.any():
        given[infinite] = np.nan
        notes.append(f"{int(infinite.sum())} infinite values count as missing")
    low, high = _limits(unit, clip)
    with np.errstate(invalid="ignore"):
        outside = (given < low - _ROUNDING) | (given > high + _ROUNDING)
    if outside.any():
        wrong = given[outside]
        notes.append(
            f"{wrong.size} {unit.name} values outside {low:.4g} to {high:.4g} (from "
            f"{wrong.min():.4g} to {wrong.max():.4g}) were clipped"
        )
    np.clip(given, low, high, out=given)
    return given, tuple(notes)


def contradiction(values: NDArray[np.floating], unit: Unit) -> str:
    """Say why values cannot be in a unit at all, in particular logged once too often.

    Parameters
    ----------
    values : ndarray of float, shape (..., feature)
        One sample or several, NaN where missing.
    unit : Unit
        What they are said to be.

    Returns
    -------
    str
        Found, expected and what to do; empty where nothing speaks against the unit.
    """
    most = float(np.nanmax(values, initial=-np.inf))
    features = values.shape[-1]
    linear = unit.quantity in EXPRESSION and not unit.is_log
    if linear and looks_logged(values):
        return (
            f"values up to {most:.4g} over {features} features are logarithms already, "
            f"not {unit.name}: correct the table's unit"
        )
    if unit.is_log and most > LOG2_MAXIMUM:
        return (
            f"values up to {most:.4g} cannot be {unit.name} (at most "
            f"{LOG2_MAXIMUM:g}): correct the table's unit"
        )
    if unit.is_log and features >= WHOLE_TRANSCRIPTOME and 0 < most < _LEAST_TOP:
        return (
            f"the highest of {features} genes is {most:.4g} in {unit.name}, below "
            f"the {_LEAST_TOP:g} that a whole transcriptome reaches: the logarithm was "
            "taken twice; give the table before the second one"
        )
    return ""


def _limits(unit: Unit, clip: float) -> tuple[float, float]:
    """Give the least and the greatest value of a unit."""
    if unit.quantity == "beta":
        return 0.0, 1.0
    if unit.quantity == "m-value":
        return -_M_LIMIT, _M_LIMIT
    if unit.quantity == "z-score":
        return -clip, clip
    if unit.pseudocount is not None:
        return float(np.log2(unit.pseudocount)), np.inf
    return 0.0, np.inf
