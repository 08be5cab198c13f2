"""Tiny TorchScript networks, laid out as the WSInfer zoo lays its models out."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path

MEAN, STD = [0.7, 0.5, 0.65], [0.2, 0.25, 0.18]
KINDS = ("script", "trace", "frozen script", "frozen trace")


class TinyClassifier(nn.Module):
    """Convolutions with a squeeze-and-excitation, average pooling, a linear layer."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.squeeze = nn.Linear(8, 8)
        self.last = nn.Conv2d(8, 12, 4, stride=4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """Give the last map."""
        maps = torch.relu(self.norm(self.stem(images)))
        weights = torch.sigmoid(self.squeeze(maps.mean(dim=(2, 3))))
        return torch.relu(self.last(maps * weights[:, :, None, None]))

    def forward(self, images: Tensor) -> Tensor:
        """Give logits."""
        return self.head(torch.flatten(self.pool(self.forward_features(images)), 1))


def make_network(classes: int = 3) -> TinyClassifier:
    """A network whose batch statistics are not those of a new one."""
    torch.manual_seed(4)
    network = TinyClassifier(classes)
    network.norm.running_mean.normal_()
    network.norm.running_var.uniform_(0.5, 2)
    return network.eval()


def to_torchscript(network: nn.Module, kind: str, size: int) -> Any:
    """Turn a network into TorchScript: scripted or traced, perhaps frozen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.endswith("script"):
            module = torch.jit.script(network)
        else:
            module = torch.jit.trace(network, torch.zeros(1, 3, size, size))
        return torch.jit.freeze(module) if kind.startswith("frozen") else module


def save_torchscript(module: Any, path: Path) -> Path:
    """Write TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(module, str(path))
    return path


def config(classes: int = 3, size: int = 64, **changes: Any) -> dict[str, Any]:
    """A configuration in the schema of the zoo."""
    return {
        "spec_version": "1.0",
        "architecture": "tiny",
        "num_classes": classes,
        "class_names": [f"class {number}" for number in range(classes)],
        "patch_size_pixels": size,
        "spacing_um_px": 0.5,
        "transform": [
            {"name": "Resize", "arguments": {"size": size}},
            {"name": "ToTensor"},
            {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
        ],
        **changes,
    }


def write_model(
    folder: Path, network: nn.Module, kind: str = "frozen script", **changes: Any
) -> Path:
    """Write the folder of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    if "classes" not in changes:
        changes["classes"] = network.head.out_features
    about = config(**changes)
    (folder / "config.json").write_text(json.dumps(about))
    steps = [step for step in about["transform"] if step["name"] == "Resize"]
    size = steps[0]["arguments"]["size"] if steps else about["patch_size_pixels"]
    module = to_torchscript(network, kind, size)
    save_torchscript(module, folder / "torchscript_model.pt")
    return folder
