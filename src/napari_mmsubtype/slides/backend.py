"""What a file format must give to become a slide."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.units import MppSource, PixelSize


class BackendRefusal(Exception):  # noqa: N818 - says that the next one may try
    """A backend cannot read the file; the message says why."""


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
    the slide turns it into a `SlideReadError`. A constructor raises `BackendRefusal`
    where another backend may do better, and `SlideOpenError` where none can.
    """

    @property
    def name(self) -> str:
        """Short name of the backend, such as ``"tifffile"``."""

    @property
    def vendor(self) -> str:
        """Maker of the scanner or format, such as ``"aperio"``."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """Stored levels, at least one, each smaller than the one before."""

    @property
    def tile_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of a stored tile for every level, in pixels of the level."""

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a level-0 pixel in microns as the file tells, believable or not."""

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
        """Label, macro and thumbnail images of the file, by name."""

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


class NoFurtherImages:
    """The part of a backend whose format keeps no label, macro or thumbnail."""

    associated_names: tuple[str, ...] = ()

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Refuse, as there are no further images.

        Parameters
        ----------
        name : str
            Any name.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            Never.

        Raises
        ------
        KeyError
            Always.
        """
        raise KeyError(name)


def refuse_misfits(levels: Sequence[Level], *, tolerance: float = 0.02) -> None:
    """Refuse levels that cannot show the same scene at smaller and smaller scales.

    Parameters
    ----------
    levels : sequence of Level
        The levels of a slide, the largest first.
    tolerance : float, default: 0.02
        By what share of its size a level may differ from the scaled level 0.

    Raises
    ------
    BackendRefusal
        If there is no level, one is no smaller than the one before, or one has another
        shape than level 0.
    """
    if not levels:
        msg = "the file holds no level; at least one is expected"
        raise BackendRefusal(msg)
    full = levels[0].shape
    for index, (before, level) in enumerate(pairwise(levels), start=1):
        (height, width), (last_h, last_w) = level.shape, before.shape
        found = f"level {index} is {height} x {width} px"
        if height > last_h or width > last_w or (height, width) == (last_h, last_w):
            msg = f"{found}, no smaller than the {last_h} x {last_w} px before it"
            raise BackendRefusal(msg)
        for whole, side in zip(full, level.shape, strict=True):
            expected = whole / level.downsample
            if abs(side - expected) > max(2, tolerance * expected):
                msg = (
                    f"{found}, which is another shape than the {full[0]} x {full[1]} "
                    "px of level 0; the same scene at a smaller scale is expected"
                )
                raise BackendRefusal(msg)


def true_downsample(base: tuple[int, int], shape: tuple[int, int]) -> float:
    """Find the factor between two levels from their rounded sizes.

    Parameters
    ----------
    base, shape : tuple of int
        Height and width of level 0 and of the smaller level.

    Returns
    -------
    float
        The whole number that explains both sizes up to rounding, else the mean ratio
        of both axes.
    """
    ratio = (base[0] / shape[0] + base[1] / shape[1]) / 2
    whole = round(ratio)
    if all(abs(b / whole - s) <= 1 for b, s in zip(base, shape, strict=True)):
        return float(whole)
    return ratio
