"""Vary how hematoxylin, eosin and the rest took, as augmentation for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Collection

RUIFROK_STAINS = (
    (0.650, 0.704, 0.286),
    (0.072, 0.990, 0.105),
    (0.268, 0.570, 0.776),
)
"""Optical density of hematoxylin, eosin and DAB in red, green and blue."""

ALL_STAINS = (0, 1, 2)


def jitter_hed(
    patches: Tensor,
    *,
    scale: float = 0.05,
    shift: float = 0.05,
    generator: torch.Generator,
    stains: Collection[int] = ALL_STAINS,
) -> Tensor:
    """Multiply the concentration of each stain and add to it, patch by patch.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Red, green and blue.
    scale : float, default: 0.05
        Concentrations are multiplied by a factor from ``1 - scale`` to ``1 + scale``.
    shift : float, default: 0.05
        From ``-shift`` to ``shift`` is added to them, in optical density (natural
        logarithm). It reaches glass as well, like a change of light.
    generator : torch.Generator
        On the CPU.
    stains : collection of int, default: (0, 1, 2)
        Which of hematoxylin (0), eosin (1) and the rest (2) vary.

    Returns
    -------
    Tensor of uint8, shape (n, y, x, 3)
        On the device of ``patches``; the same numbers for the same generator state,
        whichever stains vary.

    References
    ----------
    .. [1] Ruifrok and Johnston, "Quantification of histochemical staining by color
       deconvolution", Analytical and Quantitative Cytology and Histology 23(4), 2001.
    .. [2] Tellez et al., "Whole-slide mitosis detection in H&E breast histology using
       PHH3 as a reference to train distilled stain-invariant convolutional networks",
       IEEE TMI 37(9), 2018.
    """
    draws = 2 * torch.rand((2, len(patches), 3), generator=generator) - 1
    chosen = torch.tensor([float(stain in stains) for stain in ALL_STAINS])
    factor = (1 + scale * draws[0] * chosen).to(patches.device)
    added = (shift * draws[1] * chosen).to(patches.device)
    vectors = F.normalize(torch.tensor(RUIFROK_STAINS), dim=1).to(patches.device)
    # Linear in optical density: one matrix and one offset per patch.
    mixing = torch.linalg.inv(vectors) @ torch.diag_embed(factor) @ vectors
    offset = (added @ vectors)[:, None, :]
    density = -torch.log((patches.float() + 1) / 256).reshape(len(patches), -1, 3)
    light = 256 * torch.exp(-torch.baddbmm(offset, density, mixing)) - 1
    return light.round().clamp(0, 255).to(torch.uint8).reshape(patches.shape)
