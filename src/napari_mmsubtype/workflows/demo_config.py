"""How large the demo bundle's cohort is and how its models are trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

PATCH = PatchSpec(size_px=128, mpp=0.5, stride_px=128, min_tissue=0.5)
CLASSES = (LUMINAL, BASAL_HER2)
VERSION = "1.1.0"
CALIBRATION_SEED = 1000
"""Added to the seed of the cohort for the patients of the prediction sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoBundleConfig:
    """How large a demo bundle's cohort is and how its models are trained.

    Attributes
    ----------
    patients : int
        Of the synthetic cohort, all parts together.
    slide_size_px : int
        Height and width of their slides.
    seed : int
        Of the cohort, the split and the first weights.
    validation, test : float
        Parts of the cohort.
    encoder_slides, patches_per_slide : int
        Training slides that the encoder is trained on, and patches of each.
    encoder : PatchTrainingConfig
        Training of the encoder.
    fusion : FusionTrainingConfig
        Training of the fusion model.
    token_dim : int
        Length of the token of each table in the fusion model.
    dropout : float
        Of the fusion model.
    bootstrap : int
        Resamples behind the intervals of the card.
    calibration : int
        More patients, of another seed, that prediction sets are fitted to.
    keep : Path, optional
        Bundle whose networks and scaling are kept instead of trained; everything else
        is made anew. It must come from the same cohort.
    """

    patients: int = 480
    slide_size_px: int = 1024
    seed: int = 11
    validation: float = 0.2
    test: float = 0.25
    encoder_slides: int = 120
    patches_per_slide: int = 16
    encoder: PatchTrainingConfig = field(
        default_factory=lambda: PatchTrainingConfig(
            epochs=4, batch_size=32, learning_rate=3e-3, feature_penalty=1e-3
        )
    )
    fusion: FusionTrainingConfig = field(
        default_factory=lambda: FusionTrainingConfig(
            epochs=40,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=5.0,
            patches_per_bag=None,
            alone_weight=0.0,
            steadiness=0.1,
            embedding_noise=0.1,
            omics_noise=0.7,
            patience=15,
        )
    )
    token_dim: int = 16
    dropout: float = 0.1
    bootstrap: int = 2000
    calibration: int = 240
    keep: Path | None = None
