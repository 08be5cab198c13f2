"""A synthetic cohort whose label needs image and tables, cross-validated.

Usage: ``python benchmarks/synthetic_cohort.py OUT [--patients 200] [--slide-px 1024]``

Synthetic patients are drawn, and about 200 kept such that neither the slide nor the
tables tell the label alone: in two of three patients they disagree, and the stronger
one is right. Slides are embedded with the encoder of the demo bundle, which was trained
on patches of other synthetic patients. The preset ``evidence`` is cross-validated with
all baselines, and the evidence of held-out slides is held against what was planted.
The settings were chosen on the cohort of ``--seed 6``.
Goals: fused at 0.95 balanced accuracy or more, every modality alone at 0.75 or less,
evidence above 0.95 area under the ROC curve over patches. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.metrics import binary_auc
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.omics.synthetic import synthetic_cohort
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.slides.synthetic import PHENOTYPES, phenotype_mask
from napari_mmsubtype.workflows.crossval import crossval

AGREEING = 1 / 3
"""Share of patients whose slide and tables agree: each alone is right in two thirds."""

MARGIN = 0.8
PATCH_PX = 128
SETTINGS = (
    "encoder.name=demo-cnn",
    "encoder.options={}",
    f"patch={{size_px: {PATCH_PX}, mpp: 0.5, stride_px: {PATCH_PX}, min_tissue: 0.5}}",
    "fusion.options={token_dim: 16, dropout: 0.1}",
    # 128 patients train a fold: half of the 287 genes are enough to get lost in.
    "modalities.rna.options.top=150",
    "fusion_training.epochs=60",
    "fusion_training.batch_size=32",
    "fusion_training.learning_rate=0.002",
    "fusion_training.weight_decay=1.0",
    "fusion_training.label_smoothing=0.0",
    "fusion_training.patches_per_bag=null",
    "fusion_training.alone_weight=0.0",
    "fusion_training.consistency=0.0",
    "fusion_training.drop={image: 0.1, rna: 0.2, methylation: 0.2, clinical: 0.2}",
    "fusion_training.omics_noise=1.0",
    "fusion_training.patience=30",
    "validation.seeds=[0]",
)


def main() -> int:
    """Draw, cross-validate, compare evidence with truth; print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--slide-px", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    files = write_cohort(given.out, given.patients, given.slide_px, given.seed)
    weights = given.out / "encoder.safetensors"
    state = load_bundle("demo").encoder.state_dict()
    safetensors.torch.save_file(state, weights)
    outcome = crossval(
        files["manifest"],
        "evidence",
        out=given.out / "crossval",
        overrides=[*SETTINGS, f"encoder.weights={weights}"],
        rna=files["rna"],
        methylation=files["methylation"],
        clinical=files["clinical"],
        device="cpu",
        on_progress=lambda e: (
            e.stage == "folds"
            and print(f"{e.done}/{e.total} {e.message}", file=sys.stderr, flush=True)
        ),
    )
    content = json.loads(outcome.results.read_text(encoding="utf-8"))
    report = {
        name: f"{m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]"
        for name, model in content["models"].items()
        if (m := model["metrics"].get("balanced_accuracy")) is not None
    }
    areas = evidence_areas(outcome.predictions, outcome.bundles, given.out / "crossval")
    report["evidence, slides"] = len(areas)
    report["evidence, mean ROC-AUC over patches"] = float(np.mean(areas))
    report["alarms"] = [a["name"] for a in content["alarms"] if a["raised"]]
    print(json.dumps(report, indent=1))
    return 0


def write_cohort(out: Path, count: int, slide_px: int, seed: int) -> dict[str, Path]:
    """Keep patients of whom neither slide nor tables tell the label."""
    drawn = synthetic_cohort(12 * count, seed=seed, slide_size=slide_px)
    patients = drawn.patients
    basal = patients["basal"].to_numpy()
    image = np.log(basal / (1 - basal))
    image = image / image.std()
    tables = patients["omics_score"].to_numpy()
    clear = np.abs(image + tables) > MARGIN
    agree = np.sign(image) == np.sign(tables)
    label = (image + tables > 0).astype(int)
    stronger = np.abs(image) > np.abs(tables)
    rng = np.random.default_rng(seed)
    kept: list[int] = []
    for side in (0, 1):
        same = np.flatnonzero(clear & agree & (label == side))
        kept += rng.permutation(same)[: round(count * AGREEING / 2)].tolist()
        for leader in (True, False):
            rows = clear & ~agree & (label == side) & (stronger == leader)
            take = round(count * (1 - AGREEING) / 4)
            kept += rng.permutation(np.flatnonzero(rows))[:take].tolist()
    rows = sorted(kept)
    files = {name: out / f"{name}.csv" for name in ("manifest", *map(str, Modality))}
    pd.DataFrame(
        {
            "patient_id": patients["patient_id"].to_numpy()[rows],
            "slide": patients["slide"].to_numpy()[rows],
            "label": np.array(["Luminal", "Basal/HER2"])[label[rows]],
            "site": [f"site {i % 5}" for i in range(len(rows))],
        }
    ).to_csv(files["manifest"], index=False)
    for modality in ("rna", "methylation", "clinical"):
        table = getattr(drawn, modality).iloc[rows]
        table.to_csv(files[modality], index_label="patient_id")
    return files


def evidence_areas(
    predictions: Path, bundles: tuple[Path, ...], folder: Path
) -> list[float]:
    """Hold the evidence of held-out slides against what was planted."""
    stores = {}
    for path in (folder / "embeddings").glob("*.mmsubtype.zarr"):
        result = open_result(path)
        stores[result.slide_path] = result
    frame = pd.read_parquet(predictions)
    frame = frame[(frame["model"] == "evidence") & frame["main"]]
    slides = pd.read_csv(folder.parent / "manifest.csv").set_index("patient_id")[
        "slide"
    ]
    planted = [PHENOTYPES["basal"], PHENOTYPES["necrosis"]]
    areas = []
    for bundle_path in bundles:
        fold = int(bundle_path.name.rpartition("-")[2])
        model = load_bundle(bundle_path).fusion.eval()
        for patient in frame.loc[frame["fold"] == fold, "patient_id"]:
            result = stores[slides[patient]]
            used = result.patch_status == 1
            mask = np.isin(phenotype_mask(slides[patient], 0), planted)
            truth = np.array(
                [
                    mask[y : y + PATCH_PX, x : x + PATCH_PX].mean() > 0.5
                    for y, x in result.grid.origin[used]
                ]
            )
            if truth.all() or not truth.any():
                continue
            bag = torch.from_numpy(result.embeddings[used].astype(np.float32))[None]
            present = torch.zeros(1, len(model.modalities), dtype=torch.bool)
            present[:, 0] = True
            with torch.inference_mode():
                found = model(bag, torch.ones(bag.shape[:2], dtype=torch.bool), {},
                              present).evidence[0]  # fmt: skip
            areas.append(binary_auc(truth, (found[:, 1] - found[:, 0]).numpy()))
    return areas


if __name__ == "__main__":
    sys.exit(main())
