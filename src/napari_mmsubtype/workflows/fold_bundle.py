"""A model that was trained on a cohort, as a bundle with a card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.models.bundle_schema import MANIFEST
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.pretraining import pretraining_of
from napari_mmsubtype.models.training_facts import Metric, TrainingFacts
from napari_mmsubtype.training.bag_statistics import embedding_statistics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.evaluation.guard import Guard
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.omics.modality_spec import ModalitySpec
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.training.preset import Preset
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
    with_guard: bool = False,
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
    with_guard : bool, default: False
        Whether the bundle learns what the training patients look like.

    Returns
    -------
    Path
        The folder.
    """
    facts, config = fitted.facts, data.preset.fusion_training.to_dict()
    place = f"fold-{facts['repeat']}-{facts['fold']}"
    return save_model(
        folder,
        entry,
        cohort,
        data.cases.take(data.train),
        name=name or f"{plain_name(data.preset)}-{place}",
        model=fitted.model,
        heads=fitted.heads,
        calibration=fitted.calibration,
        specs=data.specs,
        patients={p: data.cases.take(rows) for p, rows in data.parts().items()},
        training={
            "preset": data.preset.name,
            "seed": config.pop("seed"),
            "best epoch": int(facts["best_epoch"]) + 1,
            "epochs run": int(facts["epochs"]),
            "settings": config,
            **encoder_record(entry),
        },
        metrics=metrics,
        notes=notes or {},
        with_guard=with_guard,
    )


def save_model(
    folder: Path,
    entry: PresetInput,
    cohort: Cohort,
    train: BagSet,
    *,
    name: str,
    model: FusionModel,
    heads: Heads,
    calibration: Calibration,
    specs: Mapping[Modality, ModalitySpec],
    patients: Mapping[str, BagSet],
    training: Mapping[str, Any],
    metrics: Sequence[Metric],
    notes: Mapping[str, str],
    with_guard: bool,
) -> Path:
    """Write a model that was trained on patients of a cohort as a bundle.

    Parameters
    ----------
    folder : Path
        Of the bundle; an older one is replaced.
    entry : PresetInput
        Preset and encoder.
    cohort : Cohort
        Where the patients are from.
    train : BagSet
        Training patients, in the features of the model.
    name : str
        Of the bundle.
    model : FusionModel
        Trained.
    heads : Heads
        Its questions.
    calibration : Calibration
        Of the classes.
    specs : mapping of Modality to ModalitySpec
        Features of its tables.
    patients : mapping of str to BagSet
        By part, to be counted on the card.
    training : mapping of str to Any
        How it was trained.
    metrics : sequence of Metric
        Of cases that it was not trained on.
    notes : mapping of str to str
        How the metrics were computed.
    with_guard : bool
        Whether the bundle learns what the training patients look like.

    Returns
    -------
    Path
        The folder.
    """
    preset = entry.preset
    mean, std = embedding_statistics(train)
    names = [subtype.name for subtype in preset.classes]
    site = dict(zip(cohort.patients, cohort.sites.tolist(), strict=True))
    slides = cohort.manifest.slides
    return save_bundle(
        folder,
        name=name,
        version=VERSION,
        classes=preset.classes,
        encoder=entry.encoder,
        fusion=model,
        patch=preset.patch,
        modalities=specs,
        heads=heads,
        calibration=calibration,
        guard=_guard(train) if with_guard else None,
        reference={"embedding_mean": mean.numpy(), "embedding_std": std.numpy()},
        info=TrainingFacts(
            description=f"{preset.title}.",
            intended_use="Research on cohorts like the one it was trained on.",
            limits="Not for diagnosis. Never tested outside the cohort below.",
            synthetic=bool(slides)
            and all(slide.path.startswith("synthetic:") for slide in slides),
            data=(
                f"Manifest {cohort.manifest.path.name}, SHA-256 "
                f"{cohort.manifest.digest[:12]}, {len(cohort)} patients."
            ),
            patients={
                part: {n: int((own.labels == c).sum()) for c, n in enumerate(names)}
                for part, own in patients.items()
                if len(own)
            },
            sites=tuple(sorted({site[p] for p in train.patients if site[p]})),
            training=dict(training),
            metrics=tuple(metrics),
            metric_notes=dict(notes),
            pretraining=_pretraining(entry),
            citation=preset.source,
        ),
    )


def _pretraining(entry: PresetInput) -> str:
    """Say what the encoder saw before this training."""
    if not entry.encoder.origin:
        return "none: random weights"
    return pretraining_of(entry.encoder.name, entry.encoder.origin).words


def plain_name(preset: Preset) -> str:
    """Name a preset so that it can be part of a path.

    Parameters
    ----------
    preset : Preset
        Whose variants have a colon in their names.

    Returns
    -------
    str
        Such as ``evidence-site-preserved``.
    """
    return preset.name.replace(":", "-").replace("/", "-")


def encoder_record(entry: PresetInput) -> dict[str, Any]:
    """Say on a card how an encoder was trained.

    Parameters
    ----------
    entry : PresetInput
        Preset and encoder.

    Returns
    -------
    dict
        Under ``encoder``; empty where it was not trained.
    """
    known, config = entry.training, entry.preset.patch_training
    if not known or config is None:
        return {}
    settings = config.to_dict()
    del settings["seed"]
    return {
        "encoder": {
            "patches": known["patches"],
            "best epoch": known["best_epoch"] + 1,
            "epochs run": known["epochs"],
            "settings": settings,
        }
    }


def _guard(train: BagSet) -> Guard:
    """Learn what the training patients look like."""
    present = {m: train.present[:, c] for c, m in enumerate(train.modalities)}
    tables = {m: present[m] for m in train.omics}
    bags = [bag for bag in train.bags if len(bag)]
    return fit_guard(bags, train.omics, tables)


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
