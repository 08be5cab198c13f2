"""Lung tiles of LC25000, fold by fold: a linear probe and a fine-tuned encoder.

Usage: ``python benchmarks/lung_tiles.py DATA WEIGHTS [--epochs 6] [--folds 5]``

DATA is a folder with ``tiles.csv`` (path, label, source_image) and the tiles; WEIGHTS
are those of SqueezeNet 1.1 for ImageNet. LC25000 holds each source image many times,
turned and flipped: folds keep a source image whole, or tiles of the test part would
have been seen. The probe is a logistic regression on mean features, its penalty chosen
by an inner cross-validation; a second one sees mean and spread of the maps of three
layers; the fine-tuned encoder is trained on the tiles of the training part alone.
Prints one JSON object; intervals come from resampled source images. ``--epochs 0``
leaves the fine-tuned encoder out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from napari_mmsubtype.evaluation.metric_table import classification_estimates
from napari_mmsubtype.evaluation.patient_folds import patient_folds
from napari_mmsubtype.evaluation.splits import assert_disjoint
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.training.bags import embed_patches
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows.fold_logistic import choose_strength
from napari_mmsubtype.workflows.jobs import run_job

if TYPE_CHECKING:
    from napari_mmsubtype.models.encoders import Encoder

SIDE_PX = 224
STAGES = (7, 10, 12)
"""Layers of SqueezeNet whose maps are summed up, besides the last one alone."""

METRICS = ("accuracy", "balanced_accuracy", "roc_auc")


def main() -> int:
    """Judge both classifiers out of fold and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--frozen", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table = pd.read_csv(given.data / "tiles.csv")
    names = sorted(table["label"].unique())
    labels = table["label"].map(names.index).to_numpy(np.int64)
    sources = table["source_image"].astype(str).to_numpy()
    tiles = np.stack([_tile(given.data / path) for path in table["path"]])
    folds = patient_folds(labels, sources.tolist(), given.folds, seed=0)
    encoder = create_encoder("squeezenet1_1", weights=given.weights)
    plain = embed_patches(encoder, tiles).astype(np.float64)
    rich = layer_statistics(encoder, tiles)
    config = PatchTrainingConfig(
        epochs=max(given.epochs, 1),
        batch_size=32,
        learning_rate=1e-3,
        backbone_rate=0.3,
        frozen=given.frozen,
        # A head at random would pull good features out of shape (Kumar et al. 2022).
        head_first_epochs=1,
        ema=0.98,
        stain_jitter=0.1,
        tint_jitter=0.05,
    )
    probe, layers, tuned = np.zeros((3, len(tiles), len(names)))
    started = time.monotonic()
    for fold in range(given.folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        assert_disjoint({"train": train, "test": test}, sources.tolist())
        probe[test] = _probe(plain[train], labels[train], plain[test], names)
        layers[test] = _probe(rich[train], labels[train], rich[test], names)
        if given.epochs:
            fresh = create_encoder("squeezenet1_1", weights=given.weights)
            wanted = np.eye(len(names), dtype=np.float32)[labels[train]]
            fit = run_job(fit_patch_encoder(fresh, tiles[train], wanted, config))
            tuned[test] = fit.probabilities(tiles[test])
        judged = {"linear probe": probe, "probe of three layers": layers}
        if given.epochs:
            judged["fine-tuned"] = tuned
        told = ", ".join(
            f"{name} {(chances[test].argmax(1) == labels[test]).mean():.3f}"
            for name, chances in judged.items()
        )
        passed = time.monotonic() - started
        print(f"fold {fold + 1}: {told}, {passed:.0f} s", file=sys.stderr, flush=True)
    report = {
        "tiles": len(tiles),
        "sources": len(set(sources)),
        "classes": names,
        "training": config.to_dict(),
        "seconds": time.monotonic() - started,
    }
    for name, chances in judged.items():
        found = classification_estimates(labels, chances, sources.tolist())
        report[name] = {metric: str(found[metric]) for metric in METRICS}
    print(json.dumps(report, indent=1))
    return 0


@torch.inference_mode()
def layer_statistics(encoder: Encoder, tiles: np.ndarray) -> np.ndarray:
    """Give mean and spread of the maps of the last three stages, for each tile."""
    network = encoder.body.features
    parts = []
    for pixels in torch.split(torch.from_numpy(tiles), 32):
        maps, found = encoder.normalize(pixels), []
        for number, layer in enumerate(network):
            maps = layer(maps)
            if number in STAGES:
                found += [maps.mean(dim=(2, 3)), maps.std(dim=(2, 3))]
        parts.append(torch.cat(found, dim=1).double().numpy())
    return np.concatenate(parts)


def _tile(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        found = np.asarray(image.convert("RGB"))
    if found.shape != (SIDE_PX, SIDE_PX, 3):
        msg = f"{path} is {found.shape}, expected {SIDE_PX} px square"
        raise ValueError(msg)
    return found


def _probe(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, names: list[str]
) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    scaled = scaler.transform(train)
    strength = choose_strength(scaled, labels, classes=len(names), seed=0)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    return model.fit(scaled, labels).predict_proba(scaler.transform(test))


if __name__ == "__main__":
    sys.exit(main())
