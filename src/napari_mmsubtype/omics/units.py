"""Units of omics values: their names, and the values that they allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import ConfigurationError, TableReadError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Float = TypeVar("_Float", bound=np.floating)
Quantity = Literal[
    "counts", "cpm", "tpm", "fpkm", "expression", "z-score", "beta", "m-value"
]

EXPRESSION = frozenset({"counts", "cpm", "tpm", "fpkm"})
"""Quantities of expression that differ by sequencing depth and gene length only."""

LOG2_MAXIMUM = 30.0
"""No log2 expression exceeds this: it would mean more than 2**30 reads of one gene."""

TPM_TOTAL = 1e6
"""Sum of a sample in TPM, or in counts per million, over all its genes."""

MAX_INVALID = 0.01
"""Share of values outside 0..1 up to which a table still counts as beta values, and of
negative ones up to which it counts as expression that starts at 0."""

M_OFFSET = 0.01
"""Added to both parts of an M-value's ratio: beta 0 and 1 stay finite. About as large
as the noise of the arrays."""

_MIN_DECLARED_FEATURES = 200
_MISSING_CODES = frozenset({-1.0, -9.0, -99.0, -999.0, -9999.0})


@dataclass(frozen=True, slots=True)
class Unit:
    """What the numbers of a table mean.

    Attributes
    ----------
    name : str
        For example ``"log2(tpm+1)"``.
    quantity : str
        What was measured; ``"expression"`` where the kind of logarithm's argument
        is not known.
    pseudocount : float or None
        ``p`` of ``log2(x + p)``; None for values that are no logarithms.
    """

    name: str
    quantity: Quantity
    pseudocount: float | None = None

    @property
    def is_log(self) -> bool:
        """Whether the values are logarithms of expression."""
        return self.pseudocount is not None


UNITS = {
    unit.name: unit
    for unit in (
        Unit("counts", "counts"),
        Unit("cpm", "cpm"),
        Unit("tpm", "tpm"),
        Unit("fpkm", "fpkm"),
        Unit("log2(counts+1)", "counts", 1.0),
        Unit("log2(cpm+1)", "cpm", 1.0),
        Unit("log2(tpm+1)", "tpm", 1.0),
        Unit("log2(fpkm+1)", "fpkm", 1.0),
        Unit("log2(x+1)", "expression", 1.0),
        Unit("log2(tpm+0.001)", "tpm", 0.001),
        Unit("z-score", "z-score"),
        Unit("beta", "beta"),
        Unit("m-value", "m-value"),
    )
}
"""Every unit by name."""

COHORT_NOTE = (
    "values are z-scores within the table's own cohort: not comparable across cohorts"
)
"""What is said of every table of z-scores."""

_ALIASES = {
    "count": "counts",
    "raw counts": "counts",
    "rsem": "counts",
    "rpkm": "fpkm",
    "fpkm-uq": "fpkm",
    "log2": "log2(x+1)",
    "log": "log2(x+1)",
    "log2 counts": "log2(counts+1)",
    "log2 cpm": "log2(cpm+1)",
    "log2 tpm": "log2(tpm+1)",
    "log2 fpkm": "log2(fpkm+1)",
    "log2(count+1)": "log2(counts+1)",
    "z": "z-score",
    "zscore": "z-score",
    "zscores": "z-score",
    "z-scores": "z-score",
    "z score": "z-score",
    "b": "beta",
    "β": "beta",
    "beta-value": "beta",
    "m": "m-value",
    "mvalue": "m-value",
    "m value": "m-value",
}

_ALLOWED = {
    Modality.RNA: frozenset(UNITS) - {"beta", "m-value"},
    Modality.METHYLATION: frozenset({"beta", "m-value", "z-score"}),
}


def parse_unit(name: str, modality: Modality) -> Unit:
    """Find a unit by name.

    Parameters
    ----------
    name : str
        A key of `UNITS` or a common other spelling, in any case.
    modality : Modality
        RNA or methylation.

    Returns
    -------
    Unit
        The unit.

    Raises
    ------
    ConfigurationError
        If no unit of this modality has this name.
    """
    plain = name.strip().casefold()
    known = _ALIASES.get(plain, plain)
    allowed = _ALLOWED[modality]
    if known not in allowed:
        units = [key for key in UNITS if key in allowed]
        advice = pass_option("unit", *units)
        msg = f"unit {name!r} is not one of {modality.value}; {advice}"
        raise ConfigurationError(msg)
    return UNITS[known]


def check_unit(
    values: NDArray[_Float], unit: Unit
) -> tuple[NDArray[_Float], tuple[str, ...]]:
    """Refuse values that a unit cannot have, and clip those just outside it.

    Parameters
    ----------
    values : ndarray of float, shape (sample, feature)
        NaN where missing.
    unit : Unit
        Detected or declared.

    Returns
    -------
    values : ndarray of the same type, shape (sample, feature)
        Beta values clipped to 0..1, a few negative counts, TPM or FPKM to 0; infinite
        values made NaN.
    notes : tuple of str
        What was changed.

    Raises
    ------
    TableReadError
        If values are impossible in this unit; in particular logarithms declared as
        counts, TPM or FPKM, which would be logged twice.
    """
    kept = values.copy()
    notes = []
    infinite = np.isinf(kept)
    if infinite.any():
        kept[infinite] = np.nan
        notes.append(f"{int(infinite.sum())} infinite values count as missing")
    if unit.quantity == "beta":
        kept, clipped = _clip_beta(kept)
        notes.extend(clipped)
    elif unit.quantity in EXPRESSION and not unit.is_log:
        kept, clipped = _clip_negative(kept, unit)
        notes.extend(clipped)
        _refuse_logarithms(kept, unit)
    elif unit.is_log and np.nanmax(kept, initial=-np.inf) > LOG2_MAXIMUM:
        advice = pass_option("unit", "tpm", "fpkm", "counts")
        msg = (
            f"values up to {np.nanmax(kept):.6g} cannot be {unit.name} "
            f"(at most {LOG2_MAXIMUM:g}); {advice}"
        )
        raise TableReadError(msg)
    return kept, tuple(notes)


def to_linear(values: NDArray[np.floating], unit: Unit) -> NDArray[np.float64]:
    """Undo the logarithm of expression values.

    Parameters
    ----------
    values : ndarray of float
        Expression in `unit`, NaN where missing.
    unit : Unit
        Their unit.

    Returns
    -------
    ndarray of float64
        Unchanged where the unit is no logarithm, otherwise ``2**x - pseudocount``, at
        least 0.
    """
    linear = np.asarray(values, dtype=np.float64)
    if unit.pseudocount is None:
        return linear
    return np.maximum(np.exp2(linear) - unit.pseudocount, 0.0)


def looks_logged(values: NDArray[np.floating]) -> bool:
    """Tell whether values given in a linear unit are logarithms already.

    Parameters
    ----------
    values : ndarray of float, shape (..., feature)
        Said to be counts, TPM or FPKM, NaN where missing.

    Returns
    -------
    bool
        True where none of at least 200 features exceeds `LOG2_MAXIMUM` and not all are
        whole numbers.
    """
    found = np.asarray(values)
    finite = found[np.isfinite(found)]
    return bool(
        found.shape[-1] >= _MIN_DECLARED_FEATURES
        and finite.size
        and float(finite.max()) <= LOG2_MAXIMUM
        and not np.all(finite == np.rint(finite))
    )


def _clip_beta(
    values: NDArray[_Float],
) -> tuple[NDArray[_Float], tuple[str, ...]]:
    """Clip a few impossible betas; refuse a table with many."""
    with np.errstate(invalid="ignore"):
        invalid = (values < 0) | (values > 1)
    count = int(invalid.sum())
    if not count:
        return values, ()
    share = count / int(np.isfinite(values).sum())
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if share > MAX_INVALID:
        msg = (
            f"{count} values ({share:.1%}, from {low:.4g} to {high:.4g}) lie outside "
            "0 to 1 and cannot be beta values; "
            f"{pass_option('unit', 'm-value')}, or mend the table"
        )
        raise TableReadError(msg)
    note = f"{count} beta values outside 0 to 1 (from {low:.4g} to {high:.4g}) clipped"
    return np.clip(values, 0.0, 1.0), (note,)


def _clip_negative(
    values: NDArray[_Float], unit: Unit
) -> tuple[NDArray[_Float], tuple[str, ...]]:
    """Raise a few negative values to 0; refuse many, and codes for missing ones."""
    with np.errstate(invalid="ignore"):
        below = values < 0
    count = int(below.sum())
    if not count:
        return values, ()
    found, least = np.unique(values[below]), float(np.nanmin(values))
    if len(found) == 1 and least in _MISSING_CODES:
        msg = (
            f"{count} values are {least:g}, which {unit.name} cannot be and which may "
            "stand for a missing value; write NA instead"
        )
        raise TableReadError(msg)
    if count > MAX_INVALID * int(np.isfinite(values).sum()):
        msg = (
            f"{count} negative values (down to {least:.4g}) cannot be "
            f"{unit.name}; "
            f"{pass_option('unit', 'z-score', 'log2(tpm+0.001)')}, or mend the table"
        )
        raise TableReadError(msg)
    note = f"{count} negative {unit.name} values (down to {least:.4g}) set to 0"
    return np.maximum(values, np.zeros((), values.dtype)), (note,)


def _refuse_logarithms(values: NDArray[np.floating], unit: Unit) -> None:
    """Refuse values that are logarithms in a linear unit."""
    if looks_logged(values):
        advice = pass_option("unit", f"log2({unit.name}+1)")
        msg = (
            f"values up to {np.nanmax(values):.4g} over {values.shape[1]} features are "
            f"logarithms already, not {unit.name}; {advice}"
        )
        raise TableReadError(msg)
