"""Our poolings give what torchmil gives with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchmil.models import ABMIL
from torchmil.nn import MeanPool
from torchmil.nn import masked_softmax as their_softmax
from torchmil.nn.attention import (
    AttentionPool,
    MultiheadSelfAttention,
    NystromAttention,
)

from napari_mmsubtype.models.mil import masked_softmax
from napari_mmsubtype.models.mil_pooling import create_pooling
from napari_mmsubtype.models.transmil import LandmarkAttention

WIDTH, HIDDEN, PATCHES = 8, 5, 12


@pytest.fixture
def bags():
    draw = torch.Generator().manual_seed(1)
    mask = torch.ones(3, PATCHES, dtype=torch.bool)
    mask[1, 7:] = False
    mask[2, 1:] = False
    return torch.randn(3, PATCHES, WIDTH, generator=draw), mask


def copy_gate(ours, theirs):
    """Give their gated attention the weights of ours."""
    theirs.fc1.module.load_state_dict(ours.value.state_dict())
    theirs.fc_gated.module.load_state_dict(ours.gate.state_dict())
    theirs.fc2.load_state_dict(ours.score.state_dict())


def copy_attention(ours, theirs):
    """Give both self-attentions the same weights; theirs has no offsets."""
    with torch.no_grad():
        for layer in (ours.query, ours.key_value, ours.out):
            layer.bias.zero_()
        ours.out.weight.copy_(torch.eye(WIDTH))
        theirs.qkv_nn.weight.copy_(
            torch.cat([ours.query.weight, ours.key_value.weight])
        )


def test_weights_over_a_padded_bag(bags):
    scores, mask = bags[0][..., 0], bags[1]
    expected = their_softmax(scores[..., None], mask[..., None]).squeeze(-1)
    torch.testing.assert_close(masked_softmax(scores, mask), expected)


def test_the_mean(bags):
    ours = create_pooling("mean", WIDTH)
    torch.testing.assert_close(ours(*bags).vector, MeanPool()(*bags))


@torch.no_grad()
def test_gated_attention(bags):
    torch.manual_seed(0)
    ours = create_pooling("gated", WIDTH, hidden=HIDDEN).eval()
    theirs = AttentionPool(WIDTH, HIDDEN, gated=True)
    copy_gate(ours.attention, theirs)
    vector, scores = theirs(*bags, return_att=True)
    pooled = ours(*bags)
    torch.testing.assert_close(pooled.vector, vector)
    torch.testing.assert_close(pooled.weights, masked_softmax(scores, bags[1]))


@torch.no_grad()
def test_gated_attention_under_a_linear_head_is_abmil(bags):
    torch.manual_seed(0)
    ours, head = create_pooling("gated", WIDTH, hidden=HIDDEN), nn.Linear(WIDTH, 1)
    theirs = ABMIL((WIDTH,), att_dim=HIDDEN, gated=True).eval()
    copy_gate(ours.attention, theirs.pool)
    theirs.classifier.module.load_state_dict(head.state_dict())
    torch.testing.assert_close(head(ours.eval()(*bags).vector)[:, 0], theirs(*bags))


@torch.no_grad()
def test_additive_attention(bags):
    """With a network that passes everything on, the sum of parts is their average."""
    torch.manual_seed(0)
    ours = create_pooling("additive", WIDTH, hidden=2 * WIDTH).eval()
    # relu(x) - relu(-x) = x
    unit = torch.eye(WIDTH)
    ours.first.weight.copy_(torch.cat([unit, -unit]))
    ours.second.weight.copy_(torch.cat([unit, -unit], dim=1))
    theirs = AttentionPool(WIDTH, 2 * WIDTH, gated=True)
    copy_gate(ours.attention, theirs)
    pooled = ours(*bags)
    torch.testing.assert_close(pooled.vector, theirs(*bags))
    torch.testing.assert_close(pooled.contributions.sum(dim=1), theirs(*bags))


@torch.no_grad()
def test_self_attention_of_few_patches(bags):
    torch.manual_seed(0)
    ours = LandmarkAttention(WIDTH, 2, PATCHES)
    theirs = MultiheadSelfAttention(WIDTH, att_dim=WIDTH, n_heads=2).eval()
    copy_attention(ours, theirs)
    tokens = bags[0][0]
    torch.testing.assert_close(ours(tokens), theirs(tokens[None])[0])


@torch.no_grad()
def test_nystrom_attention_over_the_same_landmarks(bags):
    torch.manual_seed(0)
    ours = LandmarkAttention(WIDTH, 2, 4, iterations=30)
    theirs = NystromAttention(
        WIDTH, att_dim=WIDTH, n_heads=2, n_landmarks=4, pinv_iterations=30
    ).eval()
    copy_attention(ours, theirs)
    # Theirs takes runs of tokens as they come, ours along its axis.
    tokens = 2 * bags[0][0]
    tokens = tokens[torch.argsort(tokens @ ours.axis)]
    found, expected = ours(tokens), theirs(tokens[None])[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    exact = LandmarkAttention(WIDTH, 2, PATCHES)
    exact.load_state_dict(ours.state_dict())
    assert (found - exact(tokens)).abs().max() > 1e-2
