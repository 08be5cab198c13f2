"""Tell whoever watches an analysis about every patch once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.partial_patches import PartialPatches
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.inference.provisional import ProvisionalJudge
    from napari_mmsubtype.results.store_writer import StoreWriter


class PatchNews:
    """Collects what of each batch is new.

    Parameters
    ----------
    writer : StoreWriter
        Its patches of earlier runs are told of with the first batch.
    exact : bool
        Whether the evidence of the cells is known as soon as a patch is done.
    judge : ProvisionalJudge, optional
        Says meanwhile what it will be, where it is not.
    """

    def __init__(
        self,
        writer: StoreWriter,
        *,
        exact: bool,
        judge: ProvisionalJudge | None = None,
    ) -> None:
        self._writer = writer
        self._judge = judge
        self._exact = exact
        self._told = np.zeros(len(writer.read(schema.STATUS)), bool)
        self._is_first = True

    def tell(
        self, start: int, status: NDArray[np.uint8], cells: NDArray[Any] | None
    ) -> PartialPatches:
        """Tell of a batch.

        Parameters
        ----------
        start : int
            Index of its first patch.
        status : ndarray of uint8, shape (k,)
            What became of each patch.
        cells : ndarray of float32, shape (k, c, y, x), or None
            Their evidence, where it is known; the batch is in the store already.

        Returns
        -------
        PartialPatches
            Those that were not told of before.
        """
        if self._is_first:
            self._is_first = False
            whole = self._writer.read(schema.STATUS)
        else:
            whole = None
        if whole is not None and np.count_nonzero(whole) > len(status):
            scores = None
            if self._exact:
                rows = self._writer.rows(schema.CELL_EVIDENCE)
                scores = np.concatenate([_sum_cells(part) for part in rows.chunks()])
            return self._new(np.flatnonzero(whole), whole, scores, 0)
        index = np.arange(start, start + len(status))
        return self._new(
            index, status, None if cells is None else _sum_cells(cells), start
        )

    def _new(
        self,
        index: NDArray[np.int64],
        status: NDArray[np.uint8],
        scores: NDArray[np.float32] | None,
        start: int,
    ) -> PartialPatches:
        index = index[~self._told[index]]
        self._told[index] = True
        found = status[index - start]
        judge = self._judge
        return PartialPatches(
            store=self._writer.path,
            index=index,
            status=found,
            scores=None if scores is None else scores[index - start],
            provisional=None if judge is None else judge.hear(index, found),
        )


def _sum_cells(cells: NDArray[Any]) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = cells.sum(axis=(2, 3), dtype=np.float32)
    return scores
