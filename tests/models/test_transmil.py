from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from napari_mmsubtype.models.mil_pooling import create_pooling
from napari_mmsubtype.models.transmil import (
    LandmarkAttention,
    PositionEncoding,
    pseudo_inverse,
)


def softmax(scores):
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def parts_of(layer, tokens):
    """Query, key and value of each head by their formulas, in NumPy."""
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    query = tokens @ p["query.weight"].T + p["query.bias"]
    both = tokens @ p["key_value.weight"].T + p["key_value.bias"]
    shape = (len(tokens), layer.heads, -1)
    split = [
        t.reshape(shape).transpose(1, 0, 2) for t in (query, *np.split(both, 2, axis=1))
    ]
    split[0] = split[0] / np.sqrt(split[0].shape[2])
    return split, p


def test_few_tokens_attend_by_the_plain_formula():
    torch.manual_seed(0)
    layer, tokens = LandmarkAttention(8, 2, 16), torch.randn(6, 8)
    (query, key, value), p = parts_of(layer, tokens.numpy())
    found = softmax(query @ key.transpose(0, 2, 1)) @ value
    flat = found.transpose(1, 0, 2).reshape(6, 8)
    expected = flat @ p["out.weight"].T + p["out.bias"]
    np.testing.assert_allclose(
        layer(tokens).detach().numpy(), expected, rtol=1e-4, atol=1e-6
    )


def test_many_tokens_attend_by_the_nystrom_formula():
    torch.manual_seed(0)
    layer, tokens = LandmarkAttention(8, 2, 3, iterations=30), 2 * torch.randn(7, 8)
    with torch.no_grad():
        layer.query.weight.mul_(4)
    (query, key, value), p = parts_of(layer, tokens.numpy())
    order = np.argsort(tokens.numpy() @ layer.axis.numpy())
    # Runs of 3, 2 and 2 tokens.
    runs = [order[:3], order[3:5], order[5:]]
    few_query, few_key = (
        np.stack([t[:, run].mean(axis=1) for run in runs], axis=1) for t in (query, key)
    )
    near = softmax(few_query @ few_key.transpose(0, 2, 1))
    far = softmax(few_query @ key.transpose(0, 2, 1)) @ value
    found = softmax(query @ few_key.transpose(0, 2, 1)) @ np.linalg.pinv(near) @ far
    flat = found.transpose(1, 0, 2).reshape(7, 8)
    expected = flat @ p["out.weight"].T + p["out.bias"]
    np.testing.assert_allclose(
        layer(tokens).detach().numpy(), expected, rtol=1e-2, atol=1e-3
    )


def test_one_token_looks_by_the_plain_formula():
    torch.manual_seed(4)
    layer = LandmarkAttention(8, 2, 4)
    tokens = torch.randn(9, 8)
    (query, key, value), p = parts_of(layer, tokens.numpy())
    attention = softmax(query[:, :1] @ key.transpose(0, 2, 1))
    joined = (attention @ value).transpose(1, 0, 2).reshape(1, 8)
    found, weights = layer.look(tokens[:1], tokens)
    expected = joined @ p["out.weight"].T + p["out.bias"]
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-5, atol=1e-6)
    mean = attention.mean(axis=0)[0]
    np.testing.assert_allclose(weights.detach(), mean, rtol=1e-5)


def test_the_pseudo_inverse_is_that_of_numpy():
    matrix = softmax(3 * np.random.default_rng(0).normal(size=(2, 5, 5)))
    found = pseudo_inverse(torch.from_numpy(matrix), 20).numpy()
    np.testing.assert_allclose(found, np.linalg.pinv(matrix), rtol=1e-6, atol=1e-6)


def test_positions_are_convolved_on_the_square():
    torch.manual_seed(0)
    layer, tokens = PositionEncoding(3), torch.randn(7, 3)
    grid = np.zeros((9, 3))
    grid[:7] = tokens.numpy()
    expected = tokens.numpy().astype(float)
    for convolution in layer.convolutions:
        weight = convolution.weight.detach().numpy()[:, 0]
        for channel in range(3):
            plane = grid[:, channel].reshape(3, 3)
            found = correlate(plane, weight[channel], mode="constant")
            found = found + convolution.bias[channel].item()
            expected[:, channel] += found.ravel()[:7]
    np.testing.assert_allclose(
        layer(tokens).detach().numpy(), expected, rtol=1e-4, atol=1e-5
    )


def test_positions_make_the_order_matter_and_padding_still_does_not():
    torch.manual_seed(0)
    pooling = create_pooling("transmil", 8, positional=True).eval()
    tokens, mask = torch.randn(1, 7, 8), torch.ones(1, 7, dtype=torch.bool)
    before = pooling(tokens, mask).vector
    assert (pooling(tokens.flip(1), mask).vector - before).abs().max() > 1e-3
    padded = torch.cat([tokens, torch.full((1, 20, 8), 1e3)], dim=1)
    wide = torch.cat([mask, torch.zeros(1, 20, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(pooling(padded, wide).vector, before)


def test_the_pooling_puts_its_parts_together_as_published():
    torch.manual_seed(0)
    pooling = create_pooling("transmil", 8, heads=2).eval()
    for norm in pooling.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    patches = torch.randn(1, 6, 8)

    def normal(tokens, norm):
        tokens = tokens - tokens.mean(axis=1, keepdims=True)
        tokens = tokens / np.sqrt(tokens.var(axis=1, keepdims=True) + norm.eps)
        return tokens * norm.weight.detach().numpy() + norm.bias.detach().numpy()

    def attend(layer, tokens):
        (query, key, value), p = parts_of(layer, tokens)
        weights = softmax(query @ key.transpose(0, 2, 1))
        flat = (weights @ value).transpose(1, 0, 2).reshape(len(tokens), 8)
        return flat @ p["out.weight"].T + p["out.bias"], weights.mean(axis=0)

    tokens = np.concatenate([pooling.reader.detach().numpy(), patches[0].numpy()])
    tokens = tokens + attend(pooling.first, normal(tokens, pooling.norms[0]))[0]
    found, weights = attend(pooling.second, normal(tokens, pooling.norms[1]))
    vector = normal(tokens[:1] + found[:1], pooling.norms[2])[0]
    share = weights[0, 1:] / weights[0, 1:].sum()
    parts = share[:, None] * normal(tokens[1:], pooling.norms[2])
    pooled = pooling(patches, torch.ones(1, 6, dtype=torch.bool))
    for ours, expected in (
        (pooled.vector, vector),
        (pooled.weights, share),
        (pooled.contributions, parts),
    ):
        np.testing.assert_allclose(
            ours[0].detach().numpy(), expected, rtol=1e-3, atol=1e-5
        )


def test_patches_of_a_bag_influence_each_other():
    torch.manual_seed(0)
    pooling = create_pooling("transmil", 8).eval()
    tokens, mask = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    before = pooling(tokens, mask)
    tokens[0, 4] = torch.randn(8)
    after = pooling(tokens, mask)
    own = before.contributions / before.weights.unsqueeze(2)
    other = after.contributions / after.weights.unsqueeze(2)
    assert (own - other)[0, 0].abs().max() > 1e-4


@pytest.mark.parametrize("options", [{"heads": 3}, {"landmarks": 0}, {"heads": 0}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ValueError, match="width must be a multiple of heads"):
        create_pooling("transmil", 8, **options)


def test_bags_with_padding_are_read_in_bfloat16_too():
    torch.manual_seed(0)
    pooling = create_pooling("transmil", 8).eval()
    tokens = torch.randn(3, 5, 8)
    mask = torch.tensor([[True] * 5, [True, False, True, True, False], [False] * 5])
    whole = pooling(tokens, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        # As a layer of the model hands them on.
        low = pooling(tokens.bfloat16(), mask)
    for name in ("vector", "weights", "contributions"):
        found, expected = getattr(low, name), getattr(whole, name)
        torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.05)
