"""One lazy whole-slide image over any backend."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.errors import MissingPixelSizeError, SlideReadError
from napari_mmsubtype.slides.backend import BackendRefusal, Level, SlideBackend
from napari_mmsubtype.slides.color import IccState, SlideColor
from napari_mmsubtype.slides.identifiers import is_label
from napari_mmsubtype.slides.overview import TILE_PX, OverviewPyramid
from napari_mmsubtype.slides.pixel_size import believe, explain_missing
from napari_mmsubtype.slides.slide_facts import slide_facts
from napari_mmsubtype.slides.slide_name import slide_name
from napari_mmsubtype.slides.tile_cache import TileCache

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    from napari_mmsubtype.core.units import PixelSize

__all__ = ["BackendRefusal", "Level", "Slide", "SlideBackend"]

STORAGE_BLOCK_PX = 2048
"""Least side of the block of tiles in which neighbouring reads should stay."""

Opener = Callable[[str, str, float | None, bool], "Slide"]


class Slide:
    """A whole-slide image that is read where it is looked at.

    Safe to use from several threads; pickling reopens the file; closing twice is fine,
    and a slide that is forgotten closes itself.

    Parameters
    ----------
    backend : SlideBackend
        The open file.
    path : str
        Path or address that it was opened from.
    mpp : float or None, default: None
        Microns per pixel of level 0 given by the user; wins over the file.
    icc : bool, default: False
        Bring colors to sRGB by the ICC profile of the file, where it has one.
    tried : sequence of (str, str), default: ()
        Backends that refused the file before, and why.
    opener : callable or None, default: None
        ``opener(path, backend name, mpp, icc)`` opens the slide again after pickling.

    Attributes
    ----------
    path : str
        Path or address that it was opened from.
    name : str
        Path without folder and endings.
    levels : tuple of Level
        Stored levels followed by computed ones, the largest first.
    native_levels : int
        How many levels the file itself holds.
    pixel_size : PixelSize or None
        Microns per pixel of level 0; None where unknown or not believable.
    mpp_source : MppSource
        Who told the pixel size.

    Raises
    ------
    ConfigurationError
        If ``mpp`` is not believable.
    """

    def __init__(
        self,
        backend: SlideBackend,
        *,
        path: str,
        mpp: float | None = None,
        icc: bool = False,
        tried: Sequence[tuple[str, str]] = (),
        opener: Opener | None = None,
    ) -> None:
        self._cache = TileCache()
        self._finalizer = weakref.finalize(self, _let_go, backend, self._cache)
        self._backend = backend
        self._user_mpp = mpp
        self._tried = tuple(tried)
        self._opener = opener
        self._pyramid: list[da.Array] | None = None
        self.path = path
        self.name = slide_name(path)
        self.native_levels = len(backend.levels)
        # A weak reference: the slide must not keep itself alive through its pyramid.
        this = weakref.ref(self)
        self._overviews = OverviewPyramid(
            backend.levels, lambda *box: _alive(this).read_region(*box)
        )
        self.levels = (*backend.levels, *self._overviews.levels)
        self.pixel_size, self.mpp_source = believe(
            backend.pixel_size,
            backend.mpp_source,
            mpp,
            backend.properties.get("objective"),
        )
        profile = backend.icc_profile
        self._color = SlideColor(profile, wanted=icc, name=self.name)
        self._overviews.keep(path, backend.name, is_srgb=self.icc == "applied")

    @property
    def backend(self) -> str:
        """Name of the backend that reads the file."""
        return self._backend.name

    @property
    def vendor(self) -> str:
        """Maker of the scanner or format."""
        return self._backend.vendor

    @property
    def icc_profile(self) -> bytes | None:
        """Embedded ICC profile."""
        return self._backend.icc_profile

    @property
    def icc(self) -> IccState:
        """Whether tiles went through the profile, as `SlideColor` tells it."""
        return self._color.state

    @property
    def properties(self) -> Mapping[str, str]:
        """Whatever else the file says, as text."""
        return self._backend.properties

    @property
    def associated(self) -> Mapping[str, Callable[[], NDArray[np.uint8]]]:
        """Lazy readers of the macro, thumbnail and other images, by name.

        Without the label, on which a patient's name may stand: that one is only given
        by ``read_associated("label")``.
        """
        names = self._backend.associated_names
        return {
            name: partial(self.read_associated, name)
            for name in names
            if not is_label(name)
        }

    @property
    def storage_tile(self) -> tuple[int, int]:
        """Height and width in level-0 px of a block whose tiles are best read together.

        Whole stored tiles, at least `STORAGE_BLOCK_PX` along each axis, so that reads
        which stay in one block before the next decode each tile about once.
        """
        height, width = self._backend.tile_shapes[0]
        return (
            height * -(-STORAGE_BLOCK_PX // height),
            width * -(-STORAGE_BLOCK_PX // width),
        )

    @property
    def is_closed(self) -> bool:
        """Whether the file has been let go."""
        return not self._finalizer.alive

    def read_region(
        self, level: int, y: int, x: int, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Read a box of one level.

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
            RGB, white outside the slide; sRGB where `icc` is ``"applied"``.

        Raises
        ------
        ValueError
            If there is no such level or the size is negative.
        SlideReadError
            If a tile cannot be decoded or the slide is closed.
        """
        if not 0 <= level < len(self.levels):
            msg = f"slide {self.name!r} has levels 0 to {len(self.levels) - 1}, not "
            raise ValueError(msg + repr(level))
        shape = self.levels[level].shape
        inside = Box(y, x, height, width).clipped(*shape)
        region = np.full((height, width, 3), 255, np.uint8)
        if inside.is_empty:
            return region
        tile_h, tile_w = self._tile_shape(level)
        bottom, right = inside.y + inside.height, inside.x + inside.width
        for row in range(inside.y // tile_h, -(-bottom // tile_h)):
            for col in range(inside.x // tile_w, -(-right // tile_w)):
                tile = self._tile(level, row, col)
                top, left = row * tile_h, col * tile_w
                y0, x0 = max(inside.y, top), max(inside.x, left)
                y1, x1 = min(bottom, top + tile_h), min(right, left + tile_w)
                region[y0 - y : y1 - y, x0 - x : x1 - x] = tile[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return region

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read the label, macro or thumbnail image.

        Parameters
        ----------
        name : str
            A key of `associated`, or ``"label"`` where the slide has one.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB.

        Raises
        ------
        KeyError
            If the slide has no such image.
        SlideReadError
            If it cannot be decoded or the slide is closed.
        """
        if name not in self._backend.associated_names:
            raise KeyError(name)
        self._require_open()
        try:
            return self._backend.read_associated(name)
        except Exception as err:
            msg = f"cannot decode the {name!r} image of slide {self.path!r}: {err}"
            raise SlideReadError(msg) from err

    def pyramid(self) -> list[da.Array]:
        """Give every level as a lazy array.

        Returns
        -------
        list of dask.array.Array of uint8, shape (y, x, 3)
            One per level in square chunks of 512; nothing is decoded until computed.
        """
        if self._pyramid is None:
            from napari_mmsubtype.slides.slide_store import lazy_pyramid

            self._pyramid = lazy_pyramid(self)
        return list(self._pyramid)

    def require_pixel_size(self) -> PixelSize:
        """Give the pixel size or say how to set it.

        Returns
        -------
        PixelSize
            Microns per pixel of level 0.

        Raises
        ------
        MissingPixelSizeError
            If the slide does not tell and the user did not.
        """
        if self.pixel_size is None:
            msg = explain_missing(self.name, self._backend.pixel_size)
            raise MissingPixelSizeError(msg)
        return self.pixel_size

    def info(self) -> dict[str, Any]:
        """Describe the slide in plain JSON types.

        Returns
        -------
        dict
            Path, backend, vendor, levels, pixel size and its source, objective,
            compression, associated images, the backends that refused it, and under
            ``"identifiers"`` the names (never the values) of what may identify someone.
            ``"mpp_is_guess"`` tells that the pixel size was guessed from the objective.
        """
        facts = slide_facts(self, self._backend)
        facts["tried"] = [{"backend": name, "reason": why} for name, why in self._tried]
        return facts

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._finalizer()

    def _require_open(self) -> None:
        """Refuse to read from a closed file."""
        if self.is_closed:
            msg = f"slide {self.path!r} is closed; open it again to read from it"
            raise SlideReadError(msg)

    def _tile_shape(self, level: int) -> tuple[int, int]:
        """Give the height and width of a tile in pixels of its level."""
        if level < self.native_levels:
            return self._backend.tile_shapes[level]
        return (TILE_PX, TILE_PX)

    def _tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Give a decoded tile from the cache or the file."""
        self._require_open()
        if level >= self.native_levels:
            load = partial(self._overviews.read_tile, level, row, col)
            return self._cache.get((level, row, col), load)
        try:
            load = partial(self._backend.read_tile, level, row, col)
            color = self._color
            return self._cache.get((level, row, col), lambda: color.apply(load()))
        except SlideReadError:
            # The backend knows better than that a tile is damaged.
            raise
        except Exception as err:
            # Any decoder may fail in its own way on a damaged tile.
            msg = (
                f"cannot decode tile (row {row}, column {col}) of level {level} of "
                f"slide {self.path!r}: {err}; the file is damaged there, fetch or "
                "export it again"
            )
            raise SlideReadError(msg) from err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.levels[0].shape
        return f"<Slide {self.name!r} {height} x {width} px, {self.backend}>"

    def __reduce__(self) -> tuple[Opener, tuple[str, str, float | None, bool]]:
        if self._opener is None:
            msg = f"slide {self.name!r} was made from a backend in memory; pickle needs"
            raise TypeError(msg + " one opened with open_slide")
        return self._opener, (
            self.path,
            self.backend,
            self._user_mpp,
            self._color.wanted,
        )


def _let_go(backend: SlideBackend, cache: TileCache) -> None:
    """Close the file and free the memory of its tiles."""
    try:
        backend.close()
    finally:
        cache.clear()


def _alive(this: weakref.ref[Slide]) -> Slide:
    """Give the slide behind a weak reference."""
    slide = this()
    if slide is None:
        msg = "the slide was closed while it was being read"
        raise SlideReadError(msg)
    return slide
