"""Zeiss CZI with JPEG XR, JPEG, zstd or raw tiles, put together from its mosaic."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from napari_mmsubtype.core.units import MppSource
from napari_mmsubtype.slides.backend import BackendRefusal, Level
from napari_mmsubtype.slides.czi_layout import CziLayout, read_layout, read_tile_data
from napari_mmsubtype.slides.czi_metadata import CziMetadata
from napari_mmsubtype.slides.czi_tiles import (
    COMPRESSIONS,
    decode_tile,
    refuse_unsupported,
)
from napari_mmsubtype.slides.rgb import to_rgb
from napari_mmsubtype.slides.tile_cache import TileCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.slides.czi_layout import CziTile

TILE_PX = 512
FURTHER = {"Label": "label", "SlidePreview": "macro", "Thumbnail": "thumbnail"}
"""Names of attached images and those they get."""


class CziBackend:
    """A brightfield CZI of one plane.

    Parameters
    ----------
    path : str
        Path of the file.

    Raises
    ------
    BackendRefusal
        If the file is no CZI, or one of planes, channels or unknown samples.
    SlideOpenError
        If the file is a CZI that is cut short.
    """

    name = "czi"
    vendor = "zeiss"
    icc_profile = None

    def __init__(self, path: str) -> None:
        if Path(path).is_dir():
            msg = "a folder, not a CZI file"
            raise BackendRefusal(msg)
        self._file = Path(path).open("rb")  # noqa: SIM115 - open as long as the slide
        self._lock = threading.Lock()
        # Tiles overlap, so that one serves several reads.
        self._decoded = TileCache()
        try:
            layout = read_layout(self._file)
            refuse_unsupported(layout.tiles)
            self._open(layout)
        except BaseException:
            self._file.close()
            raise

    def _open(self, layout: CziLayout) -> None:
        """Sort the tiles by level and read what the file says."""
        metadata = CziMetadata(layout.xml)
        self._bits = metadata.bits
        groups = _group_by_factor(layout.tiles)
        self._mosaics = [_Mosaic(tiles, groups[0]) for tiles in groups]
        height, width = self._mosaics[0].extent
        steps = [tiles[0].factor // groups[0][0].factor for tiles in groups]
        self.levels = tuple(
            Level((max(height // step, 1), max(width // step, 1)), float(step))
            for step in steps
        )
        self.tile_shapes = tuple(
            (min(TILE_PX, level.shape[0]), min(TILE_PX, level.shape[1]))
            for level in self.levels
        )
        self.pixel_size = metadata.pixel_size
        known = self.pixel_size is not None
        self.mpp_source = MppSource.VENDOR if known else MppSource.NONE
        self.properties = metadata.properties
        self.compression = COMPRESSIONS[groups[0][0].compression]
        self._attached = {
            FURTHER[name]: place
            for name, place in layout.attachments.items()
            if name in FURTHER and place[0] in ("JPG", "CZI")
        }
        self.associated_names = tuple(self._attached)

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Put one tile together from those of the mosaic that touch it.

        Parameters
        ----------
        level : int
            Index of the level.
        row, col : int
            Place of the tile.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB, cut to the level; white where the scanner saw nothing.
        """
        tile_h, tile_w = self.tile_shapes[level]
        top, left = row * tile_h, col * tile_w
        height = min(tile_h, self.levels[level].shape[0] - top)
        width = min(tile_w, self.levels[level].shape[1] - left)
        region = np.full((height, width, 3), 255, np.uint8)
        mosaic = self._mosaics[level]
        for index in mosaic.touching(top, left, height, width):
            y, x, bottom, right = (int(side) for side in mosaic.boxes[index])
            y0, x0 = max(y, top), max(x, left)
            y1, x1 = min(bottom, top + height), min(right, left + width)
            pixels = self._decode(level, index)
            region[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[
                y0 - y : y1 - y, x0 - x : x1 - x
            ]
        return region

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
        kind, at, length = self._attached[name]
        with self._lock:
            if kind == "CZI":
                inner = read_layout(self._file, at)
                tile = inner.tiles[0]
                refuse_unsupported([tile])
                data = read_tile_data(self._file, tile)
            else:
                self._file.seek(at)
                data = self._file.read(length)
        if kind == "CZI":
            return decode_tile(data, tile, CziMetadata(inner.xml).bits)
        samples = np.asarray(imagecodecs.jpeg8_decode(data))
        return to_rgb(samples[:, :, None] if samples.ndim == 2 else samples)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._file.close()
        self._decoded.clear()

    def _decode(self, level: int, index: int) -> NDArray[np.uint8]:
        """Decode a tile of the mosaic, or take it from memory."""
        tile = self._mosaics[level].tiles[index]

        def load() -> NDArray[np.uint8]:
            with self._lock:
                data = read_tile_data(self._file, tile)
            return decode_tile(data, tile, self._bits)

        return self._decoded.get((level, index), load)


class _Mosaic:
    """The tiles of one level and the boxes that they cover, in pixels of the level."""

    def __init__(self, tiles: Sequence[CziTile], base: Sequence[CziTile]) -> None:
        # What lies on top is painted last.
        self.tiles = sorted(tiles, key=lambda tile: tile.order)
        top = min(tile.y for tile in base)
        left = min(tile.x for tile in base)
        factor = self.tiles[0].factor
        corners = np.array([(tile.y - top, tile.x - left) for tile in self.tiles])
        corners = np.floor_divide(corners, factor)
        shapes = np.array([tile.shape for tile in self.tiles])
        self.boxes = np.concatenate([corners, corners + shapes], axis=1)
        self.extent = tuple(int(side) for side in self.boxes[:, 2:].max(axis=0))

    def touching(self, top: int, left: int, height: int, width: int) -> list[int]:
        """List the tiles that share a pixel with a box, the topmost last."""
        y, x, bottom, right = self.boxes.T
        inside = (y < top + height) & (bottom > top) & (x < left + width)
        return [int(index) for index in np.flatnonzero(inside & (right > left))]


def _group_by_factor(tiles: Sequence[CziTile]) -> list[list[CziTile]]:
    """Give the tiles of each level, as far down as every region on the glass goes."""
    deepest: dict[int, int] = {}
    for tile in tiles:
        deepest[tile.scene] = max(deepest.get(tile.scene, 1), tile.factor)
    last = min(deepest.values())
    groups: dict[int, list[CziTile]] = {}
    for tile in tiles:
        if tile.factor <= last:
            groups.setdefault(tile.factor, []).append(tile)
    return [groups[factor] for factor in sorted(groups)]
