"""A model that was trained on a cohort, as a bundle with a card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.training_facts import Metric, TrainingFacts
from napari_mmsubtype.training.bag_statistics import embedding_statistics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.evaluation.guard import Guard
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_setup import PresetInput
    from napari_mmsubtype.workflows.fold_data import FoldData
    from napari_mmsubtype.workflows.fold_fusion import FittedFold

VERSION = "1.0.0"
"""Of bundles that nobody has given another version."""


def has_bundle(folder: Path) -> bool:
    """Tell whether a bundle is there; it appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Of the bundle.

    Returns
    -------
    bool
        True if it is.
    """
    return (folder / MANIFEST).is_file()


def save_fold_bundle(
    folder: Path,
    entry: PresetInput,
    data: FoldData,
    fitted: FittedFold,
    *,
    cohort: Cohort,
    name: str | None = None,
    metrics: Sequence[Metric] = (),
    notes: Mapping[str, str] | None = None,
    guard: Guard | None = None,
) -> Path:
    """Write the model of a fold as a bundle.

    Parameters
    ----------
    folder : Path
        Of the bundle; an older one is replaced.
    entry : PresetInput
        Preset and encoder.
    data : FoldData
        What it was trained on.
    fitted : FittedFold
        The model with its calibration.
    cohort : Cohort
        For the card.
    name : str or None, default: None
        Of the bundle; the preset's with the fold if None.
    metrics : sequence of Metric, default: ()
        Of cases that it was not trained on.
    notes : mapping of str to str, optional
        How the metrics were computed.
    guard : Guard, optional
        Of the training patients.

    Returns
    -------
    Path
        The folder.
    """
    preset = data.preset
    place = fitted.facts
    train = data.cases.take(data.train)
    mean, std = embedding_statistics(train)
    return save_bundle(
        folder,
        name=name or f"{preset.plain_name}-fold-{place['repeat']}-{place['fold']}",
        version=VERSION,
        classes=preset.classes,
        encoder=entry.encoder,
        fusion=fitted.model,
        patch=preset.patch,
        modalities=data.specs,
        heads=fitted.heads,
        calibration=fitted.calibration,
        guard=guard,
        reference={"embedding_mean": mean.numpy(), "embedding_std": std.numpy()},
        info=TrainingFacts(
            description=f"{preset.title}.",
            intended_use="Research on cohorts like the one it was trained on.",
            limits="Not for diagnosis. Never tested outside the cohort below.",
            synthetic=all(
                slide.path.startswith("synthetic:") for slide in cohort.manifest.slides
            )
            and bool(cohort.manifest.slides),
            data=(
                f"Manifest {cohort.manifest.path.name}, SHA-256 "
                f"{cohort.manifest.digest[:12]}, {len(cohort)} patients."
            ),
            patients=_patients(data),
            sites=tuple(sorted({s for s in data.sites[data.train].tolist() if s})),
            training=_training(entry, data, fitted),
            metrics=tuple(metrics),
            metric_notes=dict(notes or {}),
            pretraining=str(preset.encoder.weights or "none: random weights"),
            citation=preset.source,
        ),
    )


def _patients(data: FoldData) -> dict[str, dict[str, int]]:
    """Count the patients of each class by part."""
    names = [subtype.name for subtype in data.preset.classes]
    found = {}
    for part, rows in data.parts().items():
        labels = data.cases.labels[rows]
        if len(rows):
            found[part] = {n: int((labels == c).sum()) for c, n in enumerate(names)}
    return found


def _training(entry: PresetInput, data: FoldData, fitted: FittedFold) -> dict[str, Any]:
    """Say how the model, and its encoder, were trained."""
    facts = fitted.facts
    config = data.preset.fusion_training.to_dict()
    found = {
        "preset": data.preset.name,
        "seed": config.pop("seed"),
        "best epoch": int(facts["best_epoch"]) + 1,
        "epochs run": int(facts["epochs"]),
        "settings": config,
    }
    if entry.training and data.preset.patch_training is not None:
        own = data.preset.patch_training.to_dict()
        del own["seed"]
        found["encoder"] = {
            "patches": entry.training["patches"],
            "best epoch": entry.training["best_epoch"] + 1,
            "epochs run": entry.training["epochs"],
            "settings": own,
        }
    return found


def metric_of(
    name: str, modalities: Sequence[Modality], entry: Mapping[str, Any] | None
) -> Metric | None:
    """Put a metric of ``results.json`` into the form of a card.

    Parameters
    ----------
    name : str
        Such as ``balanced accuracy``.
    modalities : sequence of Modality
        That the model was given.
    entry : mapping or None
        Its value and interval.

    Returns
    -------
    Metric or None
        Rounded to four digits; None where there is none.
    """
    if entry is None or entry.get("value") is None:
        return None
    numbers = {k: round(float(entry[k]), 4) for k in ("value", "low", "high")}
    made = Metric(name=name, modalities=tuple(modalities), value=numbers["value"])
    return replace(made, low=numbers["low"], high=numbers["high"])
