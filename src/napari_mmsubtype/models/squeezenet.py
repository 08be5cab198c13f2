"""SqueezeNet 1.1 of torchvision: a light ImageNet encoder for CPUs."""

from __future__ import annotations

import math
from typing import Any

import torchvision
from torch import Tensor, nn

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.registry import register_encoder

_SMALLEST_PX = 32


class SqueezeNetEncoder(Encoder):
    """SqueezeNet 1.1 without its classifier, 512 channels.

    Its first convolution is not padded, so the map is a little smaller than
    ``input_size / cell_px`` (13 x 13 cells for 224 px); the cells are spread evenly
    over the patch.

    Parameters
    ----------
    input_size : int, default: 224
        Side of the patch in pixels, 32 or more.
    """

    def __init__(self, *, input_size: int = 224) -> None:
        if input_size < _SMALLEST_PX:
            msg = (
                f"squeezenet1_1 takes patches of {_SMALLEST_PX} px or more, "
                f"found {input_size} px"
            )
            raise ConfigurationError(msg)
        network = torchvision.models.squeezenet1_1(weights=None)
        network.classifier = nn.Identity()
        super().__init__(
            network,
            dim=512,
            input_size=input_size,
            cell_px=16,
            head_prefixes=("classifier.",),
        )
        self.cells = _cells(input_size)

    def _features(self, images: Tensor) -> Tensor:
        network: Any = self.body
        features: Tensor = network.features(images)
        return features


def _cells(input_size: int) -> int:
    """Follow the unpadded convolution and the three poolings, which round up."""
    cells = (input_size - 3) // 2 + 1
    for _ in range(3):
        cells = math.ceil((cells - 3) / 2) + 1
    return cells


@register_encoder("squeezenet1_1")
def _squeezenet1_1(*, input_size: int = 224) -> SqueezeNetEncoder:
    return SqueezeNetEncoder(input_size=input_size)
