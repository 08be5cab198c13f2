"""Residual networks of torchvision, for patches of any multiple of 32 px."""

from __future__ import annotations

from functools import partial
from typing import Any

import torchvision
from torch import Tensor, nn

from napari_mmsubtype.models.encoders import Encoder, require_multiple
from napari_mmsubtype.models.registry import register_encoder

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


class ResNetEncoder(Encoder):
    """A torchvision ResNet, or a network built like one, without its classifier.

    Parameters
    ----------
    architecture : str
        One of ``NAMES``, or the name of the network given.
    network : torch.nn.Module, optional
        Built as torchvision builds a ResNet; None takes torchvision's own.
    input_size : int, default: 224
        Side of the patch in pixels, a multiple of 32.
    small_stem : bool, default: False
        Keep the first stage at full resolution: stride 1 in the first convolution and
        no max pooling, so that 64 px give a map of 8 x 8 cells of 8 px. Names and
        shapes of the weights stay the same, so pretrained ones load.
    """

    def __init__(
        self,
        architecture: str,
        *,
        network: Any = None,
        input_size: int = 224,
        small_stem: bool = False,
    ) -> None:
        if network is None:
            network = getattr(torchvision.models, architecture)(weights=None)
        dim: int = network.fc.in_features
        network.fc = nn.Identity()
        if small_stem:
            network.conv1.stride = (1, 1)
            network.maxpool = nn.Identity()
        super().__init__(
            network,
            dim=dim,
            input_size=require_multiple(input_size, 32, architecture),
            cell_px=8 if small_stem else 32,
            head_prefixes=("fc.",),
        )

    def _features(self, images: Tensor) -> Tensor:
        net: Any = self.body
        features: Tensor = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            features = stage(features)
        return features


for _name in NAMES:
    register_encoder(_name)(partial(ResNetEncoder, _name))
