from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.training.rand_augment import (
    COLOR_CHANGES,
    SHAPE_CHANGES,
    rand_augment,
)


def noise(n: int = 4, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (n, 3, side, side)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def gray(images: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images.float() * weights).sum(dim=1, keepdim=True).floor()


@pytest.mark.parametrize("m", [-0.3, 0.0, 0.3])
def test_colors_are_mixed_as_the_formula_says(m: float) -> None:
    images, factor = noise(), 1 + 0.9 * m
    plain = images.float()
    expected = {
        "brightness": plain * factor,
        "saturation": factor * plain + (1 - factor) * gray(images),
        "contrast": factor * plain
        + (1 - factor) * gray(images).mean(dim=(1, 2, 3), keepdim=True),
    }
    for name, values in expected.items():
        found = COLOR_CHANGES[name](images, m).float()
        assert (found - values.clamp(0, 255)).abs().max() <= 1.01, name


def test_full_contrast_spans_all_values() -> None:
    images = noise() // 4 + 50
    found = COLOR_CHANGES["full contrast"](images, 0.3)
    assert (found.amin(dim=(2, 3)) == 0).all()
    assert (found.amax(dim=(2, 3)) >= 254).all()


@pytest.mark.parametrize("name", sorted({**SHAPE_CHANGES, **COLOR_CHANGES}))
def test_changes_of_no_strength_are_none(name: str) -> None:
    images = noise()
    if name in ("full contrast", "equal histogram"):  # they have no strength
        return
    found = {**SHAPE_CHANGES, **COLOR_CHANGES}[name](images, 0.0)
    assert torch.equal(found, images)


@pytest.mark.parametrize(("name", "axis"), [("shift x", 3), ("shift y", 2)])
def test_shifts_bring_in_glass(name: str, axis: int) -> None:
    images = noise()
    pixels = round(0.4 * 150 / 331 * 32)
    found = SHAPE_CHANGES[name](images, 0.4)
    length = 32 - pixels
    assert torch.equal(
        found.narrow(axis, pixels, length), images.narrow(axis, 0, length)
    )
    assert (found.narrow(axis, 0, pixels) == 255).all()


def test_turns_and_shears_move_by_the_angle() -> None:
    # A dot right of the middle; the middle lies between pixels.
    images = torch.zeros(1, 3, 65, 65, dtype=torch.uint8)
    images[:, :, 32, 56] = 255
    turned = SHAPE_CHANGES["turn"](images, 1.0)[0, 0].float()
    y, x = np.unravel_index(int(turned[20:50, 20:60].argmax()), (30, 40))
    assert np.hypot(y + 20 - 32, x + 20 - 32) == pytest.approx(24, abs=1)
    assert abs(np.degrees(np.arctan2(y + 20 - 32, x + 20 - 32))) == pytest.approx(
        30, abs=3
    )
    images = torch.zeros(1, 3, 65, 65, dtype=torch.uint8)
    images[:, :, 52, 32] = 255
    sheared = SHAPE_CHANGES["shear x"](images, 1.0)[0, 0].float()
    y, x = np.unravel_index(int(sheared[10:60, 10:55].argmax()), (50, 45))
    assert y + 10 == 52
    assert abs(x + 10 - 32) == pytest.approx(0.3 * 20, abs=1)


def test_patches_change_each_in_their_own_way_and_repeat() -> None:
    patches = noise(1).permute(0, 2, 3, 1).repeat(40, 1, 1, 1)
    first, again, other = (
        rand_augment(
            patches,
            ops=2,
            magnitude=0.5,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (0, 0, 1)
    )
    assert first.shape == patches.shape
    assert first.dtype is torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({image.numpy().tobytes() for image in first}) > 30


def test_in_place_changes_move_nothing() -> None:
    # Columns of a stripe stay dark or light, whatever the colors do.
    patches = torch.full((100, 16, 16, 3), 220, dtype=torch.uint8)
    patches[:, :, 4:8] = 90
    generator = torch.Generator().manual_seed(0)
    options = {"ops": 1, "magnitude": 1.0, "generator": generator}
    still = rand_augment(patches, in_place=True, **options).float().mean(dim=(1, 3))
    assert (still[:, 4:8].amax(dim=1) <= still[:, 8:].amin(dim=1)).all()
    moved = rand_augment(patches, **options).float().mean(dim=(1, 3))
    assert (moved[:, 4:8].amax(dim=1) > moved[:, 8:].amin(dim=1)).any()


def test_no_changes_are_no_changes() -> None:
    patches = noise().permute(0, 2, 3, 1)
    generator = torch.Generator().manual_seed(0)
    found = rand_augment(patches, ops=0, magnitude=1.0, generator=generator)
    assert torch.equal(found, patches)
