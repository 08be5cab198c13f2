"""What the card of the demo bundle says, all of it from the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.workflows.demo_evaluation import (
    ECE_BINS,
    EvidenceScore,
    SubsetScore,
)

if TYPE_CHECKING:
    from napari_mmsubtype.evaluation.metrics import Estimate


def card_facts(
    patients: dict[str, str],
    data: str,
    training: dict[str, Any],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Say what the demo bundle is, what it was made from and what it is worth.

    Parameters
    ----------
    patients : dict of str to str
        How many patients served for what.
    data : str
        Where they came from.
    training : dict of str to Any
        How the model was trained.
    metrics : dict of str to Any
        As `describe_scores`.

    Returns
    -------
    dict
        Plain JSON types, as `bundle_writer.save_bundle` takes them.
    """
    return {
        "synthetic": True,
        "description": (
            "The model of the demo. It knows only made-up tissue and made-up tables, "
            "drawn by the programs of this package. It must not be used on patients: "
            "what it says about a real slide or a real table means nothing."
        ),
        "intended_use": (
            "Showing and testing the software: opening, analysing, overlaying, "
            "exporting. No statement about any real tumour."
        ),
        "limits": (
            "Never saw a real slide, a real table, or any stain, scanner, tissue or "
            "disease outside its own drawings. Real input is accepted, so that the "
            "software can be tried on it, and the answer is arbitrary."
        ),
        "data": data,
        "patients": patients,
        "sites": "None: there is no hospital behind these data.",
        "training": training,
        "metrics": metrics,
        "license": "BSD-3-Clause, as the package that made it.",
    }


def describe_scores(
    scores: dict[str, SubsetScore], evidence: EvidenceScore
) -> dict[str, Any]:
    """Put scores into the form of a model card.

    Parameters
    ----------
    scores : dict of str to SubsetScore
        By subset of modalities.
    evidence : EvidenceScore
        Of the evidence map.

    Returns
    -------
    dict
        Plain JSON types, rounded to four digits.
    """
    facts: dict[str, Any] = {}
    for key, score in scores.items():
        facts[f"ROC-AUC, {key}"] = _estimate(score.auc)
        facts[f"balanced accuracy, {key}"] = _estimate(score.balanced_accuracy)
        facts[f"expected calibration error ({ECE_BINS} bins), {key}"] = round(
            score.ece, 4
        )
    facts["evidence map against planted region, ROC-AUC over patches"] = round(
        evidence.patches, 4
    )
    facts["evidence map against planted region, ROC-AUC over cells"] = round(
        evidence.cells, 4
    )
    facts["the same over patches, worst slide"] = round(evidence.worst_slide, 4)
    facts["the same over cells, all slides in one ranking"] = round(
        evidence.pooled_cells, 4
    )
    facts["planted patches with evidence for Basal/HER2"] = round(
        evidence.positive_share, 4
    )
    facts["how the evidence map was scored"] = (
        f"{evidence.slides} held-out synthetic slides that hold both; all tissue "
        "patches (cells: at least half tissue); positive where more than half is "
        "basal-like tumour with its necrosis; score is the evidence for Basal/HER2 "
        "less that for Luminal from all modalities; mean over slides"
    )
    return facts


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {
        "value": round(estimate.value, 4),
        "low": round(estimate.low, 4),
        "high": round(estimate.high, 4),
    }
