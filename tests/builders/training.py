"""Tiny cohorts and networks for training tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.encoders import Encoder
from napari_mmsubtype.models.fusion import FusionModel, create_fusion
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead, HazardHead
from napari_mmsubtype.training.bags import BagSet

DIM = 6
GENES = 4


def make_bags(
    n: int = 60, seed: int = 0, patches: int = 12, prefix: str = "p"
) -> BagSet:
    """Cases whose label needs the image (share of marked patches) and the RNA."""
    rng = np.random.default_rng(seed)
    z_image, z_rna = rng.normal(size=(2, n))
    share = 1 / (1 + np.exp(-1.5 * z_image))
    bags = []
    for s in share:
        bag = rng.normal(0, 0.3, (patches, DIM)) + 1.0
        bag[: round(s * patches), 0] += 3.0
        bags.append(rng.permutation(bag).astype(np.float16))
    rna = rng.normal(0, 0.2, (n, GENES))
    rna[:, 1] += z_rna
    return BagSet(
        patients=tuple(f"{prefix}{i}" for i in range(n)),
        labels=(z_image + z_rna > 0).astype(np.int64),
        bags=bags,
        omics={Modality.RNA: rna.astype(np.float32)},
        present=np.ones((n, 2), bool),
        modalities=(Modality.IMAGE, Modality.RNA),
    )


def make_heads() -> Heads:
    """Classes, stages, risk and survival: nine logits together."""
    return Heads(
        {
            "class": ClassHead(("a", "b")),
            "stage": OrdinalHead(("I", "II", "III", "IV"), late="III"),
            "risk": CoxHead(event="death"),
            "survival": HazardHead((4.0, 12.0), event="death"),
        }
    )


def make_answers(
    n: int = 60, seed: int = 0, prefix: str = "p", known: float = 1.0
) -> BagSet:
    """Cases whose class, stage and time of death all need the image and the RNA.

    A hidden severity is the sum of what the patches and the RNA show. Stages divide
    it, deaths come faster with it (hazard ``exp(1.5 severity) / 12`` a month), and
    follow-up ends after up to three years. Of each head but the first, a share of
    ``known`` targets is known, never of fewer than two cases.
    """
    rng = np.random.default_rng([seed, 1])
    cases = make_bags(n, seed, prefix=prefix)
    z_image, z_rna = np.random.default_rng(seed).normal(size=(2, n))
    severity = (z_image + z_rna) / np.sqrt(2)
    stage = np.digitize(severity, [-0.8, 0.0, 0.8]).astype(float)
    death = rng.exponential(12 / np.exp(1.5 * severity))
    end = rng.uniform(6, 36, n)
    follow_up = np.stack([np.minimum(death, end), death <= end], axis=1).astype(float)
    hidden = rng.random((2, n)) >= known
    hidden[:, :2] = False
    stage[hidden[0]] = np.nan
    follow_up[hidden[1]] = np.nan
    targets = {"stage": stage, "risk": follow_up, "survival": follow_up}
    return replace(cases, targets=targets)


def make_fusion(name: str = "evidence", classes: int = 2) -> FusionModel:
    """A small fusion model for the cases of `make_bags`, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_fusion(
            name, dim=DIM, classes=classes, omics={"rna": GENES}, dropout=0.05
        )


class ColorEncoder(Encoder):
    """One strided convolution: 16 px patches to 2 x 2 cells."""

    def __init__(self) -> None:
        super().__init__(
            nn.Sequential(nn.Conv2d(3, 5, 8, stride=8), nn.BatchNorm2d(5), nn.ReLU()),
            dim=5,
            input_size=16,
            cell_px=8,
        )

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)


def make_encoder() -> ColorEncoder:
    """A tiny encoder, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ColorEncoder()


def two_colors(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Patches whose left half is purple or pink; labels by cell (2 x 2)."""
    rng = np.random.default_rng(seed)
    purple, pink = np.array([110, 60, 150]), np.array([230, 150, 190])
    side = rng.integers(0, 2, (n, 2, 2))
    color = np.where(side[..., None] == 1, purple, pink)
    patches = color.repeat(8, axis=1).repeat(8, axis=2)
    patches = patches + rng.normal(0, 12, patches.shape)
    targets = np.stack([side == 0, side == 1], axis=1).astype(np.float32)
    return patches.clip(0, 255).astype(np.uint8), targets
