from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.seresnet import SEBottleneck, SqueezeExcitation


def test_channel_weights_follow_the_formula():
    torch.manual_seed(0)
    layer = SqueezeExcitation(8, reduction=4)
    maps = torch.randn(2, 8, 3, 5)
    x = maps.numpy().astype(float)
    w1, b1, w2, b2 = (p.detach().numpy().squeeze() for p in layer.parameters())
    hidden = np.maximum(x.mean(axis=(2, 3)) @ w1.T + b1, 0)
    weights = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
    found = layer(maps).detach().numpy()
    np.testing.assert_allclose(found, x * weights[:, :, None, None], rtol=1e-5)


def test_without_biases_a_black_map_is_weighed_by_one_half():
    layer = SqueezeExcitation(8, bias=False)
    assert [tuple(p.shape) for p in layer.parameters()] == [(1, 8, 1, 1), (8, 1, 1, 1)]
    squeezed = layer.fc2(torch.relu(layer.fc1(torch.zeros(1, 8, 1, 1))))
    assert torch.equal(torch.sigmoid(squeezed), torch.full((1, 8, 1, 1), 0.5))


def test_parameters_are_resnet50s_and_those_of_the_excitations():
    with torch.device("meta"):
        encoder = create_encoder("seresnet50")
    excitations = sum(
        blocks * (2 * width * (width // 16) + width // 16 + width)
        for blocks, width in ((3, 256), (4, 512), (6, 1024), (3, 2048))
    )
    resnet50 = 25_557_032 - (2048 * 1000 + 1000)
    assert sum(p.numel() for p in encoder.parameters()) == resnet50 + excitations
    assert sum(isinstance(m, SEBottleneck) for m in encoder.modules()) == 16


def test_network_and_names_are_those_of_timm(tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    other = timm.create_model("seresnet50", pretrained=False).eval()
    save_file(other.state_dict(), tmp_path / "se.safetensors")
    encoder = create_encoder(
        "seresnet50", weights=tmp_path / "se.safetensors", input_size=64
    )
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = other.forward_features(images)
        found = encoder.feature_map(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_small_stem_gives_8_by_8_cells_for_64_px():
    encoder = create_encoder("seresnet50", input_size=64, small_stem=True)
    with torch.inference_mode():
        maps = encoder.feature_map(torch.randn(1, 3, 64, 64))
    assert maps.shape == (1, 2048, 8, 8)


def test_other_sizes_are_refused():
    with pytest.raises(ConfigurationError, match=r"seresnet50 takes.*found 250 px"):
        create_encoder("seresnet50", input_size=250)
