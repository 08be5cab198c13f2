from __future__ import annotations

import pytest
import torch
from torch import nn

from builders.training import make_answers, make_bags, make_fusion, make_heads
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_loss import FusionLoss
from napari_mmsubtype.training.fusion_step import FusionStep, drop_modalities

WEIGHTS = torch.tensor([0.6, 1.7])


def test_dropping_leaves_one_and_never_invents_any() -> None:
    generator = torch.Generator().manual_seed(0)
    present = torch.tensor([[True, True, True], [False, True, False]]).repeat(3000, 1)
    kept = drop_modalities(present, torch.tensor([0.9, 0.9, 0.0]), generator)
    assert kept.any(dim=1).all()
    assert not (kept & ~present).any()
    assert kept[::2, 2].all()
    assert kept[::2, 0].float().mean() == pytest.approx(0.1, abs=0.02)


def calm(name: str, classes: int = 2) -> nn.Module:
    """A model without dropout, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_fusion(name, dim=6, classes=classes, omics={"rna": 4}, dropout=0)
    for module in model.modules():
        if isinstance(module, (nn.Dropout, nn.AlphaDropout)):
            module.p = 0.0
    return model


def descend(model, cases, config, heads=None, steps: int = 1):
    objective = FusionLoss(WEIGHTS, config, heads)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = FusionStep(model, cases, objective, optimizer)
    losses = [step.take(0, s, 0.1) for s in range(steps)]
    return losses, torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", ["evidence", "cross_attention", "late"])
def test_parts_of_a_batch_make_the_step_of_the_whole(name: str) -> None:
    # Also what compares cases: weights of classes, unknown labels and risks.
    heads, cases = make_heads(), make_answers(21, seed=1, known=0.7)
    cases.labels[::4] = -1
    options = {
        "batch_size": 21,
        "patches_per_bag": 5,
        "consistency": 0.2,
        "steadiness": 0.3,
        "label_smoothing": 0.1,
        "focal_gamma": 1.5,
    }
    whole, *others = (
        descend(
            calm(name, heads.size),
            cases,
            FusionTrainingConfig(accumulation=parts, **options),
            heads,
        )
        for parts in (1, 2, 5, 21)
    )
    start = torch.cat([p.flatten() for p in calm(name, heads.size).parameters()])
    assert (whole[1] - start.detach()).abs().max() > 1e-3
    for losses, weights in others:
        assert losses == pytest.approx(whole[0], rel=1e-5)
        torch.testing.assert_close(weights, whole[1], rtol=1e-4, atol=1e-6)


def test_a_step_can_be_redone_alone() -> None:
    cases, config = make_bags(20), FusionTrainingConfig(batch_size=5, omics_noise=0.2)
    first, second = (descend(make_fusion(), cases, config)[1] for _ in range(2))
    assert torch.equal(first, second)
    objective = FusionLoss(WEIGHTS, config)
    steps = []
    for before in ([], [0, 1]):
        model = make_fusion()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        step = FusionStep(model, cases, objective, optimizer)
        for s in before:
            step.take(0, s, 0.0)
        steps.append(step.take(0, 2, 0.0))
    assert steps[0] == steps[1]


def test_an_epoch_takes_every_case_once_in_an_order_of_its_own() -> None:
    cases, config = make_bags(23), FusionTrainingConfig(batch_size=5)
    model = make_fusion()
    step = FusionStep(model, cases, FusionLoss(WEIGHTS, config), None)
    orders = [
        [int(row) for s in range(5) for row in step.rows(epoch, s)]
        for epoch in (0, 1, 0)
    ]
    assert sorted(orders[0]) == list(range(23))
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]


def test_long_gradients_are_shortened() -> None:
    cases = make_bags(12)
    moved = {}
    for clip in (1e-3, None):
        model = calm("evidence")
        start = torch.cat([p.detach().flatten() for p in model.parameters()])
        config = FusionTrainingConfig(gradient_clip=clip)
        moved[clip] = (descend(model, cases, config)[1] - start).norm().item()
    assert moved[1e-3] == pytest.approx(0.1 * 1e-3, rel=1e-3)
    assert moved[None] > 1e-3


@pytest.mark.parametrize(
    "name",
    ["evidence", "cross_attention", "feature_concat", "gated", "bilinear", "late"],
)
def test_half_precision_gives_nearly_the_same_loss(name: str) -> None:
    cases = make_bags(16)
    options = {"consistency": 0.1, "steadiness": 0.1, "embedding_noise": 0.1}
    full, half = (
        descend(calm(name), cases, FusionTrainingConfig(precision=p, **options))
        for p in ("float32", "bfloat16")
    )
    assert half[0] == pytest.approx(full[0], rel=0.03)
    assert half[0] != full[0]
    assert half[1].dtype is torch.float32
