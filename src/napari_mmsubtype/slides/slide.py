"""One lazy whole-slide image over any backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.units import MppSource, PixelSize


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide.

    Attributes
    ----------
    shape : tuple of int
        Height and width in pixels of the level.
    downsample : float
        Factor to level 0; 1.0 at level 0, and not always an integer.
    """

    shape: tuple[int, int]
    downsample: float


class SlideBackend(Protocol):
    """What a file format must give; `Slide` adds regions, cache and overviews.

    A backend only knows the levels and tiles that its file stores. `read_tile` and
    `read_associated` are called from several threads at once and may raise anything;
    the slide turns it into a `SlideReadError`.
    """

    @property
    def name(self) -> str:
        """Short name of the backend, such as ``"tifffile"``."""

    @property
    def vendor(self) -> str:
        """Maker of the scanner or format, such as ``"aperio"``."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """Stored levels, the largest first, at least one, each smaller than the last."""

    @property
    def tile_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of a stored tile for every level, in pixels of the level."""

    @property
    def pixel_size(self) -> PixelSize | None:
        """Microns per level-0 pixel as the file tells, believable or not."""

    @property
    def mpp_source(self) -> MppSource:
        """Which part of the file told the pixel size."""

    @property
    def compression(self) -> str:
        """How the tiles are compressed, such as ``"jpeg"``; empty where unknown."""

    @property
    def icc_profile(self) -> bytes | None:
        """Embedded ICC profile."""

    @property
    def properties(self) -> Mapping[str, str]:
        """Whatever else the file says, as text."""

    @property
    def associated_names(self) -> tuple[str, ...]:
        """Names of the further images of the file: label, macro, thumbnail."""

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one tile of a stored level.

        Parameters
        ----------
        level : int
            Index into `levels`.
        row, col : int
            Place of the tile; its corner is ``(row, col)`` times the tile shape.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The tile; at the lower and right border it may be full or cut to the level.
        """

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Decode one of the further images.

        Parameters
        ----------
        name : str
            One of `associated_names`.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The image.
        """

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
