"""What the card of the demo bundle says, all of it from the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.models.training_facts import Metric, TrainingFacts
from napari_mmsubtype.workflows.demo_evaluation import (
    ECE_BINS,
    EvidenceScore,
    SubsetScore,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_mmsubtype.evaluation.metrics import Estimate

_DIGITS = 4


def card_facts(
    patients: Mapping[str, Mapping[str, int]],
    data: str,
    training: Mapping[str, Any],
    metrics: Sequence[Metric],
    scoring: str,
) -> TrainingFacts:
    """Say what the demo bundle is, what it was made from and what it is worth.

    Parameters
    ----------
    patients : mapping of str to mapping of str to int
        How many patients of each class served for what.
    data : str
        Where they came from.
    training : mapping of str to Any
        How the model was trained.
    metrics : sequence of Metric
        As `describe_scores`.
    scoring : str
        How the evidence map was scored.

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
        metric_notes={"how the evidence map was scored": scoring},
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
