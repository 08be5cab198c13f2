from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_mmsubtype.training.class_losses import (
    class_entropy,
    focal_entropy,
    share_entropy,
)

WEIGHTS = torch.tensor([0.5, 1.0, 2.5])


def drawn(n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, 3) * 3, torch.tensor([0, 2, 1, 1, 0, 2])[:n]


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_is_the_formula(gamma: float, smoothing: float) -> None:
    logits, labels = drawn()
    p = torch.exp(logits.double()) / torch.exp(logits.double()).sum(1, keepdim=True)
    total, norm = 0.0, 0.0
    for row, label in enumerate(labels.tolist()):
        for c in range(3):
            wanted = (1 - smoothing) * (c == label) + smoothing / 3
            q = float(p[row, c])
            total -= (
                float(WEIGHTS[c]) * wanted * (1 - q) ** gamma * float(p[row, c].log())
            )
        norm += float(WEIGHTS[label])
    found = class_entropy(logits, labels, WEIGHTS, smoothing=smoothing, gamma=gamma)
    assert found.item() == pytest.approx(total / norm, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focus_zero_is_cross_entropy_and_its_limit(smoothing: float) -> None:
    logits, labels = drawn()
    expected = F.cross_entropy(logits, labels, WEIGHTS, label_smoothing=smoothing)
    plain = class_entropy(logits, labels, WEIGHTS, smoothing=smoothing)
    assert torch.equal(plain, expected)
    tiny = class_entropy(logits, labels, WEIGHTS, smoothing=smoothing, gamma=1e-7)
    torch.testing.assert_close(tiny, expected)


def test_focus_looks_away_from_what_is_called_right() -> None:
    sure, wrong = torch.tensor([[6.0, 0.0]]), torch.tensor([[0.0, 6.0]])
    cost = focal_entropy(torch.cat([sure, wrong]), 2.0)[:, 0]
    plain = focal_entropy(torch.cat([sure, wrong]), 0.0)[:, 0]
    assert cost[0] < 1e-4 * plain[0]
    assert cost[1] > 0.99 * plain[1]


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradients_stay_finite_where_the_network_is_certain(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [0.0, 0.0]], requires_grad=True)
    loss = class_entropy(logits, torch.tensor([0, 1]), torch.ones(2), gamma=gamma)
    loss.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[1].abs().min() > 0.1
    assert logits.grad[0].abs().max() < 1e-3


def test_share_entropy_is_cross_entropy_of_whole_labels():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3, 1, 1), torch.tensor([0, 2, 1, 1, 0])
    targets = F.one_hot(labels, 3).float()[:, :, None, None]
    for smoothing in (0.0, 0.2):
        found = share_entropy(logits, targets, smoothing)
        expected = F.cross_entropy(
            logits[:, :, 0, 0], labels, label_smoothing=smoothing
        )
        torch.testing.assert_close(found, expected)


def test_weighted_targets_are_a_weighted_mean():
    torch.manual_seed(1)
    logits, labels = torch.randn(6, 2, 1, 1), torch.tensor([0, 0, 0, 0, 1, 1])
    weights = torch.tensor([0.75, 1.5])
    targets = F.one_hot(labels, 2).float() * weights
    found = share_entropy(logits, targets[:, :, None, None], 0.0)
    expected = F.cross_entropy(logits[:, :, 0, 0], labels, weights)
    torch.testing.assert_close(found, expected)


def test_share_entropy_with_focus_is_the_focal_loss_of_whole_labels() -> None:
    logits, labels = drawn()
    targets = (F.one_hot(labels, 3) * WEIGHTS[labels, None])[:, :, None, None].float()
    found = share_entropy(logits[:, :, None, None], targets, 0.0, gamma=2.0)
    expected = class_entropy(logits, labels, WEIGHTS, gamma=2.0)
    torch.testing.assert_close(found, expected)


def test_cells_without_a_share_do_not_count() -> None:
    torch.manual_seed(1)
    logits, targets = torch.randn(2, 3, 2, 2), torch.rand(2, 3, 2, 2)
    targets[:, :, 1, 1] = 0
    found = share_entropy(logits, targets, 0.1, gamma=1.0)
    logits[:, :, 1, 1] = 50.0
    torch.testing.assert_close(share_entropy(logits, targets, 0.1, gamma=1.0), found)
