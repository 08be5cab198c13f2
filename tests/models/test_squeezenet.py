from __future__ import annotations

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder


def test_the_map_is_that_of_torchvision():
    encoder = create_encoder("squeezenet1_1")
    network = torchvision.models.squeezenet1_1(weights=None)
    network.features.load_state_dict(encoder.body.features.state_dict())
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(
        encoder.feature_map(images), network.eval().features(images)
    )


def test_224_px_give_13_by_13_cells_of_512_features():
    encoder = create_encoder("squeezenet1_1")
    assert encoder.feature_map(torch.zeros(1, 3, 224, 224)).shape == (1, 512, 13, 13)
    assert (encoder.dim, encoder.input_size) == (512, 224)


@pytest.mark.parametrize("size", [32, 64, 65, 100, 128, 130, 224, 227])
def test_cells_are_those_of_the_map(size):
    encoder = create_encoder("squeezenet1_1", input_size=size)
    assert encoder.feature_map(torch.zeros(1, 3, size, size)).shape[2] == encoder.cells


def test_tiny_patches_are_refused():
    with pytest.raises(ConfigurationError, match="32 px or more, found 16 px"):
        create_encoder("squeezenet1_1", input_size=16)


@pytest.mark.real_data
def test_imagenet_weights_from_a_local_file_load(real_data):
    path = real_data / "weights" / "squeezenet1_1_imagenet_features.safetensors"
    encoder = create_encoder("squeezenet1_1", weights=path)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    network.load_state_dict(load_file(path), strict=False)
    torch.manual_seed(0)
    patches = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    images = encoder.normalize(patches)
    with torch.inference_mode():
        expected = network.features(images).mean(dim=(2, 3))
        torch.testing.assert_close(encoder(images), expected)
    assert expected.shape == (2, 512)
    # Unlike random ones (Kaiming), trained first-layer filters are strong.
    assert network.features[0].weight.abs().max() > 0.3
