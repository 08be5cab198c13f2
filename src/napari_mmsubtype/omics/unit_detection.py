"""Recognise the unit of an omics table from its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.library_size import WHOLE_TRANSCRIPTOME
from napari_mmsubtype.omics.units import (
    LOG2_MAXIMUM,
    MAX_INVALID,
    TPM_TOTAL,
    UNITS,
    Unit,
    to_linear,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Tables are rounded, and leave out a few genes such as those on Y.
_NEAR_MILLION = 0.02
_SUMMED_SAMPLES = 50
_MOST_COPIES = 2


@dataclass(frozen=True, slots=True)
class UnitFinding:
    """A unit and what speaks for it.

    Attributes
    ----------
    unit : Unit
        The unit.
    evidence : str
        What in the values, or who, said so.
    """

    unit: Unit
    evidence: str


def detect_unit(
    values: NDArray[np.floating], modality: Modality, *, hint: str = ""
) -> UnitFinding:
    """Recognise the unit of a table from its values.

    Parameters
    ----------
    values : ndarray of float, shape (sample, feature)
        NaN where missing.
    modality : Modality
        RNA or methylation.
    hint : str, default: ""
        File name; decides only between units that the values allow.

    Returns
    -------
    UnitFinding
        The unit and the evidence for it.

    Raises
    ------
    TableReadError
        If the values fit no unit of this modality, or several equally well.
    """
    found = np.asarray(values)[np.isfinite(values)]
    if found.size == 0:
        msg = f"every value of the {modality.value} table is missing; export it again"
        raise TableReadError(msg)
    if not found.any():
        msg = f"every value of the {modality.value} table is 0; export it again"
        raise TableReadError(msg)
    if modality is Modality.METHYLATION:
        return _detect_methylation(found)
    return _detect_expression(np.asarray(values), found, hint.casefold())


def _detect_methylation(found: NDArray[np.floating]) -> UnitFinding:
    """Tell beta from M-values and z-scores."""
    low, high = float(found.min()), float(found.max())
    span = f"values from {low:.4g} to {high:.4g}"
    outside = float(np.mean((found < 0) | (found > 1)))
    if outside <= MAX_INVALID:
        return UnitFinding(UNITS["beta"], f"{span}, {1 - outside:.1%} within 0 to 1")
    if low >= 0 and high <= 100:
        msg = f"{span}: these may be percentages of methylation; divide them by 100"
        raise TableReadError(msg)
    negative = float(np.mean(found < 0))
    if negative > 0.05 and max(-low, high) <= 25:
        # M-values are spread over both modes (about -4 and +3); z-scores are not.
        middle, spread = _robust(found)
        if spread > 1.5 or abs(middle) > 1:
            return UnitFinding(UNITS["m-value"], f"{span}, {negative:.0%} negative")
        return UnitFinding(
            UNITS["z-score"], f"{span}, median {middle:.2g}, spread {spread:.2g}"
        )
    msg = (
        f"{span} are neither beta (0 to 1) nor M-values (about -10 to 10); "
        f"check the table or {pass_option('unit')}"
    )
    raise TableReadError(msg)


def _detect_expression(
    values: NDArray[np.floating], found: NDArray[np.floating], hint: str
) -> UnitFinding:
    """Tell z-scores, logarithms, counts, TPM and FPKM apart."""
    low, high = float(found.min()), float(found.max())
    span = f"values from {low:.4g} to {high:.4g}"
    whole = bool(np.all(found == np.rint(found)))
    negative = int((found < 0).sum())
    few = negative <= MAX_INVALID * found.size and high > LOG2_MAXIMUM
    if negative and few:
        span = f"{span}, {negative} negative"
    elif negative:
        return _detect_negative(found, span, whole=whole)
    if whole and high > 1:
        return UnitFinding(UNITS["counts"], f"{span}, all whole numbers")
    if high <= 1:
        msg = (
            f"{span} look like methylation (beta), not expression; give the table as "
            f"methylation, or {pass_option('unit')}"
        )
        raise TableReadError(msg)
    if high <= LOG2_MAXIMUM:
        return _detect_logarithm(values, span, hint)
    return _detect_linear(values, span, hint)


def _detect_logarithm(
    values: NDArray[np.floating], span: str, hint: str
) -> UnitFinding:
    """Tell logarithms of TPM, FPKM and counts apart."""
    whole_genome = values.shape[1] >= WHOLE_TRANSCRIPTOME
    total = 0.0
    if whole_genome:
        some = values[:_SUMMED_SAMPLES]
        linear = [np.nansum(to_linear(row, UNITS["log2(x+1)"])) for row in some]
        total = float(np.median(linear))
        span = f"{span}, 2**x - 1 sums to {total:.4g} over {values.shape[1]} features"
    if whole_genome and abs(total / TPM_TOTAL - 1) < _NEAR_MILLION:
        name = "cpm" if "cpm" in hint else "tpm"
        return UnitFinding(UNITS[f"log2({name}+1)"], span)
    for name in ("tpm", "fpkm", "cpm", "counts"):
        if name in hint:
            unit = UNITS[f"log2({name}+1)"]
            return UnitFinding(unit, f"{span}, file name says {name}")
    if total > (1 + _NEAR_MILLION) * TPM_TOTAL:
        return UnitFinding(
            UNITS["log2(counts+1)"], f"{span}: more than TPM or FPKM can be"
        )
    return UnitFinding(
        UNITS["log2(x+1)"], f"{span}: too small for anything but logarithms"
    )


def _detect_negative(
    found: NDArray[np.floating], span: str, *, whole: bool
) -> UnitFinding:
    """Tell z-scores from logarithms with a small pseudocount."""
    if whole and found.min() >= -_MOST_COPIES and found.max() <= _MOST_COPIES:
        msg = (
            f"{span}, all whole numbers: these may be copy-number calls (-2 to 2), not "
            f"expression; give RNA expression, or {pass_option('unit')}"
        )
        raise TableReadError(msg)
    if whole:
        count = int((found < 0).sum())
        msg = f"{span}: {count} negative counts; counts start at 0, check the table"
        raise TableReadError(msg)
    low, high = float(found.min()), float(found.max())
    floor = np.log2(0.001)
    if abs(low - floor) < 0.01 and high <= LOG2_MAXIMUM:
        return UnitFinding(
            UNITS["log2(tpm+0.001)"], f"{span}, the minimum is log2(0.001)"
        )
    middle, spread = _robust(found)
    if abs(middle) <= 1 and 0.2 <= spread <= 2.5:
        negative = float(np.mean(found < 0))
        return UnitFinding(
            UNITS["z-score"],
            f"{span}, {negative:.0%} negative, median {middle:.2g}, "
            f"spread {spread:.2g}",
        )
    msg = (
        f"{span} (median {middle:.3g}, spread {spread:.3g}) are neither z-scores nor "
        "expression that starts at 0; for example, "
        f"{pass_option('unit', 'z-score', 'log2(tpm+1)')}"
    )
    raise TableReadError(msg)


def _detect_linear(values: NDArray[np.floating], span: str, hint: str) -> UnitFinding:
    """Tell TPM, FPKM and counts that are no whole numbers apart."""
    total = float(np.median(np.nansum(values, axis=1)))
    whole_genome = values.shape[1] >= WHOLE_TRANSCRIPTOME
    sums = f"{span}, samples sum to {total:.4g} over {values.shape[1]} features"
    if whole_genome and abs(total / TPM_TOTAL - 1) < _NEAR_MILLION:
        return UnitFinding(UNITS["cpm" if "cpm" in hint else "tpm"], sums)
    for name, words in (
        ("cpm", ("cpm",)),
        ("fpkm", ("fpkm", "rpkm")),
        ("counts", ("counts", "rsem", "norm_count")),
        ("tpm", ("tpm",)),
    ):
        if any(word in hint for word in words):
            return UnitFinding(UNITS[name], f"{sums}, file name says {name}")
    if total > (1 + _NEAR_MILLION) * TPM_TOTAL:
        return UnitFinding(UNITS["counts"], f"{sums}: more than TPM or FPKM can be")
    if whole_genome:
        return UnitFinding(UNITS["fpkm"], f"{sums}: not the million of TPM")
    return UnitFinding(
        UNITS["tpm"],
        f"{sums}; TPM was assumed (part of the genes cannot tell it from FPKM)",
    )


def _robust(values: NDArray[np.floating]) -> tuple[float, float]:
    """Median, and the spread that outliers do not move."""
    middle = float(np.median(values))
    return middle, float(1.4826 * np.median(np.abs(values - middle)))
