"""New views of labelled patches: orientation, random changes, staining."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_mmsubtype.training.hed_jitter import RUIFROK_STAINS, jitter_hed
from napari_mmsubtype.training.rand_augment import rand_augment

if TYPE_CHECKING:
    from napari_mmsubtype.training.config import PatchTrainingConfig


def augment(
    patches: Tensor,
    targets: Tensor,
    config: PatchTrainingConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Turn, mirror, change and re-stain patches, and turn their cell labels with them.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Square patches.
    targets : Tensor of float32, shape (n, k, h, w)
        Labels of their cells.
    config : PatchTrainingConfig
        Which changes are made, and how strong they are.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Each in one of the 8 orientations, changed at random and in its own staining.
    targets : Tensor of float32, shape (n, k, h, w)
        In the same orientations.
    """
    images, cells = patches.clone(), targets.clone()
    pose = torch.randint(8, (len(patches),), generator=generator)
    for p in range(1, 8) if config.turns else ():
        rows = torch.nonzero(pose == p).flatten()
        if len(rows) == 0:
            continue
        image, cell = images[rows], cells[rows]
        if p >= 4:
            image, cell = image.flip(2), cell.flip(3)
        images[rows] = torch.rot90(image, p % 4, (1, 2))
        cells[rows] = torch.rot90(cell, p % 4, (2, 3))
    if config.randaug_ops:
        images = rand_augment(
            images,
            ops=config.randaug_ops,
            magnitude=config.randaug_magnitude,
            generator=generator,
            in_place=cells.shape[2:] != (1, 1),
        )
    return restain(images, config, generator), cells


def restain(
    patches: Tensor, config: PatchTrainingConfig, generator: torch.Generator
) -> Tensor:
    """Vary how strongly each stain took, patch by patch.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Red, green and blue.
    config : PatchTrainingConfig
        ``stain_jitter`` and ``tint_jitter``, ``hed_scale`` and ``hed_shift``.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of uint8, shape (n, y, x, 3)
        Re-stained; white stays white unless ``hed_shift`` tints it.

    Notes
    -----
    Optical density is split into hematoxylin, eosin and rest, each is scaled by its own
    factor, and each color channel by another: linear in density, hence one 3 x 3
    matrix per patch.
    """
    if config.hed_scale or config.hed_shift:
        patches = jitter_hed(
            patches, scale=config.hed_scale, shift=config.hed_shift, generator=generator
        )
    if not (config.stain_jitter or config.tint_jitter):
        return patches
    stains = F.normalize(torch.tensor(RUIFROK_STAINS), dim=1)
    spread = 2 * torch.rand((2, len(patches), 3), generator=generator) - 1
    strength = torch.diag_embed(1 + config.stain_jitter * spread[0])
    tint = torch.diag_embed(1 + config.tint_jitter * spread[1])
    mixing = torch.linalg.inv(stains) @ strength @ stains @ tint
    density = -torch.log((patches.float() + 1) / 256)
    shape = density.shape
    mixed = torch.bmm(density.reshape(shape[0], -1, 3), mixing).reshape(shape)
    return (256 * torch.exp(-mixed) - 1).round().clamp(0, 255).to(torch.uint8)
