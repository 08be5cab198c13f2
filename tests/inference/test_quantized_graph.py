import copy

import numpy as np
import pytest
import torch
from torch import nn

from builders.patches import RandomPatches
from napari_mmsubtype.errors import OutOfMemoryError
from napari_mmsubtype.inference import quantized_graph, quantized_steps
from napari_mmsubtype.inference.agreement import compare
from napari_mmsubtype.inference.device import Processor, fast_in_int8
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.max_pool import SeparableMaxPool
from napari_mmsubtype.inference.quantized_graph import quantize_encoder
from napari_mmsubtype.inference.quantized_steps import (
    Dequantize,
    Quantize,
    QuantizedConv,
    can_quantize,
)
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import create_encoder

CPU = Processor(torch.device("cpu"), None)
F32 = torch.float32

pytestmark = pytest.mark.skipif(
    not (can_quantize() and fast_in_int8()), reason="no 8-bit products on this CPU"
)


class Net(nn.Module):
    """Two convolutions, and what a function makes of them and a map."""

    def __init__(self, then):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.a = nn.Conv2d(8, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.pool, self.then = nn.MaxPool2d(3, 2, ceil_mode=True), then

    def forward(self, images):
        return self.then(self, torch.relu(self.first(images)))


def encoder_of(then):
    torch.manual_seed(0)
    encoder = Encoder(Net(then), dim=8, input_size=32, cell_px=1)
    return prepare(encoder, CPU)


@pytest.fixture(scope="module")
def pixels():
    """Patches with as much structure as noise."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    fine = draw.integers(0, 60, (12, 32, 32, 3), dtype=np.uint8)
    blocks = coarse.repeat(8, axis=1).repeat(8, axis=2)
    return torch.from_numpy((blocks // 2 + fine).astype(np.uint8))


@torch.inference_mode()
def maps(encoder, pixels):
    images = encoder.normalize(pixels)
    return encoder.feature_map(images.contiguous(memory_format=torch.channels_last))


def counts(encoder):
    kinds = (QuantizedConv, SeparableMaxPool, Quantize, Dequantize)
    modules = list(encoder.graph.modules())
    return tuple(sum(isinstance(m, kind) for m in modules) for kind in kinds)


def relu(x):
    return torch.relu(x)


STEPS = {
    "in a row": (lambda n, x: relu(n.b(relu(n.a(x)))), (3, 0, 1, 0)),
    "last map not clipped": (lambda n, x: n.b(relu(n.a(x))), (3, 0, 1, 0)),
    "a shortcut": (lambda n, x: relu(n.b(relu(relu(n.a(x)) + x))), None),
    "a shortcut of numbers": (lambda n, x: n.b(relu(n.a(x) + x)), (3, 0, 1, 0)),
    "a shortcut at the end": (lambda n, x: relu(n.b(relu(n.a(x))) + x), (3, 0, 1, 1)),
    "a map added and used again": (
        lambda n, x: n.b(relu(n.a(x) + x)) + relu(n.b(x)),
        None,
    ),
    "a map added to itself": (lambda n, x: relu(n.a(x) + x) + n.b(x), None),
    "a pool": (lambda n, x: n.a(n.pool(x)), (2, 1, 1, 0)),
    "a pool at the end": (lambda n, x: n.pool(relu(n.a(x))), (2, 1, 1, 0)),
    "a join": (
        lambda n, x: n.b(torch.cat([relu(n.a(x)), relu(n.b(x))], 1)[:, :8]),
        None,
    ),
    "what has no numbers": (lambda n, x: n.b(torch.sigmoid(n.a(x)) * x), (3, 0, 2, 1)),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_maps_agree_with_float32(pixels, name, kind):
    then, expected_counts = STEPS[name]
    encoder = encoder_of(then)
    expected = maps(encoder, pixels)
    before = copy.deepcopy(encoder.state_dict())
    made = quantize_encoder(encoder, pixels[::2], kind)
    lowered = None if kind is F32 else kind
    with Processor(CPU.device, lowered).autocasting():
        found = maps(made, pixels[1::2]).float()
    apart = (found - expected[1::2]).norm() / expected[1::2].norm()
    assert apart < 0.03
    if expected_counts is not None:
        assert counts(made) == expected_counts
    assert made.steps == counts(made)[0]
    after = encoder.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(maps(encoder, pixels), expected)


def test_branches_are_joined_in_one_scale(pixels):
    class Fire(nn.Module):
        def __init__(self):
            super().__init__()
            self.squeeze = nn.Conv2d(3, 4, 1)
            # One branch is a hundred times as strong as the other.
            self.weak, self.strong = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.last = nn.Conv2d(8, 8, 1)
            nn.init.constant_(self.strong.weight, 5.0)
            nn.init.constant_(self.weak.weight, 0.05)

        def forward(self, x):
            x = relu(self.squeeze(x))
            both = [relu(self.weak(x)), relu(self.strong(x))]
            return self.last(torch.cat(both, 1))

    torch.manual_seed(1)
    encoder = prepare(Encoder(Fire(), dim=8, input_size=32, cell_px=1), CPU)
    made = quantize_encoder(encoder, pixels[::2], F32)
    assert counts(made) == (4, 0, 1, 0)
    convs = [m for m in made.graph.modules() if isinstance(m, QuantizedConv)]
    assert convs[1].target == convs[2].target == convs[3].source
    expected, found = (maps(e, pixels[1::2]) for e in (encoder, made))
    assert (found - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("name", ["resnet18", "seresnet50", "squeezenet1_1"])
def test_networks_of_the_registry_agree(name):
    torch.manual_seed(0)
    encoder = prepare(create_encoder(name, input_size=64), CPU)
    source = RandomPatches(12, 64)
    patches = torch.from_numpy(np.stack([source.read(i) for i in range(12)]))
    made = quantize_encoder(encoder, patches[::2], F32)
    assert (made.name, made.dim, made.cells) == (name, encoder.dim, encoder.cells)
    rows = [maps(e, patches[1::2]).mean((2, 3)).numpy() for e in (encoder, made)]
    assert compare(*rows).cosine > 0.999


def test_the_same_patches_always_give_the_same_numbers(pixels):
    encoder = encoder_of(STEPS["a shortcut of numbers"][0])
    first, second = (quantize_encoder(encoder, pixels[::2], F32) for _ in range(2))
    assert torch.equal(maps(first, pixels), maps(second, pixels))


def test_means_of_channels_are_kept_through_many_steps(pixels, monkeypatch):
    torch.manual_seed(0)
    encoder = prepare(create_encoder("resnet18", input_size=32), CPU)
    expected = maps(encoder, pixels).mean((0, 2, 3))
    made = quantize_encoder(encoder, pixels, F32)
    corrected = (maps(made, pixels).mean((0, 2, 3)) - expected).norm()
    monkeypatch.setattr(QuantizedConv, "correct", lambda *_: None)
    made = quantize_encoder(encoder, pixels, F32)
    uncorrected = (maps(made, pixels).mean((0, 2, 3)) - expected).norm()
    assert corrected < 0.3 * uncorrected


@pytest.mark.parametrize(
    "then",
    [
        lambda n, x: relu(n.a(x)) if x.sum() > 0 else x,
        lambda n, x: x[: int(x.sum())],
    ],
)
def test_a_network_that_cannot_be_followed_is_left_alone(pixels, then):
    assert quantize_encoder(encoder_of(then), pixels, F32) is None


def test_large_patches_tell_ranges_a_few_at_a_time(pixels, monkeypatch):
    encoder, most = encoder_of(lambda net, x: net.a(x)), []
    known = quantize_encoder(encoder, pixels, F32)
    real = quantized_graph._Watch.run

    def watch(self, images):
        most.append(len(images))
        return real(self, images)

    monkeypatch.setattr(quantized_graph._Watch, "run", watch)
    # Twelve patches of 32 px, five at a time; the middle ones correct.
    monkeypatch.setattr(quantized_graph, "_PIXELS_AT_ONCE", 5 * 32 * 32 + 1)
    found = quantize_encoder(encoder, pixels, F32)
    assert most == [5, 2, 5]

    def scales(encoder):
        steps = encoder.graph.modules()
        return [(m.source, m.target) for m in steps if isinstance(m, QuantizedConv)]

    # Ranges are of all patches, whatever came last.
    assert scales(found) == scales(known)
    agreement = compare(
        maps(encoder, pixels).mean((2, 3)).numpy(),
        maps(found, pixels).mean((2, 3)).numpy(),
    )
    assert agreement.holds, agreement


def test_too_little_memory_is_not_taken_for_a_network_that_cannot(pixels, monkeypatch):
    def run_out(*_):
        msg = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB"
        raise RuntimeError(msg)

    monkeypatch.setattr(quantized_graph._Watch, "run", run_out)
    encoder = encoder_of(lambda net, x: net.a(x))
    with pytest.raises(OutOfMemoryError, match="fits into the memory of cpu"):
        quantize_encoder(encoder, pixels, F32)


def test_a_sum_of_two_sizes_is_left_to_float32(pixels, caplog):
    caplog.set_level("INFO")
    encoder = encoder_of(lambda n, x: n.b(relu(n.a(x) + x.mean((2, 3), keepdim=True))))
    assert quantize_encoder(encoder, pixels, F32) is None
    assert "cannot run in int8" in caplog.text


def test_a_convolution_called_by_keyword_is_done_in_float32(pixels):
    encoder = encoder_of(lambda n, x: n.b(input=relu(n.a(x))))
    made = quantize_encoder(encoder, pixels[::2], F32)
    assert counts(made)[0] == 2
    expected, found = (maps(e, pixels[1::2]) for e in (encoder, made))
    assert (found - expected).norm() < 0.03 * expected.norm()


def test_nothing_is_made_without_the_operations(pixels, monkeypatch):
    monkeypatch.setattr(quantized_steps, "_OPERATION", "an_operation_of_2030")
    assert quantize_encoder(encoder_of(STEPS["in a row"][0]), pixels, F32) is None
