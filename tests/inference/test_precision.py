import re
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference import precision, precision_trial
from napari_mmsubtype.inference.agreement import compare
from napari_mmsubtype.inference.device import Processor, fast_in_int8
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.precision import (
    PrecisionChoice,
    settle,
    settle_in_int8,
)
from napari_mmsubtype.inference.quantized_steps import can_quantize
from napari_mmsubtype.inference.trial import sample_patches, try_patches
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import create_encoder

CPU = Processor(torch.device("cpu"), None)
SIZE = 64


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("demo-cnn"), CPU)


@pytest.fixture
def fast(monkeypatch):
    """A CPU that is fast in bfloat16, and a slide long enough to care."""
    seconds = {"float32": 0.5, "bfloat16": 0.2}
    real = precision.try_patches
    monkeypatch.setattr(precision, "fast_in_bfloat16", lambda: True)
    for module in (precision, precision_trial):
        monkeypatch.setattr(
            module,
            "try_patches",
            lambda e, p, processor: (
                real(e, p, processor)[0],
                seconds[processor.precision],
            ),
        )
    return seconds


def judge(_):
    return (0.3, 0.7)


def choose(encoder, source=None, asked="auto", judge=judge, processor=CPU):
    return settle(
        encoder, source or RandomPatches(100, SIZE), processor, asked, judge=judge
    )


def test_bfloat16_is_taken_where_it_saves_time_and_holds(encoder, fast):
    choice = choose(encoder)
    assert choice.processor.precision == "bfloat16"
    assert "saves about 30 s" in choice.reason
    assert choice.warning == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.47, "save 3 s"), (0.6, "save 0 s"), (0.46, "save 4 s")]
)
def test_float32_stays_where_there_is_little_to_gain(encoder, fast, seconds, words):
    fast["bfloat16"] = seconds
    choice = choose(encoder)
    assert choice.processor.precision == "float32"
    assert words in choice.reason


def test_a_share_of_a_long_run_must_be_saved(encoder, fast):
    fast.update(float32=10.0, bfloat16=9.5)
    assert choose(encoder).processor.precision == "float32"


def test_float32_stays_where_the_call_would_change(encoder, fast, caplog):
    calls = cycle([(0.3, 0.7), (0.311, 0.689)])
    choice = choose(encoder, judge=lambda _: next(calls))
    assert choice.processor.precision == "float32"
    assert "float32" in choice.warning
    assert "within 0.0110" in choice.warning
    assert choice.warning in caplog.text


class Fragile(torch.nn.Module):
    """Takes the difference of large numbers, which bfloat16 does not tell apart."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)

    def forward(self, images):
        maps = self.conv(images)
        return (maps + 1000) - 1000


def test_float32_stays_where_the_encoder_does_not_hold_less(fast):
    torch.manual_seed(0)
    fragile = Encoder(Fragile(), dim=4, input_size=SIZE, cell_px=1).eval()
    choice = choose(fragile)
    assert choice.processor.precision == "float32"
    assert "bfloat16 changes" in choice.warning


@pytest.mark.parametrize(
    ("asked", "count", "supported", "reason"),
    [
        ("float32", 100, True, "as asked"),
        ("auto", 63, True, "too few"),
        ("auto", 100, False, "hardware"),
    ],
)
def test_nothing_is_tried_without_need(
    encoder, monkeypatch, asked, count, supported, reason
):
    monkeypatch.setattr(precision, "fast_in_bfloat16", lambda: supported)
    source = RandomPatches(count, SIZE)
    choice = choose(encoder, source, asked)
    assert reason in choice.reason
    assert choice.processor.precision == "float32"
    assert source.reads == []


def test_damaged_patches_are_left_out_of_the_trial(encoder, fast):
    choice = choose(encoder, RandomPatches(100, SIZE, damaged=[0, 99]))
    assert "14 patches tried" in choice.reason
    choice = choose(encoder, RandomPatches(100, SIZE, damaged=range(100)))
    assert "no patch" in choice.reason


def test_the_colors_of_the_run_are_tried(encoder, fast):
    seen = []

    def _transform(pixels):
        seen.append(pixels.shape)
        return pixels

    settle(
        encoder,
        RandomPatches(100, SIZE),
        CPU,
        "auto",
        judge=judge,
        transform=_transform,
    )
    assert seen == [(16, SIZE, SIZE, 3)]


def test_what_was_asked_for_is_tried_and_taken(encoder):
    source = RandomPatches(5, SIZE)
    asked = replace(CPU, autocast=torch.bfloat16)
    choice = choose(encoder, source, "bfloat16", processor=asked)
    assert choice.processor == asked
    assert source.reads == [0, 1, 2, 3, 4]
    assert choice.reason.startswith("as asked; in 5 patches tried, embeddings agree")
    assert choice.warning == ""


def test_what_was_asked_for_is_taken_and_told_where_it_does_not_hold():
    torch.manual_seed(0)
    fragile = Encoder(Fragile(), dim=4, input_size=SIZE, cell_px=1).eval()
    asked = replace(CPU, autocast=torch.bfloat16)
    choice = choose(fragile, asked="bfloat16", processor=asked)
    assert choice.processor.precision == "bfloat16"
    said = re.search(r"agree to (-?0\.\d{4}).*float32 to be sure", choice.warning)
    pixels = sample_patches(RandomPatches(100, SIZE))
    rows = [try_patches(fragile, pixels, p)[0] for p in (CPU, asked)]
    assert float(said[1]) == pytest.approx(compare(*rows).cosine, abs=5e-5)
    assert float(said[1]) < 0.999


def test_what_is_usual_on_a_gpu_must_hold_too():
    torch.manual_seed(0)
    fragile = Encoder(Fragile(), dim=4, input_size=SIZE, cell_px=1).eval()
    gpu = Processor(torch.device("cuda"), torch.bfloat16)
    with pytest.MonkeyPatch.context() as patched:
        for module in (precision, precision_trial):
            patched.setattr(
                module,
                "try_patches",
                lambda e, p, processor: try_patches(
                    e, p, replace(processor, device=CPU.device)
                ),
            )
        assert choose(fragile, processor=gpu).processor == gpu.in_float32()
        steady = prepare(create_encoder("demo-cnn", input_size=SIZE), CPU)
        choice = choose(steady, RandomPatches(3, SIZE), processor=gpu)
    assert choice.processor == gpu
    assert choice.reason.startswith("usual on this device; in 3 patches tried")


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_resumed_store_keeps_its_precision(name):
    begun = {"device": "cpu", "precision": name, "precision_reason": "r"}
    choice = PrecisionChoice.resume(CPU, "auto", begun)
    assert choice.processor.precision == name
    assert choice.to_dict() == begun


@pytest.mark.parametrize(
    ("asked", "lowered"), [("auto", None), ("bfloat16", torch.bfloat16)]
)
def test_another_kind_of_device_goes_on_in_what_suits_it(asked, lowered):
    begun = {"device": "cuda:0", "precision": "float16"}
    processor = replace(CPU, autocast=lowered)
    assert PrecisionChoice.resume(processor, asked, begun).processor == processor


needs_int8 = pytest.mark.skipif(
    not (can_quantize() and fast_in_int8()), reason="no 8-bit products on this CPU"
)
INT8 = Processor(torch.device("cpu"), None, quantized=True)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return prepare(create_encoder("resnet18", input_size=SIZE), CPU)


@needs_int8
def test_int8_says_what_it_costs_on_patches_it_was_not_made_from(resnet, monkeypatch):
    seen = []
    real = precision.quantize_encoder
    monkeypatch.setattr(
        precision,
        "quantize_encoder",
        lambda e, pixels, kind: seen.append(pixels) or real(e, pixels, kind),
    )
    source = RandomPatches(100, SIZE)
    choice = settle_in_int8(resnet, source, INT8, judge=judge)
    patches = sample_patches(source, count=24)
    assert torch.equal(seen[0], torch.from_numpy(patches[::3]))
    rest = np.delete(patches, slice(None, None, 3), axis=0)
    rows = try_patches(resnet, rest, CPU)[0]
    found = try_patches(choice.encoder, rest, INT8)[0]
    agreement = compare(rows, found)
    assert choice.processor == INT8
    half = compare(rows[::2], found[::2])
    count, told = (8, half) if half.holds_clearly else (16, agreement)
    words = f"as asked; in {count} patches tried, {told}"
    assert choice.reason.startswith(words[:60])
    assert (choice.warning == "") is told.holds
    assert choice.to_dict()["precision"] == "int8"


@needs_int8
def test_int8_that_does_not_hold_is_obeyed_with_a_warning(resnet, monkeypatch):
    monkeypatch.setattr("napari_mmsubtype.inference.agreement.MIN_COSINE", 1.1)
    choice = settle_in_int8(resnet, RandomPatches(10, SIZE), INT8, judge=judge)
    assert choice.processor == INT8
    assert "in int8 as asked, although it changes what" in choice.warning


@needs_int8
@pytest.mark.parametrize(("count", "compared"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_int8_is_made_from_the_few_patches_there_are(resnet, count, compared):
    choice = settle_in_int8(resnet, RandomPatches(count, SIZE), INT8, judge=judge)
    # 20 convolutions, of which three bring a shortcut to another size.
    assert choice.encoder.steps == 20
    assert f"in {compared} patches tried" in choice.reason


@needs_int8
def test_a_slide_that_cannot_be_read_is_run_in_float32(resnet):
    source = RandomPatches(4, SIZE, damaged=range(4))
    choice = settle_in_int8(resnet, source, INT8, judge=judge)
    assert (choice.processor, choice.encoder) == (CPU, None)
    assert "no patch of the trial could be read" in choice.reason


def test_a_network_that_cannot_be_in_int8_is_one_clear_error(resnet, monkeypatch):
    monkeypatch.setattr(precision, "quantize_encoder", lambda *_: None)
    with pytest.raises(ConfigurationError, match=r"'resnet18' is none.*bfloat16"):
        settle_in_int8(resnet, RandomPatches(4, SIZE), INT8, judge=judge)


def test_a_store_begun_in_int8_goes_on_in_it_where_the_cpu_can(monkeypatch):
    begun = {"device": "cpu", "precision": "int8", "precision_reason": "r"}
    for can in (True, False):
        monkeypatch.setattr(precision, "fast_in_int8", lambda can=can: can)
        monkeypatch.setattr("napari_mmsubtype.inference.device.fast_in_int8", lambda: 1)
        processor = PrecisionChoice.resume(CPU, "auto", begun).processor
        assert processor.precision == ("int8" if can else "float32")
