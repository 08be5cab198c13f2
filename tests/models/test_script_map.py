from __future__ import annotations

import copy

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from builders.wsinfer import KINDS, make_network, save_torchscript, to_torchscript
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.script_map import ScriptMap
from napari_mmsubtype.models.torchscript_file import load_torchscript


def through_file(network, kind, size, tmp_path):
    module = to_torchscript(network.eval(), kind, size)
    return load_torchscript(save_torchscript(module, tmp_path / "m.pt"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_is_the_one_before_the_last_pooling(kind, tmp_path):
    network = make_network()
    found = ScriptMap(through_file(network, kind, 64, tmp_path), 64)
    assert found.shape == (12, 4, 4)
    assert found.outputs == 3
    images = torch.randn(5, 3, 64, 64)
    with torch.inference_mode():
        maps, answer = found(images)
        torch.testing.assert_close(maps, network.forward_features(images))
        torch.testing.assert_close(answer, network(images))
        # What is pooled is all that the answer knows.
        torch.testing.assert_close(network.head(maps.mean(dim=(2, 3))), answer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("test_resnet", 64, (96, 2, 2)),
        ("test_efficientnet", 64, (256, 2, 2)),
        ("test_convnext", 64, (64, 2, 2)),
    ],
)
def test_networks_of_timm(kind, name, size, shape, tmp_path):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=2).eval()
    found = ScriptMap(through_file(network, kind, size, tmp_path), size)
    assert found.shape == shape
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        maps, answer = found(images)
        expected = network.forward_features(images)
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(answer, network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["script", "frozen trace"])
@pytest.mark.parametrize("make", ["resnet18", "vgg11"])
def test_networks_of_torchvision(kind, make, tmp_path):
    torch.manual_seed(0)
    network = getattr(torchvision.models, make)(num_classes=2).eval()
    if make == "vgg11":
        network.classifier = nn.Linear(512 * 49, 2)
    found = ScriptMap(through_file(network, kind, 64, tmp_path), 64)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        maps, answer = found(images)
        torch.testing.assert_close(answer, network(images), rtol=1e-4, atol=1e-5)
        if make == "resnet18":
            pooled = network.fc(maps.mean(dim=(2, 3)))
            torch.testing.assert_close(pooled, answer, rtol=1e-4, atol=1e-5)
            assert found.shape == (512, 2, 2)
        else:
            # Its fixed grid of 7 x 7 cells, which the classifier takes as it is.
            assert found.shape == (512, 7, 7)
            weights = network.classifier(maps.flatten(1))
            torch.testing.assert_close(weights, answer, rtol=1e-4, atol=1e-5)


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 8, stride=8)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 2)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.norm(self.conv(images).permute(0, 2, 3, 1))
        return self.head(tokens.mean(dim=[1, 2]))


@pytest.mark.parametrize("kind", KINDS)
def test_channels_that_come_last_are_turned(kind, tmp_path):
    torch.manual_seed(0)
    network = ChannelsLast()
    found = ScriptMap(through_file(network, kind, 32, tmp_path), 32)
    assert found.shape == (6, 4, 4)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        maps, answer = found(images)
        torch.testing.assert_close(network.head(maps.mean(dim=(2, 3))), answer)


class PoolsPart(nn.Module):
    """Half of the answer does not go through the pooling."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 8, stride=8)
        self.head = nn.Linear(6 + 96, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        pooled = maps.mean(dim=(2, 3))
        return self.head(torch.cat([pooled, maps.flatten(2).flatten(1)], dim=1))


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (timm.create_model("test_vit", num_classes=2), 160),
        (PoolsPart(), 32),
        (nn.Sequential(nn.Conv2d(3, 2, 32), nn.Flatten()), 32),
        (nn.Sequential(nn.Conv2d(3, 2, 8, stride=8), nn.Sigmoid()), 32),
    ],
)
@pytest.mark.parametrize("kind", ["script", "frozen trace"])
def test_networks_without_such_a_map_are_refused(network, size, kind, tmp_path):
    module = through_file(network, kind, size, tmp_path)
    with pytest.raises(ConfigurationError, match="has no map of patches of") as caught:
        ScriptMap(module, size)
    assert "timm:<name>" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_size_that_the_network_does_not_take_is_refused(tmp_path):
    module = through_file(make_network(), "script", 64, tmp_path)
    with pytest.raises(ConfigurationError, match="no map of patches of 8 px"):
        ScriptMap(module, 8)


class TwoImages(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += 1
        return images.mean(dim=(2, 3)) * self.seen


@pytest.mark.parametrize(
    ("network", "message"),
    [(TwoImages(), "takes .*'second'.*, expected images alone"), (Counts(), "a state")],
)
def test_networks_that_are_more_than_a_function_are_refused(network, message, tmp_path):
    module = through_file(network, "script", 8, tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        ScriptMap(module, 8)


def test_it_moves_and_copies_as_any_network(tmp_path):
    module = through_file(make_network(), "frozen script", 64, tmp_path)
    found = ScriptMap(module, 64)
    other = copy.deepcopy(found)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = found(images)[1]
        assert torch.equal(other(images)[1], expected)
        double = other.double()(images.double())[1]
        torch.testing.assert_close(double.float(), expected)
        assert double.dtype == torch.float64
        assert torch.equal(found(images)[1], expected)
    assert set(found.state_dict()) == set(other.state_dict()) != set()
