"""Training values brought to a model's unit, where no other patient is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.library_size import WHOLE_TRANSCRIPTOME
from napari_mmsubtype.omics.unit_conversion import to_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.omics.units import Unit


def convert_training(
    values: NDArray[np.floating],
    source: Unit,
    target: Unit,
    *,
    totals: NDArray[np.float64] | None,
    kind: Modality,
) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    """Bring training values into a model's unit, where that is exact.

    Parameters
    ----------
    values : ndarray of float, shape (patient, feature)
        NaN where missing.
    source, target : Unit
        Of the values, and of the model.
    totals : ndarray of float, shape (patient,), or None
        Sums of whole transcriptomes; None where a patient lacks one.
    kind : Modality
        RNA or methylation.

    Returns
    -------
    converted : ndarray of float, shape (patient, feature)
        The values themselves where there is nothing to do.
    notes : tuple of str
        What was done.

    Raises
    ------
    ConfigurationError
        If the conversion would need other patients.
    """
    if source == target:
        return values, ()
    if "z-score" in {source.quantity, target.quantity}:
        msg = f"{source.name} cannot be made {target.name}; give another table"
        raise ConfigurationError(msg)
    pair = (source.quantity, target.quantity)
    summed = totals is not None and pair in {("fpkm", "tpm"), ("counts", "cpm")}
    methylation = kind is Modality.METHYLATION
    # A logarithm of unknown kind is taken for the model's, as for patients later.
    unknown = {source.quantity, target.quantity} <= {"expression", "tpm"}
    alike = unknown and source.pseudocount == target.pseudocount
    if source.quantity != target.quantity and not (summed or methylation or alike):
        raise ConfigurationError(_no_way(source, target, whole=totals is not None))
    nothing = np.full(values.shape[1], np.nan)
    notes: tuple[str, ...] = ()
    converted = np.empty_like(values)
    for row, patient in enumerate(values):
        total = None if totals is None else float(totals[row])
        converted[row], notes = to_unit(
            patient, source, target, reference=nothing, total=total
        )
    return converted, notes


def _no_way(source: Unit, target: Unit, *, whole: bool) -> str:
    """Say why training values cannot be brought to a unit, and what can be done."""
    found = f"{source.name} cannot be made {target.name}"
    if source.quantity == "counts" and target.quantity == "tpm":
        way = (
            "pass model_unit='log2(cpm+1)'"
            if whole
            else f"give all genes ({WHOLE_TRANSCRIPTOME:,} or more), rank_normal=True"
        )
        return f"{found} without gene lengths; {way}, or training patients in TPM"
    if source.quantity == "counts" and target.quantity == "cpm":
        return (
            f"{found}: not every training patient has a whole transcriptome (values "
            f"for {WHOLE_TRANSCRIPTOME:,} genes) whose sum tells the depth; give all "
            "genes, or pass rank_normal=True and leave out the model unit"
        )
    return (
        f"{found} without a reference; leave out the model unit, or give training "
        f"patients in {target.quantity}"
    )
