"""Read the patches of a grid at the size that a model wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.area_resize import resize_area

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.slides.slide import Slide


class PatchSource:
    """Patches of one slide by their index in the grid.

    Safe to use from several threads. Neighbours share the slide's cache of decoded
    tiles, so reading in the order of the grid decodes each tile about once.

    Parameters
    ----------
    slide : Slide
        The open slide.
    grid : PatchGrid
        Where the patches lie and how to read them.
    """

    def __init__(self, slide: Slide, grid: PatchGrid) -> None:
        self._slide = slide
        self._grid = grid

    def __len__(self) -> int:
        return len(self._grid)

    @property
    def slide(self) -> Slide:
        """The open slide."""
        return self._slide

    @property
    def grid(self) -> PatchGrid:
        """Where the patches lie and how to read them."""
        return self._grid

    def box(self, index: int) -> Box:
        """Give what is read for one patch.

        Parameters
        ----------
        index : int
            Row of the grid's arrays.

        Returns
        -------
        Box
            In pixels of the grid's level; may reach beyond it.
        """
        grid = self._grid
        y, x = (round(float(side) / grid.downsample) for side in grid.origin[index])
        return Box(y, x, *grid.read_shape)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one patch.

        Parameters
        ----------
        index : int
            Row of the grid's arrays.

        Returns
        -------
        ndarray of uint8, shape (size_px, size_px, 3)
            RGB at the grid's microns per pixel, white outside the slide.

        Raises
        ------
        SlideReadError
            If a tile under the patch cannot be decoded.
        """
        grid, box = self._grid, self.box(index)
        region = self._slide.read_region(
            grid.level, box.y, box.x, box.height, box.width
        )
        return resize_area(region, grid.spec.size_px, grid.spec.size_px)
