from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoders import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Encoder,
    require_multiple,
)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(nn.Conv2d(3, 4, 2, stride=2), dim=4, input_size=8, cell_px=2)


def test_the_embedding_is_the_average_of_the_map(encoder):
    images = torch.randn(3, 3, 8, 8)
    expected = encoder.feature_map(images).flatten(2).mean(dim=2)
    torch.testing.assert_close(encoder(images), expected)


def test_normalize_agrees_with_torchvision(encoder):
    from torchvision.transforms.functional import normalize

    patches = torch.randint(0, 256, (2, 8, 6, 3), dtype=torch.uint8)
    expected = normalize(
        patches.permute(0, 3, 1, 2).float() / 255, IMAGENET_MEAN, IMAGENET_STD
    )
    found = encoder.normalize(patches)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_normalize_gives_the_bits_of_the_formula_and_leaves_its_input(encoder):
    pixels = torch.randint(0, 256, (4, 9, 7, 3), dtype=torch.uint8)
    for patches in (pixels, pixels[::2], pixels.transpose(1, 2), pixels.float()):
        before = patches.clone()
        planes = patches.permute(0, 3, 1, 2).float()
        mean, std = (
            255 * torch.tensor(v).view(1, 3, 1, 1) for v in (encoder.mean, encoder.std)
        )
        found = encoder.normalize(patches)
        assert torch.equal(found, (planes - mean) / std)
        assert torch.equal(patches, before)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 4), (2, 3, 8, 8)])
def test_normalize_refuses_what_is_not_rgb(encoder, shape):
    with pytest.raises(ValueError, match=r"\(n, y, x, 3\), found"):
        encoder.normalize(torch.zeros(shape, dtype=torch.uint8))


def test_normalization_is_not_a_weight(encoder):
    assert set(encoder.state_dict()) == {"body.weight", "body.bias"}


@pytest.mark.parametrize("size", [32, 64, 224, 512])
def test_multiples_are_accepted(size):
    assert require_multiple(size, 32, "x") == size


@pytest.mark.parametrize(
    ("size", "hint"), [(0, "32 or 64"), (31, "32 or 64"), (100, "96 or 128")]
)
def test_other_sizes_are_refused_with_the_nearest_ones(size, hint):
    with pytest.raises(ConfigurationError, match=f"found {size} px; use .*{hint}"):
        require_multiple(size, 32, "resnet18")
