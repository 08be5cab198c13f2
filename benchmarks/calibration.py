"""How honest every fusion family is from every subset of the modalities.

Usage: ``python benchmarks/calibration.py [--only late gated] [--seeds 3] [--json]``

Each family is trained on synthetic patients with all four modalities (patch embeddings
and tables drawn directly, three classes of unequal size that no single modality tells),
as the package trains any model: modalities hidden at random, rare classes weighted.
Temperatures and offsets come from validation patients, and everything is measured on
fresh ones. Given for each subset, as means over seeds, are:

- calibration error (15 bins of equal mass) and log-loss, before and after;
- ``rise_low``: what the error rose by, at least, in 95 % of resamples of the patients;
- ``honest``: what the error would be by chance alone, were the probabilities perfectly
  true: mean, highest 5 % and highest 0.1 %;
- ``fitted``: its mean, were their scaling fitted to as many such patients besides.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.calibration import expected_calibration_error
from napari_mmsubtype.evaluation.scaling import Scaling, fit_scaling
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.config import FusionTrainingConfig
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.workflows.demo_trust import fit_calibration, subset_logits
from napari_mmsubtype.workflows.jobs import run_job

DIM, FEATURES, PATCHES = 6, 5, 12
MODALITIES = tuple(Modality)
CUTS = (0.0, 0.8)  # of the score: half, 29 % and 21 % of the patients


@dataclass(frozen=True)
class Sizes:
    """Patients of each part, and epochs of training."""

    train: int = 600
    validation: int = 240
    fresh: int = 2000
    epochs: int = 20
    bins: int = 15
    chances: int = 2000
    refits: int = 12


def main() -> int:
    """Measure each family and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", help="families, by default all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--train", type=int, default=Sizes.train)
    parser.add_argument("--validation", type=int, default=Sizes.validation)
    parser.add_argument("--fresh", type=int, default=Sizes.fresh)
    parser.add_argument("--epochs", type=int, default=Sizes.epochs)
    given = parser.parse_args()
    sizes = Sizes(given.train, given.validation, given.fresh, given.epochs)
    torch.set_num_threads(1)
    families = {
        name: average([measure(name, sizes, seed) for seed in range(given.seeds)])
        for name in given.only or list_fusions()
    }
    report = {"sizes": vars(sizes), "seeds": given.seeds, "families": families}
    print(json.dumps(report, indent=None if given.json else 2))
    return 0


def draw_patients(n: int, seed: tuple[int, ...], prefix: str) -> BagSet:
    """Draw synthetic patients whose class is the sum of four hidden scores."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(4, n))
    bags = []
    for share in 1 / (1 + np.exp(-1.5 * hidden[0])):
        bag = rng.normal(1.0, 0.3, (PATCHES, DIM))
        bag[: round(share * PATCHES), 0] += 3.0
        bags.append(bag.astype(np.float16))
    omics = {}
    for modality, score, noise in zip(
        MODALITIES[1:], hidden[1:], (0.3, 0.7, 1.5), strict=True
    ):
        table = rng.normal(size=(n, FEATURES))
        table[:, 0] = (score + noise * table[:, 0]) / np.hypot(1, noise)
        omics[modality] = table.astype(np.float32)
    weights = np.array([1.0, 1.0, 0.7, 0.5])
    score = weights @ hidden / np.linalg.norm(weights)
    return BagSet(
        patients=tuple(f"{prefix}{i}" for i in range(n)),
        labels=np.digitize(score, CUTS).astype(np.int64),
        bags=bags,
        omics=omics,
        present=np.ones((n, 4), bool),
        modalities=MODALITIES,
    )


def measure(name: str, sizes: Sizes, seed: int) -> dict[str, dict[str, float]]:
    """Train one family, calibrate it and score every subset on fresh patients."""
    train, validation, fresh = (
        draw_patients(count, (seed, place), prefix)
        for place, (count, prefix) in enumerate(
            ((sizes.train, "t"), (sizes.validation, "v"), (sizes.fresh, "f"))
        )
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        option = "token_dim" if "_only" in name or name == "evidence" else "width"
        model = create_fusion(
            name,
            dim=DIM,
            classes=len(CUTS) + 1,
            omics={m.value: FEATURES for m in MODALITIES[1:]},
            **{option: 32},
        )
    config = FusionTrainingConfig(
        epochs=sizes.epochs, batch_size=32, learning_rate=3e-3, seed=seed
    )
    model = run_job(fit_fusion(model, train, validation, config)).model
    calibration = fit_calibration(model, validation, fresh.take(range(10)))
    draw = np.random.default_rng(seed)
    found = {}
    seen = subset_logits(model, validation) if sizes.refits else {}
    for key, logits in subset_logits(model, fresh).items():
        before = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        after = calibration.probabilities(key, logits)
        found[key] = {
            "ece_before": error(fresh.labels, before, sizes.bins),
            "ece_after": error(fresh.labels, after, sizes.bins),
            "log_loss_before": surprise(fresh.labels, before),
            "log_loss_after": surprise(fresh.labels, after),
            **honest(after, sizes, draw),
        }
        if sizes.refits:
            own = calibration.scaling_of(key)
            found[key] |= {
                "rise_low": least_rise(fresh.labels, before, after, sizes, draw),
                "fitted": refitted(own, seen[key], logits, sizes, draw),
            }
    return found


def error(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Give the calibration error."""
    return expected_calibration_error(labels, probabilities, bins=bins)


def surprise(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Give the log-loss of probabilities."""
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def honest(
    probabilities: np.ndarray, sizes: Sizes, draw: np.random.Generator
) -> dict[str, float]:
    """Draw who is right from the probabilities themselves: what chance alone makes."""
    confidence = np.sort(probabilities.max(axis=1))
    right = draw.random((sizes.chances, len(confidence))) < confidence
    parts = np.array_split(np.arange(len(confidence)), sizes.bins)
    gaps = np.add.reduceat(right - confidence, [part[0] for part in parts], axis=1)
    by_chance = np.abs(gaps).sum(axis=1) / len(confidence)
    return {
        "honest": float(by_chance.mean()),
        "honest_95": float(np.quantile(by_chance, 0.95)),
        "honest_999": float(np.quantile(by_chance, 0.999)),
    }


def least_rise(
    labels: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    sizes: Sizes,
    draw: np.random.Generator,
) -> float:
    """Resample the fresh patients: by how much did calibration raise the error?"""
    rises = []
    for _ in range(60):
        rows = draw.integers(0, len(labels), len(labels))
        was, now = (error(labels[rows], p[rows], sizes.bins) for p in (before, after))
        rises.append(now - was)
    return float(np.quantile(rises, 0.05))


def refitted(
    truth: Scaling,
    validation: np.ndarray,
    fresh: np.ndarray,
    sizes: Sizes,
    draw: np.random.Generator,
) -> float:
    """Let a scaling be the truth, and fit another to patients drawn from it."""
    errors = []
    for _ in range(sizes.refits):
        labels = draw_labels(truth.probabilities(validation), draw)
        again = fit_scaling(labels, validation, around=truth)
        labels = draw_labels(truth.probabilities(fresh), draw)
        errors.append(error(labels, again.probabilities(fresh), sizes.bins))
    return float(np.mean(errors))


def draw_labels(probabilities: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Draw one class per patient."""
    edges = probabilities.cumsum(axis=1)[:, :-1]
    return (draw.random(len(edges))[:, None] > edges).sum(axis=1)


def average(
    runs: list[dict[str, dict[str, float]]],
) -> dict[str, dict[str, float]]:
    """Average over seeds."""
    return {
        subset: {
            name: round(float(np.mean([run[subset][name] for run in runs])), 4)
            for name in runs[0][subset]
        }
        for subset in runs[0]
    }


if __name__ == "__main__":
    sys.exit(main())
