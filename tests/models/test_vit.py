from __future__ import annotations

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.vit import (
    ViTShape,
    build_vit,
    fit_positions,
    hidden_tokens,
)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_encoder("vit_s_16", input_size=32)


def test_vit_b_has_torchvisions_parameters_without_the_classifier():
    with torch.device("meta"):
        encoder = create_encoder("vit_b_16")
    assert sum(p.numel() for p in encoder.parameters()) == 86_567_656 - 769_000


@pytest.mark.parametrize(("name", "dim"), [("vit_s_16", 384), ("vit_b_16", 768)])
def test_parameters_follow_the_closed_form(name, dim):
    with torch.device("meta"):
        encoder = create_encoder(name)
    attention = 4 * dim * dim + 4 * dim
    mlp = 8 * dim * dim + 5 * dim
    block = attention + mlp + 4 * dim
    ends = 3 * 256 * dim + dim + dim + 197 * dim + 2 * dim
    assert sum(p.numel() for p in encoder.parameters()) == 12 * block + ends


def test_tokens_are_torchvisions_own_and_its_weights_load(tmp_path):
    torch.manual_seed(2)
    other = torchvision.models.VisionTransformer(224, 16, 12, 6, 384, 1536).eval()
    save_file(other.state_dict(), tmp_path / "v.safetensors")
    encoder = create_encoder("vit_s_16", weights=tmp_path / "v.safetensors")
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        tokens = other._process_input(images)
        tokens = torch.cat([other.class_token, tokens], dim=1)
        expected = other.encoder(tokens)
        found = encoder.feature_map(images)
    assert found.shape == (1, 384, 14, 14)
    grid = expected[:, 1:].transpose(1, 2).reshape(1, 384, 14, 14)
    torch.testing.assert_close(found, grid, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [16, 48, 80])
def test_any_multiple_of_16_gives_cells_of_16_px(small, size):
    with torch.inference_mode():
        maps = small.feature_map(torch.randn(1, 3, size, size))
    assert maps.shape == (1, 384, size // 16, size // 16)


def test_images_need_not_be_square_and_cells_keep_their_place(small):
    images = torch.zeros(1, 3, 32, 64)
    changed = images.clone()
    changed[:, :, 16:, 48:] = 3.0
    with torch.inference_mode():
        moved = (small.feature_map(changed) - small.feature_map(images)).norm(dim=1)
    assert moved.shape == (1, 2, 4)
    assert moved.flatten().argmax() == 7


def test_positions_of_the_same_grid_are_kept_and_constant_ones_stay_constant():
    positions = torch.randn(1, 1 + 14 * 14, 6)
    assert fit_positions(positions, 14, 14) is positions
    constant = torch.arange(6.0).expand(1, 1 + 14 * 14, 6)
    fitted = fit_positions(constant, 5, 9)
    torch.testing.assert_close(fitted, torch.arange(6.0).expand(1, 46, 6))


def test_positions_follow_rows_and_columns():
    rows = torch.arange(14.0).view(14, 1, 1).expand(14, 14, 1).reshape(1, 196, 1)
    positions = torch.cat([torch.full((1, 1, 1), 99.0), rows], dim=1)
    fitted = fit_positions(positions, 28, 7)
    assert fitted[0, 0, 0] == 99.0
    plane = fitted[0, 1:, 0].view(28, 7)
    torch.testing.assert_close(plane, plane[:, :1].expand(28, 7))
    assert bool((plane[1:, 0] > plane[:-1, 0])[2:-2].all())


def test_every_block_gives_its_tokens():
    network = build_vit(ViTShape(8, 3, 2)).eval()
    hidden = hidden_tokens(network, torch.randn(2, 3, 32, 48))
    assert [tuple(tokens.shape) for tokens in hidden] == [(2, 7, 8)] * 3
    with torch.no_grad():
        again = network.encoder.layers[2](hidden[1])
    torch.testing.assert_close(again, hidden[2])


def test_other_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="multiple of 16 px, found 100 px"):
        create_encoder("vit_s_16", input_size=100)
