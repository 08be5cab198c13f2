from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training.config import (
    FusionTrainingConfig,
    PatchTrainingConfig,
    TrainingConfig,
)
from napari_mmsubtype.training.preset_sections import SynthesisSettings


@pytest.mark.parametrize(
    "config",
    [
        PatchTrainingConfig(seed=3, stain_jitter=0.1),
        PatchTrainingConfig(ema=0.9, precision="auto", gradient_clip=None, turns=False),
        FusionTrainingConfig(patches_per_bag=None, drop={Modality.RNA: 0.5}),
        FusionTrainingConfig(head_weights={"stage": 0.5}),
    ],
)
def test_config_survives_json(config: TrainingConfig) -> None:
    plain = json.loads(json.dumps(config.to_dict()))
    assert type(config).from_dict(plain) == config


def test_rate_warms_up_then_falls_to_almost_nothing() -> None:
    config = TrainingConfig(learning_rate=2.0, warmup=0.25)
    rates = [config.rate(step, 40) for step in range(40)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(2.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert config.rate(25, 40) == pytest.approx(1.0)  # halfway down the cosine


def test_rate_without_warmup_starts_at_its_highest() -> None:
    config = TrainingConfig(learning_rate=0.5, warmup=0.0)
    assert config.rate(0, 1) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cls", "settings", "named"),
    [
        (TrainingConfig, {"epochs": 0}, "epochs"),
        (TrainingConfig, {"batch_size": 0}, "batch_size"),
        (TrainingConfig, {"learning_rate": 0.0}, "learning_rate"),
        (TrainingConfig, {"weight_decay": -1.0}, "weight_decay"),
        (TrainingConfig, {"warmup": 1.0}, "warmup"),
        (TrainingConfig, {"label_smoothing": 1.0}, "label_smoothing"),
        (TrainingConfig, {"accumulation": 0}, "accumulation"),
        (TrainingConfig, {"batch_size": 4, "accumulation": 5}, "from 1 to batch_size"),
        (TrainingConfig, {"focal_gamma": -1.0}, "focal_gamma"),
        (TrainingConfig, {"gradient_clip": 0.0}, "gradient_clip"),
        (TrainingConfig, {"ema": 1.0}, "ema"),
        (TrainingConfig, {"precision": "half"}, "float32, bfloat16, auto"),
        (PatchTrainingConfig, {"randaug_ops": -1}, "randaug_ops"),
        (PatchTrainingConfig, {"randaug_magnitude": 1.1}, "randaug_magnitude"),
        (PatchTrainingConfig, {"frozen": 1.1}, "frozen"),
        (PatchTrainingConfig, {"layer_decay": 0.0}, "layer_decay"),
        (PatchTrainingConfig, {"epochs": 2, "head_first_epochs": 3}, r"epochs \(2\)"),
        (PatchTrainingConfig, {"stain_jitter": 1.0}, "stain_jitter"),
        (PatchTrainingConfig, {"feature_penalty": -0.1}, "feature_penalty"),
        (PatchTrainingConfig, {"backbone_rate": 0.0}, "backbone_rate"),
        (PatchTrainingConfig, {"branch_weight": -0.1}, "branch_weight"),
        (PatchTrainingConfig, {"alignment_weight": -0.1}, "alignment_weight"),
        (FusionTrainingConfig, {"patches_per_bag": 0}, "patches_per_bag"),
        (FusionTrainingConfig, {"patience": 0}, "patience"),
        (PatchTrainingConfig, {"patience": 0}, "patience must be at least 1"),
        (PatchTrainingConfig, {"patches_per_slide": 0}, "patches_per_slide"),
        (FusionTrainingConfig, {"consistency": -1.0}, "consistency"),
        (FusionTrainingConfig, {"steadiness": -1.0}, "steadiness"),
        (FusionTrainingConfig, {"drop": {"rna": 1.0}}, "drop"),
        (FusionTrainingConfig, {"head_weights": {"stage": -1.0}}, "head_weights"),
        (FusionTrainingConfig, {"drop": {"proteins": 0.1}}, "drop"),
        (FusionTrainingConfig, {"epoch": 3}, "epochs"),
    ],
)
def test_impossible_settings_are_named(cls, settings, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        cls.from_dict(settings)


@pytest.mark.parametrize(
    "section", [PatchTrainingConfig, FusionTrainingConfig, SynthesisSettings]
)
def test_the_page_on_presets_explains_every_setting(section: type) -> None:
    page = Path(__file__).parents[2] / "docs" / "presets.md"
    text = page.read_text(encoding="utf-8")
    assert [f.name for f in fields(section) if f"`{f.name}`" not in text] == []
