"""What a model thinks of the patches so far, where it judges them all together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr

from napari_mmsubtype.core.partial_patches import ProvisionalScores
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store_damage import read_array

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.fuse import CaseTensors

GROUP = 2048
"""Patches that are judged together; the work per look does not grow with the slide."""

EVERY_S = 5.0
"""Seconds between looks."""

SHARE = 0.05
"""Of the time of the analysis may be spent on looks."""


class ProvisionalJudge:
    """Judges the patches that are done, now and then.

    Patches are judged in groups of `GROUP` that follow each other, each among those of
    its group that are done. A group with new patches is judged anew.

    Parameters
    ----------
    case : CaseTensors
        Model and tables.
    store : Path
        Where the embeddings are.
    count : int
        Patches of the slide.
    clock : callable, default: time.perf_counter
        Gives seconds.
    """

    def __init__(
        self,
        case: CaseTensors,
        store: Path,
        count: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._case = case
        self._store = store
        self._is_done = np.zeros(count, bool)
        self._stale: dict[int, None] = {}
        self._clock = clock
        self._next = clock() + EVERY_S

    def hear(
        self, index: NDArray[np.int64], status: NDArray[np.uint8]
    ) -> ProvisionalScores | None:
        """Take notice of patches, and judge where it is time to.

        Parameters
        ----------
        index : ndarray of int, shape (k,)
            Patches that are in the store now.
        status : ndarray of uint8, shape (k,)
            What became of them.

        Returns
        -------
        ProvisionalScores or None
            None where it is not time, or nothing is new.
        """
        done = index[status == PatchStatus.DONE]
        self._is_done[done] = True
        # The last heard of comes last; a dict keeps that order.
        for number in np.unique(done // GROUP).tolist():
            self._stale.pop(number, None)
            self._stale[number] = None
        begun = self._clock()
        if begun < self._next or not self._stale:
            return None
        indices, scores, spent = [], [], 0.0
        # After a resume many groups wait: the newest first, and no more than fit in.
        while self._stale and spent <= SHARE * EVERY_S:
            number, _ = self._stale.popitem()
            found = self._judge(number)
            indices.append(found[0])
            scores.append(found[1])
            spent = self._clock() - begun
        self._next = self._clock() + max(EVERY_S, spent / SHARE)
        return ProvisionalScores(np.concatenate(indices), np.concatenate(scores))

    @torch.inference_mode()
    def _judge(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Run the model on the patches of a group that are done."""
        first = number * GROUP
        inside = np.flatnonzero(self._is_done[first : first + GROUP])
        root: Any = zarr.open_group(self._store, mode="r")
        part = slice(first, first + int(inside[-1]) + 1)
        rows = read_array(root, schema.EMBEDDING, part)[inside]
        bag = torch.from_numpy(np.asarray(rows, np.float32))[None]
        output = self._case.forward(bag, self._case.available)
        evidence = output.evidence[0, :, : self._case.classes]
        weights = output.weights[0, :, None].clamp_min(1e-12)
        scores: NDArray[np.float32] = (evidence / weights).numpy()
        return inside + first, scores
