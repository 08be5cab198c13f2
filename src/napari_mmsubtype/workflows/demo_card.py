"""What the card of the demo bundle says, all of it from the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.subtypes import BASAL_HER2
from napari_mmsubtype.workflows.demo_config import (
    CALIBRATION_SEED,
    PATCH,
    DemoBundleConfig,
)
from napari_mmsubtype.workflows.demo_evaluation import (
    ECE_BINS,
    EvidenceScore,
    SubsetScore,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate
    from napari_mmsubtype.workflows.demo_patients import Split


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


def demo_facts(
    config: DemoBundleConfig,
    split: Split,
    labels: NDArray[np.int64],
    training: dict[str, Any],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Gather what the card needs to know about the run.

    Parameters
    ----------
    config : DemoBundleConfig
        Sizes and training.
    split : Split
        Which patients served for what.
    labels : ndarray of int64, shape (n,)
        Of the cohort.
    training : dict of str to Any
        As `training_facts`, or those of the bundle whose networks were kept.
    metrics : dict of str to Any
        As `describe_scores`, with more beside it.

    Returns
    -------
    dict
        As `card_facts`.
    """
    parts = {
        name: f"{len(rows)} ({int(labels[list(rows)].sum())} {BASAL_HER2.name})"
        for name, rows in (
            ("training", split.train),
            ("validation", split.validation),
            ("held out", split.test),
        )
    }
    data = (
        f"Synthetic cohort of {config.patients} patients, seed {config.seed}: RNA, "
        f"methylation and clinical tables, and a rendered slide of "
        f"{config.slide_size_px} px at {PATCH.mpp:g} um/px each. The label is "
        "whether the sum of an image score and an omics score is positive, so neither "
        "alone tells it."
    )
    parts["calibration of prediction sets"] = (
        f"{config.calibration} more, of seed {config.seed + CALIBRATION_SEED}"
    )
    training |= {
        "chosen on validation patients": "epoch, temperatures",
        "fitted on calibration patients": "prediction sets",
        "fitted on training patients, each judged without itself": "guard",
    }
    return card_facts(parts, data, training, metrics)


def training_facts(config: DemoBundleConfig, best_epoch: int) -> dict[str, Any]:
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
