"""SE-ResNet-50: a ResNet-50 that weighs its channels in every bottleneck."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet

from napari_mmsubtype.models.registry import register_encoder
from napari_mmsubtype.models.resnet import ResNetEncoder

NAME = "seresnet50"
REDUCTION = 16


class SqueezeExcitation(nn.Module):
    """Weigh every channel by what all channels are on average over the map.

    ``s = GAP(X)``, ``e = sigmoid(W2 relu(W1 s))``, ``X' = X * e``.

    Parameters
    ----------
    channels : int
        Channels of the map.
    reduction : int, default: 16
        The hidden layer has ``channels / reduction`` units, at least one.
    bias : bool, default: True
        Whether both layers have biases.
    """

    def __init__(
        self, channels: int, *, reduction: int = REDUCTION, bias: bool = True
    ) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Weigh the channels of maps.

        Parameters
        ----------
        maps : Tensor of float, shape (n, channels, h, w)
            Any feature maps.

        Returns
        -------
        Tensor of float, shape (n, channels, h, w)
            The maps, each channel times its weight in 0 to 1.
        """
        squeezed = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.fc2(F.relu(self.fc1(squeezed))))


class SEBottleneck(nn.Module):
    """A ResNet bottleneck with squeeze and excitation before its sum.

    Built by torchvision's ResNet. Names of the weights are those of timm, so its files
    load.

    Parameters
    ----------
    inplanes : int
        Channels that come in.
    planes : int
        Channels of the two inner convolutions; four times as many come out.
    stride : int, default: 1
        Stride of the 3 x 3 convolution.
    downsample : torch.nn.Module, optional
        What fits the shortcut to the output.
    *_rest, **_named : Any
        Groups, width, dilation and normalization, which torchvision hands over and
        which are its defaults here.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        *_rest: Any,
        **_named: Any,
    ) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcitation(outputs)
        self.downsample = downsample

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the block.

        Parameters
        ----------
        maps : Tensor of float, shape (n, inplanes, h, w)
            Feature maps.

        Returns
        -------
        Tensor of float, shape (n, 4 * planes, h / stride, w / stride)
            Feature maps, not negative.
        """
        shortcut = maps if self.downsample is None else self.downsample(maps)
        inner = F.relu(self.bn1(self.conv1(maps)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        weighed: Tensor = self.se(self.bn3(self.conv3(inner)))
        return F.relu(weighed + shortcut)


@register_encoder(NAME)
def _seresnet50(*, input_size: int = 224, small_stem: bool = False) -> ResNetEncoder:
    return ResNetEncoder(
        NAME,
        network=ResNet(SEBottleneck, [3, 4, 6, 3]),
        input_size=input_size,
        small_stem=small_stem,
    )
