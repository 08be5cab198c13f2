"""Read patches ahead of the network, in threads, a bounded number of batches deep."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_mmsubtype.errors import SlideReadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_RUN = 8
"""Patches one task reads in a row: neighbours share decoded tiles."""


class ReadsPatches(Protocol):
    """Anything that reads patches by index, such as `PatchSource`."""

    def __len__(self) -> int:
        """Give the number of patches."""

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read one patch.

        Parameters
        ----------
        index : int
            Which one.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            Its pixels.
        """


@dataclass(frozen=True, slots=True, eq=False)
class PatchBatch:
    """A run of patches in memory.

    Attributes
    ----------
    start : int
        Index of the first patch.
    pixels : ndarray of uint8, shape (n, y, x, 3)
        White where a patch could not be read.
    readable : ndarray of bool, shape (n,)
        Whether each patch could be decoded.
    """

    start: int
    pixels: NDArray[np.uint8]
    readable: NDArray[np.bool_]


def read_batches(
    source: ReadsPatches,
    batches: Sequence[range],
    size_px: int,
    *,
    workers: int = 2,
    depth: int = 3,
) -> Iterator[PatchBatch]:
    """Yield batches in order while threads read the next ones.

    Parameters
    ----------
    source : ReadsPatches
        Thread-safe.
    batches : sequence of range
        Patch indices of each batch.
    size_px : int
        Side of a patch.
    workers : int, default: 2
        Reader threads.
    depth : int, default: 3
        Batches held in memory besides the one being processed.

    Yields
    ------
    PatchBatch
        One per entry of ``batches``. A patch that cannot be decoded is logged, marked
        and left white; it does not stop the slide.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="mmsubtype-read")
    waiting: deque[tuple[PatchBatch, list[Future[None]]]] = deque()
    ahead = iter(batches)

    def _submit() -> None:
        indices = next(ahead, None)
        if indices is None:
            return
        count = len(indices)
        batch = PatchBatch(
            indices.start,
            np.full((count, size_px, size_px, 3), 255, np.uint8),
            np.ones(count, bool),
        )
        runs = [range(i, min(i + _RUN, count)) for i in range(0, count, _RUN)]
        waiting.append(
            (
                batch,
                [pool.submit(_fill, source, batch, positions) for positions in runs],
            )
        )

    try:
        for _ in range(depth):
            _submit()
        while waiting:
            batch, tasks = waiting.popleft()
            for task in tasks:
                task.result()
            _submit()
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fill(source: ReadsPatches, batch: PatchBatch, positions: range) -> None:
    """Read some patches of a batch in place."""
    for position in positions:
        try:
            batch.pixels[position] = source.read(batch.start + position)
        except SlideReadError as err:
            batch.readable[position] = False
            logger.warning("patch %d skipped: %s", batch.start + position, err)
