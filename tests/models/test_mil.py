from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.models.mil import GatedAttention, masked_softmax


def test_weights_are_the_softmax_of_the_valid_entries():
    scores = torch.tensor([[1.0, 2.0, 50.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = masked_softmax(scores, mask).numpy()
    share = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    np.testing.assert_allclose(found[0], [*share, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found[1], [1 / 3] * 3, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_row_without_a_valid_entry_weighs_nothing(count):
    scores = torch.randn(2, count, requires_grad=True)
    weights = masked_softmax(scores, torch.zeros(2, count, dtype=torch.bool))
    assert weights.shape == (2, count)
    assert not weights.any()
    weights.sum().backward()
    assert not scores.grad.any()


def test_invalid_scores_do_not_matter_even_if_not_finite():
    scores = torch.tensor([[0.3, float("nan"), float("inf")]])
    weights = masked_softmax(scores, torch.tensor([[True, False, False]]))
    assert weights.tolist() == [[1.0, 0.0, 0.0]]


def test_attention_follows_the_published_formula():
    torch.manual_seed(0)
    layer = GatedAttention(5, 4, context_dim=3).eval()
    bag, context = torch.randn(1, 6, 5), torch.randn(1, 3)
    mean, scale = torch.randn(5), torch.rand(5) + 0.5
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    h = (bag[0].numpy() - mean.numpy()) / scale.numpy()
    shift = p["context.weight"] @ context[0].numpy()
    v = np.tanh(h @ p["value.weight"].T + p["value.bias"] + shift[:4])
    u = h @ p["gate.weight"].T + p["gate.bias"] + shift[4:]
    scores = (v / (1 + np.exp(-u))) @ p["score.weight"][0]
    expected = np.exp(scores) / np.exp(scores).sum()
    mask = torch.ones(1, 6, dtype=torch.bool)
    found = layer(bag, mask, context, mean=mean, scale=scale)[0].detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_attention_depends_on_the_context():
    torch.manual_seed(0)
    layer = GatedAttention(5, 4, context_dim=3).eval()
    bag, mask = torch.randn(2, 6, 5), torch.ones(2, 6, dtype=torch.bool)
    first = layer(bag, mask, torch.zeros(2, 3))
    second = layer(bag, mask, torch.ones(2, 3))
    assert (first - second).abs().max() > 1e-3
