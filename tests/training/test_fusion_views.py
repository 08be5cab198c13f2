from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from builders.training import make_bags, make_fusion
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training import fusion_views
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_loss import FusionLoss
from napari_mmsubtype.training.fusion_trainer import predict_logits
from napari_mmsubtype.training.fusion_views import predict_views, validation_loss


def entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    return F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()


def test_views_are_the_answers_to_restricted_cases() -> None:
    cases, model = make_bags(20), make_fusion()
    cases.present[3, 1] = False
    views = [np.ones((20, 2), bool), np.tile([True, False], (20, 1))]
    whole, image = predict_views(model, cases, views)
    np.testing.assert_allclose(whole, predict_logits(model, cases), atol=1e-6)
    alone = cases.restricted([Modality.IMAGE])
    np.testing.assert_allclose(image, predict_logits(model, alone), atol=1e-6)
    assert model.training


def test_validation_is_half_the_whole_and_half_each_modality_alone() -> None:
    cases, model = make_bags(20), make_fusion()
    cases.present[:5, 1] = False
    config = FusionTrainingConfig(focal_gamma=2.0, label_smoothing=0.2)
    objective = FusionLoss(torch.ones(2), config)
    parts = [
        entropy(predict_logits(model, view), view.labels)
        for view in (
            cases,
            cases.restricted([Modality.IMAGE]),
            cases.take(range(5, 20)).restricted([Modality.RNA]),
        )
    ]
    expected = (parts[0] + (parts[1] + parts[2]) / 2) / 2
    found = validation_loss(model, cases, objective)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_model_of_one_modality_is_judged_by_that_one() -> None:
    cases, model = make_bags(20), make_fusion("rna_only")
    objective = FusionLoss(torch.ones(2), FusionTrainingConfig())
    expected = entropy(predict_logits(model, cases), cases.labels)
    assert validation_loss(model, cases, objective) == pytest.approx(expected, rel=1e-6)


def test_patches_that_nobody_is_shown_are_not_computed(monkeypatch) -> None:
    cases, model = make_bags(20), make_fusion()
    cases.present[:8, 0] = False
    widths = []
    forward = fusion_views.forward

    def watch(model, batch, present):
        widths.append(batch.bag.shape[1])
        return forward(model, batch, present)

    monkeypatch.setattr(fusion_views, "forward", watch)
    only_rna = np.tile([False, True], (20, 1))
    (found,) = predict_views(model, cases, [only_rna])
    assert widths == [1, 1]
    monkeypatch.undo()
    alone = cases.restricted([Modality.RNA])
    np.testing.assert_allclose(found, predict_logits(model, alone), atol=1e-6)


def test_few_large_bags_are_answered_at_once(monkeypatch) -> None:
    cases, model = make_bags(20), make_fusion()
    whole = predict_logits(model, cases)
    longest = max(len(bag) for bag in cases.bags)
    seen = []
    collate = fusion_views.collate

    def count(*args, **options):
        seen.append(collate(*args, **options))
        return seen[-1]

    monkeypatch.setattr(fusion_views, "collate", count)
    for most in (1, longest, 3 * longest):
        monkeypatch.setattr(fusion_views, "_PATCHES_AT_ONCE", most)
        seen.clear()
        np.testing.assert_allclose(predict_logits(model, cases), whole, atol=1e-5)
        assert sum(len(batch.bag) for batch in seen) == 20
        for batch in seen:
            assert len(batch.bag) == 1 or batch.mask.numel() <= most
    assert 7 <= len(seen) < 20
