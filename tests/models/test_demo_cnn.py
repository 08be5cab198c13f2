from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return create_encoder("demo-cnn")


def test_a_patch_of_128_px_gives_8_by_8_cells_of_16_px(encoder):
    maps = encoder.feature_map(torch.randn(2, 3, 128, 128))
    assert maps.shape == (2, 96, 8, 8)
    assert (encoder.dim, encoder.input_size, encoder.cell_px) == (96, 128, 16)
    assert encoder.cells == 8


def test_it_is_small(encoder):
    assert sum(p.numel() for p in encoder.parameters()) < 600_000


def test_a_constant_patch_gives_a_constant_map(encoder):
    patches = torch.full((1, 128, 128, 3), 180, dtype=torch.uint8)
    maps = encoder.feature_map(encoder.normalize(patches))
    flat = maps.flatten(2)
    assert flat.std(dim=2).max() < 1e-5
    assert flat.abs().max() > 0


def test_patches_of_a_batch_do_not_see_each_other(encoder):
    images = torch.randn(3, 3, 128, 128)
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(encoder(images), alone, rtol=1e-4, atol=1e-5)


def test_size_must_fit_the_cells():
    with pytest.raises(ConfigurationError, match="multiple of 16 px, found 100"):
        create_encoder("demo-cnn", input_size=100)
