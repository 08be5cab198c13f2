"""How much was sequenced: what a sample sums to, and the factor between quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import UnmatchedFeaturesError
from napari_mmsubtype.omics.units import TPM_TOTAL, Unit, to_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHOLE_TRANSCRIPTOME = 10_000
"""A sample with values for at least this many features is taken for all its genes.
Tables cut down to expressed genes keep 12,000 or more, with over 99 % of the reads; a
chromosome, a panel or a list of chosen genes has below 5,000, and its sum tells how
active these genes are, not how deep the sample was sequenced."""

_MIN_SCALING_GENES = 20
_SUMMED = frozenset({"counts", "fpkm"})
_PER_MILLION = {("fpkm", "tpm"), ("counts", "cpm"), ("counts", "tpm")}
_MAX_WITHOUT_LENGTH = 0.01
_NOT_TPM = (
    "CPM is not TPM: gene lengths are not corrected, long genes come out too high and "
    "short ones too low; prefer a table in TPM"
)


def library_total(values: NDArray[np.floating], unit: Unit) -> float | None:
    """Sum a sample over all its genes.

    Parameters
    ----------
    values : ndarray of float, shape (feature,)
        Everything that the table has of one sample, NaN where missing.
    unit : Unit
        Their unit.

    Returns
    -------
    float or None
        In linear units; None for quantities that a sum does not scale, and where fewer
        than `WHOLE_TRANSCRIPTOME` features have a value.
    """
    if unit.quantity not in _SUMMED:
        return None
    present = values[np.isfinite(values)]
    if present.size < WHOLE_TRANSCRIPTOME:
        return None
    return float(to_linear(present, unit).sum()) or None


def find_factor(
    linear: NDArray[np.float64],
    expected: NDArray[np.float64],
    source: Unit,
    target: Unit,
    total: float | None,
) -> tuple[float, str]:
    """Find the factor from one quantity of expression to another.

    With a sum over all genes it is that of a million per sample. Without, it is the
    factor of DESeq [1]_, the median ratio to the training means over expressed genes:
    whatever most of the model's genes have in common is then lost.

    Parameters
    ----------
    linear : ndarray of float64, shape (feature,)
        The model's features of one sample, no logarithms, NaN where missing.
    expected : ndarray of float64, shape (feature,)
        Training means in linear units.
    source, target : Unit
        Of the sample and of the model; of different quantities.
    total : float or None
        As `library_total`.

    Returns
    -------
    factor : float
        Times this, the sample is in the model's quantity.
    note : str
        How it was found, and what it leaves uncorrected.

    Raises
    ------
    UnmatchedFeaturesError
        If there is no sum, and too few expressed genes are shared.

    References
    ----------
    .. [1] Anders and Huber, "Differential expression analysis for sequence count
       data", Genome Biology 11:R106, 2010.
    """
    pair = (source.quantity, target.quantity)
    if pair == ("cpm", "tpm"):
        return 1.0, _NOT_TPM
    if total and pair in _PER_MILLION:
        if source.quantity == "fpkm":
            return TPM_TOTAL / total, "FPKM scaled to a million per sample: exactly TPM"
        note = f"counts per million (CPM) of the sample's {total:,.0f} over all genes"
        note += f"; {_NOT_TPM}" if target.quantity == "tpm" else ""
        return TPM_TOTAL / total, note
    usable = np.isfinite(linear) & (linear > 0) & (expected >= 1.0)
    genes = int(usable.sum())
    wanted = "expression" if target.quantity == "expression" else target.quantity
    if genes < _MIN_SCALING_GENES:
        msg = (
            f"{source.quantity} cannot be brought to the model's {wanted}: the table "
            f"has no whole transcriptome (values for {WHOLE_TRANSCRIPTOME:,} genes) "
            f"whose sum tells the depth, and only {genes} expressed genes are shared "
            f"({_MIN_SCALING_GENES} needed); give a table in TPM, or of all genes"
        )
        raise UnmatchedFeaturesError(msg)
    ratio = float(np.exp2(np.median(np.log2(expected[usable] / linear[usable]))))
    note = (
        f"{source.quantity} were scaled by {ratio:.3g} to the model's "
        f"{wanted} (median ratio to the training means over {genes} genes, for want of "
        "a sum over all genes)"
    )
    if {source.quantity, target.quantity} & {"counts", "cpm"}:
        note += "; gene lengths are not corrected: prefer a table in TPM"
    return ratio, note


def tpm_from_counts(
    counts: NDArray[np.floating], lengths: NDArray[np.floating]
) -> tuple[NDArray[np.float32] | None, str]:
    """Divide counts by gene lengths, to transcripts per million.

    Parameters
    ----------
    counts : ndarray of float, shape (sample, feature)
        Of all genes, NaN where missing.
    lengths : ndarray of float, shape (feature,)
        In bases.

    Returns
    -------
    tpm : ndarray of float32, shape (sample, feature), or None
        ``1e6 (c / l) / sum(c / l)``; NaN where a length is missing. None where the
        table is no whole transcriptome or lacks too many lengths.
    note : str
        What was done, or why nothing was.
    """
    known = np.isfinite(lengths) & (lengths > 0)
    fewest = int((np.isfinite(counts) & known).sum(axis=1).min(initial=counts.shape[1]))
    lacking = int((~known).sum())
    if fewest < WHOLE_TRANSCRIPTOME or lacking > _MAX_WITHOUT_LENGTH * known.size:
        return None, (
            f"gene lengths are there, but not of a whole transcriptome ({fewest:,} "
            f"genes with count and length, {WHOLE_TRANSCRIPTOME:,} needed): counts "
            "stay counts"
        )
    rate = np.asarray(counts, dtype=np.float64) / np.where(known, lengths, np.nan)
    total = np.nansum(rate, axis=1, keepdims=True)
    tpm = rate * (TPM_TOTAL / np.where(total > 0, total, np.nan))
    note = "made TPM by the table's own gene lengths"
    return tpm.astype(np.float32), note + (
        f"; {lacking} genes without a length count as missing" if lacking else ""
    )
