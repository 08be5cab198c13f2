"""A small encoder for the demo bundle: 128 px patches in milliseconds on a CPU."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from napari_mmsubtype.models.encoders import Encoder, require_multiple
from napari_mmsubtype.models.registry import register_encoder

_CELL_PX = 16
_WIDTHS = (24, 48, 96, 96)

# Near the average of H&E tissue between pink stroma and blue nuclei.
_MEAN = (0.75, 0.60, 0.75)
_STD = (0.20, 0.20, 0.16)


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Convolve and normalize; borders are replicated so that they look like tissue."""
    return nn.Sequential(
        nn.Conv2d(
            inputs,
            outputs,
            3,
            stride=stride,
            padding=1,
            padding_mode="replicate",
            bias=False,
        ),
        nn.BatchNorm2d(outputs),
    )


class _Stage(nn.Module):
    """Halve the map, then refine it once with a residual."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halve = _conv(inputs, outputs, 2)
        self.refine = _conv(outputs, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        halved = F.relu(self.halve(images))
        return F.relu(halved + self.refine(halved))


class DemoCNN(Encoder):
    """Four convolutional stages, 128 px to a map of 8 x 8 cells of 16 px.

    Parameters
    ----------
    input_size : int, default: 128
        Side of the patch in pixels, a multiple of 16.
    """

    def __init__(self, *, input_size: int = 128) -> None:
        super().__init__(
            nn.Sequential(
                *(
                    _Stage(inputs, outputs)
                    for inputs, outputs in zip((3, *_WIDTHS[:-1]), _WIDTHS, strict=True)
                )
            ),
            dim=_WIDTHS[-1],
            input_size=require_multiple(input_size, _CELL_PX, "demo-cnn"),
            cell_px=_CELL_PX,
            mean=_MEAN,
            std=_STD,
        )


@register_encoder("demo-cnn")
def _demo_cnn(*, input_size: int = 128) -> DemoCNN:
    return DemoCNN(input_size=input_size)
