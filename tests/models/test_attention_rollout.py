import numpy as np
import pytest
import timm
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.attention_rollout import (
    AttentionTap,
    attention_rollout,
    has_rollout,
)
from napari_mmsubtype.models.registry import create_encoder


def rolled_in_numpy(attentions, prefix):
    """The formula of the paper, patch by patch, with heads still apart."""
    patches = []
    for n in range(len(attentions[0])):
        flow = np.eye(attentions[0].shape[-1])
        for block in attentions:
            mixed = 0.5 * block[n].mean(axis=0) + 0.5 * np.eye(len(flow))
            flow = (mixed / mixed.sum(axis=1, keepdims=True)) @ flow
        patches.append(flow[prefix:, prefix:].mean(axis=0))
    return np.array(patches)


def softmaxed(rng, *shape):
    values = np.exp(rng.normal(0, 2, shape))
    return values / values.sum(axis=-1, keepdims=True)


def test_rollout_equals_the_formula_of_the_paper():
    rng = np.random.default_rng(0)
    heads = [softmaxed(rng, 3, 4, 10, 10) for _ in range(5)]
    means = [torch.from_numpy(block.mean(axis=1)) for block in heads]
    found = attention_rollout(means, prefix=1).numpy()
    np.testing.assert_allclose(found, rolled_in_numpy(heads, 1), rtol=1e-4)
    assert np.ptp(found) > 0.01


def test_attention_to_oneself_alone_is_even_over_the_patch():
    blocks = [torch.eye(17)[None]] * 3
    found = attention_rollout(blocks, prefix=1)
    torch.testing.assert_close(found, torch.full((1, 16), 1 / 16))


def test_what_all_tokens_look_at_stands_out():
    block = torch.zeros(1, 17, 17)
    block[:, :, 6] = 1
    found = attention_rollout([block, block], prefix=1)
    # Half stays where it was in each of two blocks.
    assert found[0, 5].item() == pytest.approx(0.75 + 0.25 / 16)
    assert found[0].argmax() == 5


def test_a_rollout_of_no_block_is_refused():
    with pytest.raises(ValueError, match="found none"):
        attention_rollout([], prefix=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vit_b_16", True), ("vit_s_16", True), ("resnet18", False), ("demo-cnn", False)],
)
def test_vision_transformers_alone_have_a_rollout(name, expected):
    assert has_rollout(create_encoder(name)) == expected


def heads_of_torchvision(encoder, images):
    """Attention by the books: softmax of queries times keys, head by head."""
    seen = []

    def look(block, inputs):
        (x,) = inputs
        x = block.ln_1(x)
        own = block.self_attention
        q, k, _ = (x @ own.in_proj_weight.T + own.in_proj_bias).chunk(3, dim=2)
        n, t, d = q.shape
        q, k = (
            y.view(n, t, own.num_heads, d // own.num_heads).transpose(1, 2)
            for y in (q, k)
        )
        scores = q @ k.transpose(2, 3) / (d // own.num_heads) ** 0.5
        seen.append(scores.softmax(dim=3).numpy())

    hooks = [
        block.register_forward_pre_hook(look) for block in encoder.body.encoder.layers
    ]
    with torch.no_grad():
        encoder.feature_map(images)
    for hook in hooks:
        hook.remove()
    return seen


def test_the_tap_sees_the_attention_of_every_block_and_changes_nothing():
    torch.manual_seed(0)
    encoder = create_encoder("vit_s_16", input_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    expected = rolled_in_numpy(heads_of_torchvision(encoder, images), 1)
    with torch.no_grad():
        plain = encoder.feature_map(images)
        with AttentionTap(encoder) as tap:
            encoder.feature_map(torch.zeros(1, 3, 64, 64))
            features = encoder.feature_map(images)
            found = tap.maps()
        again = encoder.feature_map(images)
    assert found.shape == (2, 1, 4, 4)
    np.testing.assert_allclose(found[:, 0].flatten(1), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(features, plain, rtol=1e-3, atol=1e-4)
    assert torch.equal(again, plain)


def test_transformers_of_timm_are_tapped_too():
    torch.manual_seed(0)
    encoder = create_encoder("timm:vit_tiny_patch16_224", input_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad(), AttentionTap(encoder) as tap:
        encoder.feature_map(images)
        found = tap.maps()
    assert all(block.attn.fused_attn for block in encoder.body.blocks)
    heads = []
    with torch.no_grad():
        x = encoder.body._pos_embed(encoder.body.patch_embed(images))
        for block in encoder.body.blocks:
            normed = block.norm1(x)
            n, t, _ = normed.shape
            own = block.attn
            q, k, _ = own.qkv(normed).view(n, t, 3, own.num_heads, -1).unbind(2)
            scores = torch.einsum("nqhd,nkhd->nhqk", q, k) * own.scale
            heads.append(scores.softmax(dim=3).numpy())
            x = block(x)
    expected = rolled_in_numpy(heads, 1)
    np.testing.assert_allclose(found[:, 0].flatten(1), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["demo-cnn", "timm:swin_tiny_patch4_window7_224"])
def test_an_encoder_without_attention_among_all_tokens_is_refused(name):
    if name.startswith("timm:"):
        assert timm.is_model(name.removeprefix("timm:"))
    encoder = create_encoder(name).eval()
    with pytest.raises(ConfigurationError, match="vision transformers"):
        AttentionTap(encoder)
