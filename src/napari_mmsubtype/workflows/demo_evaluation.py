"""What the demo model is worth on unseen synthetic patients, and what it leans on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.evaluation.calibration import expected_calibration_error
from napari_mmsubtype.evaluation.metrics import (
    Estimate,
    balanced_accuracy,
    binary_auc,
    bootstrap,
    roc_auc,
)
from napari_mmsubtype.slides.synthetic import PHENOTYPES
from napari_mmsubtype.training.bags import BagSet, collate
from napari_mmsubtype.training.fusion_trainer import predict_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.models.fusion import FusionModel

ECE_BINS = 10
_BACKGROUND = PHENOTYPES["background"]
_PLANTED = [PHENOTYPES["basal"], PHENOTYPES["necrosis"]]


@dataclass(frozen=True, slots=True)
class SubsetScore:
    """How well one subset of modalities tells the classes apart.

    Attributes
    ----------
    auc, balanced_accuracy : Estimate
        With a patient bootstrap interval.
    ece : float
        Expected calibration error of the most probable class.
    """

    auc: Estimate
    balanced_accuracy: Estimate
    ece: float


@dataclass(frozen=True, slots=True)
class EvidenceScore:
    """How well the evidence map finds the planted region.

    Attributes
    ----------
    patches, cells : float
        Area under the ROC curve, averaged over slides.
    worst_slide : float
        Lowest of the slides, over patches.
    pooled_cells : float
        All cells of all slides in one ranking.
    positive_share : float
        Part of the planted patches whose evidence is for the second class.
    slides : int
        Slides that hold both planted and other patches.
    """

    patches: float
    cells: float
    worst_slide: float
    pooled_cells: float
    positive_share: float
    slides: int


def reported_subsets(
    modalities: Sequence[Modality],
) -> list[tuple[Modality, ...]]:
    """List the subsets whose scores a card states.

    Parameters
    ----------
    modalities : sequence of Modality
        Of the model, image first.

    Returns
    -------
    list of tuple of Modality
        All together, image and RNA, all but the image, then each alone.
    """
    every = tuple(modalities)
    image_rna = tuple(m for m in every if m in (Modality.IMAGE, Modality.RNA))
    omics = tuple(m for m in every if m is not Modality.IMAGE)
    listed = [every, image_rna, omics, *((m,) for m in every)]
    return list(dict.fromkeys(subset for subset in listed if subset))


def score_subsets(
    model: FusionModel,
    test: BagSet,
    calibration: Calibration,
    *,
    repeats: int = 2000,
    seed: int = 0,
) -> dict[str, SubsetScore]:
    """Score subsets of modalities on held-out patients.

    Parameters
    ----------
    model : FusionModel
        Trained.
    test : BagSet
        Patients of neither training nor validation.
    calibration : Calibration
        With the scaling of each subset.
    repeats : int, default: 2000
        Resamples of the bootstrap.
    seed : int, default: 0
        Of the bootstrap.

    Returns
    -------
    dict of str to SubsetScore
        By `cases.subset_key`.
    """
    scores = {}
    for subset in reported_subsets(test.modalities):
        logits = predict_logits(model, test.restricted(subset))
        probabilities = calibration.probabilities(subset_key(subset), logits)
        given = (test.labels, probabilities, test.patients)
        auc, balanced = (
            bootstrap(metric, *given, repeats=repeats, seed=seed)
            for metric in (roc_auc, balanced_accuracy)
        )
        scores[subset_key(subset)] = SubsetScore(
            auc=auc,
            balanced_accuracy=balanced,
            ece=expected_calibration_error(test.labels, probabilities, bins=ECE_BINS),
        )
    return scores


def score_evidence(
    model: FusionModel,
    test: BagSet,
    features: Sequence[NDArray[np.float16]],
    shares: Sequence[NDArray[np.float32]],
) -> EvidenceScore:
    """Compare evidence maps with the ground truth of synthetic slides.

    Parameters
    ----------
    model : FusionModel
        Trained, exact.
    test : BagSet
        Held-out patients.
    features : sequence of ndarray of float16, shape (n, d, h, w)
        Feature maps of each patient's patches.
    shares : sequence of ndarray of float32, shape (n, k, h, w)
        Share of each phenotype in each cell.

    Returns
    -------
    EvidenceScore
        Over all tissue patches, and over all cells that are at least half tissue. What
        is planted is basal-like tumour with its necrosis: more than half of the patch
        or cell. Everything else counts as negative. Evidence is the logit of the second
        class less that of the first, from all modalities.
    """
    by_patch, by_cell, values, truths, positive = [], [], [], [], []
    for row in range(len(test)):
        cells = cell_evidence(model, test, row, features[row])
        planted = shares[row][:, _PLANTED].sum(axis=1)
        tissue = shares[row][:, _BACKGROUND] <= 0.5
        patch_truth = planted.mean(axis=(1, 2)) > 0.5
        cell_truth, cell_values = planted[tissue] > 0.5, cells[tissue]
        truths.append(cell_truth)
        values.append(cell_values)
        if patch_truth.any() and not patch_truth.all():
            patch_values = cells.sum(axis=(1, 2))
            by_patch.append(binary_auc(patch_truth, patch_values))
            by_cell.append(binary_auc(cell_truth, cell_values))
            positive.append(float((patch_values[patch_truth] > 0).mean()))
    if not by_patch:
        msg = "no held-out slide holds both planted and other patches; add patients"
        raise ValueError(msg)
    return EvidenceScore(
        patches=float(np.mean(by_patch)),
        cells=float(np.mean(by_cell)),
        worst_slide=float(min(by_patch)),
        pooled_cells=binary_auc(np.concatenate(truths), np.concatenate(values)),
        positive_share=float(np.mean(positive)),
        slides=len(by_patch),
    )


@torch.inference_mode()
def cell_evidence(
    model: FusionModel, cases: BagSet, row: int, features: NDArray[np.float16]
) -> NDArray[np.float32]:
    """Give the evidence of each cell for the second class against the first.

    Parameters
    ----------
    model : FusionModel
        Exact, in evaluation mode.
    cases : BagSet
        Holds the case.
    row : int
        Which case.
    features : ndarray of float16, shape (n, d, h, w)
        Feature maps of its patches.

    Returns
    -------
    ndarray of float32, shape (n, h, w)
        In logits; sums to the image's own logit difference.
    """
    batch = collate(cases, [row])
    weights = model(batch.bag, batch.mask, batch.omics, batch.present).weights[0]
    tables = {str(m): values for m, values in batch.omics.items()}
    queries = model.pixel_queries(tables, batch.present)[0]
    maps = torch.from_numpy(features.astype(np.float32))
    evidence = torch.einsum("d,ndyx->nyx", queries[1] - queries[0], maps)
    scaled = weights[:, None, None] * evidence / (maps.shape[2] * maps.shape[3])
    found: NDArray[np.float32] = scaled.numpy()
    return found


def feature_weights(
    model: FusionModel, cases: BagSet
) -> dict[Modality, NDArray[np.float64]]:
    """Measure how much the model leans on each omics feature.

    Parameters
    ----------
    model : FusionModel
        Trained.
    cases : BagSet
        Training cases; only their omics are used.

    Returns
    -------
    dict of Modality to ndarray of float64, shape (g,)
        Mean absolute slope of the logit difference between the last class and the
        first, per standard deviation of the feature; mean 1 over features.
    """
    batch = collate(cases, range(len(cases)), patches=1, rng=np.random.default_rng(0))
    present = batch.present.clone()
    present[:, 0] = False
    omics = {m: v.clone().requires_grad_() for m, v in batch.omics.items()}
    logits = model(batch.bag, batch.mask, omics, present).logits
    slopes = torch.autograd.grad(
        (logits[:, -1] - logits[:, 0]).sum(), [*omics.values()]
    )
    weights = {}
    for modality, slope in zip(omics, slopes, strict=True):
        size = slope.abs().mean(dim=0).double().numpy()
        weights[modality] = size / max(float(size.mean()), 1e-12)
    return weights
