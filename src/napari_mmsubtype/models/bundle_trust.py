"""What a bundle brings to judge its own calls: calibration and guard, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.guard import Guard
from napari_mmsubtype.models.bundle_schema import CALIBRATION, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.cases import Modality


def read_trust(
    calibration: Mapping[str, Any], reference: Mapping[str, NDArray[np.generic]]
) -> tuple[Calibration, Guard]:
    """Read calibration and guard as a bundle holds them.

    Parameters
    ----------
    calibration : mapping
        Content of ``calibration.json``.
    reference : mapping of str to ndarray
        Arrays of ``reference.npz``; may be empty.

    Returns
    -------
    calibration : Calibration
        At least one temperature.
    guard : Guard
        Judges nothing where the reference holds none.

    Raises
    ------
    BundleError
        If either is not understood.
    """
    again = "write the bundle again with save_bundle"
    try:
        record = Calibration.from_dict(calibration)
    except ValueError as err:
        msg = f"{CALIBRATION} is not understood: {err}; {again}"
        raise BundleError(msg) from err
    try:
        guard = Guard.from_arrays(reference)
    except ValueError as err:
        msg = f"{REFERENCE} is not understood: {err}; {again}"
        raise BundleError(msg) from err
    return record, guard


def check_trust(
    calibration: Calibration,
    guard: Guard,
    *,
    classes: int,
    dim: int,
    features: Mapping[Modality, int],
) -> None:
    """Check that calibration and guard are of the model they come with.

    Parameters
    ----------
    calibration : Calibration
        Temperatures and prediction sets.
    guard : Guard
        Of the training patients.
    classes : int
        How many the model tells apart.
    dim : int
        Length of an embedding.
    features : mapping of Modality to int
        Features of each table.

    Raises
    ------
    BundleError
        Naming everything that does not fit.
    """
    problems = [*calibration.problems(classes), *guard.problems(dim, features)]
    if problems:
        msg = f"the parts of the bundle do not fit: {'; '.join(problems)}"
        raise BundleError(msg)


def trust_lines(calibration: Calibration, guard: Guard) -> list[str]:
    """Describe calibration and guard for a model card.

    Parameters
    ----------
    calibration : Calibration
        Temperatures and prediction sets.
    guard : Guard
        Of the training patients.

    Returns
    -------
    list of str
        Items of a Markdown list.
    """
    lines = [f"- {words.capitalize()}" for words in calibration.words()]
    judged = [f"{m} ({len(g.scale.scores)})" for m, g in guard.tables.items()]
    if guard.image is not None:
        judged.insert(0, f"image ({len(guard.image.scale.scores)})")
    if judged:
        lines.append(
            "- Guard: says when a patient is unlike the training patients in "
            f"{', '.join(judged)}; in brackets how many these were"
        )
    return lines
