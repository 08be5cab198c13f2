"""Embed the patches of a slide with TIAToolbox."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import Task, begin
from tiatoolbox.models.architecture.vanilla import CNNBackbone
from tiatoolbox.models.engine.deep_feature_extractor import DeepFeatureExtractor
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from torchvision.models import resnet50

COARSE = 16
"""Pixels of the slide along one pixel of the mask."""


def main() -> None:
    task, report = begin()
    extractor = DeepFeatureExtractor(make_model(task), device="cpu", **task.settings)
    config = IOPatchPredictorConfig(
        input_resolutions=[{"units": "mpp", "resolution": task.mpp}],
        patch_input_shape=[task.size_px, task.size_px],
        stride_shape=[task.size_px, task.size_px],
    )
    with report.inference():
        made = extractor.run(
            [Path(task.slide)],
            masks=[mask_of(task)],
            ioconfig=config,
            patch_mode=False,
            auto_get_mask=False,
            output_type="zarr",
            save_dir=Path(task.folder) / "features",
        )
    report.finish(patches=count(made), version=version("tiatoolbox"))


def mask_of(task: Task) -> np.ndarray:
    """Leave out the patches that reach beyond the slide, which it would fill up.

    It takes every patch that the mask touches: the mask ends in the middle of the last
    row and column of whole patches.
    """
    side = task.size_px * task.mpp / task.slide_mpp
    mask = np.zeros([-(-length // COARSE) for length in task.shape], bool)
    last_row, last_col = task.origins[-1]
    rows, cols = (round((last + side / 2) / COARSE) for last in (last_row, last_col))
    mask[:rows, :cols] = True
    return mask


def make_model(task: Task) -> CNNBackbone:
    """Fill its own backbone, which has the layers of torchvision's under numbers."""
    network = resnet50()
    network.load_state_dict(torch.load(task.weights, weights_only=True))
    backbone = CNNBackbone("resnet50")
    layers = torch.nn.Sequential(*list(network.children())[:-2])
    backbone.feat_extract.load_state_dict(layers.state_dict())
    return backbone.eval()


def count(made: object) -> int:
    """Count the embeddings that were written."""
    import zarr

    (path,) = made.values() if isinstance(made, dict) else (made,)
    return int(zarr.open(str(path), mode="r")["features"].shape[0])


if __name__ == "__main__":
    main()
