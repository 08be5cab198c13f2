import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from napari_mmsubtype.inference import precision
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.precision import (
    Agreement,
    PrecisionChoice,
    compare,
    settle,
)
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
    real = precision._trial
    monkeypatch.setattr(precision, "fast_in_bfloat16", lambda: True)
    monkeypatch.setattr(
        precision,
        "_trial",
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
    calls = iter([(0.3, 0.7), (0.311, 0.689)])
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


def test_the_trial_gives_the_embeddings_of_the_patches(encoder):
    pixels = np.stack([RandomPatches(5, SIZE).read(i) for i in range(5)])
    rows, seconds = precision._trial(encoder, pixels, CPU)
    with torch.inference_mode():
        expected = encoder(encoder.normalize(torch.from_numpy(pixels)))
    np.testing.assert_allclose(rows, expected.numpy(), rtol=1e-5, atol=1e-5)
    assert seconds > 0


def test_agreement_is_cosine_similarity():
    whole = np.array([[1.0, 0.0], [3.0, 0.0]])
    turned = np.array([[1.0, 0.1], [3.0, 0.0]])
    found = compare(whole, turned)
    assert found.cosine == pytest.approx(1 / np.sqrt(1.01))
    assert found.centered == pytest.approx(2 / np.sqrt(2 * 2.01))
    same = compare(whole, whole)
    assert (same.cosine, same.centered) == pytest.approx((1, 1))


def test_a_common_shift_is_no_agreement_once_centered():
    draw = np.random.default_rng(0)
    whole = draw.normal(size=(8, 4)) + 100
    found = compare(whole, whole + 3)
    assert found.cosine > 0.999
    assert found.centered < 0.995


def test_equal_patches_have_nothing_to_be_centered():
    assert compare(np.ones((3, 2)), np.ones((3, 2))).centered == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_what_is_no_number_does_not_hold(value):
    assert not compare(np.ones((2, 3)), np.full((2, 3), value)).holds


@pytest.mark.parametrize("changed", [(0.9989, 1, 0), (1, 0.9949, 0), (1, 1, 0.011)])
def test_each_limit_counts(changed):
    assert Agreement(0.999, 0.995, 0.01).holds
    assert not Agreement(*changed).holds


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_resumed_store_keeps_its_precision(name):
    choice = PrecisionChoice.resume(CPU, {"precision": name, "precision_reason": "r"})
    assert choice.processor.precision == name
    assert choice.to_dict() == {
        "device": "cpu",
        "precision": name,
        "precision_reason": "r",
    }
