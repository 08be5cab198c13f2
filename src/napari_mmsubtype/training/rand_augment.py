"""Random changes of shape and color, made to patches as augmentation for training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_mmsubtype.models.lean_torchvision import import_torchvision

if TYPE_CHECKING:
    from collections.abc import Callable

_FULL_SHEAR = math.degrees(math.atan(0.3))
_FULL_SHIFT = 150 / 331
_FULL_TURN = 30.0
_FULL_FACTOR = 0.9


def _transforms() -> Any:
    """Import torchvision where it is used."""
    import_torchvision()
    from torchvision.transforms.v2 import functional

    return functional


def _move(
    images: Tensor,
    *,
    angle: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    shear: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Move patches about their middle; what comes in from outside is glass."""
    transforms = _transforms()
    from torchvision.transforms import InterpolationMode

    height, width = images.shape[-2:]
    moved: Tensor = transforms.affine(
        images,
        angle=angle,
        translate=[round(shift[0] * width), round(shift[1] * height)],
        scale=1.0,
        shear=list(shear),
        interpolation=InterpolationMode.BILINEAR,
        fill=[255.0, 255.0, 255.0],
    )
    return moved


SHAPE_CHANGES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "shear x": lambda images, m: _move(images, shear=(m * _FULL_SHEAR, 0.0)),
    "shear y": lambda images, m: _move(images, shear=(0.0, m * _FULL_SHEAR)),
    "shift x": lambda images, m: _move(images, shift=(m * _FULL_SHIFT, 0.0)),
    "shift y": lambda images, m: _move(images, shift=(0.0, m * _FULL_SHIFT)),
    "turn": lambda images, m: _move(images, angle=m * _FULL_TURN),
}
"""By name, changes that move what is seen: uint8 (n, 3, y, x) by -1 to 1, to uint8."""

COLOR_CHANGES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "none": lambda images, m: images,
    "brightness": lambda images, m: _transforms().adjust_brightness(
        images, 1 + m * _FULL_FACTOR
    ),
    "saturation": lambda images, m: _transforms().adjust_saturation(
        images, 1 + m * _FULL_FACTOR
    ),
    "contrast": lambda images, m: _transforms().adjust_contrast(
        images, 1 + m * _FULL_FACTOR
    ),
    "sharpness": lambda images, m: _transforms().adjust_sharpness(
        images, 1 + m * _FULL_FACTOR
    ),
    "full contrast": lambda images, m: _transforms().autocontrast(images),
    "equal histogram": lambda images, m: _transforms().equalize(images),
}
"""By name, changes that leave everything in its place; as `SHAPE_CHANGES`."""


def rand_augment(
    patches: Tensor,
    *,
    ops: int,
    magnitude: float,
    generator: torch.Generator,
    in_place: bool = False,
) -> Tensor:
    """Make some random changes to each patch, one after another.

    Parameters
    ----------
    patches : Tensor of uint8, shape (n, y, x, 3)
        Red, green and blue.
    ops : int
        Changes to each patch, drawn alike from `COLOR_CHANGES` and `SHAPE_CHANGES`.
    magnitude : float
        Their strength, 0 to 1, towards either side; 0.3 is step 9 of the 30 in [1]_.
    generator : torch.Generator
        On the CPU.
    in_place : bool, default: False
        Whether everything has to stay where it is, as labels of single cells need it.

    Returns
    -------
    Tensor of uint8, shape (n, y, x, 3)
        Changed patches; what is moved in from outside is white.

    Notes
    -----
    Of the changes in [1]_, those that turn stains into colors that no stain has
    (posterize, solarize, invert) are left out, as in [2]_.

    References
    ----------
    .. [1] Cubuk et al., "RandAugment: practical automated data augmentation with a
       reduced search space", NeurIPS 2020.
    .. [2] Faryna et al., "Tailoring automated data augmentation to H&E-stained
       histopathology", MIDL 2021.
    """
    changes = list(({} if in_place else SHAPE_CHANGES).values())
    changes += COLOR_CHANGES.values()
    count = len(patches)
    drawn = torch.randint(2 * len(changes), (ops, count), generator=generator)
    images = patches.permute(0, 3, 1, 2).contiguous()
    for choices in drawn:
        for choice in choices.unique().tolist():
            rows = torch.nonzero(choices == choice).flatten()
            strength = magnitude if choice % 2 else -magnitude
            images[rows] = changes[choice // 2](images[rows], strength)
    return images.permute(0, 2, 3, 1)
