"""Read patches ahead of the network, in threads, a bounded number of batches deep."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import DamagedTileError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    Measure = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    Transform = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    Room = Callable[[tuple[int, ...]], NDArray[np.uint8]]

logger = logging.getLogger(__name__)

RUN = 16
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
    pixels : ndarray or Tensor of uint8, shape (n, y, x, 3)
        White where a patch could not be read; a tensor where they are on the device
        already.
    readable : ndarray of bool, shape (n,)
        Whether each patch could be decoded.
    measures : ndarray of float32, shape (n, m)
        What was measured in each patch, NaN where it could not be decoded; m is 0
        where nothing was to be measured.
    """

    start: int
    pixels: NDArray[np.uint8] | torch.Tensor
    readable: NDArray[np.bool_]
    measures: NDArray[np.float32]


def read_batches(
    source: ReadsPatches,
    batches: Sequence[range],
    size_px: int,
    *,
    workers: int = 2,
    depth: int = 3,
    measure: Measure | None = None,
    measures: int = 0,
    transform: Transform | None = None,
    room: Room | None = None,
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
        Batches held in memory besides the one being processed; half as many, down to
        one, where memory runs out.
    measure : callable, optional
        Takes patches, uint8, shape (k, y, x, 3), and gives ``measures`` numbers of
        each, float32, shape (k, m). It runs in the reader threads.
    measures : int, default: 0
        How many numbers per patch.
    transform : callable, optional
        Takes patches, uint8, shape (k, y, x, 3), and gives them with other colors. It
        runs in the reader threads, after what is measured was measured.
    room : callable, optional
        Takes the shape of a batch and gives memory for its pixels, uint8; the usual
        kind if left out.

    Yields
    ------
    PatchBatch
        One per entry of ``batches``. A patch that cannot be decoded is logged, marked
        and left white; it does not stop the slide.

    Raises
    ------
    OutOfMemoryError
        If memory runs out for a single batch.
    SlideReadError
        If the slide is closed, has changed or is out of reach.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="mmsubtype-read")
    waiting: deque[tuple[PatchBatch, list[Future[None]]]] = deque()
    ahead = deque(batches)

    def _begin(indices: range) -> tuple[PatchBatch, list[Future[None]]]:
        count = len(indices)
        shape = (count, size_px, size_px, 3)
        pixels = np.empty(shape, np.uint8) if room is None else room(shape)
        batch = PatchBatch(
            indices.start,
            pixels,
            np.ones(count, bool),
            np.full((count, measures), np.nan, np.float32),
        )
        runs = [range(i, min(i + RUN, count)) for i in range(0, count, RUN)]
        return batch, [
            pool.submit(_fill, source, batch, pixels, part, measure, transform)
            for part in runs
        ]

    def _reach(many: int) -> None:
        while ahead and len(waiting) < many:
            waiting.append(_begin(ahead[0]))
            ahead.popleft()

    try:
        while ahead or waiting:
            done: PatchBatch | None = None
            shortage = ""
            try:
                _reach(depth)
                _, tasks = waiting[0]
                for task in tasks:
                    task.result()
                done, _ = waiting.popleft()
                _reach(depth)
            except MemoryError as err:
                shortage = str(err) or type(err).__name__
            if shortage:
                count = len(waiting[0][0].readable) if waiting else len(ahead[0])
                _give_back(waiting, ahead)
                if done is None and depth == 1:
                    raise OutOfMemoryError(_no_room(count, shortage))
                depth = max(depth // 2, 1)
                logger.warning(
                    "memory ran out while patches were read (%s): reading %d batches "
                    "ahead from now on",
                    shortage,
                    depth,
                )
            if done is not None:
                yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _give_back(
    waiting: deque[tuple[PatchBatch, list[Future[None]]]], ahead: deque[range]
) -> None:
    """Drop the batches that are being read, to be read anew: their memory is free."""
    while waiting:
        batch, tasks = waiting.pop()
        for task in tasks:
            task.cancel()
        wait(tasks)
        ahead.appendleft(range(batch.start, batch.start + len(batch.readable)))


def _no_room(count: int, reason: str) -> str:
    """Say that not even one batch can be read, and what to do."""
    advice = "close other programs"
    if count > 1:
        advice += f", or {pass_option('batch_size', str(count // 2))}"
    return (
        f"memory ran out while {count} patches were read ({reason}); {advice}; what "
        "was done is kept, and the same request resumes there"
    )


def _fill(
    source: ReadsPatches,
    batch: PatchBatch,
    pixels: NDArray[np.uint8],
    positions: range,
    measure: Measure | None,
    transform: Transform | None,
) -> None:
    """Read some patches of a batch in place; measure and change them while warm."""
    for position in positions:
        try:
            pixels[position] = source.read(batch.start + position)
        except DamagedTileError as err:
            # Any other error of reading is no patch's fault, and may pass.
            batch.readable[position] = False
            pixels[position] = 255
            logger.warning("patch %d skipped: %s", batch.start + position, err)
    part = slice(positions.start, positions.stop)
    readable = batch.readable[part]
    if not readable.any():
        return
    # A slice is a view; picking patches would copy them.
    good = part if readable.all() else part.start + np.flatnonzero(readable)
    if measure is not None:
        # Ink and blur are judged in the slide's own colors.
        batch.measures[good] = measure(pixels[good])
    if transform is not None:
        pixels[good] = transform(pixels[good])
