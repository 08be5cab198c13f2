from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from napari_mmsubtype.models.tama import (
    AlignedTokens,
    AlignmentLoss,
    TokenAlignedAttention,
    TokenFusion,
    align_grid,
    sincos_positions,
)

DIM, HEADS, TOKENS = 8, 2, 6


def array(tensor):
    return tensor.detach().numpy().astype(float)


def softmax(scores):
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def layer_norm(x, layer):
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + layer.eps)
    return scaled * array(layer.weight) + array(layer.bias)


def attention(query, context, layer):
    """Multi-head attention from its formula, one head at a time."""
    weights = np.split(array(layer.in_proj_weight), 3)
    biases = np.split(array(layer.in_proj_bias), 3)
    q, k, v = (
        x @ w.T + b
        for x, w, b in zip((query, context, context), weights, biases, strict=True)
    )
    size = DIM // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        scores = q[..., part] @ k[..., part].swapaxes(1, 2) / math.sqrt(size)
        heads.append(softmax(scores) @ v[..., part])
    out = layer.out_proj
    return np.concatenate(heads, axis=-1) @ array(out.weight).T + array(out.bias)


def linear(x, layer):
    return x @ array(layer.weight).T + array(layer.bias)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = TokenAlignedAttention(DIM, heads=HEADS, hidden=12).eval()
    for parameter in layer.parameters():  # norms and biases are trivial at first
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


@pytest.fixture
def grids():
    draw = torch.Generator().manual_seed(1)
    return tuple(torch.randn(2, TOKENS, DIM, generator=draw) for _ in range(2))


def test_attention_gate_and_feed_forward_follow_their_formulas(layer, grids):
    positions = sincos_positions(2, 3, DIM)
    c = array(grids[0]) + array(positions) + array(layer.branch[0])
    v = array(grids[1]) + array(positions) + array(layer.branch[1])
    cn, vn = layer_norm(c, layer.cnn_norm), layer_norm(v, layer.vit_norm)
    c = c + attention(cn, vn, layer.cnn_attention)
    v = v + attention(vn, cn, layer.vit_attention)
    gate = 1 / (1 + np.exp(-linear(np.concatenate([c, v], axis=-1), layer.gate)))
    fused = gate * c + (1 - gate) * v
    hidden = gelu(linear(layer_norm(fused, layer.ffn_norm), layer.ffn[0]))
    expected = fused + linear(hidden, layer.ffn[3])

    found = layer(*grids, positions)
    for name, value in (("cnn", c), ("vit", v), ("gate", gate), ("fused", expected)):
        np.testing.assert_allclose(
            array(getattr(found, name)), value, rtol=1e-4, atol=1e-4, err_msg=name
        )


def test_each_branch_moves_the_other(layer, grids):
    positions = sincos_positions(2, 3, DIM)
    before = layer(*grids, positions)
    other = torch.roll(grids[1], 1, dims=0)
    after = layer(grids[0], other, positions)
    assert (before.cnn - after.cnn).abs().max() > 1e-3
    after = layer(torch.roll(grids[0], 1, dims=0), grids[1], positions)
    assert (before.vit - after.vit).abs().max() > 1e-3


def test_mixed_blocks_follow_their_formula():
    torch.manual_seed(2)
    layer = TokenFusion(DIM, 3)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    hidden = [torch.randn(2, 5, DIM) for _ in range(3)]
    weights = softmax(array(layer.scores))
    expected = sum(
        weight * layer_norm(array(h), norm)
        for weight, h, norm in zip(weights, hidden, layer.norms, strict=True)
    )
    np.testing.assert_allclose(array(layer(hidden)), expected, rtol=1e-4, atol=1e-5)


def test_blocks_count_alike_at_first():
    layer = TokenFusion(DIM, 4)
    assert torch.equal(F.softmax(layer.scores, 0), torch.full((4,), 0.25))


def test_a_finer_grid_is_averaged():
    maps = torch.arange(32.0).view(1, 2, 4, 4)
    expected = array(maps).reshape(1, 2, 2, 2, 2, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(array(align_grid(maps, 2, 2)), expected)


def test_a_coarser_grid_is_lifted_bilinearly():
    maps = torch.randn(1, 3, 2, 2)
    # Centers of the four fine cells in units of coarse cells, held at the border.
    place = np.clip((np.arange(4) + 0.5) / 2 - 0.5, 0, 1)
    weights = np.stack([1 - place, place], axis=1)
    expected = np.einsum("ik,jl,ndkl->ndij", weights, weights, array(maps))
    np.testing.assert_allclose(array(align_grid(maps, 4, 4)), expected, atol=1e-6)


def test_a_grid_that_fits_is_left_alone():
    maps = torch.randn(1, 3, 2, 5)
    assert align_grid(maps, 2, 5) is maps


def test_positions_are_sines_and_cosines_of_row_and_column():
    found = array(sincos_positions(3, 5, DIM))
    for k in range(15):
        y, x = divmod(k, 5)
        waves = [1.0, 10_000.0**-0.5]
        expected = [
            function(place * wave)
            for place in (y, x)
            for function in (math.sin, math.cos)
            for wave in waves
        ]
        np.testing.assert_allclose(found[k], expected, rtol=1e-5, atol=1e-6)
    assert len(np.unique(found.round(5), axis=0)) == 15


def test_the_alignment_loss_is_one_minus_the_cosine():
    torch.manual_seed(3)
    loss = AlignmentLoss(DIM, shared=4)
    cnn, vit = torch.randn(2, 5, DIM), torch.randn(2, 5, DIM)
    a, b = array(cnn) @ array(loss.cnn.weight).T, array(vit) @ array(loss.vit.weight).T
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    tokens = AlignedTokens(cnn, cnn, vit, cnn)
    assert loss(tokens).item() == pytest.approx((1 - cosine).mean(), rel=1e-4)
    loss.vit.load_state_dict(loss.cnn.state_dict())
    assert loss(AlignedTokens(cnn, cnn, 2 * cnn, cnn)).item() == pytest.approx(
        0, abs=1e-5
    )
