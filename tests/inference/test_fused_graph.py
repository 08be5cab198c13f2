import copy

import pytest
import torch
from torch import nn

from napari_mmsubtype.inference import fused_graph
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.fused_graph import FusedConv, can_fuse, fuse_encoder
from napari_mmsubtype.inference.max_pool import SeparableMaxPool
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import create_encoder

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(
    not can_fuse(), reason="this build of PyTorch has no oneDNN operations"
)


def conv(out=4, **options):
    return nn.Conv2d(4, out, 3, padding=1, **options)


class Net(nn.Module):
    """A convolution, and what a function makes of its map."""

    def __init__(self, then, **options):
        super().__init__()
        self.first, self.conv, self.then = nn.Conv2d(3, 4, 1), conv(**options), then

    def forward(self, images):
        return self.then(self.conv, self.first(images))


def encoder_of(then, **options):
    torch.manual_seed(0)
    net = Net(then, **options)
    return Encoder(net, dim=4, input_size=16, cell_px=1).eval()


def maps(encoder, images, kind=None):
    with torch.inference_mode(), Processor(CPU, kind).autocasting():
        return encoder.feature_map(images)


@pytest.mark.parametrize("kind", [None, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "steps"), [("resnet18", 20), ("seresnet50", 85), ("squeezenet1_1", 25)]
)
def test_the_network_gives_the_same_maps_for_any_number_of_patches(name, steps, kind):
    torch.manual_seed(0)
    encoder = prepare(create_encoder(name, input_size=64), Processor(CPU, kind))
    fused = fuse_encoder(encoder)
    assert fused.steps == steps
    assert (fused.name, fused.dim, fused.cells) == (name, encoder.dim, encoder.cells)
    tolerance = 1e-5 if kind is None else 0.02
    for count in (1, 3):
        images = torch.randn(count, 3, 64, 64)
        expected, found = maps(encoder, images, kind), maps(fused, images, kind)
        assert found.dtype == expected.dtype
        assert (found - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_images_are_normalized_into_what_the_first_convolution_takes(name, kind):
    encoder = create_encoder(name, input_size=64)
    lowered = None if kind is torch.float32 else kind
    fused = fuse_encoder(prepare(encoder, Processor(CPU, lowered)))
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    found = fused.normalize(pixels)
    assert found.dtype is kind
    assert torch.equal(found, encoder.normalize(pixels).to(kind))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert fused.normalize(pixels[:0]).shape == (0, 3, 64, 64)
    with pytest.raises(ValueError, match="stack single patches"):
        fused.normalize(pixels[0])


def test_an_encoder_may_resize_what_it_normalizes():
    class Halved(Encoder):
        def normalize(self, patches):
            return super().normalize(patches[:, ::2, ::2])

    torch.manual_seed(0)
    net = Net(lambda conv, x: torch.relu(conv(x)))
    encoder = Halved(net, dim=4, input_size=16, cell_px=1).eval()
    fused = fuse_encoder(prepare(encoder, Processor(CPU, torch.bfloat16)))
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    found = fused.normalize(pixels)
    assert torch.equal(found, encoder.normalize(pixels).bfloat16())
    assert found.shape == (3, 3, 16, 16)


def test_images_that_more_than_convolutions_take_keep_all_digits():
    encoder = encoder_of(lambda conv, x: torch.relu(conv(x)))

    class Also(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, images):
            return self.net(images) + images.mean()

    encoder.body = Also(encoder.body)
    fused = fuse_encoder(prepare(encoder, Processor(CPU, torch.bfloat16)))
    pixels = torch.randint(0, 256, (1, 16, 16, 3), dtype=torch.uint8)
    assert fused.normalize(pixels).dtype is torch.float32


def test_weights_are_shared_and_the_encoder_is_left_as_it_was():
    encoder = create_encoder("resnet18", input_size=64).eval()
    before = {name: id(tensor) for name, tensor in encoder.named_parameters()}
    layers = [type(module) for module in encoder.modules()]
    fused = fuse_encoder(prepare(encoder, Processor(CPU, None)))
    own = {id(tensor) for tensor in fused.parameters()}
    assert own <= {id(tensor) for tensor in encoder.parameters()}
    assert len(before) >= len(own)
    assert [type(m) for m in encoder.modules()].count(nn.ReLU) == layers.count(nn.ReLU)


@pytest.mark.parametrize(
    "then",
    [
        lambda conv, x: torch.relu(conv(x)),
        lambda conv, x: nn.functional.relu(conv(x) + x),
        lambda conv, x: nn.functional.relu(x + conv(x)),
        lambda conv, x: torch.add(x, conv(x)),
    ],
)
def test_sums_and_clipping_are_fused(then):
    encoder = encoder_of(then)
    fused = fuse_encoder(encoder)
    images = torch.randn(2, 3, 16, 16)
    # The first convolution stays alone, with its weights in order.
    assert fused.steps == 2
    assert sum(type(step) is nn.Conv2d for step in fused.graph.children()) == 0
    torch.testing.assert_close(maps(fused, images), maps(encoder, images))


@pytest.mark.parametrize("kind", [None, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("then", "pools"),
    [
        (lambda conv, x: nn.functional.relu(conv(x)), 1),
        (lambda conv, x: torch.relu(conv(torch.relu(conv(x))) * 2), 1),
        (lambda conv, x: conv(torch.relu(conv(x))), 0),
    ],
)
def test_pools_of_maps_that_are_nowhere_negative_are_replaced(then, pools, kind):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.pool = Net(then), nn.MaxPool2d(3, 2, 1)

        def forward(self, images):
            return self.pool(self.net(images))

    torch.manual_seed(0)
    encoder = Encoder(Pooled(), dim=4, input_size=16, cell_px=2).eval()
    encoder = prepare(encoder, Processor(CPU, kind))
    fused = fuse_encoder(encoder)
    found = [m for m in fused.modules() if isinstance(m, SeparableMaxPool)]
    assert len(found) == pools
    images = torch.randn(2, 3, 16, 16)
    tolerance = {} if kind is None else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(
        maps(fused, images, kind), maps(encoder, images, kind), **tolerance
    )


@pytest.mark.parametrize(
    ("then", "options"),
    [
        (lambda conv, x: conv(x), {}),
        (lambda conv, x: conv(x) + 1, {}),
        (lambda conv, x: torch.add(conv(x), x, alpha=2), {}),
        (lambda conv, x: conv(x) * 2, {}),
        (lambda conv, x: (lambda m: torch.relu(m) + m)(conv(x)), {}),
        (lambda conv, x: (lambda m: m + m)(conv(x)), {}),
        (lambda conv, x: torch.relu(conv(x)), {"padding_mode": "replicate"}),
        (lambda conv, x: conv(x) if x.sum() > 0 else x, {}),
    ],
)
def test_what_cannot_be_fused_is_left_alone(then, options):
    assert fuse_encoder(encoder_of(then, **options)) is None


def test_sides_given_by_name_are_left_alone():
    encoder = encoder_of(lambda conv, x: torch.relu(conv(x)))
    encoder.body.conv = nn.Conv2d(4, 4, 3, padding="same")
    assert fuse_encoder(encoder) is None


@pytest.mark.parametrize(
    "name", ["_convolution_pointwise_of_2030", "_reorder_convolution_weight"]
)
def test_a_pytorch_without_the_operations_fuses_nothing(monkeypatch, caplog, name):
    # The second is there, but takes no second map.
    monkeypatch.setattr(fused_graph, "_OPERATION", name)
    caplog.set_level("INFO")
    assert not can_fuse()
    assert fuse_encoder(encoder_of(lambda conv, x: torch.relu(conv(x)))) is None
    assert "runs without fused steps: PyTorch" in caplog.text
    assert f"has no mkldnn.{name}" in caplog.text


def test_a_single_step_is_the_closed_form():
    layer = nn.Conv2d(1, 1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, -1.0)
    images = torch.tensor([-1.0, 0.0, 0.25, 3.0]).view(1, 1, 2, 2)
    other = torch.full((1, 1, 2, 2), 0.5)
    with torch.inference_mode():
        plain = FusedConv(layer, clips=False)(images, other).flatten().tolist()
        clipped = FusedConv(layer, clips=True)(images, other).flatten().tolist()
        alone = FusedConv(layer, clips=True)(images).flatten().tolist()
    assert plain == [-2.5, -0.5, 0.0, 5.5]
    assert clipped == [0.0, 0.0, 0.0, 5.5]
    assert alone == [0.0, 0.0, 0.0, 5.0]


@pytest.mark.parametrize("kind", [None, torch.bfloat16], ids=["float32", "bfloat16"])
def test_packed_weights_serve_maps_of_any_size(kind):
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 64, 3, padding=1, stride=2).to(kind or torch.float32)
    step = FusedConv(layer, clips=False)
    for count, side in ((2, 56), (1, 56), (5, 7), (2, 30)):
        images = torch.randn(count, 32, side, side).to(layer.weight.dtype)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            expected, found = layer(images).float(), step(images).float()
        tolerance = 1e-6 if kind is None else 4e-3
        assert (found - expected).norm() <= tolerance * expected.norm()
    assert step._packed.layout == torch._mkldnn  # or each call would reorder them


def test_pixels_are_prepared_by_the_encoder_itself():
    class Own(Encoder):
        def normalize(self, patches):
            return patches.permute(0, 3, 1, 2).float() + 7

    net = Net(lambda conv, x: torch.relu(conv(x)))
    own = Own(net, dim=4, input_size=16, cell_px=1).eval()
    pixels = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    fused = fuse_encoder(copy.deepcopy(own))
    assert torch.equal(fused.normalize(pixels), own.normalize(pixels))
