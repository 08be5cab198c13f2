"""What a running job has just found, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PartialPatches:
    """Patches that were finished since the event before.

    Every patch comes once in a run; the first event of a resumed run also holds those
    that earlier runs had finished.

    Attributes
    ----------
    store : Path
        Where they are kept.
    index : ndarray of int, shape (k,)
        Which patches of the grid.
    status : ndarray of uint8, shape (k,)
        What became of each, as in the store.
    scores : ndarray of float32, shape (k, c), or None
        Evidence for each class per unit of patch weight. The weights are known only
        once all patches are; None where the model's evidence is found out later.
    """

    store: Path
    index: NDArray[np.int64]
    status: NDArray[np.uint8]
    scores: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class PartialCells:
    """Maps of patches that were drawn since the event before.

    Attributes
    ----------
    start : int
        Index of the first patch in the grid.
    cells : ndarray of float32, shape (k, channels, y, x)
        As stored.
    """

    start: int
    cells: NDArray[np.float32]
