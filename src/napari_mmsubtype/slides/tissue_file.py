"""Tissue masks that people edit: kept in a file, and read back for one slide."""

from __future__ import annotations

import logging
import math
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import ConfigurationError, MMSubtypeError
from napari_mmsubtype.slides.region_geojson import read_regions, write_regions
from napari_mmsubtype.slides.regions import outline_mask, restrict_mask
from napari_mmsubtype.slides.slide_name import file_stem
from napari_mmsubtype.slides.tissue import TissueMask, mask_grid

if TYPE_CHECKING:
    import os

    from napari_mmsubtype.slides.slide import Slide

logger = logging.getLogger(__name__)

SUFFIX = ".tissue.zarr"
ATTRIBUTE = "mmsubtype"
"""Key of the array's attributes that holds what is known about the mask."""

VERSION = 1
CHUNK_PX = 512
LARGEST_PX = 2**28
"""A mask with more pixels is no overview of a slide; it would fill the memory."""

_GEOJSON = (".geojson", ".json")
_ADVICE = "make one with 'Edit tissue' in the panel or 'napari-mmsubtype tissue'"


def tissue_path(folder: Path, slide_name: str) -> Path:
    """Say where the mask of a slide is kept.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    slide_name : str
        Name of the slide without its suffix.

    Returns
    -------
    Path
        ``<folder>/<slide>.tissue.zarr``.
    """
    return folder / f"{file_stem(slide_name)}{SUFFIX}"


def is_geojson(path: str | os.PathLike[str]) -> bool:
    """Tell a mask that is kept as outlines by its name.

    Parameters
    ----------
    path : str or path-like
        Path of a mask.

    Returns
    -------
    bool
        Whether it ends in ``.geojson`` or ``.json``.
    """
    return Path(path).suffix.lower() in _GEOJSON


def write_tissue(
    path: str | os.PathLike[str], tissue: TissueMask, slide: Slide
) -> Path:
    """Write a mask, as a zarr array that can be painted on or as outlines.

    Parameters
    ----------
    path : str or path-like
        ``*.geojson`` for outlines in level-0 px, else a folder for a zarr array; an
        earlier mask there is replaced.
    tissue : TissueMask
        What counts as tissue.
    slide : Slide
        The slide that it belongs to.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ConfigurationError
        If it cannot be written there, something else is in the way, or an empty mask
        is to be written as outlines.
    """
    target = Path(path)
    shape = slide.levels[0].shape
    if is_geojson(target):
        regions = outline_mask(tissue.mask, shape, name="Tissue")
        if not regions:
            msg = f"the tissue of slide {slide.name!r} is empty and has no outline"
            raise ConfigurationError(msg)
        write_regions(target, regions)
        return target
    if target.exists() and not _is_ours(target):
        msg = (
            f"{str(target)!r} exists and is no tissue mask; it is left as it is: "
            "choose another path"
        )
        raise ConfigurationError(msg)
    about: dict[str, Any] = {
        "kind": "tissue",
        "version": VERSION,
        "slide": {"name": slide.name, "shape": list(shape)},
        "mpp": [tissue.pixel_size.y, tissue.pixel_size.x],
        "threshold": None if math.isnan(tissue.threshold) else tissue.threshold,
    }
    tag = uuid.uuid4().hex[:8]
    draft = target.with_name(f".{target.name}.{tag}.partial")
    former = target.with_name(f".{target.name}.{tag}.former")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        zarr.create_array(
            draft,
            data=tissue.mask.astype(np.uint8),
            chunks=(CHUNK_PX, CHUNK_PX),
            attributes={ATTRIBUTE: about},
        )
        # A folder cannot be replaced in one step; a kill in between leaves both.
        if target.exists():
            target.rename(former)
        draft.rename(target)
    except OSError as err:
        msg = (
            f"cannot write the tissue mask {str(target)!r}: {err.strerror or err}; "
            "choose another folder"
        )
        raise ConfigurationError(msg) from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)
    return target


def read_tissue(path: str | os.PathLike[str], slide: Slide) -> TissueMask:
    """Read a mask for a slide.

    Parameters
    ----------
    path : str or path-like
        A zarr array ``(y, x)`` of whole numbers or booleans over the whole slide, 0
        being no tissue; or GeoJSON outlines in level-0 px.
    slide : Slide
        The slide, with known pixel size.

    Returns
    -------
    TissueMask
        At least one pixel is tissue; ``threshold`` is NaN where none is known.

    Raises
    ------
    ConfigurationError
        If the mask is missing, damaged, empty, of another slide, or of another kind.
    MissingPixelSizeError
        If the pixel size of the slide is unknown.
    """
    size = slide.require_pixel_size()
    height, width = shape = slide.levels[0].shape
    threshold = math.nan
    if is_geojson(path):
        grid, _ = mask_grid(slide)
        try:
            mask = restrict_mask(np.ones(grid, np.bool_), read_regions(path), shape)
        except MMSubtypeError as err:
            msg = f"tissue mask {str(path)!r}: {err}"
            raise ConfigurationError(msg) from err
    else:
        array, about = open_tissue(path, slide)
        try:
            mask = np.asarray(array[...]) != 0
        except (OSError, ValueError, RuntimeError) as err:
            msg = f"tissue mask {str(path)!r} is damaged ({err}); {_ADVICE}"
            raise ConfigurationError(msg) from err
        if isinstance(about.get("threshold"), float):
            threshold = about["threshold"]
    if not mask.any():
        msg = (
            f"tissue mask {str(path)!r} is empty: nothing of slide {slide.name!r} is "
            "marked as tissue; paint some, or let the tissue be found"
        )
        raise ConfigurationError(msg)
    rows, cols = mask.shape
    pixel = PixelSize(height * size.y / rows, width * size.x / cols)
    return TissueMask(mask, pixel, threshold)


def open_tissue(
    path: str | os.PathLike[str], slide: Slide, *, mode: Literal["r", "r+"] = "r"
) -> tuple[zarr.Array[Any], dict[str, Any]]:
    """Open the array of a mask and check that it can be one of a slide.

    Parameters
    ----------
    path : str or path-like
        A zarr array ``(y, x)``.
    slide : Slide
        The slide.
    mode : str, default: "r"
        ``"r"`` to read, ``"r+"`` to paint.

    Returns
    -------
    tuple of (zarr.Array, dict)
        The array and what its attributes say about the mask.

    Raises
    ------
    ConfigurationError
        If there is no such array, or it is of another slide or kind.
    """
    folder = Path(path)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = (
            f"no tissue mask at {str(path)!r}: found {found}, expected a zarr folder "
            f"or a .geojson file; {_ADVICE}"
        )
        raise ConfigurationError(msg)
    try:
        array = zarr.open_array(folder, mode=mode)
        about: Any = array.attrs.asdict().get(ATTRIBUTE)
    except (OSError, ValueError, KeyError, TypeError) as err:
        msg = f"tissue mask {str(path)!r} is not a readable zarr array ({err})"
        raise ConfigurationError(f"{msg}; {_ADVICE}") from err
    about = about if isinstance(about, dict) else {}
    fault = _fault(array, about, slide)
    if fault:
        msg = f"tissue mask {str(path)!r} {fault}; {_ADVICE}"
        raise ConfigurationError(msg)
    name = about.get("slide", {}).get("name", slide.name)
    if name != slide.name:
        logger.warning(
            "tissue mask %s was drawn on slide %r and is used for %r, of the same size",
            path,
            name,
            slide.name,
        )
    return array, about


def _fault(array: zarr.Array[Any], about: dict[str, Any], slide: Slide) -> str:
    """Say why an array cannot be the mask of a slide, or nothing."""
    height, width = slide.levels[0].shape
    if array.ndim != 2:
        return f"has the shape {array.shape}; expected (y, x)"
    if array.dtype.kind not in "bui":
        return f"holds {array.dtype}; expected whole numbers, 0 being no tissue"
    rows, cols = array.shape
    if not 0 < rows * cols <= LARGEST_PX:
        return f"has {rows} x {cols} px; expected 1 to {LARGEST_PX} in all"
    version = about.get("version", VERSION)
    if version != VERSION:
        return f"has version {version!r}; this program reads {VERSION}"
    of = about.get("slide", {})
    if not isinstance(of, dict):
        return f"has damaged attributes ({of!r})"
    drawn_on = of.get("shape")
    if drawn_on is not None and drawn_on != [height, width]:
        return (
            f"was drawn on a slide of {drawn_on} px, but slide {slide.name!r} has "
            f"{height} x {width} px (height x width): it belongs to another slide"
        )
    # A mask is rounded to whole pixels along either axis.
    if abs(rows * width - cols * height) > max(height, width):
        return (
            f"has {rows} x {cols} px and does not cover slide {slide.name!r} with "
            f"{height} x {width} px (height x width): it belongs to another slide"
        )
    return ""


def _is_ours(path: Path) -> bool:
    """Tell a mask that this module wrote from anything else in its place."""
    try:
        about = zarr.open_array(path, mode="r").attrs.asdict().get(ATTRIBUTE)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(about, dict) and about.get("kind") == "tissue"
