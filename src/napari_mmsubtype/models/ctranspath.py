"""CTransPath: a Swin transformer behind three convolutions, and its weight file."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

_REBUILT = ("relative_position_index", "attn_mask")
_CLASSIFIER = "head."
_MERGING = re.compile(r"^layers\.(\d+)\.downsample\.")


class ConvStem(nn.Module):
    """Halve an image twice by convolutions, in place of cutting it into patches.

    Parameters
    ----------
    dim : int, default: 96
        Channels that come out, a multiple of 8.
    """

    def __init__(self, dim: int = 96) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (dim // 8, dim // 4):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        layers.append(nn.Conv2d(inputs, dim, 1))
        self.proj = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images.

        Parameters
        ----------
        images : Tensor of float, shape (n, 3, y, x)
            Normalized images; ``y`` and ``x`` are multiples of 4.

        Returns
        -------
        Tensor of float, shape (n, y / 4, x / 4, dim)
            Normalized tokens, channels last.
        """
        tokens: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return tokens


def give_conv_stem(network: Any) -> Any:
    """Put the stem of CTransPath into a Swin transformer of timm.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.

    Returns
    -------
    torch.nn.Module
        The same network.
    """
    network.patch_embed = ConvStem(network.embed_dim)
    return network


def from_ctranspath(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the published file for the Swin transformer of timm.

    Parameters
    ----------
    state : dict of str to Tensor
        As published: patches are merged at the end of a stage and tables that follow
        from the size are stored. A file of today's timm is given back unchanged.

    Returns
    -------
    dict of str to Tensor
        Patches are merged at the start of the next stage.
    """
    kept = {
        name: value
        for name, value in state.items()
        if not name.endswith(_REBUILT) and not name.startswith(_CLASSIFIER)
    }
    if not any(name.startswith("layers.0.downsample.") for name in kept):
        return kept
    return {
        _MERGING.sub(lambda m: f"layers.{int(m[1]) + 1}.downsample.", name): value
        for name, value in kept.items()
    }
