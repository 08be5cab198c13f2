"""Time and memory of training a fusion model from embeddings on disk, over all folds.

Usage: ``python benchmarks/training.py [--patients 1000] [--patches 1000] [--dim 2048]
[--folds 5] [--epochs 20] [--preset evidence] [--threads 2] [--folder DIR]``

Writes made-up embeddings as float16 (4 GB for 1,000 patients, removed afterwards) and
made-up tables of RNA, methylation and clinical facts, drops the files from the page
cache, and trains the fusion model of the preset with its own schedule on each fold,
without early stopping. Each epoch draws new patches; validation and the held-out fold
take them all. The budget for the full size is 30 minutes and 4 GB on two cores. Peak
memory is that of the process, imports and tables included; files are mapped only while
they are read. ``clock_seconds`` is by the clock, ``processor_seconds`` what the process
itself used of all cores, which other processes on the machine change little. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.metrics import balanced_accuracy
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.training.stored_bags import StoredBag, store_bag
from napari_mmsubtype.workflows.jobs import run_job

BUDGET = {"seconds": 1800, "peak_mb": 4000}
LENGTHS = {Modality.RNA: 2000, Modality.METHYLATION: 5000, Modality.CLINICAL: 12}


def main() -> int:
    """Write a made-up cohort, train on every fold and print one JSON object."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        start = time.perf_counter()
        cases = make_cases(Path(folder), arguments)
        written = time.perf_counter() - start
        report = measure(cases, arguments)
    report["writing_seconds"] = round(written, 1)
    print(json.dumps(report, indent=2))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--preset", default="evidence")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", help="where the embeddings go for the time being")
    return parser.parse_args()


def make_cases(folder: Path, arguments: argparse.Namespace) -> BagSet:
    """Make up patients whose label needs the image and the RNA."""
    rng = np.random.default_rng(0)
    n = arguments.patients
    signs = rng.normal(size=(2, n))
    bags = []
    for number, sign in enumerate(signs[0]):
        bag = rng.standard_normal((arguments.patches, arguments.dim), np.float32)
        marked = round(arguments.patches / (1 + np.exp(-1.5 * sign)))
        bag[:marked, :64] += 1.0
        path = store_bag(folder / f"{number}.npy", rng.permutation(bag))
        forget(path)
        bags.append(StoredBag(path))
    omics = {
        m: rng.standard_normal((n, length), np.float32) for m, length in LENGTHS.items()
    }
    omics[Modality.RNA][:, :50] += signs[1][:, None]
    return BagSet(
        patients=tuple(f"p{i}" for i in range(n)),
        labels=(signs.sum(axis=0) > 0).astype(np.int64),
        bags=bags,
        omics=omics,
        present=np.ones((n, 1 + len(omics)), bool),
        modalities=(Modality.IMAGE, *omics),
    )


def forget(path: Path) -> None:
    """Drop a file from the page cache, where the system offers that."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(cases: BagSet, arguments: argparse.Namespace) -> dict:
    """Train on each fold; give the time and memory of it all."""
    preset = load_preset(arguments.preset)
    config = replace(
        preset.fusion_training, epochs=arguments.epochs, patience=arguments.epochs
    )
    fold = np.arange(len(cases)) % arguments.folds
    seconds, scores, best = [], [], []
    start, used = time.perf_counter(), time.process_time()
    for number in range(arguments.folds):
        began = time.perf_counter()
        rest = np.random.default_rng(number).permutation(np.flatnonzero(fold != number))
        inner = round(preset.validation.inner_share * len(rest))
        torch.manual_seed(number)
        model = create_fusion(
            preset.fusion.name,
            dim=cases.dim,
            classes=2,
            omics={m.value: length for m, length in LENGTHS.items()},
            **preset.fusion.options,
        )
        fit = run_job(
            fit_fusion(
                model, cases.take(rest[inner:]), cases.take(rest[:inner]), config
            )
        )
        test = cases.take(np.flatnonzero(fold == number))
        logits = predict_logits(fit.model, test)
        scores.append(round(float(balanced_accuracy(test.labels, logits)), 3))
        best.append(fit.best_epoch)
        seconds.append(round(time.perf_counter() - began, 1))
    clock, peak = time.perf_counter() - start, peak_mb()
    size = {name: getattr(arguments, name) for name in ("patients", "patches", "dim")}
    return {
        **size,
        "folds": arguments.folds,
        "epochs": arguments.epochs,
        "preset": arguments.preset,
        "threads": arguments.threads,
        "embeddings_gb": round(2 * float(np.prod([*size.values()])) / 1e9, 2),
        "clock_seconds": round(clock, 1),
        "processor_seconds": round(time.process_time() - used, 1),
        "fold_seconds": seconds,
        "peak_mb": round(peak),
        "budget": BUDGET,
        "within_budget": clock < BUDGET["seconds"] and peak < BUDGET["peak_mb"],
        "best_epochs": best,
        "balanced_accuracy": scores,
    }


def peak_mb() -> float:
    """Highest resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    raise SystemExit(main())
