"""Slides that are rendered instead of read: addresses ``synthetic:...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.slides.backend import Level, NoFurtherImages
from napari_mmsubtype.slides.synthetic import MPP, parse_address, render_region

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

TILE_PX = 512


class SyntheticBackend(NoFurtherImages):
    """A synthetic slide behind the interface of files.

    Holds nothing but its few parameters, so it is safe to share between threads and
    cheap to pickle.

    Parameters
    ----------
    address : str
        For example ``synthetic:seed=3,size=4096,basal=0.35``.

    Raises
    ------
    ConfigurationError
        If the address is not understood.
    """

    name = "synthetic"
    vendor = "synthetic"
    mpp_source = MppSource.VENDOR
    compression = "none"
    icc_profile: bytes | None = None

    def __init__(self, address: str) -> None:
        self._slide = parse_address(address)

    @property
    def levels(self) -> tuple[Level, ...]:
        """All levels that can be rendered, each a quarter as high and wide."""
        slide = self._slide
        return tuple(
            Level(shape, float(step))
            for shape, step in zip(slide.level_shapes, slide.downsamples, strict=True)
        )

    @property
    def tile_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of a tile for every level, in pixels of the level."""
        return ((TILE_PX, TILE_PX),) * len(self._slide.downsamples)

    @property
    def pixel_size(self) -> PixelSize:
        """The size of a level-0 pixel, in microns."""
        return PixelSize.square(MPP)

    @property
    def properties(self) -> Mapping[str, str]:
        """The parameters, as text, and that the tissue is made up."""
        slide = self._slide
        return {
            "synthetic.address": slide.address,
            "synthetic.seed": str(slide.seed),
            "synthetic.basal": repr(slide.basal),
            "synthetic.note": "made-up tissue, not from a patient",
        }

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Render one tile.

        Parameters
        ----------
        level : int
            Index into `levels`.
        row, col : int
            Place of the tile; its corner is ``(row, col)`` times the tile shape.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The tile, cut to the level at its lower and right border.
        """
        shape = self._slide.level_shapes[level]
        tile = Box(row * TILE_PX, col * TILE_PX, TILE_PX, TILE_PX)
        return render_region(self._slide, level, tile.clipped(*shape))

    def close(self) -> None:
        """Do nothing, however often: no file is open."""
