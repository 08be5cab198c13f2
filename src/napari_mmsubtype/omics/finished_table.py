"""From what a reader took from a file to a table with its unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.duplicates import merge_features, merge_samples
from napari_mmsubtype.omics.feature_names import describe_features
from napari_mmsubtype.omics.library_size import tpm_from_counts
from napari_mmsubtype.omics.omics_file import RECORD
from napari_mmsubtype.omics.unit_detection import UnitFinding, detect_unit
from napari_mmsubtype.omics.units import COHORT_NOTE, UNITS, check_unit, parse_unit
from napari_mmsubtype.omics.units_by_sample import check_samples

if TYPE_CHECKING:
    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.omics.reading import Reading

_DETECTED_VALUES = 4_000_000
_LARGEST = 1e15
"""No count, and no other value of any unit, comes near; damaged bits do."""


def finish_table(
    reading: Reading,
    *,
    modality: Modality,
    unit: str | None,
    source: str,
    name: str,
) -> anndata.AnnData:
    """Check the unit, merge repeats, and put the parts together.

    Parameters
    ----------
    reading : Reading
        As a reader took it from a file.
    modality : Modality
        RNA or methylation.
    unit : str or None
        As declared by the caller; None takes the reading's own, or detects it.
    source : str
        Where the table comes from.
    name : str
        Its name, for messages.

    Returns
    -------
    AnnData
        As `table.read_omics`.

    Raises
    ------
    TableReadError
        If the values fit no unit, not the one declared, or not one for all samples, or
        one is larger than any unit has.
    ConfigurationError
        If the modality has no such unit.
    """
    declared = (
        reading.unit
        if unit is None
        else UnitFinding(parse_unit(unit, modality), "as declared")
    )
    try:
        _refuse_wild(reading)
        finding = declared or detect_unit(
            _some_rows(reading.values), modality, hint=reading.hint
        )
        check_samples(reading.values, reading.samples, finding.unit)
        values, notes = check_unit(reading.values, finding.unit)
    except TableReadError as err:
        msg = f"{name!r}: {err}"
        raise TableReadError(msg) from err
    steps = (*reading.steps, f"unit {finding.unit.name} ({finding.evidence})", *notes)
    if finding.unit.name == "z-score":
        steps += (COHORT_NOTE,)
    reading = replace(reading, values=values, steps=steps)
    if reading.lengths is not None and unit is None:
        reading, finding = _by_length(reading, reading.lengths, finding)
    reading = merge_features(reading, summed=finding.unit.name == "counts")
    reading = merge_samples(reading)
    var = describe_features(list(reading.features), reading.identifiers)
    return anndata.AnnData(
        X=np.ascontiguousarray(reading.values, dtype=np.float32),
        obs=_obs(reading),
        var=var,
        uns={
            RECORD: {
                "modality": str(modality),
                "unit": finding.unit.name,
                "source": source,
                "steps": list(reading.steps),
            }
        },
    )


def _refuse_wild(reading: Reading) -> None:
    """Refuse a value that would decide the unit and that none has."""
    # Sample by sample: a whole table of them would take as much memory again.
    for sample, row in zip(reading.samples, reading.values, strict=True):
        wild = np.flatnonzero(np.isfinite(row) & (np.abs(row) > _LARGEST))
        if wild.size:
            msg = (
                f"sample {sample!r} has {row[wild[0]]:.4g} for "
                f"{reading.features[wild[0]]!r}, which no unit has (at most "
                f"{_LARGEST:g}); the file seems damaged: copy it again from its "
                "source, or write NA there"
            )
            raise TableReadError(msg)


def _by_length(
    reading: Reading, lengths: np.ndarray[Any, Any], finding: UnitFinding
) -> tuple[Reading, UnitFinding]:
    """Make TPM of counts where the table says how long its genes are."""
    if finding.unit.name != "counts":
        return reading, finding
    values, note = tpm_from_counts(reading.values, lengths)
    if values is None:
        return replace(reading, steps=(*reading.steps, note)), finding
    steps = (*reading.steps, f"unit tpm ({note})")
    return replace(reading, values=values, steps=steps), UnitFinding(UNITS["tpm"], note)


def _some_rows(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Thin out samples, evenly, until detection is quick."""
    step = max(1, -(-values.size // _DETECTED_VALUES))
    return values[::step]


def _obs(reading: Reading) -> pd.DataFrame:
    """Describe the samples under unique row names."""
    samples = list(reading.samples)
    times = pd.Series(samples, dtype=object).groupby(samples, sort=False).cumcount()
    index = [
        name if n == 0 else f"{name} #{n + 1}"
        for name, n in zip(samples, times, strict=True)
    ]
    obs = pd.DataFrame(
        {"sample": np.array(samples, dtype=object)}, index=pd.Index(index, dtype=object)
    )
    if reading.obs is not None:
        for column in reading.obs:
            obs[column] = reading.obs[column].to_numpy()
    return obs
