from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.hed_jitter import RUIFROK_STAINS, jitter_hed
from napari_mmsubtype.training.patch_augmentation import restain

STAINS = np.array(RUIFROK_STAINS) / np.linalg.norm(RUIFROK_STAINS, axis=1)[:, None]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tissue(n: int = 4, seed: int = 0) -> torch.Tensor:
    amounts = np.random.default_rng(seed).uniform(0.1, 0.6, (n, 16, 16, 3))
    light = 256 * np.exp(-amounts @ STAINS) - 1
    return torch.from_numpy(light.round().clip(0, 255).astype(np.uint8))


def amounts_of(patches: torch.Tensor) -> np.ndarray:
    """Concentration of each stain, by an implementation of its own."""
    density = -np.log((patches.numpy() + 1.0) / 256)
    solved = np.linalg.solve(STAINS.T, density.reshape(-1, 3).T).T
    return solved.reshape(patches.shape)


def test_no_strength_is_the_identity() -> None:
    patches = tissue()
    moved = jitter_hed(patches, scale=0.0, shift=0.0, generator=seeded())
    assert torch.equal(moved, patches)


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    patches = tissue()
    first, second, other = (jitter_hed(patches, generator=seeded(s)) for s in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.dtype == torch.uint8
    assert first.shape == patches.shape


@pytest.mark.parametrize("stain", [0, 1, 2])
def test_only_the_chosen_stain_moves(stain: int) -> None:
    patches = tissue()
    moved = jitter_hed(
        patches, scale=0.3, shift=0.2, generator=seeded(1), stains=[stain]
    )
    change = np.abs(amounts_of(moved) - amounts_of(patches)).mean(axis=(0, 1, 2))
    others = np.delete(change, stain)
    assert change[stain] > 0.05
    assert others.max() < 0.02  # rounding to uint8


def test_each_stain_is_multiplied_and_added_to() -> None:
    patches = tissue(n=40)
    before = amounts_of(patches).reshape(40, -1, 3)
    moved = jitter_hed(patches, scale=0.2, shift=0.1, generator=seeded(2))
    after = amounts_of(moved).reshape(40, -1, 3)
    lines = np.array(
        [
            [np.polyfit(before[i, :, s], after[i, :, s], 1) for s in range(3)]
            for i in range(40)
        ]
    )
    factor, added = lines[..., 0], lines[..., 1]
    assert 0.75 < factor.min() < 0.87
    assert 1.13 < factor.max() < 1.25
    assert -0.14 < added.min() < -0.06
    assert 0.06 < added.max() < 0.14
    # Patches and stains vary on their own.
    assert np.abs(np.corrcoef(factor.T) - np.eye(3)).max() < 0.5
    assert np.unique(factor.round(3)).size > 60


def test_training_uses_it_where_the_settings_ask_for_it() -> None:
    patches = tissue()
    plain = {"stain_jitter": 0.0, "tint_jitter": 0.0}
    config = PatchTrainingConfig(hed_scale=0.05, hed_shift=0.05, **plain)
    expected = jitter_hed(patches, scale=0.05, shift=0.05, generator=seeded(7))
    assert torch.equal(restain(patches, config, seeded(7)), expected)
    off = PatchTrainingConfig(**plain)
    generator = seeded(7)
    assert restain(patches, off, generator) is patches
    assert torch.equal(generator.get_state(), seeded(7).get_state())


def test_settings_are_checked_and_kept() -> None:
    config = PatchTrainingConfig(hed_scale=0.05, hed_shift=0.02)
    assert PatchTrainingConfig.from_dict(config.to_dict()) == config
    assert (PatchTrainingConfig().hed_scale, PatchTrainingConfig().hed_shift) == (0, 0)
    for wrong in ({"hed_scale": 1.0}, {"hed_scale": -0.1}, {"hed_shift": -0.1}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            PatchTrainingConfig(**wrong)
