import copy

import pytest
import torch
from torch import nn

from napari_mmsubtype.inference.acceleration import fold_batch_norms, lower_weights
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import create_encoder


def shake(encoder):
    """Give normalizations statistics and weights as after a training."""
    draw = torch.Generator().manual_seed(3)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            size = module.num_features
            module.running_mean = 0.3 * torch.randn(size, generator=draw)
            module.running_var = 0.5 + torch.rand(size, generator=draw)
            module.weight.data = 0.8 + 0.4 * torch.rand(size, generator=draw)
            module.bias.data = 0.2 * torch.randn(size, generator=draw)
    return encoder.eval()


def encoder_of(body):
    return shake(Encoder(body, dim=4, input_size=16, cell_px=1))


def norms(encoder):
    return sum(isinstance(m, nn.BatchNorm2d) for m in encoder.modules())


class Twice(nn.Module):
    """A convolution whose output goes into a normalization and past it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images):
        maps = self.conv(images)
        return self.norm(maps) + maps


class Shared(nn.Module):
    """One convolution with two normalizations, chosen by call."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.first = nn.BatchNorm2d(3)
        self.second = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.second(self.conv(self.first(self.conv(images))))


@pytest.mark.parametrize("name", ["demo-cnn", "resnet18", "seresnet50"])
def test_folding_leaves_the_maps_as_they_are(name):
    torch.manual_seed(0)
    encoder = shake(create_encoder(name, input_size=64))
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = encoder.feature_map(images)
    before = norms(encoder)
    folded = fold_batch_norms(encoder)
    with torch.inference_mode():
        found = encoder.feature_map(images)
    assert (folded, norms(encoder)) == (before, 0)
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert fold_batch_norms(encoder) == 0


@pytest.mark.parametrize("body", [Twice, Shared])
def test_what_cannot_be_folded_is_left_as_it_was(body):
    torch.manual_seed(0)
    encoder = encoder_of(body())
    state = copy.deepcopy(encoder.state_dict())
    assert fold_batch_norms(encoder) == 0
    after = encoder.state_dict()
    assert list(after) == list(state)
    assert all(torch.equal(after[name], state[name]) for name in state)


def test_a_failed_fold_is_told(caplog):
    caplog.set_level("INFO")
    fold_batch_norms(encoder_of(Twice()))
    assert "stay as they are" in caplog.text


def test_normalizations_that_follow_no_convolution_stay():
    body = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    encoder = encoder_of(body)
    assert (fold_batch_norms(encoder), norms(encoder)) == (1, 1)


def test_a_convolution_without_bias_gets_one():
    encoder = encoder_of(
        nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    )
    assert fold_batch_norms(encoder) == 1
    assert encoder.body[0].bias.shape == (4,)


def test_lower_weights_change_nothing_under_autocast_but_the_time():
    torch.manual_seed(0)
    encoder = create_encoder("resnet18", input_size=64)
    fold_batch_norms(encoder)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = encoder.feature_map(images)
        lower_weights(encoder, torch.bfloat16)
        found = encoder.feature_map(images)
    assert encoder.body.conv1.weight.dtype is torch.bfloat16
    assert torch.equal(expected, found)
