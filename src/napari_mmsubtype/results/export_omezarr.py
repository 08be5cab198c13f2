"""Hand the maps of a result to other programs as OME-Zarr, in microns."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_mmsubtype.core.cam_methods import cam_unit
from napari_mmsubtype.core.result_words import RESEARCH_ONLY
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.core.whole_file import draft_folder
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.results.map_scale import MapRange
from napari_mmsubtype.results.schema import PatchStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.results.cam_maps import CamMap
    from napari_mmsubtype.results.store import Result

VERSION = "0.5"
SUFFIX = ".ome.zarr"
CLASS_LABELS = "class"
WEIGHTS = "weights"

_TILE = 512
_NEUTRAL = "FDE725"
_AXES = {
    "c": {"name": "c", "type": "channel"},
    "y": {"name": "y", "type": "space", "unit": "micrometer"},
    "x": {"name": "x", "type": "space", "unit": "micrometer"},
}


@dataclass(frozen=True, slots=True, eq=False)
class _Channel:
    """One map, read level by level as large ones do not fit, and how to show it."""

    name: str
    color: str
    read: Callable[[int], NDArray[np.float32]]
    signed: bool
    active: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """Channels of one size."""

    name: str
    size: PixelSize
    first: PixelSize
    levels: int = 1
    channels: list[_Channel] = field(default_factory=list)


def export_ome_zarr(result: Result, out: str | Path) -> Path:
    """Write the maps of a result as an OME-Zarr image with labels.

    Parameters
    ----------
    result : Result
        A complete analysis.
    out : str or Path
        Folder to be made; ``.ome.zarr`` is added where it has no such ending.

    Returns
    -------
    Path
        The folder: OME-Zarr 0.5 (zarr 3). Its image holds one channel per class with
        the evidence, and those of other methods; ``labels/class`` the class of each
        patch. Maps of another size are images of their own in folders within.

    Raises
    ------
    StoreError
        If the analysis was interrupted, or the disk refuses.
    ConfigurationError
        If something is there under that name.
    """
    if result.prediction is None:
        msg = (
            f"{str(result.path)!r} is incomplete: run the same request again to "
            "resume it, then export"
        )
        raise StoreError(msg)
    target = Path(out)
    if not target.name.endswith(".zarr"):
        target = target.with_name(target.name + SUFFIX)
    if target.exists():
        msg = f"{str(target)!r} is there already; remove it, or give another name"
        raise ConfigurationError(msg)
    try:
        with draft_folder(target) as folder:
            fresh = folder / f"new{SUFFIX}"
            _write(result, fresh)
            fresh.rename(target)
    except StoreError:
        raise
    except OSError as err:
        reason = os.strerror(err.errno) if err.errno else str(err)
        msg = (
            f"cannot write {str(target)!r}: {reason}; give a folder that can be "
            "written to, or free some space"
        )
        raise StoreError(msg) from err
    return target


def _write(result: Result, folder: Path) -> None:
    pictures = _pictures(result)
    root = zarr.open_group(folder, mode="w-", zarr_format=3)
    _write_picture(root, pictures[0], result)
    root.attrs["mmsubtype"] = _about(result)
    for picture in pictures[1:]:
        _write_picture(root.create_group(picture.name), picture, result)
    labels = root.create_group("labels")
    labels.attrs["ome"] = {"version": VERSION, "labels": [CLASS_LABELS]}
    _write_classes(labels.create_group(CLASS_LABELS), result)


def _pictures(result: Result) -> list[_Picture]:
    """Gather maps by their size: the evidence and what fits it first."""
    size = result.map_pixel_size
    main = _Picture(result.slide_name, size, size, result.map_levels)
    called = result.prediction.label if result.prediction else ""
    for index, subtype in enumerate(result.classes):
        main.channels.append(
            _Channel(
                f"evidence: {subtype.name}",
                _hex(subtype.color),
                partial(_evidence, result, index),
                signed=True,
                active=subtype.name == called,
            )
        )
    pictures = [main]
    for cam in result.cams:
        own = _Picture(cam.method, cam.pixel_size, cam.pixel_size, cam.levels)
        fits = cam.pixel_size == main.size and cam.levels == result.map_levels
        for index in range(cam.channels):
            read = partial(_drawn, cam, index)
            signed = cam.channels > 1
            subtype = result.classes[index]
            name = f"{cam.method}: {subtype.name}" if signed else cam.method
            color = _hex(subtype.color) if signed else _NEUTRAL
            channel = _Channel(name, color, read, signed=signed)
            (main if fits else own).channels.append(channel)
        if own.channels:
            pictures.append(own)
    step, side = _patch_steps(result)
    weights = np.zeros(result.grid.shape, np.float32)
    row, col = result.grid.cell.T
    weights[row, col] = result.patch_weights
    channel = _Channel(
        "patch weight", _NEUTRAL, lambda _level: weights, signed=False, active=True
    )
    return [*pictures, _Picture(WEIGHTS, step, side, channels=[channel])]


def _evidence(result: Result, index: int, level: int) -> NDArray[np.float32]:
    return result.evidence_map(index, level=level)


def _drawn(cam: CamMap, index: int, level: int) -> NDArray[np.float32]:
    return cam.read(index, level=level)


def _patch_steps(result: Result) -> tuple[PixelSize, PixelSize]:
    """Give the step between patches and the side of one, in microns."""
    grid, pixel = result.grid, result.pixel_size
    step = PixelSize(grid.step[0] * pixel.y, grid.step[1] * pixel.x)
    return step, PixelSize(grid.extent[0] * pixel.y, grid.extent[1] * pixel.x)


def _write_picture(group: zarr.Group, picture: _Picture, result: Result) -> None:
    datasets = []
    for level in range(picture.levels):
        array: zarr.Array[Any] | None = None
        for index, channel in enumerate(picture.channels):
            canvas = channel.read(level)
            if array is None:
                height, width = canvas.shape
                array = group.create_array(
                    str(level),
                    shape=(len(picture.channels), height, width),
                    chunks=(1, min(_TILE, height), min(_TILE, width)),
                    dtype="float32",
                    dimension_names=("c", "y", "x"),
                )
            array[index] = canvas
        datasets.append(_dataset(str(level), picture, 2**level, result, channels=True))
    # The coarsest level: it fits into memory, and this is for showing only.
    shown = [channel.read(picture.levels - 1) for channel in picture.channels]
    ranges = _ranges(picture.channels, shown)
    group.attrs["ome"] = {
        "version": VERSION,
        "multiscales": [_multiscale(picture.name, "cyx", datasets, "mean")],
        "omero": {
            "channels": [
                _shown(channel, measured)
                for channel, measured in zip(picture.channels, ranges, strict=True)
            ]
        },
    }


def _write_classes(group: zarr.Group, result: Result) -> None:
    """Write the class of every patch: 1 is the first class, 0 is none.

    The format wants as many levels of labels as the image above them has.
    """
    canvas = result.class_map()
    step, side = _patch_steps(result)
    picture = _Picture(CLASS_LABELS, step, side, result.map_levels)
    datasets = []
    for level in range(picture.levels):
        group.create_array(
            str(level),
            data=canvas,
            chunks=(min(_TILE, canvas.shape[0]), min(_TILE, canvas.shape[1])),
            dimension_names=("y", "x"),
        )
        datasets.append(_dataset(str(level), picture, 2**level, result, channels=False))
        # The mean of two classes may be a third: every second patch stands for four.
        canvas = canvas[::2, ::2]
    colors: list[Any] = [
        {"label-value": 1 + i, "rgba": [*(round(255 * v) for v in s.rgb), 255]}
        for i, s in enumerate(result.classes)
    ]
    names: list[Any] = [
        {"label-value": 1 + i, "class": s.name} for i, s in enumerate(result.classes)
    ]
    group.attrs["ome"] = {
        "version": VERSION,
        "multiscales": [_multiscale(CLASS_LABELS, "yx", datasets, "nearest")],
        "image-label": {
            "colors": colors,
            "properties": names,
            "source": {"image": "../../"},
        },
    }


def _multiscale(
    name: str, axes: str, datasets: Sequence[dict[str, Any]], downscaling: str
) -> dict[str, Any]:
    return {
        "name": name,
        "axes": [_AXES[axis] for axis in axes],
        "datasets": list(datasets),
        "type": downscaling,
    }


def _dataset(
    path: str, picture: _Picture, factor: int, result: Result, *, channels: bool
) -> dict[str, Any]:
    """Place a level: pixel (0, 0) of the slide has its center at the origin."""
    pixel = result.pixel_size
    size, first = picture.size, picture.first
    extra = [1.0] if channels else []
    scale = [*extra, size.y * factor, size.x * factor]
    # The first cell may stand for more than itself, where patches overlap.
    more = [size.y * (factor - 1), size.x * (factor - 1)]
    start = [(first.y + more[0] - pixel.y) / 2, (first.x + more[1] - pixel.x) / 2]
    start = [*([0.0] * len(extra)), *start]
    return {
        "path": path,
        "coordinateTransformations": [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": start},
        ],
    }


def _ranges(
    channels: Sequence[_Channel], maps: Sequence[NDArray[np.float32]]
) -> list[MapRange]:
    """Measure maps: those of one method share a scale."""
    methods = [channel.name.partition(":")[0] for channel in channels]
    groups = {
        method: MapRange.measure(
            [m for m, own in zip(maps, methods, strict=True) if own == method]
        )
        for method in set(methods)
    }
    return [groups[method] for method in methods]


def _shown(channel: _Channel, measured: MapRange) -> dict[str, Any]:
    """Say how a channel is shown: what is signed from the middle outwards."""
    low = 1.0 if channel.signed else 0.0
    return {
        "label": channel.name,
        "color": channel.color,
        "active": channel.active,
        "window": {
            "min": -low * measured.largest,
            "max": measured.largest,
            "start": -low * measured.typical,
            "end": measured.typical,
        },
    }


def _about(result: Result) -> dict[str, Any]:
    done = int((result.patch_status == PatchStatus.DONE).sum())
    return {
        "slide": result.slide_name,
        "model": result.bundle_facts,
        "call": result.prediction.label if result.prediction else "",
        "patches": done,
        "exact": result.exact,
        "methods": {
            method: cam_unit(method)
            for method in (result.cam_method, *(cam.method for cam in result.cams))
        },
        "note": RESEARCH_ONLY,
    }


def _hex(color: str) -> str:
    return color.lstrip("#").upper()
