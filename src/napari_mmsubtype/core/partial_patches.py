"""What a running job has just found, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ProvisionalScores:
    """What a model thinks of patches so far; it may think otherwise later.

    Attributes
    ----------
    index : ndarray of int, shape (k,)
        Patches that are done; those of earlier events are among them.
    scores : ndarray of float32, shape (k, c)
        Evidence for each class per unit of patch weight, judged among the patches that
        are done.
    """

    index: NDArray[np.int64]
    scores: NDArray[np.float32]


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
    provisional : ProvisionalScores or None
        Now and then, where it is found out later.
    """

    store: Path
    index: NDArray[np.int64]
    status: NDArray[np.uint8]
    scores: NDArray[np.float32] | None
    provisional: ProvisionalScores | None = None


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
