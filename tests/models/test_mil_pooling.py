from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models import mil_pooling
from napari_mmsubtype.models.mil_pooling import (
    Pooling,
    create_pooling,
    list_poolings,
    register_pooling,
)

WIDTH, PATCHES = 8, 9


@pytest.fixture(params=list_poolings())
def pooling(request):
    torch.manual_seed(0)
    # Few landmarks: the approximation must keep the promises too.
    options = {"landmarks": 4} if request.param == "transmil" else {}
    return create_pooling(request.param, WIDTH, **options).eval()


@pytest.fixture
def bags():
    draw = torch.Generator().manual_seed(1)
    mask = torch.ones(4, PATCHES, dtype=torch.bool)
    mask[1, 3:] = False
    mask[2] = False
    mask[3, ::2] = False
    return torch.randn(4, PATCHES, WIDTH, generator=draw), mask


def gate_of(layer, tokens):
    """Weights of gated attention by its formula, in NumPy."""
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    value = np.tanh(tokens @ p["value.weight"].T + p["value.bias"])
    gate = 1 / (1 + np.exp(-(tokens @ p["gate.weight"].T + p["gate.bias"])))
    scores = np.exp((value * gate) @ p["score.weight"][0])
    return scores / scores.sum()


def same(left, right, **tolerance):
    for name in ("vector", "weights", "contributions"):
        torch.testing.assert_close(
            getattr(left, name), getattr(right, name), **tolerance
        )


def test_all_poolings_are_known():
    assert {"mean", "gated", "additive", "transmil"} <= set(list_poolings())


def test_weights_sum_to_one_and_padding_weighs_nothing(pooling, bags):
    tokens, mask = bags
    pooled = pooling(tokens, mask)
    assert pooled.vector.shape == (4, WIDTH)
    assert not pooled.weights[~mask].any()
    assert not pooled.contributions[~mask].any()
    torch.testing.assert_close(
        pooled.weights.sum(dim=1), torch.tensor([1.0, 1.0, 0.0, 1.0])
    )
    assert (pooled.weights >= 0).all()


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_padding_changes_nothing(pooling, bags, value):
    tokens, mask = bags
    before = pooling(tokens, mask)
    padded = torch.cat([tokens, torch.zeros(4, 3, WIDTH)], dim=1)
    wide = torch.cat([mask, torch.zeros(4, 3, dtype=torch.bool)], dim=1)
    padded[~wide] = value
    after = pooling(padded, wide)
    after.weights = after.weights[:, :-3]
    after.contributions = after.contributions[:, :-3]
    same(before, after)


def test_batch_of_one_equals_batch_of_many(pooling, bags):
    tokens, mask = bags
    together = pooling(tokens, mask)
    for row in range(4):
        alone = pooling(tokens[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(alone.vector[0], together.vector[row])
        torch.testing.assert_close(alone.weights[0], together.weights[row])


def test_order_does_not_matter(pooling, bags):
    tokens, mask = bags
    order = torch.randperm(PATCHES, generator=torch.Generator().manual_seed(2))
    before, after = pooling(tokens, mask), pooling(tokens[:, order], mask[:, order])
    back = torch.argsort(order)
    after.weights = after.weights[:, back]
    after.contributions = after.contributions[:, back]
    same(before, after, rtol=1e-4, atol=1e-5)


def test_an_empty_bag_is_zero_and_has_a_gradient_of_zero(pooling, bags):
    tokens, mask = bags
    tokens.requires_grad_()
    pooled = pooling(tokens, mask)
    assert not pooled.vector[2].any()
    pooled.vector.square().sum().backward()
    assert torch.isfinite(tokens.grad).all()
    assert not tokens.grad[~mask].any()
    nothing = pooling(tokens[:, :0], mask[:, :0])
    assert not nothing.vector.any()
    assert nothing.weights.shape == (4, 0)


@pytest.mark.parametrize("name", ["mean", "gated", "additive"])
def test_contributions_sum_to_the_vector(name, bags):
    pooled = create_pooling(name, WIDTH)(*bags)
    torch.testing.assert_close(pooled.contributions.sum(dim=1), pooled.vector)


def test_the_mean_is_the_mean(bags):
    tokens, mask = bags
    vector = create_pooling("mean", WIDTH)(tokens, mask).vector
    expected = tokens[1, :3].numpy().mean(axis=0)
    np.testing.assert_allclose(vector[1].numpy(), expected, rtol=1e-5)


def test_gated_attention_follows_its_formula(bags):
    layer = create_pooling("gated", WIDTH, hidden=5).eval()
    pooled = layer(*bags)
    bag = bags[0][1, :3].numpy()
    weights = gate_of(layer.attention, bag)
    np.testing.assert_allclose(
        pooled.weights[1, :3].detach().numpy(), weights, rtol=1e-4
    )
    np.testing.assert_allclose(
        pooled.vector[1].detach().numpy(), weights @ bag, rtol=1e-4, atol=1e-6
    )


def test_additive_pooling_follows_its_formula(bags):
    layer = create_pooling("additive", WIDTH, hidden=5).eval()
    bag = bags[0][1, :3].numpy()
    first = layer.first.weight.detach().numpy()
    second = layer.second.weight.detach().numpy()
    weighted = gate_of(layer.attention, bag)[:, None] * bag
    expected = np.maximum(weighted @ first.T, 0) @ second.T
    found = layer(*bags).contributions[1, :3].detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_wrong_shapes_are_named(pooling, bags):
    tokens, mask = bags
    with pytest.raises(ValueError, match="tokens must be"):
        pooling(tokens[..., :3], mask)
    with pytest.raises(ValueError, match="mask must be"):
        pooling(tokens, mask[:, :2])


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'max'.*additive.*transmil"):
        create_pooling("max", WIDTH)


def test_a_registered_pooling_is_found_and_its_name_is_taken(monkeypatch, bags):
    monkeypatch.setattr(mil_pooling, "_FACTORIES", dict(mil_pooling._FACTORIES))
    register_pooling("bare")(Pooling)
    assert "bare" in list_poolings()
    with pytest.raises(NotImplementedError):
        create_pooling("bare", WIDTH)(*bags)
    with pytest.raises(ValueError, match="already registered"):
        register_pooling("bare")(object)
