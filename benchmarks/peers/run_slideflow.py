"""Embed the patches of a slide with Slideflow."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("SF_BACKEND", "torch")
os.environ.setdefault("SF_SLIDE_BACKEND", "libvips")

import numpy as np
import slideflow as sf
import torch
from protocol import Task, begin
from slideflow.model.extractors._factory_torch import TorchFeatureExtractor
from torchvision.models import resnet50


class ResNet50(TorchFeatureExtractor):
    """An extractor of one's own, as its documentation tells to write them."""

    tag = "resnet50"

    def __init__(self, task: Task, **options: Any) -> None:
        super().__init__(**options)
        model = resnet50()
        model.load_state_dict(torch.load(task.weights, weights_only=True))
        model.fc = torch.nn.Identity()
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = model.eval().to(self.device)
        self.num_features = 2048
        self.transform = self.build_transform(img_size=task.size_px)
        self.preprocess_kwargs = {"standardize": False}


def main() -> None:
    task, report = begin()
    settings = dict(task.settings)
    names = ("channels_last", "mixed_precision")
    options = {name: settings.pop(name) for name in names if name in settings}
    extractor = ResNet50(task, **options)
    slide = sf.WSI(
        task.slide,
        tile_px=task.size_px,
        tile_um=round(task.size_px * task.mpp),
        roi_method="ignore",
    )
    with report.inference():
        features = extractor(
            slide, whitespace_fraction=1, grayspace_fraction=1, **settings
        )
    filled = ~np.ma.getmaskarray(features).all(axis=-1)
    np.savez(Path(task.folder) / "features.npz", features=features.data, filled=filled)
    report.finish(patches=int(filled.sum()), version=version("slideflow"))


if __name__ == "__main__":
    main()
