"""What the card of the demo bundle says, all of it from the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.models.training_facts import Metric, TrainingFacts
from napari_mmsubtype.workflows.demo_config import (
    CALIBRATION_SEED,
    CLASSES,
    PATCH,
    DemoBundleConfig,
)
from napari_mmsubtype.workflows.demo_evaluation import (
    ECE_BINS,
    EvidenceScore,
    SubsetScore,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate
    from napari_mmsubtype.workflows.demo_patients import Split

_DIGITS = 4


def card_facts(
    patients: Mapping[str, Mapping[str, int] | str],
    data: str,
    training: Mapping[str, Any],
    metrics: Sequence[Metric],
    notes: Mapping[str, str],
) -> TrainingFacts:
    """Say what the demo bundle is, what it was made from and what it is worth.

    Parameters
    ----------
    patients : mapping of str to mapping of str to int, or str
        How many patients of each class served for what.
    data : str
        Where they came from.
    training : mapping of str to Any
        How the model was trained.
    metrics : sequence of Metric
        As `describe_scores`.
    notes : mapping of str to str
        How the evidence map was scored, and how calibration and guard did.

    Returns
    -------
    TrainingFacts
        As `bundle_writer.save_bundle` takes them.
    """
    return TrainingFacts(
        synthetic=True,
        description=(
            "The model of the demo. It knows only made-up tissue and made-up tables, "
            "drawn by the programs of this package. It must not be used on patients: "
            "what it says about a real slide or a real table means nothing."
        ),
        intended_use=(
            "Showing and testing the software: opening, analysing, overlaying, "
            "exporting. No statement about any real tumour."
        ),
        limits=(
            "Never saw a real slide, a real table, or any stain, scanner, tissue or "
            "disease outside its own drawings. Real input is accepted, so that the "
            "software can be tried on it, and the answer is arbitrary."
        ),
        data=data,
        patients=patients,
        sites="None: there is no hospital behind these data.",
        training=training,
        metrics=tuple(metrics),
        metric_notes=notes,
        license="BSD-3-Clause, as the package that made it.",
        pretraining="None: trained from random weights on synthetic patches.",
        citation="Cite the package, napari-mmsubtype, with its version.",
    )


def describe_scores(
    scores: Mapping[str, SubsetScore], evidence: EvidenceScore
) -> tuple[Metric, ...]:
    """Put scores into the form of a model card.

    Parameters
    ----------
    scores : mapping of str to SubsetScore
        By subset of modalities.
    evidence : EvidenceScore
        Of the evidence map.

    Returns
    -------
    tuple of Metric
        Rounded to four digits.
    """
    metrics = []
    for key, score in scores.items():
        given = tuple(key.split("+"))
        metrics += [
            _estimate("ROC-AUC", given, score.auc),
            _estimate("balanced accuracy", given, score.balanced_accuracy),
            Metric(
                name=f"expected calibration error ({ECE_BINS} bins)",
                modalities=given,
                value=round(score.ece, _DIGITS),
            ),
        ]
    map_scores = {
        "evidence map against planted region, ROC-AUC over patches": evidence.patches,
        "evidence map against planted region, ROC-AUC over cells": evidence.cells,
        "the same over patches, worst slide": evidence.worst_slide,
        "the same over cells, all slides in one ranking": evidence.pooled_cells,
        "planted patches with evidence for Basal/HER2": evidence.positive_share,
    }
    metrics += [
        Metric(name=name, value=round(value, _DIGITS))
        for name, value in map_scores.items()
    ]
    return tuple(metrics)


def describe_scoring(evidence: EvidenceScore) -> str:
    """Say how the evidence map was scored.

    Parameters
    ----------
    evidence : EvidenceScore
        Of the evidence map.

    Returns
    -------
    str
        What counted as positive, and over what was averaged.
    """
    return (
        f"{evidence.slides} held-out synthetic slides that hold both; all tissue "
        "patches (cells: at least half tissue); positive where more than half is "
        "basal-like tumour with its necrosis; score is the evidence for Basal/HER2 "
        "less that for Luminal from all modalities; mean over slides"
    )


def _estimate(name: str, given: tuple[str, ...], estimate: Estimate) -> Metric:
    value, low, high = (
        round(number, _DIGITS)
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return Metric(name=name, modalities=given, value=value, low=low, high=high)


def count_patients(
    config: DemoBundleConfig, split: Split, labels: NDArray[np.int64]
) -> dict[str, dict[str, int] | str]:
    """Count the patients of each class in each part of the cohort.

    Parameters
    ----------
    config : DemoBundleConfig
        Knows the patients of the prediction sets.
    split : Split
        Which patients served for what.
    labels : ndarray of int64, shape (n,)
        Of the cohort.

    Returns
    -------
    dict of str to dict or str
        As `card_facts` takes them.
    """
    parts = {
        "training": split.train,
        "validation": split.validation,
        "held out": split.test,
    }
    counted: dict[str, dict[str, int] | str] = {
        name: {
            subtype.name: int((labels[list(rows)] == label).sum())
            for label, subtype in enumerate(CLASSES)
        }
        for name, rows in parts.items()
    }
    counted["calibration of prediction sets"] = (
        f"{config.calibration} more, of seed {config.seed + CALIBRATION_SEED}"
    )
    return counted


def describe_data(config: DemoBundleConfig) -> str:
    """Say what the patients are.

    Parameters
    ----------
    config : DemoBundleConfig
        Of the cohort.

    Returns
    -------
    str
        Two sentences.
    """
    return (
        f"Synthetic cohort of {config.patients} patients, seed {config.seed}: RNA, "
        f"methylation and clinical tables, and a rendered slide of "
        f"{config.slide_size_px} px at {PATCH.mpp:g} um/px each. The label is "
        "whether the sum of an image score and an omics score is positive, so neither "
        "alone tells it."
    )


def describe_training(config: DemoBundleConfig, best_epoch: int) -> dict[str, Any]:
    """Say how the networks were trained.

    Parameters
    ----------
    config : DemoBundleConfig
        Sizes and training.
    best_epoch : int
        Of the fusion model, counted from 0.

    Returns
    -------
    dict of str to Any
        For the card.
    """
    return {
        "command": "nox -s demo_bundle",
        "encoder": config.encoder.to_dict(),
        "fusion": config.fusion.to_dict(),
        "fusion epochs until the best validation loss": best_epoch + 1,
        "fitted on training patients only": "encoder, scaling, fusion model",
    }


FITTED = {
    "chosen on validation patients": "epoch, temperatures, offsets of the classes",
    "fitted on calibration patients": "prediction sets",
    "fitted on training patients, each judged without itself": "guard",
}
"""What was fitted to whom besides the networks."""
