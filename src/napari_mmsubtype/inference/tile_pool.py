"""Decoded tiles in the memory of a device, those used last, up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

Place = tuple[int, int]
"""Row and column of a tile."""

WHITE = 0
"""The slot of the tile that stands for whatever is white."""


class TilePool:
    """Tiles of one size in one tensor, the oldest giving way.

    Parameters
    ----------
    count : int
        Tiles kept at most, more than 0; so much memory is taken at once.
    tile_shape : tuple of int
        Height and width of a tile.
    device : torch.device
        Where they are kept.

    Attributes
    ----------
    count : int
        Tiles kept at most.
    tiles : Tensor of uint8, shape (1 + count, y, x, 3)
        RGB by slot; slot `WHITE` is white.
    """

    def __init__(
        self, count: int, tile_shape: tuple[int, int], device: torch.device
    ) -> None:
        self.count = count
        shape = (1 + count, *tile_shape, 3)
        self.tiles = torch.empty(shape, dtype=torch.uint8, device=device)
        self.tiles[WHITE] = 255
        self._slots: OrderedDict[Place, int] = OrderedDict()
        self._free = list(range(count, 0, -1))

    def make_room(self, wanted: Iterable[Place]) -> list[Place]:
        """Drop the tiles used longest ago, until those that are wanted fit.

        Parameters
        ----------
        wanted : iterable of (int, int)
            Places, each once, at most `count`; none of them is dropped.

        Returns
        -------
        list of (int, int)
            Those that are not kept and for which there is room now, in order of place.
        """
        missing = []
        for place in sorted(wanted):
            if place in self._slots:
                self._slots.move_to_end(place)
            else:
                missing.append(place)
        while len(self._free) < len(missing):
            _, slot = self._slots.popitem(last=False)
            self._free.append(slot)
        return missing

    def put(self, places: Sequence[Place], tiles: torch.Tensor) -> None:
        """Keep tiles for which `make_room` made room.

        Parameters
        ----------
        places : sequence of (int, int)
            None of them kept so far.
        tiles : Tensor of uint8, shape (k, y, x, 3)
            RGB, in the same order, on any device.

        Raises
        ------
        RuntimeError
            If the tiles are of another size.
        """
        slots = [self._free[-1 - i] for i in range(len(places))]
        self.tiles[torch.tensor(slots, device=self.tiles.device)] = tiles.to(
            self.tiles.device
        )
        # Only now: what failed to be copied must not count as kept.
        del self._free[len(self._free) - len(slots) :]
        self._slots.update(zip(places, slots, strict=True))

    def table(self, top: Place, bottom: Place) -> NDArray[np.int64]:
        """Give the slots of a block of tiles.

        Parameters
        ----------
        top, bottom : tuple of int
            Row and column of its first and of its last tile.

        Returns
        -------
        ndarray of int64, shape (rows, columns)
            Slots; `WHITE` where a tile is not kept.
        """
        slots = [
            [self._slots.get((row, col), WHITE) for col in range(top[1], bottom[1] + 1)]
            for row in range(top[0], bottom[0] + 1)
        ]
        return np.array(slots, np.int64)


__all__ = ["WHITE", "TilePool"]
