"""One suite over every encoder: what a lower precision may change, and folding."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import CellProjector, prepare
from napari_mmsubtype.inference.precision import (
    MAX_PROBABILITY_CHANGE,
    MIN_CENTERED,
    MIN_COSINE,
    compare,
)
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.registry import create_encoder, list_encoders
from napari_mmsubtype.slides.registry import open_slide

CPU = torch.device("cpu")
OPTIONS = {
    "demo-cnn": {"input_size": 64},
    "resvit": {
        "input_size": 64,
        "cnn": "resnet18",
        "vit_dim": 16,
        "vit_depth": 4,
        "vit_heads": 2,
        "dim": 24,
        "heads": 2,
    },
}
NAMES = [name for name in list_encoders() if name not in FOUNDATION_MODELS]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def patches():
    """Patches of both phenotypes of a synthetic slide, tissue and glass."""
    with open_slide("synthetic:seed=2,size=1024,basal=0.5") as slide:
        region = slide.read_region(0, 128, 128, 768, 768)
    tiles = region.reshape(12, 64, 12, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)
    return torch.from_numpy(np.ascontiguousarray(tiles[::12]))


@pytest.fixture(params=NAMES, scope="module")
def eager(request):
    torch.manual_seed(0)
    encoder = create_encoder(
        request.param, **OPTIONS.get(request.param, {"input_size": 64})
    )
    # As a training leaves them, residual branches correct their shortcuts. Where both
    # are as large, deep networks of random weights make any rounding grow.
    last = last_of_branch(encoder)
    for name, layer in encoder.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.weight, 0.2 if name in last else 1)
    return encoder


def last_of_branch(encoder):
    """Name the last normalization of every residual block."""
    blocks = [(n, m) for n, m in encoder.named_modules() if hasattr(m, "downsample")]
    return {f"{n}.bn3" if hasattr(m, "bn3") else f"{n}.bn2" for n, m in blocks}


def features(encoder, patches, lowered):
    processor = Processor(CPU, lowered)
    encoder = prepare(copy.deepcopy(encoder), processor)
    with torch.inference_mode(), processor.autocasting():
        return encoder.feature_map(encoder.normalize(patches)).float()


@torch.inference_mode()
def plain(encoder, patches):
    return encoder.feature_map(encoder.normalize(patches))


def test_float32_stays_what_it_is_when_prepared(eager, patches):
    expected = plain(eager, patches)
    change = features(eager, patches, None) - expected
    assert change.norm() <= 1e-5 * expected.norm()


def test_bfloat16_gives_the_same_embeddings_and_probabilities(eager, patches):
    expected = plain(eager, patches).mean((2, 3))
    found = features(eager, patches, torch.bfloat16).mean((2, 3))
    agreement = compare(expected.numpy(), found.numpy())
    assert agreement.cosine >= MIN_COSINE
    assert agreement.centered >= MIN_CENTERED
    # A head that calls every patch by what the patches differ in most.
    axis = torch.linalg.svd(expected - expected.mean(0)).Vh[0]
    middle, width = (expected @ axis).mean(), (expected @ axis).std()
    before, after = (
        torch.sigmoid((rows @ axis - middle) / width) for rows in (expected, found)
    )
    assert (before.mean() - after.mean()).abs() <= MAX_PROBABILITY_CHANGE


@pytest.mark.parametrize("lowered", [None, torch.bfloat16], ids=["float32", "bfloat16"])
def test_evidence_is_exact_on_the_stored_numbers(eager, patches, lowered):
    queries = torch.randn(3, eager.dim, generator=torch.Generator().manual_seed(1))
    stored, cells = CellProjector(queries)(features(eager, patches, lowered))
    expected = stored.float() @ queries.T
    torch.testing.assert_close(cells.sum((2, 3)), expected, rtol=1e-5, atol=1e-4)
