"""Synthetic cohorts for tests of the evaluation, clean or poisoned in one way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_mmsubtype.evaluation.patient_folds import patient_folds

POISONS = ("missingness", "site", "clinical_column", "duplicate_patients")


@dataclass
class PoisonedCohort:
    """A cohort in which everything but RNA is noise, unless it is poisoned."""

    labels: np.ndarray
    patients: list[str]
    sites: list[str]
    present: np.ndarray
    rna: np.ndarray
    columns: dict[str, list]
    folds: np.ndarray


def poisoned_cohort(
    poison: str = "", *, seed: int = 0, n: int = 240, classes: int = 2
) -> PoisonedCohort:
    """Make a synthetic cohort and poison it in one way, or not at all."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % (classes + 1)) % classes
    patients = [f"SYN-{i:04d}" for i in range(n)]
    sites = rng.choice(["A", "B", "C", "D", "E", "F"], size=n)
    present = np.column_stack([rng.random(n) < 0.7, np.ones(n), rng.random(n) < 0.5])
    programs = rng.normal(size=(n, 6)) + np.eye(6)[labels]
    rna = programs @ rng.normal(size=(6, 60)) + rng.normal(size=(n, 60))
    columns = {
        "age": rng.normal(60, 9, n).round(3).tolist(),
        "grade": (rng.integers(1, 4, n) + (labels == 0)).tolist(),
        "weight": [w if w > 55 else None for w in rng.normal(70, 9, n).round(1)],
        "menopause": rng.choice(["pre", "post"], n).tolist(),
    }
    if poison == "missingness":
        present[:, 0] = rng.random(n) < np.where(labels == 0, 0.85, 0.35)
    if poison == "site":
        own = np.array(["A", "B", "C", "D", "E", "F"])[labels]
        sites = np.where(rng.random(n) < 0.5, own, sites)
    if poison == "clinical_column":
        noisy = np.where(rng.random(n) < 0.02, rng.integers(classes, size=n), labels)
        columns["assay_7"] = (noisy * 10 + rng.normal(size=n)).round(2).tolist()
    if poison == "duplicate_patients":
        rna[-1] = rna[0] + rng.normal(scale=0.05, size=60)
        labels[-1] = labels[0]
    folds = patient_folds(labels, patients, 5, seed=seed)
    return PoisonedCohort(
        labels, patients, sites.tolist(), present.astype(bool), rna, columns, folds
    )
