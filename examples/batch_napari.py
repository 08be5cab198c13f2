"""Analyse several slides through napari's API, without a window and without Qt.

Usage: ``python examples/batch_napari.py [SLIDE ...] [--out FOLDER] [--bundle BUNDLE]``

Each slide is analysed, and its result opened by the plugin's reader in a viewer model:
slide and overlays; what the viewer shows is drawn to a picture. A slide that fails is
listed with the reason and does not stop the others.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_mmsubtype import analyze
from napari_mmsubtype.errors import MMSubtypeError

PLUGIN = "napari-mmsubtype"
SLIDES = [f"synthetic:seed={seed},size=2048,basal={seed / 4}" for seed in (1, 3)]
MAX_PX = 1500


def main() -> None:
    """Analyse every slide; write a picture of each and one table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", nargs="*", default=SLIDES)
    parser.add_argument("--out", type=Path, default=Path("batch_out"))
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--mpp", type=float, default=None)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    rows = []
    for number, slide in enumerate(arguments.slides):
        row = {"slide": slide, "label": "", "probability": "", "store": "", "error": ""}
        rows.append(row)
        try:
            result = analyze(
                slide, arguments.bundle, mpp=arguments.mpp, out=arguments.out
            )
        except MMSubtypeError as error:
            row["error"] = str(error)
            print(f"{slide}: {error}")
            continue
        prediction = result.prediction
        assert prediction is not None
        viewer = ViewerModel(title=slide)
        viewer.open(str(result.path), plugin=PLUGIN)
        picture = draw(viewer, arguments.out / f"{number:03d}.png")
        row["label"] = prediction.label
        row["probability"] = f"{max(prediction.call.probabilities):.4f}"
        row["store"] = str(result.path)
        print(f"{slide}: {prediction.label} -> {picture}")

    with (arguments.out / "calls.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def draw(viewer: ViewerModel, path: Path) -> Path:
    """Draw the visible layers over one another, in microns."""
    figure = Figure(figsize=(8, 8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="µm", ylabel="µm", title=viewer.title)
    for layer in viewer.layers:
        if layer.visible and isinstance(layer, Image | Labels):
            axes.imshow(
                colors(layer),
                extent=extent(layer),
                alpha=layer.opacity,
                interpolation="nearest",
            )
    figure.savefig(path)
    return path


def pixels(layer: Layer) -> Any:
    """Give the finest level of a layer that is small enough to draw."""
    levels = layer.data if layer.multiscale else [layer.data]
    fitting = [level for level in levels if max(level.shape[:2]) <= MAX_PX]
    return np.asarray(fitting[0] if fitting else levels[-1])


def colors(layer: Any) -> Any:
    """Turn a layer's values into RGB or RGBA as napari would show them."""
    values = pixels(layer)
    if getattr(layer, "rgb", False):
        return values
    if isinstance(layer, Labels):
        return layer.colormap.map(values)
    low, high = layer.contrast_limits
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return layer.colormap.map(scaled.ravel()).reshape(*scaled.shape, 4)


def extent(layer: Layer) -> tuple[float, float, float, float]:
    """Give left, right, bottom and top of a layer in microns."""
    (top, left), (bottom, right) = layer.extent.world[:, -2:]
    half_y, half_x = np.asarray(layer.scale[-2:]) / 2
    return left - half_x, right + half_x, bottom + half_y, top - half_y


if __name__ == "__main__":
    main()
