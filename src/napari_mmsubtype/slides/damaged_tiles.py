"""Tiles that cannot be decoded: which they are, and what a viewer shows for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

STRIPE_STEP_PX = 32
STRIPE_PX = 2
STRIPE_GREY = 190

Place = tuple[int, int, int]
"""Level, row and column of a stored tile."""


class DamagedTiles:
    """The tiles of one slide that could not be decoded when they were last tried.

    Holds no lock, which a fork could leave closed for ever: each change is a single
    step of a dictionary.

    Parameters
    ----------
    path : str
        Path or address of the slide, for the log.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[Place, None] = {}
        self._logged: dict[Place, object] = {}

    @property
    def places(self) -> tuple[Place, ...]:
        """Level, row and column of each tile, in order."""
        return tuple(sorted(self._found))

    def add(self, place: Place, reason: Exception) -> None:
        """Note a tile that failed; the log tells of it once.

        Parameters
        ----------
        place : tuple of int
            Level, row and column.
        reason : Exception
            What the decoder said.
        """
        self._found[place] = None
        mine = object()
        if self._logged.setdefault(place, mine) is mine:
            logger.warning(
                "slide %s: tile (row %d, column %d) of level %d cannot be read (%s)",
                self._path,
                place[1],
                place[2],
                place[0],
                reason,
            )

    def discard(self, place: Place) -> None:
        """Note that a tile was decoded after all, as after a lost connection.

        Parameters
        ----------
        place : tuple of int
            Level, row and column.
        """
        self._found.pop(place, None)


def blank_tile(height: int, width: int) -> NDArray[np.uint8]:
    """Give what is shown in place of a damaged tile: white with thin grey stripes.

    Parameters
    ----------
    height, width : int
        Size of the tile in pixels.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Read-only; one column in memory, however wide the tile.
    """
    rows = np.arange(height) % STRIPE_STEP_PX < STRIPE_PX
    column = np.where(rows, STRIPE_GREY, 255).astype(np.uint8)
    return np.broadcast_to(column[:, None, None], (height, width, 3))
