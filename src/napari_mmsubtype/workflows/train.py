"""Train a preset on a whole cohort and package it as a bundle."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.evaluation.patient_folds import drawn_patients
from napari_mmsubtype.evaluation.splits import Split
from napari_mmsubtype.workflows.cohort_request import CohortRequest, make_request
from napari_mmsubtype.workflows.cohort_setup import open_cohort_job
from napari_mmsubtype.workflows.crossval_folds import fold_request
from napari_mmsubtype.workflows.crossval_results import FORMAT
from napari_mmsubtype.workflows.fold_bundle import metric_of, save_fold_bundle
from napari_mmsubtype.workflows.fold_data import prepare_fold
from napari_mmsubtype.workflows.fold_encoder import fold_input_job
from napari_mmsubtype.workflows.fold_fusion import SkippedFoldError, fit_fold_job
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_mmsubtype.models.training_facts import Metric
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_setup import PresetInput

BUNDLE = "bundle"
_NAMES = {"roc_auc": "ROC-AUC", "balanced_accuracy": "balanced accuracy"}


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """A model that was trained on a whole cohort.

    Attributes
    ----------
    bundle : Path
        Its folder.
    patients : dict of str to int
        That it was trained and stopped on, by part.
    best_epoch, epochs : int
        Chosen, counted from 1, and run.
    """

    bundle: Path
    patients: dict[str, int]
    best_epoch: int
    epochs: int


def train(
    manifest: str | Path,
    preset: str | Path,
    *,
    out: str | Path,
    overrides: Iterable[str] = (),
    rna: str | Path | None = None,
    methylation: str | Path | None = None,
    clinical: str | Path | None = None,
    rna_unit: str | None = None,
    methylation_unit: str | None = None,
    embeddings: str | Path | None = None,
    results: str | Path | None = None,
    mpp: float | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
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
    overrides : iterable of str, default: ()
        Settings to change, such as ``fusion_training.epochs=10``.
    rna, methylation, clinical : str or Path, optional
        Tables of the whole cohort.
    rna_unit, methylation_unit : str, optional
        Units of the tables, where what is detected is wrong.
    embeddings : str or Path, optional
        Where `embed` or `crossval` left the slides; a folder in ``out`` if left out.
    results : str or Path, optional
        ``results.json`` of a cross-validation of this preset, whose numbers go onto
        the card.
    mpp : float, optional
        Microns per pixel of the slides of which the manifest does not tell.
    device : str, default: "auto"
        As `analyze`.
    batch_size : int, optional
        Patches per forward pass of the encoder.
    on_progress : callable, optional
        Receives every `Progress` event.

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
        manifest,
        preset,
        out=out,
        overrides=overrides,
        tables={"rna": rna, "methylation": methylation, "clinical": clinical},
        units={"rna": rna_unit, "methylation": methylation_unit},
        embeddings=embeddings,
        mpp=mpp,
        device=device,
        batch_size=batch_size,
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
        If there is not one preset, the cohort is too small, or the results are of
        another preset.

    Notes
    -----
    Patients of a fixed test set are left out. Of the others an inner part, of the size
    that the preset says, stops the training and calibrates.
    """
    if len(request.presets) != 1:
        msg = f"train takes one preset, found {len(request.presets)}"
        raise ConfigurationError(msg)
    known = None if results is None else _read_results(results)
    opened = yield from open_cohort_job(request)
    cohort, (entry,) = opened.cohort, opened.inputs
    metrics = () if known is None else _card_metrics(known, entry.preset.name)
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
    job = fit_fold_job(data, fusion_variants(entry.preset)[0], checkpoint=begun)
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
        name=entry.preset.plain_name,
        metrics=metrics,
        notes=notes,
        guard=_guard(data.cases.take(data.train)),
    )
    begun.unlink(missing_ok=True)
    parts = {part: len(rows) for part, rows in data.parts().items() if len(rows)}
    return TrainOutcome(
        bundle, parts, int(fitted.facts["best_epoch"]) + 1, int(fitted.facts["epochs"])
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


def _guard(train: BagSet) -> Any:
    """Learn what the training patients look like."""
    present = {m: train.present[:, c] for c, m in enumerate(train.modalities)}
    tables = {m: present[m] for m in train.omics}
    bags = [bag for bag in train.bags if len(bag)]
    return fit_guard(bags, train.omics, tables)


def _read_results(path: Path) -> dict[str, Any]:
    """Read the results of a cross-validation."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"results {str(path)!r} cannot be read ({err}); give a results.json"
        raise ConfigurationError(msg) from err
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{str(path)!r} is no results.json of a cross-validation"
        raise ConfigurationError(msg)
    return content


def _card_metrics(content: Mapping[str, Any], name: str) -> tuple[Metric, ...]:
    """Take what a cross-validation found of a preset, by subset of modalities."""
    models = content["models"]
    if name not in models:
        known = ", ".join(n for n, m in models.items() if m["kind"] == "fusion")
        msg = f"the results are of {known}, not of preset {name!r}; give its own"
        raise ConfigurationError(msg)
    made = []
    for subset, scores in models[name]["subsets"].items():
        given = [Modality(part) for part in subset.split("+")]
        made += [metric_of(word, given, scores[key]) for key, word in _NAMES.items()]
    return tuple(metric for metric in made if metric is not None)
