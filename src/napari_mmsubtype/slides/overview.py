"""Coarse levels that a slide lacks, computed when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_mmsubtype.slides.area_resize import shrink
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.overview_cache import OverviewCache

COARSEST_PX = 2048
"""A slide whose coarsest stored level is longer than this gets computed levels."""

TILE_PX = 512
"""Side of a tile of a computed level."""

ReadRegion = Callable[[int, int, int, int, int], NDArray[np.uint8]]


def plan_overviews(coarsest: Level) -> tuple[tuple[Level, int], ...]:
    """Lay out the levels to compute above the coarsest stored one.

    Parameters
    ----------
    coarsest : Level
        The smallest level that the file holds.

    Returns
    -------
    tuple of (Level, int)
        Each computed level and its factor (2 or 4) to the one before; empty where the
        stored level is small enough.

    Notes
    -----
    A factor of 4 keeps the recursion shallow; the last step is 2 where 4 would leave
    less than half of `COARSEST_PX`.
    """
    plan = []
    level = coarsest
    while max(level.shape) > COARSEST_PX:
        factor = 4 if max(level.shape) >= 2 * COARSEST_PX else 2
        height, width = (max(-(-side // factor), 1) for side in level.shape)
        level = Level((height, width), level.downsample * factor)
        plan.append((level, factor))
    return tuple(plan)


class OverviewPyramid:
    """The computed levels of a slide.

    Parameters
    ----------
    native : sequence of Level
        Levels that the file holds.
    read : callable
        ``read(level, y, x, height, width)`` of any level of the slide, cached, so that
        a computed level is built from the tiles of the one before.
    """

    def __init__(self, native: Sequence[Level], read: ReadRegion) -> None:
        self._native = tuple(native)
        self._cache: OverviewCache | None = None
        self._first = len(native)
        self._plan = plan_overviews(native[-1])
        self._shapes = [native[-1].shape, *(level.shape for level, _ in self._plan)]
        self._read = read

    @property
    def levels(self) -> tuple[Level, ...]:
        """Computed levels, the largest first."""
        return tuple(level for level, _ in self._plan)

    def keep(self, path: str, backend: str, *, is_srgb: bool) -> None:
        """Keep computed tiles on disk between sessions.

        Parameters
        ----------
        path : str
            Path or address of the slide; nothing is kept of what is no file.
        backend : str
            Name of what reads it.
        is_srgb : bool
            Whether the profile of the slide changes its colors.
        """
        if self._plan:
            levels = (*self._native, *self.levels)
            self._cache = OverviewCache(path, backend, levels, is_srgb=is_srgb)

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Give one tile from disk, or average it out of the level before.

        Parameters
        ----------
        level : int
            Index among all levels of the slide.
        row, col : int
            Place of the tile in units of `TILE_PX`.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The tile, cut to the level.
        """
        compute = partial(self.compute_tile, level, row, col)
        if self._cache is None:
            return compute()
        height, width = self._shapes[level - self._first + 1]
        rows, cols = height - row * TILE_PX, width - col * TILE_PX
        shape = (min(TILE_PX, rows), min(TILE_PX, cols))
        return self._cache.get((level, row, col), shape, compute)

    def compute_tile(
        self, level: int, row: int, col: int, read: ReadRegion | None = None
    ) -> NDArray[np.uint8]:
        """Average one tile out of the level before.

        Parameters
        ----------
        level : int
            Index among all levels of the slide.
        row, col : int
            Place of the tile in units of `TILE_PX`.
        read : callable or None, default: None
            Reads the level before in place of what the pyramid was made with.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The tile, cut to the level.
        """
        factor = self._plan[level - self._first][1]
        below = self._shapes[level - self._first]
        step = TILE_PX * factor
        y, x = row * step, col * step
        # Cut to the level: white from beyond the border must not enter the mean.
        height, width = min(step, below[0] - y), min(step, below[1] - x)
        read = self._read if read is None else read
        return shrink(read(level - 1, y, x, height, width), factor)
