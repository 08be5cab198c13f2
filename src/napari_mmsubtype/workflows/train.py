"""Train a preset on a whole cohort and package it as a bundle."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.patient_folds import drawn_patients
from napari_mmsubtype.evaluation.splits import Split
from napari_mmsubtype.training.processes import refuse_several_processes
from napari_mmsubtype.workflows.card_metrics import card_metrics, read_results
from napari_mmsubtype.workflows.cohort_request import (
    CohortOptions,
    CohortRequest,
    make_request,
)
from napari_mmsubtype.workflows.cohort_setup import open_cohort_job
from napari_mmsubtype.workflows.fold_bundle import plain_name, save_fold_bundle
from napari_mmsubtype.workflows.fold_data import prepare_fold
from napari_mmsubtype.workflows.fold_encoder import fold_input_job
from napari_mmsubtype.workflows.fold_ensemble import join_folds_job
from napari_mmsubtype.workflows.fold_fusion import SkippedFoldError, fit_fold_job
from napari_mmsubtype.workflows.fold_request import fold_request
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_setup import PresetInput

BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """A model that was trained on a whole cohort.

    Attributes
    ----------
    bundle : Path
        Its folder.
    patients : dict of str to int
        That it was trained and stopped on, by part.
    members : int
        Models that were joined in the bundle; 1 for a model of its own.
    best_epoch, epochs : int or None
        Chosen, counted from 1, and run; None where folds were joined.
    """

    bundle: Path
    patients: dict[str, int]
    members: int
    best_epoch: int | None
    epochs: int | None


def train(
    manifest: str | Path,
    preset: str | Path,
    *,
    out: str | Path,
    results: str | Path | None = None,
    ensemble_of: str | Path | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    **options: Unpack[CohortOptions],
) -> TrainOutcome:
    """Train a preset on a cohort and wait for its bundle.

    Parameters
    ----------
    manifest : str or Path
        CSV with one row per slide, see `manifest.read_manifest`.
    preset : str or Path
        What to train.
    out : str or Path
        Folder that receives the bundle and the embeddings.
    results : str or Path, optional
        ``results.json`` of a cross-validation of this preset, whose numbers go onto
        the card.
    ensemble_of : str or Path, optional
        Folder of a complete cross-validation of this preset on this cohort: its folds
        are joined in one bundle, and nothing is trained.
    on_progress : callable, optional
        Receives every `Progress` event.
    **options
        Tables, settings, device and so on: any of `cohort_request.CohortOptions`.

    Returns
    -------
    TrainOutcome
        Where the bundle is.

    Raises
    ------
    MMSubtypeError
        One clear message where manifest, tables or preset cannot serve.
    """
    request = make_request(
        manifest, preset, out=out, ensemble_of=ensemble_of, **options
    )
    path = None if results is None else Path(results)
    return run_job(train_job(request, path), on_progress)


def train_job(request: CohortRequest, results: Path | None = None) -> Job[TrainOutcome]:
    """Train a preset on a cohort, step by step.

    Parameters
    ----------
    request : CohortRequest
        With one preset.
    results : Path or None, default: None
        Of a cross-validation, for the card.

    Yields
    ------
    Progress
        Stages ``open``, ``tables``, ``pixels``, ``slides``, ``patches``, ``patch
        training`` and ``fusion training``.

    Returns
    -------
    TrainOutcome
        The bundle appears whole or not at all.

    Raises
    ------
    ConfigurationError
        If several processes were started, there is not one preset, the cohort is too
        small, or the results or the cross-validation to be joined are of another
        preset.

    Notes
    -----
    Patients of a fixed test set are left out. Of the others an inner part, of the size
    that the preset says, stops the training and calibrates.
    """
    refuse_several_processes()
    if len(request.presets) != 1:
        msg = f"train takes one preset, found {len(request.presets)}"
        raise ConfigurationError(msg)
    if request.ensemble_of is not None:
        if results is not None:
            msg = (
                "the folder of the cross-validation has results of its own; leave "
                "results out where ensemble_of is given"
            )
            raise ConfigurationError(msg)
        joined = yield from join_folds_job(request, request.out / BUNDLE)
        return TrainOutcome(joined.bundle, joined.patients, joined.members, None, None)
    known = None if results is None else read_results(results)
    opened = yield from open_cohort_job(request)
    cohort, (entry,) = opened.cohort, opened.inputs
    metrics = () if known is None else card_metrics(known, entry.preset.name)
    split = whole_split(
        cohort, entry.preset.validation.inner_share, entry.preset.validation.seeds[0]
    )
    try:
        entry = yield from fold_input_job(
            request, cohort, entry, entry.preset, split, place="final"
        )
    except SkippedFoldError as err:
        raise _not_trained(entry, err) from err
    yield Progress("fusion training", message="fitting features")
    data = prepare_fold(cohort, entry.preset, entry.bags, split)
    own = fold_request(
        request, cohort, split, entry.preset,
        seed=entry.preset.validation.seeds[0], embeddings=entry.digest,
    )  # fmt: skip
    begun = FoldStore(request.out).checkpoint("final", 0, 0, own)
    variant = fusion_variants(entry.preset)[0]
    log = None if request.tensorboard is None else request.tensorboard / "final"
    job = fit_fold_job(data, variant, checkpoint=begun, log=log, device=request.device)
    try:
        with closing(job):
            fitted = yield from job
    except SkippedFoldError as err:
        raise _not_trained(entry, err) from err
    notes = {}
    if metrics:
        notes["how they were computed"] = (
            "out of fold, by models of the same preset that were trained on other "
            "patients of the same cohort; this model was trained on all of them"
        )
    bundle = save_fold_bundle(
        request.out / BUNDLE,
        entry,
        data,
        fitted,
        cohort=cohort,
        name=plain_name(entry.preset),
        metrics=metrics,
        notes=notes,
        with_guard=True,
    )
    begun.unlink(missing_ok=True)
    parts = {part: len(rows) for part, rows in data.parts().items() if len(rows)}
    facts = fitted.facts
    return TrainOutcome(
        bundle, parts, 1, int(facts["best_epoch"]) + 1, int(facts["epochs"])
    )


def _not_trained(entry: PresetInput, reason: Exception) -> ConfigurationError:
    """Say that a cohort is not enough for a preset."""
    return ConfigurationError(
        f"preset {entry.preset.name!r} cannot be trained on this cohort: {reason}"
    )


def whole_split(cohort: Cohort, share: float, seed: int) -> Split:
    """Keep an inner part of a cohort apart, and nothing else.

    Parameters
    ----------
    cohort : Cohort
        The patients.
    share : float
        Of the inner part.
    seed : int
        Of its draw.

    Returns
    -------
    Split
        Its test part is the fixed test set of the manifest, if there is one.
    """
    patients = cohort.manifest.patients
    test = np.array([patient.split == "test" for patient in patients])
    rest = np.flatnonzero(~test)
    names = [cohort.persons[row] for row in rest]
    inner = drawn_patients(cohort.labels[rest], names, share, seed=seed)
    return Split(0, 0, rest[~inner], rest[inner], np.flatnonzero(test))
