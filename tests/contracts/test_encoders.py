"""One suite over every encoder: what none of them may get wrong."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.registry import create_encoder, list_encoders

# The smallest that each is meant for.
OPTIONS: dict[str, dict[str, object]] = {
    "demo-cnn": {"input_size": 32},
    "resvit": {
        "input_size": 64,
        "cnn": "resnet18",
        "vit_dim": 16,
        "vit_depth": 4,
        "vit_heads": 2,
        "dim": 24,
        "heads": 2,
    },
    "squeezenet1_1": {"input_size": 64},
}
# Gigabytes, and some of restricted use: tests/models/test_foundation.py has stand-ins.
NAMES = [name for name in list_encoders() if name not in FOUNDATION_MODELS]


@cache
def make(name: str) -> Encoder:
    torch.manual_seed(0)
    return create_encoder(name, **OPTIONS.get(name, {"input_size": 64}))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    make.cache_clear()


@pytest.fixture(params=NAMES, scope="module")
def encoder(request) -> Encoder:
    return make(request.param)


@pytest.fixture(scope="module")
def images(encoder) -> torch.Tensor:
    draw = torch.Generator().manual_seed(5)
    size = encoder.input_size
    patches = torch.randint(0, 256, (2, size, size, 3), generator=draw)
    return encoder.normalize(patches.to(torch.uint8))


def test_the_map_has_the_cells_that_are_promised(encoder, images):
    with torch.inference_mode():
        maps = encoder.feature_map(images)
    assert maps.shape == (2, encoder.dim, encoder.cells, encoder.cells)
    assert bool(maps.isfinite().all())
    assert not encoder.training


def test_what_is_linear_in_the_embedding_is_drawn_on_the_map_exactly(encoder, images):
    head = nn.Linear(encoder.dim, 3)
    with torch.inference_mode():
        maps = encoder.feature_map(images)
        cam = torch.einsum("cd,ndhw->nchw", head.weight, maps) / encoder.cells**2
        logits = head(encoder(images))
    torch.testing.assert_close(
        cam.sum(dim=(2, 3)) + head.bias, logits, rtol=1e-4, atol=1e-4
    )


def test_patches_of_a_batch_do_not_see_each_other(encoder, images):
    with torch.inference_mode():
        alone = torch.cat([encoder(image[None]) for image in images])
        together = encoder(images)
    scale = together.norm()
    assert (together - alone).norm() < 1e-3 * scale
    assert (together[0] - together[1]).norm() > 1e-3 * scale


def test_every_part_of_the_patch_and_most_weights_are_used(encoder, images):
    leaf = images[:1].clone().requires_grad_()
    encoder.zero_grad(set_to_none=True)
    encoder(leaf).square().sum().backward()
    quarter = encoder.input_size // 2
    gradient = leaf.grad.abs().unfold(2, quarter, quarter).unfold(3, quarter, quarter)
    assert bool((gradient.amax(dim=(1, 4, 5)) > 0).all())
    idle = [name for name, p in encoder.named_parameters() if p.grad is None]
    encoder.zero_grad(set_to_none=True)
    assert idle == []


def test_name_and_options_and_weights_reproduce_it_bit_by_bit(
    encoder, images, tmp_path
):
    save_file(encoder.state_dict(), tmp_path / "w.safetensors")
    options = json.loads(json.dumps(encoder.options))
    again = create_encoder(encoder.name, **options)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    with torch.inference_mode():
        assert torch.equal(again(images), encoder(images))


def test_its_own_weights_load_from_a_file(encoder, tmp_path):
    save_file(encoder.body.state_dict(), tmp_path / "w.safetensors")
    again = create_encoder(
        encoder.name, weights=tmp_path / "w.safetensors", **encoder.options
    )
    mine = again.state_dict()
    assert all(torch.equal(mine[k], v) for k, v in encoder.state_dict().items())
