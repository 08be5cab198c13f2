"""Synthetic tiles on disk, and presets small enough to train on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64
"""Of a tile; four patches of 32 px."""

SETTINGS = (
    "encoder={name: demo-cnn, weights: null, options: {}}",
    "patch={size_px: 32, mpp: 0.5, stride_px: 32, min_tissue: 0.1}",
    "patch_training={epochs: 3, batch_size: 16, learning_rate: 0.01, patience: 2}",
    "fusion.options.attention_dim=8",
    "fusion.options.token_dim=8",
    "fusion_training.epochs=3",
    "validation.folds=2",
    "validation.seeds=[0]",
    "validation.bootstrap=50",
)
"""Overrides that make the preset ``evidence`` train an encoder on such tiles."""

_COLORS = ((110, 60, 150), (230, 150, 190))


def write_tiles(folder: Path, patients: int = 16, each: int = 2, seed: int = 0) -> Path:
    """Write tiles of two classes and their manifest.

    Both classes have the same colors; those of the second are mixed more finely.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["patient_id,slide,label"]
    for number in range(patients):
        label = number % 2
        for tile in range(each):
            name = f"p{number}-{tile}.png"
            grain = 2 if label else 16
            side = rng.integers(0, 2, (SIDE // grain, SIDE // grain))
            spots = side.repeat(grain, axis=0).repeat(grain, axis=1)
            pixels = np.array(_COLORS)[spots] + rng.normal(0, 8, (SIDE, SIDE, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
            rows.append(f"p{number},{name},{'Basal/HER2' if label else 'Luminal'}")
    manifest = folder / "tiles.csv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return manifest
