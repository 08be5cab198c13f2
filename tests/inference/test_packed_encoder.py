import pytest
import torch
from torch import nn

from napari_mmsubtype.inference import packed_encoder
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.fused_graph import FusedConv, fuse_encoder
from napari_mmsubtype.inference.packed_encoder import (
    PackedEncoder,
    PackedLinear,
    can_pack,
    pack_encoder,
)
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import create_encoder

CPU = torch.device("cpu")
LOW = Processor(CPU, torch.bfloat16)

pytestmark = pytest.mark.skipif(
    not can_pack(), reason="this build of PyTorch has no oneDNN operations"
)


class Mixed(nn.Module):
    """Steps that can be packed, and others that look alike."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.mirrored = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 8, bias=False)
        self.tail = nn.Sequential(nn.Conv2d(8, 8, 1, groups=2), nn.GELU())

    def forward(self, images):
        found = self.mirrored(self.stem(images))
        n, d, h, w = found.shape
        rows = found.flatten(2).transpose(1, 2)
        rows = rows + self.attention(rows, rows, rows)[0]
        if float(rows.float().norm()) > 0:  # nobody can follow this
            rows = rows + self.two(self.one(rows).relu())
        return self.tail(rows.transpose(1, 2).reshape(n, d, h, w))


def mixed(processor=LOW):
    torch.manual_seed(0)
    encoder = Encoder(Mixed(), dim=8, input_size=32, cell_px=4)
    return prepare(encoder, processor)


@torch.inference_mode()
def maps(encoder, images, processor=LOW):
    with processor.autocasting():
        return encoder.feature_map(images).float()


def images_of(encoder, count=3):
    generator = torch.Generator().manual_seed(1)
    shape = (count, encoder.input_size, encoder.input_size, 3)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    images = encoder.normalize(pixels)
    return images.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["mixed", "timm:test_vit", "timm:test_convnext"])
def test_the_maps_are_the_same_but_for_rounding(name):
    torch.manual_seed(0)
    encoder = mixed() if name == "mixed" else prepare(create_encoder(name), LOW)
    packed = pack_encoder(encoder)
    assert packed.steps >= 4
    for count in (3, 1, 8):
        images = images_of(encoder, count)
        expected, found = maps(encoder, images), maps(packed, images)
        assert found.shape == expected.shape
        assert (found - expected).norm() <= 0.01 * expected.norm()


def test_only_what_onednn_does_alike_is_packed_and_the_encoder_is_left_alone():
    encoder = mixed()
    assert fuse_encoder(encoder) is None
    packed = pack_encoder(encoder)
    assert isinstance(packed, PackedEncoder)
    body = packed.body.body
    assert [type(m) for m in (body.one, body.two)] == [PackedLinear] * 2
    assert [type(m) for m in (body.stem, body.tail[0])] == [FusedConv] * 2
    assert packed.steps == 4
    assert type(body.mirrored) is nn.Conv2d
    assert type(body.attention) is nn.MultiheadAttention
    kinds = {type(module) for module in encoder.modules()}
    assert not kinds & {PackedLinear, FusedConv}
    assert body.one.linear.weight is encoder.body.one.weight
    assert body.mirrored.weight is encoder.body.mirrored.weight


def test_weights_are_brought_into_order_once():
    packed = pack_encoder(mixed())
    linear = packed.body.body.one
    images = images_of(mixed())
    maps(packed, images)
    in_order = linear._packed
    assert torch.equal(in_order.to_dense(), linear.linear.weight)
    maps(packed, images)
    assert linear._packed is in_order


def test_float32_has_nothing_to_gain():
    assert pack_encoder(mixed(LOW.in_float32())) is None


def test_weights_of_a_gigabyte_are_not_kept_twice(monkeypatch):
    encoder = mixed()
    layers = [encoder.body.stem, encoder.body.one, encoder.body.two]
    size = sum(m.weight.nbytes for m in [*layers, encoder.body.tail[0]])
    monkeypatch.setattr(packed_encoder, "_MOST_BYTES", size - 1)
    assert pack_encoder(encoder) is None
    monkeypatch.setattr(packed_encoder, "_MOST_BYTES", size)
    assert pack_encoder(encoder).steps == 4


def test_a_single_step_is_left():
    encoder = prepare(
        Encoder(nn.Sequential(nn.Conv2d(3, 4, 4, 4)), dim=4, input_size=8, cell_px=4),
        LOW,
    )
    assert pack_encoder(encoder) is None


def test_without_the_operations_nothing_is_packed(monkeypatch):
    monkeypatch.setattr(packed_encoder, "_OPERATION", "_linear_pointwise_of_2030")
    assert not can_pack()
    assert pack_encoder(mixed()) is None
