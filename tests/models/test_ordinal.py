from __future__ import annotations

import numpy as np
import pytest
import torch
from coral_pytorch.dataset import corn_label_from_logits
from coral_pytorch.losses import corn_loss as published_corn_loss

from napari_mmsubtype.models.ordinal import corn_loss, corn_probabilities


def test_probabilities_are_products_of_conditional_answers():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    yes = 1 / (1 + np.exp(-logits.numpy()))
    reached = np.concatenate([np.ones((5, 1)), np.cumprod(yes, axis=1)], axis=1)
    expected = reached - np.concatenate([reached[:, 1:], np.zeros((5, 1))], axis=1)
    found = corn_probabilities(logits)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5))


def test_losses_of_one_case_are_minus_the_log_of_its_probability():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4)
    # Level 0 is asked one question, 1 two, 2 and 3 all three.
    asked = 1 + 2 + 3 + 3
    expected = -corn_probabilities(logits)[labels, labels].log().sum() / asked
    torch.testing.assert_close(corn_loss(logits, labels), expected)


def test_the_loss_is_that_of_the_published_loop():
    """Task by task, as the authors of CORN wrote it, in NumPy."""
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(30, 4)), rng.integers(0, 5, 30)
    total, asked = 0.0, 0
    for task in range(4):
        rows = labels > task - 1
        positive = labels[rows] > task
        z = logits[rows, task]
        log_yes = -np.log1p(np.exp(-z))
        total -= (log_yes * positive + (log_yes - z) * ~positive).sum()
        asked += rows.sum()
    found = corn_loss(torch.from_numpy(logits), torch.from_numpy(labels))
    assert found.item() == pytest.approx(total / asked, rel=1e-12)


@pytest.mark.parametrize("levels", [2, 4, 7])
def test_loss_gradient_and_label_are_those_of_the_authors_library(levels):
    draw = torch.Generator().manual_seed(levels)
    logits = 2 * torch.randn(60, levels - 1, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, levels, (60,), generator=draw)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = corn_loss(ours, labels)
    expected = published_corn_loss(theirs, labels, levels)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)
    # They call the highest level that is reached with more than one half.
    above = 1 - corn_probabilities(logits).cumsum(dim=1)[:, :-1]
    called = (above > 0.5).sum(dim=1)
    assert torch.equal(called, corn_label_from_logits(logits))


def test_shared_logits_fit_the_conditional_shares():
    labels = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    logits = torch.logit(torch.tensor([5 / 8, 4 / 5])).requires_grad_()
    corn_loss(logits.expand(8, -1), labels).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(2), atol=1e-6, rtol=0)


def test_no_case_costs_nothing_and_wrong_levels_are_named():
    assert corn_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0
    with pytest.raises(ValueError, match="from 0 to 3, found 1 to 4"):
        corn_loss(torch.zeros(2, 3), torch.tensor([1, 4]))
