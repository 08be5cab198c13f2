"""One lazy whole-slide image over any backend."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from napari_mmsubtype.errors import MissingPixelSizeError, SlideReadError
from napari_mmsubtype.slides.backend import BackendRefusal, Level, SlideBackend
from napari_mmsubtype.slides.color import IccState, SlideColor
from napari_mmsubtype.slides.identifiers import is_label
from napari_mmsubtype.slides.pixel_size import believe, explain_missing
from napari_mmsubtype.slides.slide_facts import slide_facts
from napari_mmsubtype.slides.slide_name import slide_name
from napari_mmsubtype.slides.tile_cache import DEFAULT_LIMIT_BYTES
from napari_mmsubtype.slides.tile_reader import TileReader

if TYPE_CHECKING:
    import dask.array as da
    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.units import PixelSize
    from napari_mmsubtype.slides.jpeg_tiles import JpegTiles
    from napari_mmsubtype.slides.stain import StainNormalizer

__all__ = ["BackendRefusal", "Level", "Slide", "SlideBackend"]

STORAGE_BLOCK_PX = 2048
"""Least side of the block of tiles in which neighbouring reads should stay."""
KEPT_SHARE = 2 / 3
"""Share of the memory for decoded tiles in which two rows must fit to be kept."""

Opener = Callable[[str, str, float | None, bool, "StainNormalizer | None"], "Slide"]


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
    stain : StainNormalizer or None, default: None
        Bring stains to a reference as well.
    tried : sequence of (str, str), default: ()
        Backends that refused the file before, and why.
    opener : callable or None, default: None
        ``opener(path, backend name, mpp, icc, stain)`` opens the slide again.

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
        stain: StainNormalizer | None = None,
        tried: Sequence[tuple[str, str]] = (),
        opener: Opener | None = None,
    ) -> None:
        self.name = slide_name(path)
        self._color = SlideColor(
            backend.icc_profile, wanted=icc, name=self.name, stain=stain
        )
        self._tiles = TileReader(backend, path, self._color)
        self._finalizer = weakref.finalize(self, self._tiles.close)
        self._backend = backend
        self._user_mpp = mpp
        self._tried = tuple(tried)
        self._opener = opener
        self._pyramid: list[da.Array] | None = None
        self.path = path
        self.native_levels = len(backend.levels)
        self.levels = self._tiles.levels
        self.pixel_size, self.mpp_source = believe(
            backend.pixel_size,
            backend.mpp_source,
            mpp,
            backend.properties.get("objective"),
        )

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
    def color_problem(self) -> str:
        """Why a profile that was asked for cannot be used, or empty."""
        return self._color.problem

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
        which stay in one block before the next decode each tile about once. Tiles
        between two rows of blocks are needed twice; where they would be forgotten
        meanwhile, because the slide is wide, a block is one tile high if that helps.
        """
        height, width = self._backend.tile_shapes[0]
        block = (
            height * -(-STORAGE_BLOCK_PX // height),
            width * -(-STORAGE_BLOCK_PX // width),
        )
        row_bytes = 3 * self._backend.levels[0].shape[1]
        blocks_last, tiles_last = (
            2 * row_bytes * rows <= KEPT_SHARE * DEFAULT_LIMIT_BYTES
            for rows in (block[0], height)
        )
        return block if blocks_last or not tiles_last else (height, block[1])

    @property
    def tile_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of a tile of each stored level, in pixels of the level."""
        return self._backend.tile_shapes

    @property
    def unreadable_tiles(self) -> tuple[tuple[int, int, int], ...]:
        """Level, row and column of each stored tile that failed to decode so far."""
        return self._tiles.damaged.places

    @property
    def content(self) -> str | None:
        """Fingerprint of what the files hold; the same for a copy, wherever it lies.

        None for synthetic slides and addresses. Reads 1 MiB when first asked for.
        """
        return self._tiles.content

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
            If a tile cannot be decoded, the slide is closed or its file has changed.
        """
        self._require_level(level)
        return self._tiles.read_region(level, y, x, height, width)

    def read_view(
        self, level: int, y: int, x: int, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Read a box of one level to look at: damaged tiles are shown as such.

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
            As `read_region`, but white with thin grey stripes where a tile cannot be
            decoded; `unreadable_tiles` lists them.

        Raises
        ------
        ValueError
            If there is no such level or the size is negative.
        SlideReadError
            If the slide is closed or its file has changed.
        """
        self._require_level(level)
        return self._tiles.read_view(level, y, x, height, width)

    def jpeg_tiles(self, level: int) -> JpegTiles | None:
        """Give the JPEG streams of a level, for who decodes them on a device.

        Parameters
        ----------
        level : int
            Index into `levels`.

        Returns
        -------
        JpegTiles or None
            None where the file does not store the level as JPEG tiles, or their colors
            would be changed after decoding.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        self._require_level(level)
        return self._tiles.jpeg_tiles(level)

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
        self._tiles.require_open()
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

    def _require_level(self, level: int) -> None:
        """Refuse an index that names no level."""
        if not 0 <= level < len(self.levels):
            msg = f"slide {self.name!r} has levels 0 to {len(self.levels) - 1}, not "
            raise ValueError(msg + repr(level))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.levels[0].shape
        return f"<Slide {self.name!r} {height} x {width} px, {self.backend}>"

    def __reduce__(
        self,
    ) -> tuple[Opener, tuple[str, str, float | None, bool, StainNormalizer | None]]:
        if self._opener is None:
            msg = f"slide {self.name!r} was made from a backend in memory; open one"
            raise TypeError(msg + " with open_slide to open it again or to pickle it")
        color = self._color
        place = (self.path, self.backend, self._user_mpp, color.wanted, color.stain)
        return self._opener, place
