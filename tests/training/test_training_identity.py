from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from builders.training import (
    make_answers,
    make_encoder,
    make_fusion,
    make_heads,
    two_colors,
)
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.config import FusionTrainingConfig, PatchTrainingConfig
from napari_mmsubtype.training.stored_bags import StoredBag, store_bag
from napari_mmsubtype.training.training_identity import (
    patch_identity,
    training_identity,
)

CONFIG = FusionTrainingConfig()


def identity(**changes):
    given = {
        "model": make_fusion(classes=make_heads().size),
        "train": make_answers(6, seed=1),
        "validation": make_answers(4, seed=2, prefix="v"),
        "config": CONFIG,
        "heads": make_heads(),
    }
    return training_identity(**{**given, **changes})


def changed(part, change):
    cases = make_answers(6, seed=1)
    change(cases)
    return {part: cases}


def heavier():
    model = make_fusion(classes=make_heads().size)
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    return model


def swap(values):
    values[0] = ~values[0] if values.dtype == bool else 1 - values[0]


def test_the_same_training_has_the_same_identity_wherever_its_bags_lie(tmp_path):
    first = identity()
    assert json.loads(json.dumps(first)) == identity()
    train = make_answers(6, seed=1)
    bags = [
        StoredBag(store_bag(tmp_path / f"{i}.npy", bag))
        for i, bag in enumerate(train.bags)
    ]
    assert identity(train=replace(train, bags=bags)) == first


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"config": FusionTrainingConfig(seed=1)}, "settings"),
        ({"config": FusionTrainingConfig(ema=0.5)}, "settings"),
        ({"model": heavier()}, "model"),
        ({"heads": None}, "model"),
        (changed("train", lambda c: swap(c.labels)), "training cases"),
        (changed("train", lambda c: swap(c.bags[2])), "training cases"),
        (changed("train", lambda c: swap(c.omics[Modality.RNA])), "training cases"),
        (changed("train", lambda c: swap(c.targets["stage"])), "training cases"),
        (changed("train", lambda c: swap(c.present[:, 1:])), "training cases"),
        ({"train": make_answers(6, seed=1, prefix="q")}, "training cases"),
        ({"validation": make_answers(4, seed=3, prefix="v")}, "validation cases"),
    ],
)
def test_whatever_decides_the_weights_is_part_of_it(change, part) -> None:
    first, other = identity(), identity(**change)
    assert {name for name in first if first[name] != other[name]} == {part}


def test_options_that_leave_the_weights_alone_count() -> None:
    model = make_fusion(classes=make_heads().size)
    model.options = {**model.options, "dropout": 0.4}
    assert identity(model=model)["model"] != identity()["model"]


def patches(**changes):
    pixels, labels = two_colors(6)
    given = {
        "encoder": make_encoder(),
        "patches": pixels,
        "targets": labels,
        "config": PatchTrainingConfig(),
    }
    return patch_identity(**{**given, **changes})


def test_an_encoder_s_training_is_told_by_pixels_labels_weights_and_settings() -> None:
    first = patches()
    assert json.loads(json.dumps(first)) == patches()
    pixels, labels = two_colors(6)
    pixels[5, 3, 2, 1] ^= 1
    labels[1] = labels[1, ::-1]
    encoder = make_encoder()
    encoder.body[1].running_mean += 1
    for part, changes in (
        ("patches", {"patches": pixels}),
        ("patches", {"targets": labels}),
        ("encoder", {"encoder": encoder}),
        ("settings", {"config": PatchTrainingConfig(frozen=0.5)}),
    ):
        other = patches(**changes)
        assert {name for name in first if first[name] != other[name]} == {part}
