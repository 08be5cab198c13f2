"""Draw slide, classes, evidence and call as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from napari_mmsubtype.core.records import format_probability
from napari_mmsubtype.core.result_words import NAMES, subset_rows
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.colors import evidence_colors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.core.records import Prediction
    from napari_mmsubtype.results.store import Result
    from napari_mmsubtype.slides.slide import Slide

_THUMBNAIL_PX = 1200
_TISSUE_GREY = 205


def write_picture(result: Result, slide: Slide, path: Path) -> Path:
    """Draw a complete result beside its slide and save it.

    Parameters
    ----------
    result : Result
        A complete store.
    slide : Slide
        The slide it was made from.
    path : Path
        Receives the picture; the suffix names the format (``.png``, ``.pdf``).

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    StoreError
        If the analysis was interrupted.
    """
    draw_result(result, slide).savefig(path)
    return path


def draw_result(
    result: Result, slide: Slide | None, *, is_titled: bool = True
) -> Figure:
    """Draw a complete result beside its slide.

    Parameters
    ----------
    result : Result
        A complete store.
    slide : Slide or None
        The slide it was made from; without it, the maps lie on the tissue mask.
    is_titled : bool, default: True
        Head the figure with slide and call, which a page around it may say itself; that
        a model knows synthetic tissue only is said in any case.

    Returns
    -------
    Figure
        Slide, classes, evidence and calls; nothing else holds it.

    Raises
    ------
    StoreError
        If the analysis was interrupted.
    """
    prediction = result.prediction
    if prediction is None:
        msg = (
            f"{str(result.path)!r} is incomplete; run the same request again to resume"
        )
        raise StoreError(msg)
    figure = Figure(figsize=(13.5, 12), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2).ravel()
    thumbnail = _tissue_picture(result) if slide is None else _thumbnail(slide)
    extent = _slide_extent(result)
    for axis in axes[:3]:
        axis.imshow(thumbnail, extent=extent)
        axis.set_xlabel("mm")
    axes[0].set_title(
        "Tissue (the slide could not be read)" if slide is None else "Slide"
    )
    axes[0].set_ylabel("mm")
    axes[2].set_ylabel("mm")
    _draw_classes(axes[1], result)
    _draw_evidence(figure, axes[2], result, prediction)
    for axis in axes[:3]:
        axis.set_xlim(extent[0], extent[1])
        axis.set_ylim(extent[2], extent[3])
    _draw_calls(axes[3], result, prediction)
    title = [_headline(result, prediction)] if is_titled else []
    if result.is_demo:
        title.append("model of synthetic tissue only: no statement about real tissue")
    figure.suptitle("\n".join(title), fontsize=13, fontweight="bold")
    return figure


def _headline(result: Result, prediction: Prediction) -> str:
    share = format_probability(max(prediction.call.probabilities))
    used = " + ".join(NAMES.get(m, m) for m in prediction.call.modalities)
    return _plain(f"{result.slide_name}: {prediction.label} ({share}) from {used}")


def _plain(text: str) -> str:
    """Keep matplotlib from reading what stands between dollars as a formula."""
    return text.replace("$", r"\$")


def _thumbnail(slide: Slide) -> NDArray[np.uint8]:
    """Read the coarsest level that still fills the panel."""
    enough = [
        i
        for i, level in enumerate(slide.levels)
        if max(level.shape) >= min(_THUMBNAIL_PX, max(slide.levels[0].shape))
    ]
    number = max(enough)
    height, width = slide.levels[number].shape
    pixels = slide.read_region(number, 0, 0, height, width)
    step = max(1, max(height, width) // _THUMBNAIL_PX)
    return pixels[::step, ::step]


def _tissue_picture(result: Result) -> NDArray[np.uint8]:
    """Draw the tissue grey on white, over the whole slide."""
    mask, _ = result.tissue
    grey = np.where(mask, _TISSUE_GREY, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _slide_extent(result: Result) -> tuple[float, float, float, float]:
    """Extent of the slide in mm."""
    rows, cols = result.slide_shape
    size = result.pixel_size
    return (0, cols * size.x / 1e3, rows * size.y / 1e3, 0)


def _map_extent(result: Result, shape: tuple[int, int]) -> tuple[float, ...]:
    """Extent of a canvas that starts at the slide's corner, in mm."""
    size = result.map_pixel_size
    return (0, shape[1] * size.x / 1e3, shape[0] * size.y / 1e3, 0)


def _draw_classes(axis: Any, result: Result) -> None:
    classes = result.class_map()
    spec = result.grid.spec
    pitch = spec.stride_px * spec.mpp / 1e3
    # A cell lies about its patch's center, also where patches overlap.
    start = (spec.size_px - spec.stride_px) * spec.mpp / 2 / 1e3
    rows, cols = classes.shape
    shown = np.ma.masked_equal(classes, 0)
    colors = ListedColormap([subtype.color for subtype in result.classes])
    axis.imshow(
        shown,
        cmap=colors,
        vmin=0.5,
        vmax=len(result.classes) + 0.5,
        alpha=0.5,
        interpolation="nearest",
        extent=(start, start + cols * pitch, start + rows * pitch, start),
    )
    handles = [Patch(color=s.color, label=_plain(s.name)) for s in result.classes]
    axis.legend(handles=handles, loc="lower right")
    axis.set_title(
        "Class with most evidence, patch by patch"
        if classes.any()
        else "No patch has evidence for a class"
    )


def _draw_evidence(
    figure: Figure, axis: Any, result: Result, prediction: Prediction
) -> None:
    index = prediction.classes.index(prediction.label)
    values = result.evidence_map(index, against_others=True)
    limit = float(np.percentile(np.abs(values[values != 0]), 99)) if values.any() else 1
    colors = ListedColormap(evidence_colors(result.classes[index]))
    drawn = axis.imshow(
        np.ma.masked_equal(values, 0),
        cmap=colors,
        vmin=-limit,
        vmax=limit,
        interpolation="bilinear",
        extent=_map_extent(result, values.shape),
    )
    bar = figure.colorbar(drawn, ax=axis, shrink=0.6)
    bar.set_label("logits per cell; dark speaks against")
    axis.set_title(_plain(f"Evidence for {prediction.label}"))


def _draw_calls(axis: Any, result: Result, prediction: Prediction) -> None:
    """Draw the class probabilities from every subset of the modalities."""
    rows = subset_rows(prediction)
    places = range(len(rows))
    left = np.zeros(len(rows))
    for index, subtype in enumerate(result.classes):
        part = np.array([row.probabilities[index] for row in rows])
        axis.barh(places, part, left=left, color=subtype.color)
        left += part
    axis.set_yticks(places, [row.text for row in rows])
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.axvline(0.5, color="white", linewidth=1)
    axis.set_xlabel("probability")
    axis.set_title("The call from all, without each, from each alone")
