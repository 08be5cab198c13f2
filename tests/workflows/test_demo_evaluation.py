from __future__ import annotations

import numpy as np
import pytest
import torch

from builders.training import make_bags, make_fusion
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.calibration import (
    calibrate,
    expected_calibration_error,
)
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.metrics import binary_auc, roc_auc
from napari_mmsubtype.slides.synthetic import PHENOTYPES
from napari_mmsubtype.training.bags import collate
from napari_mmsubtype.training.fusion_trainer import predict_logits
from napari_mmsubtype.workflows.demo_evaluation import (
    cell_evidence,
    feature_weights,
    reported_subsets,
    score_evidence,
    score_subsets,
)

BASAL, STROMA = PHENOTYPES["basal"], PHENOTYPES["stroma"]


def random_maps(bag: np.ndarray, seed: int = 0) -> np.ndarray:
    """Feature maps of 2 x 2 cells whose means are the bag."""
    noise = np.random.default_rng(seed).normal(0, 0.5, (*bag.shape, 2, 2))
    noise -= noise.mean(axis=(2, 3), keepdims=True)
    return (bag[:, :, None, None] + noise).astype(np.float16)


def shares_of(planted: np.ndarray) -> np.ndarray:
    """Ground truth of cells that are wholly basal-like or wholly stroma."""
    shares = np.zeros((len(planted), len(PHENOTYPES), *planted.shape[1:]), np.float32)
    shares[:, BASAL] = planted
    shares[:, STROMA] = ~planted
    return shares


def test_cells_add_up_to_the_logit_of_the_image() -> None:
    cases, model = make_bags(3), make_fusion().eval()
    maps = random_maps(cases.bags[1])
    cells = cell_evidence(model, cases, 1, maps)
    batch = collate(cases, [1])
    with torch.no_grad():
        out = model(batch.bag, batch.mask, batch.omics, batch.present)
    image = out.modality_logits["image"][0]
    assert cells.shape == (12, 2, 2)
    assert cells.sum() == pytest.approx(float(image[1] - image[0]), abs=2e-3)


def test_planted_cells_found_by_construction_score_one() -> None:
    cases, model = make_bags(4), make_fusion().eval()
    maps = [random_maps(bag, seed) for seed, bag in enumerate(cases.bags)]
    cells = [cell_evidence(model, cases, row, maps[row]) for row in range(4)]
    truth = [shares_of(c > np.quantile(c, 0.6)) for c in cells]
    score = score_evidence(model, cases, maps, truth)
    assert score.cells == pytest.approx(1.0)
    opposite = [shares_of(c < np.quantile(c, 0.4)) for c in cells]
    assert score_evidence(model, cases, maps, opposite).cells == pytest.approx(0.0)


def test_patches_are_scored_by_their_sums_and_majorities() -> None:
    cases, model = make_bags(2), make_fusion().eval()
    rng = np.random.default_rng(1)
    maps = [random_maps(bag) for bag in cases.bags]
    planted = [rng.random((12, 2, 2)) > 0.5 for _ in maps]
    score = score_evidence(model, cases, maps, [shares_of(p) for p in planted])
    expected = [
        binary_auc(
            p.mean(axis=(1, 2)) > 0.5, cell_evidence(model, cases, i, m).sum((1, 2))
        )
        for i, (m, p) in enumerate(zip(maps, planted, strict=True))
    ]
    assert score.patches == pytest.approx(np.mean(expected))
    assert score.worst_slide == pytest.approx(min(expected))
    assert score.slides == 2


def test_glass_cells_do_not_count() -> None:
    cases, model = make_bags(2), make_fusion().eval()
    maps = [random_maps(bag) for bag in cases.bags]
    cells = [cell_evidence(model, cases, i, m) for i, m in enumerate(maps)]
    truth = [shares_of(c > np.median(c)) for c in cells]
    before = score_evidence(model, cases, maps, truth)
    for shares, maps_of_case in zip(truth, maps, strict=True):
        shares[:, :, 0, 0] = 0
        shares[:, PHENOTYPES["background"], 0, 0] = 1
        maps_of_case[:, :, 0, 0] = 1000  # nonsense evidence where there is only glass
    assert before.cells == pytest.approx(1.0)
    assert score_evidence(model, cases, maps, truth).cells > 0.8


def test_slides_without_a_planted_region_cannot_be_scored() -> None:
    cases, model = make_bags(2), make_fusion().eval()
    maps = [random_maps(bag) for bag in cases.bags]
    blank = [shares_of(np.zeros((12, 2, 2), bool)) for _ in maps]
    with pytest.raises(ValueError, match="holds both"):
        score_evidence(model, cases, maps, blank)


def test_card_names_fused_and_every_single_modality() -> None:
    keys = reported_subsets(list(Modality))
    assert keys[0] == tuple(Modality)
    assert (Modality.IMAGE, Modality.RNA) in keys
    assert {(m,) for m in Modality} <= set(keys)
    assert reported_subsets([Modality.IMAGE]) == [(Modality.IMAGE,)]


def test_subset_scores_hide_the_other_modalities() -> None:
    cases, model = make_bags(40), make_fusion().eval()
    scores = score_subsets(model, cases, Calibration(1.5), repeats=100)
    assert set(scores) == {"image+rna", "image", "rna"}
    alone = predict_logits(model, cases.restricted([Modality.RNA]))
    assert scores["rna"].auc.value == pytest.approx(roc_auc(cases.labels, alone))
    assert scores["rna"].auc.low <= scores["rna"].auc.value <= scores["rna"].auc.high


def test_each_subset_is_scored_at_its_own_temperature() -> None:
    cases, model = make_bags(40), make_fusion().eval()
    record = Calibration(1.0, {"rna": 0.3})
    scores = score_subsets(model, cases, record, repeats=10)
    logits = predict_logits(model, cases.restricted([Modality.RNA]))
    expected = expected_calibration_error(cases.labels, calibrate(logits, 0.3), bins=10)
    assert scores["rna"].ece == pytest.approx(expected)


def test_feature_weights_find_the_gene_that_matters() -> None:
    model, cases = make_fusion(), make_bags(50)
    with torch.no_grad():
        for parameter in model.encoders["rna"].first.parameters():
            parameter[..., :] = 0
        model.encoders["rna"].first.weight[:, 1] = 1
    weights = feature_weights(model.eval(), cases)[Modality.RNA]
    assert weights.argmax() == 1
    assert np.delete(weights, 1) == pytest.approx(0)
    assert weights.mean() == pytest.approx(1)
