"""Embed the patches of a slide with LazySlide."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import lazyslide as zs
import torch
from protocol import MEAN, STD, Task, begin
from torchvision.models import resnet50
from torchvision.transforms import v2
from wsidata import open_wsi


class InFloat32(torch.nn.Module):
    """Give embeddings in float32: LazySlide cannot turn bfloat16 into an array."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).float()


def main() -> None:
    task, report = begin()
    settings = dict(task.settings)
    model = make_model(task)
    if settings.pop("channels_last", False):
        model = model.to(memory_format=torch.channels_last)
    if settings.pop("bfloat16", False):
        model = InFloat32(model)
        settings |= {"amp": True, "autocast_dtype": torch.bfloat16}
    wsi = open_wsi(task.slide, store=str(Path(task.folder) / "slide.zarr"))
    zs.pp.tile_tissues(wsi, task.size_px, mpp=task.mpp, background_filter=False)
    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=MEAN, std=STD),
        ]
    )
    with report.inference():
        zs.tl.feature_extraction(
            wsi,
            model,
            model_name="resnet50",
            transform=transform,
            device="cpu",
            **settings,
        )
    wsi.write()
    features = wsi.tables["resnet50_tiles"]
    report.finish(patches=len(features), version=version("lazyslide"))


def make_model(task: Task) -> torch.nn.Module:
    model = resnet50()
    model.load_state_dict(torch.load(task.weights, weights_only=True))
    model.fc = torch.nn.Identity()
    return model.eval()


if __name__ == "__main__":
    # Its worker processes import this file anew.
    main()
