from __future__ import annotations

import pytest
import torch

from builders.training import two_colors
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_augmentation import augment, restain

PLAIN = PatchTrainingConfig(stain_jitter=0.0, tint_jitter=0.0)


def test_cell_labels_turn_with_the_patch() -> None:
    # The label of each cell is the mean red of that cell, so they must agree after.
    patches, _ = two_colors(64)
    images = torch.from_numpy(patches)
    red = images[..., 0].float().reshape(64, 2, 8, 2, 8).mean(dim=(2, 4))[:, None]
    turned, cells = augment(images, red, PLAIN, torch.Generator().manual_seed(0))
    again = turned[..., 0].float().reshape(64, 2, 8, 2, 8).mean(dim=(2, 4))[:, None]
    assert torch.allclose(cells, again)
    assert not torch.equal(turned, images)
    assert torch.equal(images, torch.from_numpy(patches))


def test_all_eight_poses_occur() -> None:
    image = torch.arange(16 * 16 * 3).remainder(251).to(torch.uint8).view(1, 16, 16, 3)
    many = image.repeat(200, 1, 1, 1)
    turned, _ = augment(
        many, torch.zeros(200, 1, 1, 1), PLAIN, torch.Generator().manual_seed(0)
    )
    assert len({t.numpy().tobytes() for t in turned}) == 8


def test_restaining_keeps_white_and_zero_jitter_keeps_all() -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.full((8, 4, 4, 3), 255, dtype=torch.uint8)
    strong = PatchTrainingConfig(stain_jitter=0.5, tint_jitter=0.3)
    assert torch.equal(restain(white, strong, generator), white)
    patches = torch.from_numpy(two_colors(4)[0])
    assert torch.equal(restain(patches, PLAIN, generator), patches)
    assert not torch.equal(restain(patches, strong, generator), patches)


def test_restaining_without_spread_is_the_identity_up_to_rounding() -> None:
    patches = torch.from_numpy(two_colors(4)[0])
    tiny = PatchTrainingConfig(stain_jitter=1e-7, tint_jitter=0.0)
    out = restain(patches, tiny, torch.Generator().manual_seed(0))
    assert (out.int() - patches.int()).abs().max() <= 1


def test_without_any_augmentation_patches_stay_as_they_are() -> None:
    patches, targets = map(torch.from_numpy, two_colors(8))
    still = PatchTrainingConfig(stain_jitter=0.0, tint_jitter=0.0, turns=False)
    images, cells = augment(patches, targets, still, torch.Generator().manual_seed(0))
    assert torch.equal(images, patches)
    assert torch.equal(cells, targets)


@pytest.mark.parametrize("settings", [{"randaug_ops": 2}, {"hed_scale": 0.1}])
def test_each_option_changes_patches_and_repeats(settings: dict[str, float]) -> None:
    patches, targets = map(torch.from_numpy, two_colors(8))
    config = PatchTrainingConfig(
        stain_jitter=0.0, tint_jitter=0.0, turns=False, **settings
    )
    first, second, other = (
        augment(patches, targets, config, torch.Generator().manual_seed(seed))[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first, patches)


def test_labels_of_cells_keep_random_changes_from_moving_anything() -> None:
    # One dark cell: changes of color cannot make another cell the darkest.
    patches = torch.full((64, 16, 16, 3), 200, dtype=torch.uint8)
    patches[:, :8, 8:] = 60
    config = PatchTrainingConfig(
        stain_jitter=0.0,
        tint_jitter=0.0,
        turns=False,
        randaug_ops=1,
        randaug_magnitude=1.0,
    )
    generator = torch.Generator().manual_seed(0)
    spread = []
    for cells in (2, 1):
        labels = torch.ones(64, 1, cells, cells)
        images, _ = augment(patches, labels, config, generator)
        light = images.float().mean(dim=3).reshape(64, 2, 8, 2, 8).mean(dim=(2, 4))
        rest = light.flatten(1)[:, [0, 2, 3]]
        spread.append((rest.amax(dim=1) - rest.amin(dim=1)).max())
    # Sharpening reaches one pixel beyond the edge of a cell, and no farther.
    assert spread[0] < 10
    assert spread[1] > 30
