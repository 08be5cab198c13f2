"""Turn slides and results into napari layers, all registered in microns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.color_words import profile_name
from napari_mmsubtype.core.patch_words import flag_words
from napari_mmsubtype.core.quality_spec import FLAGS
from napari_mmsubtype.core.slide_address import in_full
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import SlideError
from napari_mmsubtype.plugin.map_layers import (
    attention_layers,
    cam_layers,
    evidence_layers,
)
from napari_mmsubtype.plugin.placement import (
    METADATA_KEY,
    MICRONS,
    PATCH_FACTS,
    LayerTuple,
    map_placement,
    patch_sizes,
)
from napari_mmsubtype.plugin.slide_opening import open_for_view, show_problem
from napari_mmsubtype.results.colors import (
    FLAG_COLORS,
    GRID_COLORS,
    label_colors,
)
from napari_mmsubtype.results.patch_facts import gather_facts
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.stored_slide import slide_place
from napari_mmsubtype.slides.color import describe_profile

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.results.store import Result
    from napari_mmsubtype.slides.slide import Slide


__all__ = [
    "METADATA_KEY",
    "NO_SIZE",
    "PATCH_FACTS",
    "LayerTuple",
    "slide_layers",
    "slide_placement",
    "to_layers",
]

NO_SIZE = " (no pixel size)"
"""Ends the name of the layer of a slide whose pixel size is unknown."""

_PIXELS = ("pixel", "pixel")


def slide_layers(slide: Slide) -> list[LayerTuple]:
    """Show a slide as one lazy multiscale image.

    Parameters
    ----------
    slide : Slide
        An open slide; the layer keeps it in use.

    Returns
    -------
    list of tuple
        One image layer, in microns where the pixel size is known, else in pixels.
        Nothing is decoded.
    """
    pyramid = slide.pyramid()
    kwargs = {
        "name": slide.name + (NO_SIZE if slide.pixel_size is None else ""),
        "rgb": True,
        "multiscale": len(pyramid) > 1,
        # napari would keep every viewport as well, in up to a quarter of all memory;
        # the slide keeps its decoded tiles, within a limit, and is no slower.
        "cache": False,
        "metadata": {METADATA_KEY: {"kind": "slide", **_describe(slide)}},
        **slide_placement(slide.pixel_size),
    }
    data = pyramid if len(pyramid) > 1 else pyramid[0]
    return [(data, kwargs, "image")]


def slide_placement(pixel_size: PixelSize | None) -> dict[str, Any]:
    """Say how large a slide's pixels are, as keyword arguments of its layer.

    Parameters
    ----------
    pixel_size : PixelSize or None
        Microns per pixel of level 0; None where unknown.

    Returns
    -------
    dict
        ``scale`` (y, x) and ``units``.
    """
    if pixel_size is None:
        return {"scale": (1.0, 1.0), "units": _PIXELS}
    return {"scale": (pixel_size.y, pixel_size.x), "units": MICRONS}


def to_layers(result: Result, *, with_slide: bool = True) -> list[LayerTuple]:
    """Show a result: slide, tissue, classes and evidence, registered in microns.

    Parameters
    ----------
    result : Result
        As opened by `open_result`.
    with_slide : bool, default: True
        Begin with the slide itself; it is left out, with a logged warning, where its
        file can no longer be opened.

    Returns
    -------
    list of tuple
        Layers from bottom to top, as ``(data, keyword arguments, type)``. The maps are
        there only where the analysis was completed. The evidence for the class called
        is visible; that for the others is hidden at first.
    """
    layers: list[LayerTuple] = []
    if with_slide:
        layers += _slide_of(result)
    layers += [_tissue_layer(result), _grid_layer(result)]
    if result.prediction is not None:
        layers += _quality_layer(result)
        layers.append(_class_layer(result))
        layers += attention_layers(result)
        layers += cam_layers(result)
        layers += evidence_layers(result)
        facts = gather_facts(result)
        for _, kwargs, _ in layers:
            kwargs["metadata"][METADATA_KEY][PATCH_FACTS] = facts
    return layers


def _describe(slide: Slide) -> dict[str, Any]:
    """Record what the panels need to know of a slide's layer."""
    size, facts = slide.pixel_size, slide.info()
    return {
        # In full, as results have it: maps are laid upon the slide of their path.
        "path": in_full(slide.path),
        "name": slide.name,
        "vendor": slide.vendor,
        "mpp": None if size is None else [size.y, size.x],
        "mpp_source": str(slide.mpp_source),
        "objective": facts["objective"],
        "associated": facts["associated"],
        "shape": list(slide.levels[0].shape),
        "icc": slide.icc,
        "icc_profile": profile_name(describe_profile(slide.icc_profile)),
    }


def _slide_of(result: Result) -> list[LayerTuple]:
    """Open the analysed slide again, where it was or beside the store.

    Without it maps lie on black, and the user is told why.
    """
    mpp = result.pixel_size.mean if result.mpp_source is MppSource.USER else None
    beside = result.path.parent / Path(result.slide_path).name
    problems = []
    for path in (slide_place(result), str(beside)):
        try:
            return slide_layers(open_for_view(path, mpp=mpp))
        except SlideError as err:
            problems.append(str(err))
    show_problem(
        f"Slide not opened: only the maps of {result.slide_name} are shown, on black: "
        f"{problems[0]}. Put the slide back, or into {result.path.parent}, and open "
        "the result again."
    )
    return []


def _tissue_layer(result: Result) -> LayerTuple:
    mask, size = result.tissue
    kwargs = {
        "name": "tissue",
        "opacity": 0.35,
        "visible": False,
        "colormap": [[0.0, 0.0, 0.0, 0.0], [0.0, 0.62, 0.45, 1.0]],
        **map_placement(result, "tissue", size),
    }
    return (mask.astype(np.uint8), kwargs, "labels")


def _grid_layer(result: Result) -> LayerTuple:
    """Draw where the patches lie, like the fields of a chessboard."""
    grid = result.grid
    row, col = grid.cell.T
    fields = np.zeros(grid.shape, np.uint8)
    fields[row, col] = 1 + (row + col) % 2
    kwargs = {
        "name": "patches",
        "opacity": 0.35,
        "visible": False,
        "colormap": GRID_COLORS,
        **map_placement(result, "patches", *patch_sizes(result)),
    }
    return (fields, kwargs, "labels")


def _quality_layer(result: Result) -> list[LayerTuple]:
    """Draw the flagged patches, each in the colour of its first flag.

    No layer where no patch is flagged: there is nothing to look at.
    """
    grid, bits = result.grid, result.patch_flags
    if not bits.any():
        return []
    found, pattern = np.unique(bits, return_inverse=True)
    # Labels of one colour are a number of colours apart, so that every combination of
    # flags is a label of its own and hovering over it names them all.
    cycle = len(FLAGS)
    first = np.array([_lowest(int(value)) for value in found])
    label = np.where(found > 0, np.arange(len(found)) * cycle + first + 1, 0)
    fields = np.zeros(grid.shape, np.uint8)
    row, col = grid.cell.T
    fields[row, col] = label[pattern]
    words = [flag_words(int(value)) for value in found]
    features = _tabulate({"index": label, "quality": words})[label > 0]
    kwargs = {
        "name": "quality",
        "opacity": 0.6,
        "visible": False,
        "colormap": FLAG_COLORS,
        "features": features.reset_index(drop=True),
        **map_placement(result, "quality", *patch_sizes(result)),
    }
    return [(fields, kwargs, "labels")]


def _lowest(bits: int) -> int:
    """Give the place of the lowest bit that is set; 0 without one."""
    return max((bits & -bits).bit_length() - 1, 0)


def _class_layer(result: Result) -> LayerTuple:
    """Draw the class of every patch; each patch is a label of its own.

    Labels run through the colours in a cycle, so that a patch keeps its identity (and
    its row of features) while its colour says its class, at no cost per patch.
    """
    grid, names = result.grid, [subtype.name for subtype in result.classes]
    status, canvas = result.patch_status, result.class_map()
    row, col = grid.cell.T
    shown = canvas[row, col].astype(np.int32)
    shown[(status == PatchStatus.DONE) & (shown == 0)] = len(names) + 3
    shown[status == PatchStatus.UNREADABLE] = len(names) + 1
    shown[status == PatchStatus.EXCLUDED] = len(names) + 2
    cycle = len(names) + 3
    label = np.where(shown > 0, np.arange(len(grid), dtype=np.int32) * cycle + shown, 0)
    # napari draws 16 bits as they are; wider labels it first folds on the CPU.
    narrow = label.size == 0 or int(label.max()) <= np.iinfo(np.uint16).max
    labels = np.zeros(grid.shape, np.uint16 if narrow else np.int32)
    labels[row, col] = label
    kwargs = {
        "name": "class: " + " / ".join(names),
        "opacity": 0.4,
        "visible": False,
        "colormap": label_colors(result.classes),
        "features": _patch_features(result, label, shown, names),
        # A cell stands for the patch about its centre, also where patches overlap.
        **map_placement(result, "class", *patch_sizes(result)),
    }
    return (labels, kwargs, "labels")


def _patch_features(
    result: Result,
    label: NDArray[np.int32],
    shown: NDArray[np.int32],
    names: list[str],
) -> pd.DataFrame:
    """List every patch with what the model made of it, for hovering and the table."""
    grid = result.grid
    words = np.array(["not analysed", *names, "unreadable", "left out", "none"])
    bits = result.patch_flags
    quality = np.array([flag_words(value) for value in range(1 << len(FLAGS))])
    columns: dict[str, NDArray[Any]] = {
        "index": label,
        "class": words[shown],
        "row": grid.cell[:, 0],
        "column": grid.cell[:, 1],
        "tissue": grid.tissue.round(3),
        "quality": quality[bits],
        "weight": result.patch_weights,
    }
    for number, name in enumerate(names):
        columns[f"evidence {name}"] = result.patch_evidence[:, number]
    return _tabulate(columns)[label > 0].reset_index(drop=True)


def _tabulate(columns: dict[str, Any]) -> pd.DataFrame:
    """Make a table of features."""
    # Imported here: a slide that is dropped on the window does not wait for pandas.
    import pandas as pd

    return pd.DataFrame(columns)
