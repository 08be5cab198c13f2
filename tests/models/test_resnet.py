from __future__ import annotations

import pytest
import torch
import torchvision

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder


@pytest.mark.parametrize(
    ("name", "dim", "parameters"),
    [
        # torchvision's documented counts, all layers.
        ("resnet18", 512, 11_689_512),
        ("resnet34", 512, 21_797_672),
        ("resnet50", 2048, 25_557_032),
        ("resnet101", 2048, 44_549_160),
        ("resnet152", 2048, 60_192_808),
    ],
)
def test_parameters_are_torchvisions_without_the_classifier(name, dim, parameters):
    with torch.device("meta"):
        encoder = create_encoder(name)
        network = getattr(torchvision.models, name)(weights=None)
    assert sum(p.numel() for p in network.parameters()) == parameters
    classifier = dim * 1000 + 1000
    assert encoder.dim == dim
    assert sum(p.numel() for p in encoder.parameters()) == parameters - classifier


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_encoder("resnet18", input_size=64)


@pytest.mark.parametrize("size", [32, 64, 96, 224])
def test_any_multiple_of_32_gives_cells_of_32_px(small, size):
    maps = small.feature_map(torch.randn(1, 3, size, size))
    assert maps.shape == (1, 512, size // 32, size // 32)
    assert small.cell_px == 32


def test_embeddings_agree_with_torchvisions_own_pooling(small):
    network = torchvision.models.resnet18(weights=None)
    network.fc = torch.nn.Identity()
    network.load_state_dict(small.body.state_dict())
    images = torch.randn(2, 3, 96, 96)
    expected = network.eval()(images)
    torch.testing.assert_close(small(images), expected, rtol=1e-4, atol=1e-5)


def test_small_stem_gives_8_by_8_cells_for_64_px_and_takes_the_same_weights(small):
    encoder = create_encoder("resnet18", input_size=64, small_stem=True)
    assert encoder.feature_map(torch.randn(1, 3, 64, 64)).shape == (1, 512, 8, 8)
    assert (encoder.cell_px, encoder.cells) == (8, 8)
    encoder.load_state_dict(small.state_dict())


def test_other_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="multiple of 32 px, found 250 px"):
        create_encoder("resnet50", input_size=250)
