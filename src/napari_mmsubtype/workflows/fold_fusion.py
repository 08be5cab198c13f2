"""Train a fusion model on one fold, calibrate it, and let it answer the test part."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality, subsets
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.training.head_targets import calibrate_heads, center_risks
from napari_mmsubtype.training.preset_build import build_fusion
from napari_mmsubtype.workflows.fold_answers import answer_frame
from napari_mmsubtype.workflows.fold_calibration import calibrate_model
from napari_mmsubtype.workflows.fold_data import place_of
from napari_mmsubtype.workflows.fold_survival import survival_scales
from napari_mmsubtype.workflows.training_device import lent_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.workflows.fold_data import FoldData
    from napari_mmsubtype.workflows.model_list import FusionVariant

LEAST_PER_CLASS = 2
"""Training patients of each class below which a model is not trained."""


class SkippedFoldError(Exception):
    """A model cannot be trained on a fold; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedFold:
    """A model of one fold and what it said.

    Attributes
    ----------
    predictions : DataFrame
        Rows of ``predictions.parquet``.
    facts : dict
        Plain JSON types: epochs, losses, temperature, seconds, patients.
    model : FusionModel
        Trained.
    heads : Heads
        With temperatures and centers.
    calibration : Calibration
        Of the classes.
    """

    predictions: pd.DataFrame
    facts: dict[str, Any]
    model: FusionModel
    heads: Heads
    calibration: Calibration


def fit_fold_job(
    data: FoldData,
    variant: FusionVariant,
    checkpoint: Path | None = None,
    log: Path | None = None,
    device: str = "cpu",
) -> Job[FittedFold]:
    """Train and apply one model on one fold.

    Parameters
    ----------
    data : FoldData
        The fold.
    variant : FusionVariant
        The model.
    checkpoint : Path or None, default: None
        File in which the training is kept, and from which it goes on.
    log : Path or None, default: None
        Folder that receives its curves for TensorBoard.
    device : str, default: "cpu"
        Where the model is trained and answers, as `choose_processor` takes it; the
        weights that it begins with are the same everywhere.

    Yields
    ------
    Progress
        Stage ``fusion training``.

    Returns
    -------
    FittedFold
        Its predictions are of test patients alone.

    Raises
    ------
    SkippedFoldError
        If a part lacks patients with the modalities, or a class.
    OutOfMemoryError
        If a step does not fit into the memory of the device.
    """
    started = time.monotonic()
    preset, config = data.preset, data.preset.fusion_training
    allowed = variant.modalities
    cases = shuffled_cases(data.cases, config.seed) if variant.shuffled else data.cases
    train, validation, test = (
        _part(cases, rows, allowed) for rows in (data.train, data.validation, data.test)
    )
    _check_parts(train, validation, len(preset.classes))
    if len(test) == 0 and len(data.test):
        msg = "no patient of the held-out fold has the modality"
        raise SkippedFoldError(msg)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = build_fusion(
            preset, dim=train.dim, modalities=data.specs, baseline=variant.fusion
        )
    with lent_to(device, model, "fusion_training") as place:
        fit = yield from fit_fusion(
            model, train, validation, config,
            None if len(data.heads.heads) == 1 else data.heads,
            checkpoint=checkpoint, log_folder=log,
        )  # fmt: skip
        yield Progress("fusion training", message="calibrating and answering")
        calibrated = _calibrated_heads(model, data.heads, train, validation)
        matrix = subsets(allowed) if variant.kind == "fusion" else [allowed]
        calibration, decision = calibrate_model(
            model, validation, matrix, len(preset.classes)
        )
        scales = survival_scales(calibrated, predict_logits(model, train), train, cases)
        frames = [
            answer_frame(
                view,
                predict_logits(model, view),
                calibrated,
                calibration,
                decision,
                subset=subset,
                scales=scales,
                main=subset == allowed,
            )
            for subset in matrix
            if len(view := _part(cases, data.test, subset))
        ]
    predictions = _labelled(frames, data, variant)
    facts = {
        **place_of(data.split),
        "patients": len(test),
        "training_patients": len(train),
        "validation_patients": len(validation),
        "device": str(place),
        "seconds": time.monotonic() - started,
        "best_epoch": fit.best_epoch,
        "epochs": len(fit.training_losses),
        "training_losses": list(fit.training_losses),
        "validation_losses": list(fit.validation_losses),
        "temperature": calibration.temperature,
        "threshold": decision.threshold,
        "notes": [step for spec in data.specs.values() for step in spec.steps],
    }
    return FittedFold(predictions, facts, model, calibrated, calibration)


def _part(
    cases: BagSet, rows: NDArray[np.int64], allowed: Sequence[Modality]
) -> BagSet:
    """Take the cases that have any of some modalities, and hide the others."""
    keep = np.array([m in allowed for m in cases.modalities])
    has = (cases.present[rows] & keep).any(axis=1)
    return cases.take(rows[has]).restricted(allowed)


def _check_parts(train: BagSet, validation: BagSet, classes: int) -> None:
    """Refuse to train on what cannot be learned from."""
    counts = np.bincount(train.labels[train.labels >= 0], minlength=classes)
    if counts.min() < LEAST_PER_CLASS:
        msg = (
            f"{counts.tolist()} training patients of the classes have the modality; "
            f"at least {LEAST_PER_CLASS} of each are needed"
        )
        raise SkippedFoldError(msg)
    if not (validation.labels >= 0).any():
        msg = "no patient of the inner validation part has the modality"
        raise SkippedFoldError(msg)


def shuffled_cases(cases: BagSet, seed: int) -> BagSet:
    """Give patients the answers of others, the same in all folds of a repeat.

    Parameters
    ----------
    cases : BagSet
        All patients of a cohort.
    seed : int
        Of the repeat.

    Returns
    -------
    BagSet
        With classes and targets in another order.
    """
    order = np.random.default_rng([seed, len(cases)]).permutation(len(cases))
    targets = {name: values[order] for name, values in cases.targets.items()}
    return replace(cases, labels=cases.labels[order], targets=targets)


def _calibrated_heads(
    model: FusionModel, heads: Heads, train: BagSet, validation: BagSet
) -> Heads:
    """Fit what the heads besides the classes need."""
    if not heads.others:
        return heads
    centered = center_risks(heads, predict_logits(model, train))
    return calibrate_heads(centered, predict_logits(model, validation), validation)


def _labelled(
    frames: Sequence[pd.DataFrame], data: FoldData, variant: FusionVariant
) -> pd.DataFrame:
    """Say which model and fold rows are of, and the site of each patient."""
    import pandas as pd

    site = dict(zip(data.cases.patients, data.sites.tolist(), strict=True))
    if not frames:
        return pd.DataFrame()
    whole = pd.concat(frames, ignore_index=True)
    place = place_of(data.split)
    return whole.assign(
        model=variant.name,
        repeat=place["repeat"],
        fold=place["fold"],
        site=[site[patient] for patient in whole["patient_id"]],
    )
