"""DeepZoom: a ``.dzi`` document beside a folder of small tiles."""

from __future__ import annotations

import math
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.slides.backend import BackendRefusal, Level, NoFurtherImages
from napari_mmsubtype.slides.jpeg_stream import SOI, require_whole
from napari_mmsubtype.slides.rgb import to_rgb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LARGEST_DOCUMENT_BYTES = 1024**2
LARGEST_TILE_PX = 8192
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of 8 bits per sample; others would lose their range."""


class DeepZoomBackend(NoFurtherImages):
    """A DeepZoom image, whose levels halve each other; it tells no pixel size.

    Parameters
    ----------
    path : str
        Path of the ``.dzi`` document.

    Raises
    ------
    BackendRefusal
        If the path is no DeepZoom document or its tiles are missing.
    """

    name = "deepzoom"
    vendor = "deepzoom"
    icc_profile = None
    pixel_size = None
    mpp_source = MppSource.NONE

    def __init__(self, path: str) -> None:
        document = Path(path)
        root = _parse(document)
        self._format = root.get("Format", "").lower()
        if not re.fullmatch(r"[a-z0-9]+", self._format):
            msg = f"the tile format {self._format!r} is no ending of a file"
            raise BackendRefusal(msg)
        self._tile_px = _whole(root, "TileSize", least=1)
        self._overlap = _whole(root, "Overlap", least=0)
        if self._tile_px > LARGEST_TILE_PX or self._overlap > self._tile_px:
            msg = (
                f"tiles of {self._tile_px} px that overlap by {self._overlap} px; at "
                f"most {LARGEST_TILE_PX} px and an overlap within a tile are expected"
            )
            raise BackendRefusal(msg)
        size = next((e for e in root if e.tag.endswith("Size")), None)
        if size is None:
            msg = "the document has no <Size>"
            raise BackendRefusal(msg)
        shape = (_whole(size, "Height", least=1), _whole(size, "Width", least=1))
        self._tiles = document.with_name(f"{document.stem}_files")
        # Level 0 of the files is a single pixel; the last one is the whole image.
        self._top = math.ceil(math.log2(max(shape)))
        self.levels = self._find_levels(shape)
        self.tile_shapes = ((self._tile_px, self._tile_px),) * len(self.levels)
        self.compression = self._format
        self.properties: Mapping[str, str] = {
            "deepzoom.TileSize": str(self._tile_px),
            "deepzoom.Overlap": str(self._overlap),
            "deepzoom.Format": self._format,
        }

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one tile and cut off what overlaps its neighbours.

        Parameters
        ----------
        level : int
            Index of the level, 0 being the whole image.
        row, col : int
            Place of the tile.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB, cut to the level.

        Raises
        ------
        ValueError
            If the tile has another size or depth than the document says, or is damaged.
        """
        file = self._tiles / str(self._top - level) / f"{col}_{row}.{self._format}"
        height, width = self.levels[level].shape
        y, high, expected_high = self._span(row, height)
        x, wide, expected_wide = self._span(col, width)
        data = file.read_bytes()
        if data.startswith(SOI):
            require_whole(data)
        with Image.open(BytesIO(data)) as image:
            if image.size != (expected_wide, expected_high):
                msg = (
                    f"tile {file.name} is {image.height} x {image.width} px where "
                    f"{expected_high} x {expected_wide} are expected"
                )
                raise ValueError(msg)
            if image.mode not in MODES:
                msg = f"tile {file.name} has samples of kind {image.mode!r}, not 8 bits"
                raise ValueError(msg)
            alpha = image.has_transparency_data
            samples = np.asarray(image.convert("RGBA" if alpha else "RGB"))
        return to_rgb(samples, alpha=alpha)[y : y + high, x : x + wide]

    def close(self) -> None:
        """Do nothing, as no file stays open."""

    def _span(self, index: int, side: int) -> tuple[int, int, int]:
        """Give where a tile's own pixels begin in its file, how many, and all."""
        start = index * self._tile_px
        own = min(self._tile_px, side - start)
        before = min(self._overlap, start)
        after = min(self._overlap, side - start - own)
        return before, own, before + own + after

    def _find_levels(self, shape: tuple[int, int]) -> tuple[Level, ...]:
        """Take the levels whose folders exist, down to one that fits in a tile."""
        levels: list[Level] = []
        for step in range(self._top + 1):
            factor = 2**step
            height, width = (-(-side // factor) for side in shape)
            if not (self._tiles / str(self._top - step)).is_dir():
                break
            if levels and (height, width) != (1, 1) and 1 in levels[-1].shape:
                break
            levels.append(Level((height, width), float(factor)))
            if max(height, width) <= self._tile_px:
                break
        if not levels:
            msg = (
                f"the tiles are missing: the folder {self._tiles.name!r} with a folder "
                f"{self._top} is expected beside the document"
            )
            raise BackendRefusal(msg)
        return tuple(levels)


def _parse(document: Path) -> ElementTree.Element:
    """Read the document or refuse it."""
    if not document.is_file() or document.suffix.lower() not in (".dzi", ".xml"):
        msg = "no DeepZoom document (a file ending in .dzi)"
        raise BackendRefusal(msg)
    if document.stat().st_size > LARGEST_DOCUMENT_BYTES:
        msg = f"larger than a DeepZoom document ({LARGEST_DOCUMENT_BYTES:,} bytes)"
        raise BackendRefusal(msg)
    try:
        root = ElementTree.fromstring(document.read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError) as err:
        msg = f"no readable XML: {err}"
        raise BackendRefusal(msg) from err
    if root.tag.rpartition("}")[2] != "Image":
        msg = f"the XML describes {root.tag!r}, not a DeepZoom <Image>"
        raise BackendRefusal(msg)
    return root


def _whole(element: ElementTree.Element, name: str, *, least: int) -> int:
    """Read a whole number of an element or refuse the document."""
    text = element.get(name, "")
    if not (text.isdecimal() and len(text) < 10 and int(text) >= least):
        msg = f"{name} is {text!r}; a whole number from {least} on is expected"
        raise BackendRefusal(msg)
    return int(text)
