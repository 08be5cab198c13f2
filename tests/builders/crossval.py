"""Tiny cohorts on disk, and embeddings that no slide was read for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.evaluation import comparison
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows import cohort_profiles, cohort_setup
from napari_mmsubtype.workflows.cohort import Cohort, fit_preset, make_cohort
from napari_mmsubtype.workflows.cohort_tables import read_tables_job
from napari_mmsubtype.workflows.embed import EmbeddedSlides
from napari_mmsubtype.workflows.fold_data import prepare_fold
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from napari_mmsubtype.training.preset import Preset

CLASSES = ("Luminal", "Basal/HER2")
DIM = 96
GENES = 24
SETTINGS = (
    "encoder.name=demo-cnn",
    "encoder.weights=null",
    "encoder.options={}",
    "patch.size_px=64",
    "patch.stride_px=64",
    "modalities.rna.options.model_unit=null",
    "modalities.rna.options.min_expression=0.0",
    "modalities.rna.options.min_expressed=0.0",
    "fusion.options.token_dim=8",
    "fusion.options.attention_dim=8",
    "fusion_training.epochs=2",
    "validation.folds=2",
    "validation.seeds=[0]",
    "validation.bootstrap=50",
)
"""Overrides that make the preset ``evidence`` as small as these cohorts."""


def draw(n: int = 48, seed: int = 0) -> dict[str, Any]:
    """Draw patients whose label needs image and RNA alike."""
    rng = np.random.default_rng(seed)
    z_image, z_rna = rng.normal(size=(2, n))
    labels = (z_image + z_rna > 0).astype(int)
    rna = rng.normal(0, 1, (n, GENES))
    rna[:, :4] += 2 * z_rna[:, None]
    bags = []
    for z in z_image:
        bag = rng.normal(0, 1, (6, DIM))
        bag[:, :4] += 2 * z
        bags.append(bag.astype(np.float16))
    names = [f"P{i:03d}" for i in range(n)]
    return {
        "names": names,
        "labels": labels,
        "rna": pd.DataFrame(rna, index=names, columns=[f"G{i}" for i in range(GENES)]),
        "clinical": pd.DataFrame(
            {
                "age": rng.normal(60, 9, n).round().astype(int),
                "menopause": rng.choice(["pre", "post"], n),
            },
            index=names,
        ),
        "sites": [f"S{i % 4}" for i in range(n)],
        "bags": bags,
    }


def write(
    folder: Path, drawn: dict[str, Any], extra: pd.DataFrame | None = None
) -> Any:
    """Write manifest, tables and bags; give the options of `crossval`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = drawn["names"]
    rows = pd.DataFrame(
        {
            "patient_id": names,
            "slide": [f"synthetic:seed={i}" for i in range(len(names))],
            "label": [CLASSES[label] for label in drawn["labels"]],
            "site": drawn["sites"],
        }
    )
    gone = [len(bag) == 0 for bag in drawn["bags"]]
    rows.loc[gone, "slide"] = ""
    if extra is not None:
        rows = pd.concat([rows, extra.reset_index(drop=True)], axis=1)
    rows.to_csv(folder / "cohort.csv", index=False)
    drawn["rna"].to_csv(folder / "rna.csv", index_label="patient_id")
    drawn["clinical"].to_csv(folder / "clinical.csv", index_label="patient_id")
    for number, bag in enumerate(drawn["bags"]):
        np.save(folder / f"bag-{number}.npy", bag)
    return {
        "manifest": folder / "cohort.csv",
        "rna": folder / "rna.csv",
        "rna_unit": "z-score",
        "clinical": folder / "clinical.csv",
    }


def use_bags(monkeypatch: Any, folder: Path) -> None:
    """Let slides be embedded as the bags that were written."""

    def embed_job(slides: Any, model: Any, out: Path, **_: Any) -> Any:
        yield Progress("slides", len(slides), len(slides))
        bags = {s.path: folder / f"bag-{s.path.split('=')[1]}.npy" for s in slides}
        return EmbeddedSlides(out, bags, {})

    monkeypatch.setattr(cohort_setup, "embed_job", embed_job)


def quick_scoring(monkeypatch: Any) -> None:
    """Let comparisons shuffle a few times only, and patients be laid out at once."""
    monkeypatch.setattr(
        comparison, "permutation", partial(comparison.permutation, permutations=49)
    )
    monkeypatch.setattr(
        cohort_profiles, "patient_map", lambda rows, seed: np.asarray(rows)[:, :2]
    )


def read_curves(folder: Path) -> dict[str, int]:
    """Read back what TensorBoard would show: epochs of each run, by its name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for path in sorted(folder.rglob("events.*")):
        events = EventAccumulator(str(path)).Reload()
        names = ("learning rate", "loss/training", "loss/validation")
        assert sorted(events.Tags()["scalars"]) == list(names)
        steps = {tuple(e.step for e in events.Scalars(name)) for name in names}
        (epochs,) = steps
        assert epochs == tuple(range(1, len(epochs) + 1))
        found[path.parent.relative_to(folder).as_posix()] = len(epochs)
    return found


def fold_data(folder: Path, *changes: str, **drawing: Any) -> Any:
    """Prepare the first of two folds of a tiny cohort."""
    drawn = draw(**drawing)
    preset = small_preset(*changes)
    cohort = open_cohort(write(folder, drawn), preset)
    split = plan_folds(cohort, preset.validation).splits[0]
    return prepare_fold(cohort, preset, drawn["bags"], split)


def small_preset(*changes: str) -> Preset:
    """Load the preset ``evidence``, small, with RNA and clinical data."""
    preset = load_preset("evidence", [*SETTINGS, *changes])
    return fit_preset(preset, [Modality.RNA, Modality.CLINICAL])


def open_cohort(options: dict[str, Any], preset: Preset | None = None) -> Cohort:
    """Read what `write` wrote."""
    from napari_mmsubtype.training.preset_build import build_heads
    from napari_mmsubtype.workflows.cohort_targets import head_targets

    heads = build_heads(preset or small_preset())
    manifest = read_manifest(
        options["manifest"],
        labels=CLASSES,
        questions=lambda columns: head_targets(heads, columns),
    )
    names = [patient.id for patient in manifest.patients]
    paths = {Modality.RNA: options["rna"], Modality.CLINICAL: options["clinical"]}
    reading = {Modality.RNA: {"unit": "z-score"}}
    tables = run_job(read_tables_job(paths, names, reading))
    return make_cohort(manifest, CLASSES, tables, heads)
