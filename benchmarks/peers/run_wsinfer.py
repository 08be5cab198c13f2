"""Run a network over the patches of a slide with WSInfer.

WSInfer classifies patches and keeps no embeddings: its network is the whole ResNet-50,
with the layer of 1000 classes at its end, which costs next to nothing.
"""

from __future__ import annotations

import csv
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
from protocol import MEAN, STD, Task, begin
from wsinfer.modellib.models import LocalModelTorchScript
from wsinfer.modellib.run_inference import run_inference
from wsinfer.patchlib import PATCHES_DIR, save_hdf5
from wsinfer_zoo.client import ModelConfiguration


def main() -> None:
    task, report = begin()
    os.environ["WSINFER_FORCE_CPU"] = "1"
    slides, results = Path(task.folder) / "slides", Path(task.folder) / "results"
    slides.mkdir()
    slide = slides / Path(task.slide).name
    slide.symlink_to(Path(task.slide).resolve())
    (results / PATCHES_DIR).mkdir(parents=True)
    corners = np.array([(x, y) for y, x in task.origins])
    save_hdf5(
        results / PATCHES_DIR / f"{slide.stem}.h5",
        coords=corners,
        patch_size=round(task.size_px * task.mpp / task.slide_mpp),
        patch_spacing_um_px=task.mpp,
    )
    model = LocalModelTorchScript(config=configure(task), model_path=task.script)
    with report.inference():
        failed = run_inference(slides, results, model, **task.settings)
    if any(failed):
        msg = f"WSInfer failed at {failed}"
        raise RuntimeError(msg)
    with (results / "model-outputs-csv" / f"{slide.stem}.csv").open() as table:
        patches = sum(1 for _ in csv.DictReader(table))
    report.finish(patches=patches, version=version("wsinfer"))


def configure(task: Task) -> ModelConfiguration:
    size = task.size_px
    return ModelConfiguration.from_dict(
        {
            "spec_version": "1.0",
            "architecture": "resnet50",
            "num_classes": 1000,
            "patch_size_pixels": size,
            "spacing_um_px": task.mpp,
            "class_names": [f"class {number}" for number in range(1000)],
            "transform": [
                {"name": "Resize", "arguments": {"size": size}},
                {"name": "ToTensor"},
                {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
            ],
        }
    )


if __name__ == "__main__":
    main()
