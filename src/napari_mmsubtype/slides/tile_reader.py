"""Read regions of a slide through its cache of decoded tiles."""

from __future__ import annotations

import time
from functools import cached_property, partial
from typing import TYPE_CHECKING

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.errors import (
    DamagedTileError,
    SlideOutOfReachError,
    SlideReadError,
)
from napari_mmsubtype.slides.damaged_tiles import DamagedTiles, blank_tile
from napari_mmsubtype.slides.file_state import FileState
from napari_mmsubtype.slides.jpeg_tiles import JpegTiles, StoresJpeg
from napari_mmsubtype.slides.overview import TILE_PX, OverviewPyramid
from napari_mmsubtype.slides.rgb import require_pixels
from napari_mmsubtype.slides.system_fault import is_system_fault
from napari_mmsubtype.slides.tile_cache import TileCache
from napari_mmsubtype.slides.tile_mosaic import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.slides.backend import SlideBackend
    from napari_mmsubtype.slides.color import SlideColor

RETRY_AFTER_S = (0.2, 1.0)
"""Pauses before a tile is tried again that the system did not give."""

IMPATIENT_S = 10.0
"""How long no pause is made after some were in vain: a view of many tiles would keep
the window for half a minute."""


class TileReader:
    """The pixels of one slide, of stored levels and computed ones.

    Parameters
    ----------
    backend : SlideBackend
        The open file; closed with this.
    path : str
        Path or address that it was opened from.
    color : SlideColor
        What is done about its color profile.

    Attributes
    ----------
    levels : tuple of Level
        Stored levels followed by computed ones.
    damaged : DamagedTiles
        The stored tiles that could not be decoded so far.
    """

    def __init__(self, backend: SlideBackend, path: str, color: SlideColor) -> None:
        self._backend = backend
        self._path = path
        self._color = color
        self._file = FileState(path)
        self._cache = TileCache(identity=self._identify())
        self._stored = len(backend.levels)
        self._overviews = OverviewPyramid(backend.levels, self.read_region)
        if color.stain is None:
            self._overviews.keep(path, backend.name, is_srgb=not color.is_stored)
        self._is_closed = False
        self._patient_from = 0.0
        self.levels = (*backend.levels, *self._overviews.levels)
        self.damaged = DamagedTiles(path)

    def read_region(
        self, level: int, y: int, x: int, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Read a box to compute with: a damaged tile is an error.

        Parameters
        ----------
        level : int
            Index into `levels`.
        y, x : int
            Upper left corner in pixels of that level; may lie outside.
        height, width : int
            Size in pixels of that level.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)
            RGB, white outside the slide.

        Raises
        ------
        SlideReadError
            If a tile cannot be read or decoded, the slide is closed or its file has
            changed.
        """
        return self._assemble(level, Box(y, x, height, width), self._tile)

    def read_view(
        self, level: int, y: int, x: int, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Read a box to look at: a tile that cannot be read is a blank one.

        Parameters
        ----------
        level : int
            Index into `levels`.
        y, x : int
            Upper left corner in pixels of that level; may lie outside.
        height, width : int
            Size in pixels of that level.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)
            As `read_region` gives it; `blank_tile` where a tile cannot be decoded.

        Raises
        ------
        SlideReadError
            If the slide is closed or its file has changed.
        """
        return self._assemble(level, Box(y, x, height, width), self._visible_tile)

    def jpeg_tiles(self, level: int) -> JpegTiles | None:
        """Give the JPEG streams of a level, to decode them elsewhere.

        Parameters
        ----------
        level : int
            Index into `levels`.

        Returns
        -------
        JpegTiles or None
            None where the level is not stored as such, or a decoded tile would still
            have to be brought to other colors.
        """
        backend = self._backend
        if level >= self._stored or not self._color.is_stored:
            return None
        if not isinstance(backend, StoresJpeg) or not backend.stores_jpeg(level):
            return None

        def _read(row: int, col: int) -> bytes | None:
            self.require_open()
            data = backend.read_jpeg(level, row, col)
            self._file.check()
            return data

        return JpegTiles(self.levels[level].shape, backend.tile_shapes[level], _read)

    @cached_property
    def content(self) -> str | None:
        """What tells the content of the file, as `FileState.content`."""
        return self._file.content()

    def require_open(self) -> None:
        """Refuse to read from a closed file.

        Raises
        ------
        SlideReadError
            If it is closed.
        """
        if self._is_closed:
            msg = f"slide {self._path!r} is closed; open it again to read from it"
            raise SlideReadError(msg)

    def close(self) -> None:
        """Close the file and let go of its tiles."""
        self._is_closed = True
        try:
            self._backend.close()
        finally:
            self._cache.clear()

    def _identify(self) -> Hashable | None:
        """Name what slides have in common that may share their tiles."""
        file = self._file.identity
        if file is None or self._color.stain is not None:
            return None
        backend = self._backend
        shapes = tuple(level.shape for level in backend.levels)
        is_srgb = not self._color.is_stored
        return (file, backend.name, shapes, tuple(backend.tile_shapes), is_srgb)

    def _assemble(
        self,
        level: int,
        box: Box,
        read_tile: Callable[[int, int, int], NDArray[np.uint8]],
    ) -> NDArray[np.uint8]:
        """Put a box of one level together from its tiles."""
        is_stored = level < self._stored
        tile = self._backend.tile_shapes[level] if is_stored else (TILE_PX, TILE_PX)
        return assemble(box, self.levels[level].shape, tile, partial(read_tile, level))

    def _tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Give a decoded tile from the cache or the file."""
        self.require_open()
        load = self._decode if level < self._stored else self._overviews.read_tile
        return self._cache.get((level, row, col), partial(load, level, row, col))

    def _decode(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode a stored tile, if the file is still the one that was opened."""
        place = (level, row, col)
        try:
            tile = require_pixels(self._read(*place), self._least(*place))
            tile = self._color.apply(tile)
        except (SlideReadError, MemoryError):
            # The backend knows better than that a tile is damaged, and a lack of
            # memory tells nothing about it.
            raise
        except Exception as err:
            # Any decoder may fail in its own way on a damaged tile, and on a file that
            # was closed or changed under its hands.
            self.require_open()
            self._file.check()
            self.damaged.add(place, err)
            where = (
                f"tile (row {row}, column {col}) of level {level} of slide "
                f"{self._path!r}: {err}"
            )
            if is_system_fault(err):
                msg = (
                    f"cannot read {where}; the drive, network or system that holds the "
                    "file did not give it, which is no damage: check it and try again "
                    "(an analysis resumes where it stopped)"
                )
                raise SlideOutOfReachError(msg) from err
            msg = (
                f"cannot decode {where}; the file is damaged there, fetch or export it "
                "again"
            )
            raise DamagedTileError(msg) from err
        self._file.check()
        self.damaged.discard(place)
        return tile

    def _read(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Read a stored tile, again where the system did not give it."""
        pauses = RETRY_AFTER_S if time.monotonic() >= self._patient_from else ()
        for pause_s in pauses:
            try:
                return self._backend.read_tile(level, row, col)
            except Exception as err:
                if self._is_closed or not is_system_fault(err):
                    raise
            time.sleep(pause_s)
        try:
            return self._backend.read_tile(level, row, col)
        except Exception as err:
            if pauses and is_system_fault(err):
                self._patient_from = time.monotonic() + IMPATIENT_S
            raise

    def _least(self, level: int, row: int, col: int) -> tuple[int, int]:
        """Give the height and width of a stored tile as far as it lies on its level."""
        (height, width), tile = self.levels[level].shape, self._backend.tile_shapes
        tile_h, tile_w = tile[level]
        return min(tile_h, height - row * tile_h), min(tile_w, width - col * tile_w)

    def _visible_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Give a tile, blank as far as it cannot be read."""
        try:
            return self._tile(level, row, col)
        except (DamagedTileError, SlideOutOfReachError):
            if level < self._stored:
                return blank_tile(*self._backend.tile_shapes[level])
        # Kept apart, for whoever computes with pixels must not get blank ones.
        load = partial(self._overviews.compute_tile, level, row, col, self.read_view)
        return self._cache.get((level, row, col, self.damaged.places), load)
