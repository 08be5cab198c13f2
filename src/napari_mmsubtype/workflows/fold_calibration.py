"""Scalings and prediction sets of a fold's model, from its validation part."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import subset_key
from napari_mmsubtype.core.trust import VALIDATION
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import ConformalRule, fit_conformal
from napari_mmsubtype.evaluation.decision import DecisionRule, fit_decision
from napari_mmsubtype.evaluation.scaling import fit_scaling
from napari_mmsubtype.training.fusion_trainer import predict_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.training.bags import BagSet

LEAST_PATIENTS = 10
"""Validation patients with all of a subset below which it has no scaling of its own."""


def calibrate_model(
    model: FusionModel,
    validation: BagSet,
    matrix: Sequence[tuple[Modality, ...]],
    classes: int,
) -> tuple[Calibration, DecisionRule]:
    """Fit scalings, prediction sets and the threshold of the classes.

    Parameters
    ----------
    model : FusionModel
        Trained.
    validation : BagSet
        Patients that chose the epoch; a few of them may lack modalities.
    matrix : sequence of tuple of Modality
        Subsets of the modalities, the whole set first.
    classes : int
        Columns of the logits that tell the classes, which come first.

    Returns
    -------
    calibration : Calibration
        Of a subset only where `LEAST_PATIENTS` have all of it. Prediction sets come
        from the patients that chose epoch and scaling, as the record tells: they
        promise slightly too much.
    decision : DecisionRule
        Which class is called, by all that the model takes.
    """
    known = validation.take(np.flatnonzero(validation.labels >= 0))
    logits = predict_logits(model, known)[:, :classes]
    whole = subset_key(matrix[0])
    scalings = {whole: fit_scaling(known.labels, logits, patients=known.patients)}
    decision = fit_decision(known.labels, scalings[whole].probabilities(logits))
    rules: dict[str, ConformalRule] = {}
    for number, subset in enumerate(matrix):
        key = subset_key(subset)
        view, own = (known, logits) if number == 0 else _of_all(
            model, known, subset, classes
        )  # fmt: skip
        if len(view) < LEAST_PATIENTS:
            continue
        if number:
            scalings[key] = fit_scaling(
                view.labels, own, around=scalings[whole], patients=view.patients
            )
        rules[key] = fit_conformal(view.labels, scalings[key].probabilities(own))
    record = Calibration.of(scalings, whole)
    return replace(record, conformal=rules, conformal_source=VALIDATION), decision


def _of_all(
    model: FusionModel, cases: BagSet, subset: Sequence[Modality], classes: int
) -> tuple[BagSet, NDArray[np.float64]]:
    """Answer for the cases that have all of a subset, from it alone."""
    columns = [cases.modalities.index(m) for m in subset]
    rows = np.flatnonzero(cases.present[:, columns].all(axis=1))
    view = cases.take(rows)
    if len(view) == 0:
        return view, np.empty((0, classes))
    return view, predict_logits(model, view.restricted(subset))[:, :classes]
