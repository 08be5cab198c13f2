"""One row of numbers per patient and modality, and what it looks like in a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.patient_map import LEAST_PATIENTS, patient_map

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.training.bags import Bag
    from napari_mmsubtype.workflows.cohort import Cohort

_CLIP = 6.0


def patient_profiles(
    cohort: Cohort, bags: Sequence[Bag]
) -> dict[str, NDArray[np.floating]]:
    """Give each patient a row of each molecular table, and its mean embedding.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    bags : sequence of ndarray, each of shape (patches, d)
        Their embeddings.

    Returns
    -------
    dict of str to ndarray of float, shape (n, g)
        By modality, as the tables hold it; rows of NaN where a patient lacks it.
    """
    found: dict[str, NDArray[np.floating]] = {}
    if any(len(bag) for bag in bags):
        means = np.full((len(cohort), bags[0].shape[1]), np.nan)
        for row, bag in enumerate(bags):
            if len(bag):
                means[row] = np.asarray(bag, np.float64).mean(axis=0)
        found[str(Modality.IMAGE)] = means
    for modality, table in cohort.tables.items():
        if modality is Modality.CLINICAL:
            continue
        matrix = table.table.X
        own = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        values = np.full((len(cohort), own.shape[1]), np.nan)
        values[table.has] = own
        found[str(modality)] = values
    return found


def patient_maps(
    profiles: Mapping[str, NDArray[np.floating]], patients: Sequence[str], *, seed: int
) -> dict[str, dict[str, Any]]:
    """Lay patients out in a plane, modality by modality, without their labels.

    Parameters
    ----------
    profiles : mapping of str to ndarray of float, shape (n, g)
        As `patient_profiles`.
    patients : sequence of str, length n
        Identifiers.
    seed : int
        Of the layout.

    Returns
    -------
    dict of str to dict
        ``patients``, ``x`` and ``y`` of those who have the modality; without
        modalities that too few patients have, or in which nothing varies.
    """
    found = {}
    for name, values in profiles.items():
        rows = np.flatnonzero(np.isfinite(values).any(axis=1))
        own = _scaled(values[rows])
        if len(rows) < LEAST_PATIENTS or own.shape[1] == 0:
            continue
        place = patient_map(own, seed=seed)
        found[name] = {
            "patients": [str(patients[int(row)]) for row in rows],
            "x": place[:, 0].tolist(),
            "y": place[:, 1].tolist(),
        }
    return found


def _scaled(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale columns by their median and spread, so that no outlier is all of a map."""
    plain = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    plain = plain[:, np.isfinite(plain).any(axis=0)]
    if plain.size == 0:
        return plain
    center = np.nanmedian(plain, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(plain - center), axis=0)
    scaled = (plain - center)[:, spread > 0] / spread[spread > 0]
    return np.clip(scaled, -_CLIP, _CLIP)
