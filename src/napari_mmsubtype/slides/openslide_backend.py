"""Scanner formats through OpenSlide: NDPI, MRXS, SCN, BIF, DICOM, CZI and more."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import (
    BackendRefusal,
    Level,
    refuse_misfits,
    true_downsample,
)
from napari_mmsubtype.slides.czi_layout import FILE as CZI_MAGIC
from napari_mmsubtype.slides.czi_layout import read_layout
from napari_mmsubtype.slides.dicom_check import check_dicom
from napari_mmsubtype.slides.dicom_folder import series_of, whole_slide_files
from napari_mmsubtype.slides.mirax_sizes import check_mirax
from napari_mmsubtype.slides.native_limits import check_associated, check_tiff_tiles
from napari_mmsubtype.slides.pixel_size import measured
from napari_mmsubtype.slides.rgb import to_rgb
from napari_mmsubtype.slides.stored_compression import name_compression

if TYPE_CHECKING:
    import openslide
    from numpy.typing import NDArray

TILE_PX = (256, 2048)
"""Bounds of the tile read at once; OpenSlide reads any box, stored tiles go fastest."""

DEFAULT_TILE_PX = 512

SCALED_BY_TAGS = ("generic-tiff", "hamamatsu", "leica")
"""Makers whose pixel size stands in the resolution tags of the TIFF alone."""


class OpenSlideBackend:
    """A slide that OpenSlide reads.

    Parameters
    ----------
    path : str
        Path of the file, or of a folder that holds one DICOM series.

    Raises
    ------
    BackendRefusal
        If OpenSlide does not know the format or finds the file damaged.
    SlideOpenError
        If a folder holds several DICOM slides, or the file tells places or sizes that
        cannot be true and would end OpenSlide.
    """

    name = "openslide"

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._slide: openslide.OpenSlide | None
        if Path(path).is_dir():
            self._path, self._slide = _open_dicom_folder(Path(path))
        else:
            self._path, self._slide = path, _open(path)
        slide = self._slide
        self.properties = dict(slide.properties)
        objective = self.properties.get("openslide.objective-power")
        if objective:
            self.properties["objective"] = objective
        self.vendor = self.properties.get("openslide.vendor", "unknown")
        # OpenSlide counts (width, height); from here on everything is (y, x).
        self._factors = tuple(float(factor) for factor in slide.level_downsamples)
        shapes = [(height, width) for width, height in slide.level_dimensions]
        self.levels = tuple(
            Level(shape, _true_factor(factor, shapes[0], shape))
            for factor, shape in zip(self._factors, shapes, strict=True)
        )
        # OpenSlide's drivers know their makers' paddings; this is for nonsense only.
        try:
            refuse_misfits(self.levels, tolerance=0.1)
        except BackendRefusal:
            slide.close()
            raise
        self.tile_shapes = tuple(
            self._tile_shape(index) for index in range(len(self.levels))
        )
        self.pixel_size, self.mpp_source = self._read_pixel_size()
        self.compression = name_compression(self._path, self.properties)
        self.associated_names = tuple(slide.associated_images)

    @property
    def icc_profile(self) -> bytes | None:
        """Embedded ICC profile."""
        profile = self._handle().color_profile
        return None if profile is None else bytes(profile.tobytes())

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one tile over white.

        Parameters
        ----------
        level : int
            Index of the level.
        row, col : int
            Place of the tile.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB, cut to the level.
        """
        tile_h, tile_w = self.tile_shapes[level]
        height, width = self.levels[level].shape
        y, x = row * tile_h, col * tile_w
        size = (min(tile_w, width - x), min(tile_h, height - y))
        # OpenSlide takes the corner as (x, y) in level-0 pixels, by its own factor; one
        # that is not whole costs up to half a level-0 pixel of blending.
        factor = self._factors[level]
        corner = (round(x * factor), round(y * factor))
        return self._read(lambda s: np.asarray(s.read_region(corner, level, size)))

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Decode a further image.

        Parameters
        ----------
        name : str
            One of `associated_names`.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB.
        """
        check_associated(name, self.properties)
        return self._read(lambda s: np.asarray(s.associated_images[name]))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            slide, self._slide = self._slide, None
        if slide is not None:
            slide.close()

    def _handle(self) -> openslide.OpenSlide:
        """Give the open slide."""
        slide = self._slide
        if slide is None:
            msg = "the file is closed"
            raise ValueError(msg)
        return slide

    def _read(self, read: _Reader) -> NDArray[np.uint8]:
        """Read RGBA and put it over white; replace a handle that an error spoiled."""
        from openslide import OpenSlideError

        slide = self._handle()
        try:
            rgba = read(slide)
        except OpenSlideError:
            # OpenSlide refuses every later read after one failure; a fresh handle
            # keeps a single damaged tile from losing the whole slide. The old one is
            # left to be collected, since other threads may still be inside it.
            with self._lock:
                if self._slide is slide:
                    self._slide = _open(self._path)
            raise
        return to_rgb(rgba, alpha=rgba.shape[2] == 4)

    def _tile_shape(self, level: int) -> tuple[int, int]:
        """Give the stored tile of a level within sensible bounds."""
        sides = []
        for axis in ("height", "width"):
            told = self.properties.get(f"openslide.level[{level}].tile-{axis}", "")
            side = int(told) if told.isdecimal() and int(told) else DEFAULT_TILE_PX
            low, high = TILE_PX
            side *= -(-low // side)
            sides.append(side if side <= high else DEFAULT_TILE_PX)
        return sides[0], sides[1]

    def _read_pixel_size(self) -> tuple[PixelSize | None, MppSource]:
        """Read the pixel size that OpenSlide found."""
        values = []
        for axis in "yx":
            text = self.properties.get(f"openslide.mpp-{axis}")
            try:
                values.append(float(text) if text else None)
            except ValueError:
                values.append(None)
        size = measured(*values)
        if size is None:
            return None, MppSource.NONE
        by_tags = (
            self.vendor in SCALED_BY_TAGS and "tiff.XResolution" in self.properties
        )
        return size, MppSource.RESOLUTION_TAG if by_tags else MppSource.VENDOR


def _check_czi(path: Path) -> None:
    """Refuse a CZI whose directory cannot be true.

    OpenSlide ends the process where there is no memory for a tile of a size that damage
    made up.
    """
    with path.open("rb") as file:
        if file.read(len(CZI_MAGIC)) == CZI_MAGIC:
            read_layout(file)


def _true_factor(factor: float, base: tuple[int, int], shape: tuple[int, int]) -> float:
    """Take OpenSlide's word where it is whole; else it divided rounded sizes."""
    return factor if factor.is_integer() else true_downsample(base, shape)


def _open(path: str) -> openslide.OpenSlide:
    """Open a slide or refuse it."""
    try:
        import openslide
    except (ImportError, OSError) as err:
        msg = f"the OpenSlide library cannot be loaded ({err})"
        raise BackendRefusal(msg) from err
    # OpenSlide trusts what these files claim, and ends the process where it is false.
    check_dicom(Path(path))
    check_tiff_tiles(Path(path))
    _check_czi(Path(path))
    check_mirax(Path(path))
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideError as err:
        raise BackendRefusal(str(err)) from err


def _open_dicom_folder(folder: Path) -> tuple[str, openslide.OpenSlide]:
    """Open the series that a folder holds by the first of its files that is whole."""
    files = list(whole_slide_files(folder))
    reason = "it holds no DICOM whole-slide image"
    for file in files:
        try:
            slide = _open(str(file))
        except (BackendRefusal, SlideOpenError) as err:
            reason = (
                f"it holds {len(files)} DICOM whole-slide files, none of them "
                f"readable; {file.name}: {err}"
            )
            continue
        series = slide.properties.get("dicom.SeriesInstanceUID", "")
        other = next((f for f in files if series_of(f) not in (None, series)), None)
        if series and other is not None:
            slide.close()
            msg = (
                f"the folder {str(folder)!r} holds several DICOM slides ({file.name} "
                f"and {other.name} are of different series); give the path of one file "
                "of the slide that is meant"
            )
            raise SlideOpenError(msg)
        return str(file), slide
    msg = f"a folder; {reason}"
    raise BackendRefusal(msg)


if TYPE_CHECKING:
    from collections.abc import Callable

    _Reader = Callable[[openslide.OpenSlide], NDArray[np.uint8]]
