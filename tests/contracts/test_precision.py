"""One suite over every encoder: what a lower precision may change, and folding."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference import precision
from napari_mmsubtype.inference.agreement import (
    MAX_PROBABILITY_CHANGE,
    MIN_CENTERED,
    MIN_COSINE,
    compare,
)
from napari_mmsubtype.inference.device import (
    Processor,
    choose_processor,
    fast_in_int8,
)
from napari_mmsubtype.inference.encode import CellProjector, prepare
from napari_mmsubtype.inference.precision import settle, settle_in_int8
from napari_mmsubtype.inference.quantized_steps import can_quantize
from napari_mmsubtype.inference.trial import sample_patches
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.registry import create_encoder, list_encoders
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue

WHOLE = Processor(torch.device("cpu"), None)
LOW = Processor(torch.device("cpu"), torch.bfloat16)
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
REFUSED_IN_INT8 = {"demo-cnn", "resvit", "vit_b_16", "vit_s_16"}
"""Transformers, what fx cannot follow, and borders that are not zero."""
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
    return torch.from_numpy(np.ascontiguousarray(tiles[::5]))


def calibrate(encoder, patches):
    """Give normalizations the statistics of images, as a training leaves them."""
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        encoder.feature_map(encoder.normalize(patches))
    for norm in norms:
        norm.eval()
    return encoder


@pytest.fixture(params=NAMES, scope="module")
def eager(request, patches):
    torch.manual_seed(0)
    options = OPTIONS.get(request.param, {"input_size": 64})
    return calibrate(create_encoder(request.param, **options).eval(), patches)


def features(encoder, patches, lowered):
    processor = Processor(WHOLE.device, lowered)
    encoder = prepare(copy.deepcopy(encoder), processor)
    with torch.inference_mode(), processor.autocasting():
        return encoder.feature_map(encoder.normalize(patches)).float()


@torch.inference_mode()
def plain(encoder, patches):
    return encoder.feature_map(encoder.normalize(patches))


class Patches:
    """Patches in memory, as a run reads them."""

    def __init__(self, pixels):
        self.pixels = pixels.numpy()

    def __len__(self):
        return len(self.pixels)

    def read(self, index):
        return self.pixels[index]


def by_main_difference(rows):
    """Make a head that calls every patch by what the patches differ in most."""
    rows = torch.from_numpy(rows)
    axis = torch.linalg.svd(rows - rows.mean(0)).Vh[0]
    middle, width = (rows @ axis).mean(), (rows @ axis).std()

    def judge(embeddings):
        found = torch.from_numpy(embeddings).float() @ axis
        share = torch.sigmoid((found - middle) / width).mean().item()
        return (share, 1 - share)

    return judge


def agreement_of(encoder, patches, processor):
    """Compare a prepared encoder with the plain one, probabilities included."""
    expected = plain(encoder, patches).mean((2, 3)).numpy()
    found = features(encoder, patches, processor.autocast).mean((2, 3)).numpy()
    judge = by_main_difference(expected)
    change = np.subtract(judge(expected), judge(found))
    return replace(
        compare(expected, found), probability_change=float(np.abs(change).max())
    )


def test_float32_stays_what_it_is_when_prepared(eager, patches):
    assert agreement_of(eager, patches, WHOLE).cosine > 0.99999


def test_auto_takes_no_precision_that_an_encoder_does_not_hold(
    eager, patches, monkeypatch
):
    # Networks of random weights make rounding grow with their depth: some of these
    # hold bfloat16 and some do not, and which is seen from half of the patches.
    monkeypatch.setattr(precision, "fast_in_bfloat16", lambda: True)
    for name, value in {"_FEWEST": 1, "_WORTH_S": -1e9, "_WORTH_SHARE": -1e9}.items():
        monkeypatch.setattr(precision, name, value)
    prepared = prepare(copy.deepcopy(eager), WHOLE)
    judge = by_main_difference(plain(eager, patches).mean((2, 3)).numpy())
    choice = settle(prepared, Patches(patches[::2]), WHOLE, "auto", judge=judge)
    agreement = agreement_of(eager, patches[1::2], choice.processor)
    # What holds in the patches tried holds in the others but for chance.
    assert agreement.cosine >= 1 - 1.5 * (1 - MIN_COSINE)
    assert agreement.centered >= 1 - 1.5 * (1 - MIN_CENTERED)
    assert agreement.probability_change <= 1.5 * MAX_PROBABILITY_CHANGE
    assert (choice.processor == LOW) == (choice.warning == "")


@pytest.mark.skipif(
    not (can_quantize() and fast_in_int8()), reason="no 8-bit products on this CPU"
)
def test_int8_holds_or_warns_or_is_refused(eager, patches):
    prepared = prepare(copy.deepcopy(eager), WHOLE)
    int8 = choose_processor("cpu", "int8")
    expected = plain(eager, patches).mean((2, 3)).numpy()
    judge = by_main_difference(expected)
    tried = Patches(patches[::2])
    if eager.name in REFUSED_IN_INT8:
        with pytest.raises(ConfigurationError, match="use --precision bfloat16 or"):
            settle_in_int8(prepared, tried, int8, judge=judge)
        return
    choice = settle_in_int8(prepared, tried, int8, judge=judge)
    with torch.inference_mode(), int8.autocasting():
        made = prepare(choice.encoder, int8)
        found = made.feature_map(made.normalize(patches[1::2])).float()
    agreement = compare(expected[1::2], found.mean((2, 3)).numpy())
    if not choice.warning:
        assert agreement.cosine >= 1 - 1.5 * (1 - MIN_COSINE)
        assert agreement.centered >= 1 - 1.5 * (1 - MIN_CENTERED)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["squeezenet1_1", "demo"])
def test_trained_encoders_hold_bfloat16_on_tissue(real_data, name):
    if name == "demo":
        bundle = load_bundle("demo")
        encoder, size = bundle.encoder.eval(), bundle.patch.size_px
    else:
        weights = real_data / "weights/squeezenet1_1_imagenet_features.safetensors"
        encoder, size = create_encoder(name, weights=weights).eval(), 224
    with open_slide(real_data / "slides/CMU-1-Small-Region.svs") as slide:
        grid = lay_grid(
            PatchSpec(size, 0.5, size),
            slide.levels[0].shape,
            slide.require_pixel_size(),
            [level.downsample for level in slide.levels],
            find_tissue(slide).mask,
        )
        pixels = sample_patches(PatchSource(slide, grid))
    agreement = agreement_of(encoder, torch.from_numpy(pixels), LOW)
    assert agreement.holds, agreement


@pytest.mark.parametrize("lowered", [None, torch.bfloat16], ids=["float32", "bfloat16"])
def test_evidence_is_exact_on_the_stored_numbers(eager, patches, lowered):
    queries = torch.randn(3, eager.dim, generator=torch.Generator().manual_seed(1))
    stored, cells = CellProjector(queries)(features(eager, patches, lowered))
    expected = stored.float() @ queries.T
    torch.testing.assert_close(cells.sum((2, 3)), expected, rtol=1e-5, atol=1e-4)
