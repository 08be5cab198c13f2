from __future__ import annotations

import timm
import torch
from torch.nn import functional as F

from napari_mmsubtype.models.ctranspath import (
    ConvStem,
    from_ctranspath,
    give_conv_stem,
)


def test_the_stem_gives_normalized_tokens_a_quarter_of_the_side():
    stem = ConvStem(16).eval()
    assert stem.proj[0].weight.shape == (2, 3, 3, 3)
    assert stem.proj[3].weight.shape == (4, 2, 3, 3)
    assert stem.proj[6].weight.shape == (16, 4, 1, 1)
    images = torch.randn(2, 3, 8, 12)
    tokens = stem(images)
    assert tokens.shape == (2, 2, 3, 16)
    x = images
    for layer in (0, 3):
        x = F.conv2d(x, stem.proj[layer].weight, stride=2, padding=1)
        x = F.relu(x / (1 + 1e-5) ** 0.5)
    x = F.conv2d(x, stem.proj[6].weight, stem.proj[6].bias).permute(0, 2, 3, 1)
    torch.testing.assert_close(tokens, F.layer_norm(x, (16,)), rtol=1e-4, atol=1e-5)


def test_published_names_become_those_of_timm():
    network = give_conv_stem(
        timm.create_model("swin_tiny_patch4_window7_224", num_classes=0)
    )
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    wanted = network.state_dict()
    published = {"layers.0.blocks.1.attn_mask": torch.zeros(1)}
    for name, value in wanted.items():
        old = name
        for stage in (1, 2, 3):
            old = old.replace(
                f"layers.{stage}.downsample.", f"layers.{stage - 1}.downsample."
            )
        published[old] = value
    published["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(1)
    found = from_ctranspath(published)
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert set(from_ctranspath(found)) == set(wanted)
