"""What the panel Train and cross-validate runs in its workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.models.torch_import import import_torch
from napari_mmsubtype.widgets.cohort_command import CohortTask

if TYPE_CHECKING:
    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.manifest import Manifest

_SHOWN_CLASSES = 6


def presets_job() -> Job[dict[str, str]]:
    """Look up the presets that come with the package, away from the GUI thread.

    Yields
    ------
    Progress
        Stage ``presets``.

    Returns
    -------
    dict of str to str
        What each preset is, by name.
    """
    yield Progress("presets")
    from napari_mmsubtype.training.preset_files import list_presets, load_preset

    return {name: load_preset(name).title for name in list_presets()}


def manifest_job(path: str) -> Job[str]:
    """Read a manifest and say what it holds.

    Parameters
    ----------
    path : str
        Of the CSV.

    Yields
    ------
    Progress
        Stage ``manifest``.

    Returns
    -------
    str
        As `describe_manifest`.
    """
    yield Progress("manifest", message=f"reading {Path(path).name}")
    from napari_mmsubtype.workflows.manifest import read_manifest

    return describe_manifest(read_manifest(path))


def describe_manifest(manifest: Manifest) -> str:
    """Say what a cohort holds.

    Parameters
    ----------
    manifest : Manifest
        The cohort.

    Returns
    -------
    str
        Patients, slides, classes and sites.
    """
    patients = manifest.patients
    labels = Counter(patient.label for patient in patients)
    unknown = labels.pop("", 0)
    common = labels.most_common()
    parts = [f"{name} {count}" for name, count in common[:_SHOWN_CLASSES]]
    if len(common) > _SHOWN_CLASSES:
        parts.append(f"{len(common) - _SHOWN_CLASSES} more labels")
    if unknown:
        parts.append(f"{unknown} without a label")
    sites = {patient.site for patient in patients if patient.site}
    pictured = sum(bool(patient.slides) for patient in patients)
    words = [
        f"{len(patients)} patients, {pictured} with a slide",
        ", ".join(parts),
        f"{len(sites)} sites" if sites else "no sites",
    ]
    if any(patient.split == "test" for patient in patients):
        words.append("a fixed test set")
    elif any(patient.fold is not None for patient in patients):
        words.append("folds of your own")
    return " · ".join(words)


def cohort_job(task: CohortTask, request: CohortRequest) -> Job[Any]:
    """Do what a form asks for.

    Parameters
    ----------
    task : CohortTask
        What to do.
    request : CohortRequest
        With what.

    Yields
    ------
    Progress
        As `crossval_job` and `train_job`.

    Returns
    -------
    CrossvalOutcome or TrainOutcome
        Where the results are.
    """
    # Importing PyTorch takes seconds: here it happens away from the GUI thread.
    yield Progress("open", message="loading PyTorch")
    import_torch()
    from napari_mmsubtype.workflows.crossval import crossval_job
    from napari_mmsubtype.workflows.train import train_job

    make = crossval_job if task is CohortTask.CROSSVAL else train_job
    return (yield from make(request))
