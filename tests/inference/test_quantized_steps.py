import numpy as np
import pytest
import torch
from torch import nn

from napari_mmsubtype.inference import quantized_steps
from napari_mmsubtype.inference.device import fast_in_int8
from napari_mmsubtype.inference.fused_graph import FusedConv
from napari_mmsubtype.inference.quantized_steps import (
    Dequantize,
    Quantize,
    QuantizedConv,
    Scale,
    can_quantize,
)

needs_int8 = pytest.mark.skipif(
    not (can_quantize() and fast_in_int8()), reason="no 8-bit products on this CPU"
)

SOURCE = Scale(0.02, 37)


def numbers(*shape, seed=0):
    draw = np.random.default_rng(seed)
    drawn = torch.from_numpy(draw.integers(0, 256, shape, dtype=np.uint8))
    return drawn.contiguous(memory_format=torch.channels_last)


def values(whole, scale):
    """Turn numbers into what they stand for, in float64."""
    return (whole.double() - scale.zero) * scale.step


def reference(conv, whole, source, *, added=0.0, clips=False):
    """Convolve rounded weights and numbers in float64."""
    weight = conv.weight.detach().double()
    steps = weight.abs().amax((1, 2, 3)).float().double()[:, None, None, None] / 127
    rounded = (weight / steps).round() * steps
    found = nn.functional.conv2d(
        values(whole, source),
        rounded,
        None if conv.bias is None else conv.bias.detach().double(),
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
    )
    found = found + added
    return found.clamp_min(0) if clips else found


@pytest.mark.parametrize("ends", [(-1.0, 4.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)])
def test_a_scale_holds_its_range_and_zero(ends):
    scale = Scale.of_range(*ends)
    assert 0 <= scale.zero <= 255
    zero_to_ends = torch.tensor([[[[*ends, 0.0]]]])
    back = Dequantize(scale, torch.float32)(Quantize(scale)(zero_to_ends))
    assert (back - zero_to_ends).abs().max() <= scale.step / 2 + 1e-6
    assert back[..., 2] == 0


def test_what_is_out_of_range_becomes_its_end():
    scale = Scale.of_range(-1.0, 1.0)
    found = Quantize(scale)(torch.tensor([[[[-9.0, 9.0, float("inf")]]]]))
    assert found.flatten().tolist() == [0, 255, 255]
    assert found.dtype is torch.uint8


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_numbers_become_values_of_the_kind_asked_for(kind):
    whole = numbers(1, 2, 3, 3)
    found = Dequantize(SOURCE, kind)(whole)
    assert found.dtype is kind
    torch.testing.assert_close(found, values(whole, SOURCE).to(kind))


CONVS = {
    "plain": {},
    "strided": {"stride": 2, "padding": 1},
    "grouped": {"groups": 4, "padding": 1},
    "without bias": {"bias": False},
    "dilated": {"dilation": 2, "padding": 2},
}


def conv_of(name):
    torch.manual_seed(0)
    return nn.Conv2d(8, 16, 3, **CONVS[name])


@needs_int8
@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("clips", [False, True])
def test_a_convolution_is_exact_but_for_the_last_rounding(name, clips):
    conv, whole = conv_of(name), numbers(3, 8, 9, 9)
    expected = reference(conv, whole, SOURCE, clips=clips)
    step = FusedConv(conv, clips=True) if clips else conv
    as_values = QuantizedConv(step, SOURCE, None, torch.float32)(whole)
    torch.testing.assert_close(as_values.double(), expected, rtol=1e-5, atol=1e-5)
    target = Scale.of_range(expected.min().item(), expected.max().item())
    found = QuantizedConv(step, SOURCE, target, torch.float32)(whole)
    assert found.dtype is torch.uint8
    apart = (values(found, target) - expected).abs().max()
    assert apart <= 0.51 * target.step


@needs_int8
@pytest.mark.parametrize("count", [1, 5])
def test_another_number_of_patches_than_the_first_gives_the_same(count):
    conv, whole = conv_of("plain"), numbers(5, 8, 9, 9)
    step = QuantizedConv(conv, SOURCE, None, torch.float32)
    step(whole[:2])
    expected = reference(conv, whole, SOURCE)[:count]
    torch.testing.assert_close(
        step(whole[:count]).double(), expected, rtol=1e-5, atol=1e-5
    )


@needs_int8
@pytest.mark.parametrize("keeps", [True, False])
def test_a_sum_of_numbers_honors_both_scales(keeps):
    conv, whole = conv_of("plain"), numbers(2, 8, 9, 9)
    other, added = Scale(0.01, 120), numbers(2, 16, 7, 7, seed=1)
    before = added.clone()
    expected = reference(conv, whole, SOURCE, added=values(added, other), clips=True)
    target = Scale.of_range(0.0, expected.max().item())
    fused = FusedConv(conv, clips=True)
    step = QuantizedConv(fused, SOURCE, target, torch.float32, other)
    step.keeps_other = keeps
    apart = values(step(whole, added), target) - expected
    assert apart.abs().max() <= 0.51 * target.step
    assert torch.equal(added, before) is keeps


@needs_int8
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_sum_of_values_is_one_of_values(kind):
    conv, whole = conv_of("plain"), numbers(2, 8, 9, 9)
    added = torch.randn(2, 16, 7, 7)
    expected = reference(conv, whole, SOURCE, added=added.double(), clips=True)
    step = QuantizedConv(FusedConv(conv, clips=True), SOURCE, None, kind)
    found = step(whole, added)
    assert found.dtype is kind
    tolerance = 1e-5 if kind is torch.float32 else 0.02
    apart = (found.double() - expected).norm() / expected.norm()
    assert apart <= tolerance


@needs_int8
def test_a_correction_gives_every_channel_its_mean_back():
    conv, whole = conv_of("plain"), numbers(4, 8, 9, 9)
    step = QuantizedConv(FusedConv(conv, clips=True), SOURCE, None, torch.float32)
    expected = conv(values(whole, SOURCE).float()).detach()
    before = reference(conv, whole, SOURCE).mean((0, 2, 3)) - expected.mean((0, 2, 3))
    step.correct(whole, expected.mean((0, 2, 3)))
    plain = QuantizedConv(conv, SOURCE, None, torch.float32)
    plain.bias = step.bias
    after = plain(whole).mean((0, 2, 3)) - expected.mean((0, 2, 3))
    assert before.abs().max() > 1e-4
    assert after.abs().max() < 1e-5


@pytest.mark.parametrize("name", ["_OPERATION", "_PACKING"])
def test_a_pytorch_without_the_operations_is_recognized(monkeypatch, name):
    monkeypatch.setattr(quantized_steps, name, "an_operation_of_2030")
    assert not can_quantize()
