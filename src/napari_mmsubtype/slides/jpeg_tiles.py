"""The JPEG streams of one level of a slide, for who decodes them elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable


@runtime_checkable
class StoresJpeg(Protocol):
    """What a backend can give besides pixels, if its file stores JPEG tiles."""

    def stores_jpeg(self, level: int) -> bool:
        """Say whether the tiles of a level are JPEG streams of RGB or YCbCr.

        Parameters
        ----------
        level : int
            Index of a stored level.

        Returns
        -------
        bool
            Without looking at any tile.
        """

    def read_jpeg(self, level: int, row: int, col: int) -> bytes | None:
        """Read one tile without decoding it.

        Parameters
        ----------
        level : int
            Index of a stored level.
        row, col : int
            Place of the tile.

        Returns
        -------
        bytes or None
            A complete baseline JPEG stream of a whole tile, whose colors a decoder
            turns into those of `SlideBackend.read_tile`; None where the file stores no
            data and the tile is white.

        Raises
        ------
        ValueError
            If there is no such stream. `SlideBackend.read_tile` may still read it.
        """


@dataclass(frozen=True, slots=True, eq=False)
class JpegTiles:
    """The JPEG streams of one level.

    Attributes
    ----------
    shape : tuple of int
        Height and width of the level.
    tile_shape : tuple of int
        Height and width of its tiles; those at the border are full, too.
    read : callable
        ``read(row, column)`` gives a stream as `StoresJpeg.read_jpeg` does. It raises
        `SlideReadError` where the slide is closed or its file has changed, besides.
    """

    shape: tuple[int, int]
    tile_shape: tuple[int, int]
    read: Callable[[int, int], bytes | None]


__all__ = ["JpegTiles", "StoresJpeg"]
