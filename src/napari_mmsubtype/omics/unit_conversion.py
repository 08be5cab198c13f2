"""From one unit of omics values to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.omics.library_size import find_factor
from napari_mmsubtype.omics.units import M_OFFSET, Unit, to_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OWN_DEPTH = frozenset({"counts", "cpm", "fpkm"})


def to_unit(
    values: NDArray[np.floating],
    source: Unit,
    target: Unit,
    *,
    reference: NDArray[np.floating],
    total: float | None = None,
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Bring one sample's values into a model's unit.

    A logarithm is taken only of a unit that is none: values that are logarithms already
    are first raised again, so nothing is logged twice. Quantities that differ by
    sequencing depth or gene length (counts, FPKM, TPM) are brought to one scale by
    `library_size.find_factor`.

    Parameters
    ----------
    values : ndarray of float, shape (feature,)
        One sample, NaN where missing.
    source, target : Unit
        Unit of the table and of the model; neither is a z-score.
    reference : ndarray of float, shape (feature,)
        Training means in the model's unit.
    total : float or None, default: None
        As `library_size.library_total`; makes FPKM to TPM, and counts to CPM, exact.

    Returns
    -------
    values : ndarray of float64, shape (feature,)
        In the model's unit.
    notes : tuple of str
        Steps taken and assumptions made.

    Raises
    ------
    UnmatchedFeaturesError
        If nothing tells the factor between two quantities.
    """
    found = np.asarray(values, dtype=np.float64)
    if source == target:
        return found, ()
    step = f"converted from {source.name} to {target.name}"
    if source.quantity == "beta":
        return beta_to_m(found), (step,)
    if source.quantity == "m-value":
        return m_to_beta(found), (step,)
    unknown = "expression" in {source.quantity, target.quantity}
    # A model of unknown kind was trained at some depth, which TPM alone do not need.
    scaled = not unknown or source.quantity in _OWN_DEPTH
    alike = source.is_log and source.pseudocount == target.pseudocount
    if alike and not scaled:
        return found, (f"{source.name} was taken to be the model's {target.name}",)
    linear = to_linear(found, source)
    notes = [step]
    if source.quantity != target.quantity and scaled:
        expected = to_linear(np.asarray(reference, dtype=np.float64), target)
        factor, note = find_factor(linear, expected, source, target, total)
        linear = linear * factor
        notes.append(note)
    if target.pseudocount is None:
        return linear, tuple(notes)
    return np.log2(np.maximum(linear, 0.0) + target.pseudocount), tuple(notes)


def beta_to_m(beta: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn beta values into M-values.

    Parameters
    ----------
    beta : ndarray of float
        Share of methylation, 0 to 1, NaN where missing.

    Returns
    -------
    ndarray of float64
        ``log2((beta + e) / (1 - beta + e))`` with ``e`` = `M_OFFSET`, from -6.66 to
        6.66.
    """
    share = np.asarray(beta, dtype=np.float64)
    return np.log2((share + M_OFFSET) / (1.0 - share + M_OFFSET))


def m_to_beta(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn M-values into beta values: the inverse of `beta_to_m`.

    Parameters
    ----------
    values : ndarray of float
        M-values, NaN where missing.

    Returns
    -------
    ndarray of float64
        0 to 1; M-values beyond ±6.66, made with a smaller offset, become 0 and 1.
    """
    odds = np.exp2(np.asarray(values, dtype=np.float64))
    return np.clip((odds * (1.0 + M_OFFSET) - M_OFFSET) / (1.0 + odds), 0.0, 1.0)
