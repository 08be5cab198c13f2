"""Put batches together on the device ahead of the network, in a thread of their own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import MMSubtypeError
from napari_mmsubtype.inference.device_loss import watch_device
from napari_mmsubtype.inference.stream import RUN, PatchBatch, read_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from concurrent.futures import Executor

    from napari_mmsubtype.inference.device_patches import DevicePatches
    from napari_mmsubtype.inference.stream import Measure, Room, Transform

DEPTH = 2
"""Batches held on the device besides the one being processed."""

FAILURES = (
    AttributeError,
    ImportError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What decoders, and versions of torchvision without them, raise."""


def read_on_device(
    source: DevicePatches,
    batches: Sequence[range],
    size_px: int,
    *,
    workers: int = 2,
    measure: Measure | None = None,
    measures: int = 0,
    transform: Transform | None = None,
    room: Room | None = None,
) -> Iterator[PatchBatch]:
    """Yield batches in order while the next ones are put together.

    Where the device fails, threads of the CPU read what is left, as `read_batches`
    does from the beginning.

    Parameters
    ----------
    source : DevicePatches
        Its decoded tiles are let go at the end.
    batches : sequence of range
        Patch indices of each batch.
    size_px : int
        Side of a patch.
    workers : int, default: 2
        Threads that measure and change patches, and that read them in the end.
    measure : callable, optional
        As for `read_batches`; the pixels are copied back for it.
    measures : int, default: 0
        How many numbers per patch.
    transform : callable, optional
        As for `read_batches`; a batch then leaves the device and comes as an array.
    room : callable, optional
        As for `read_batches`.

    Yields
    ------
    PatchBatch
        One per entry of ``batches``; its pixels are a tensor on the device, or an
        array where they were transformed or the CPU read them.

    Raises
    ------
    DeviceLostError
        If the device stopped answering.
    OutOfMemoryError
        If memory runs out for a single batch that the CPU reads.
    """
    done = 0
    load = partial(_load, source, measure, measures, transform, room)
    try:
        with closing(
            _load_ahead(load, () if source.failure else batches, workers)
        ) as loaded:
            for batch in loaded:
                done += 1
                yield batch
    except MMSubtypeError:
        raise
    except FAILURES as err:
        source.give_up((str(err).strip().splitlines() or [type(err).__name__])[0])
    finally:
        source.release()
    if done < len(batches):
        yield from read_batches(
            source,
            batches[done:],
            size_px,
            workers=workers,
            measure=measure,
            measures=measures,
            transform=transform,
            room=room,
        )


def _load_ahead(
    load: Callable[[Executor, range], PatchBatch],
    batches: Sequence[range],
    workers: int,
) -> Generator[PatchBatch, None, None]:
    """Load batches one after the other, a few ahead, in a thread."""
    helpers = ThreadPoolExecutor(workers, thread_name_prefix="mmsubtype-measure")
    loader = ThreadPoolExecutor(1, thread_name_prefix="mmsubtype-decode")
    ahead, waiting = deque(batches), deque[Future[PatchBatch]]()

    def _reach(many: int) -> None:
        while ahead and len(waiting) < many:
            waiting.append(loader.submit(load, helpers, ahead.popleft()))

    try:
        while ahead or waiting:
            _reach(DEPTH)
            batch = waiting.popleft().result()
            _reach(DEPTH)
            yield batch
    finally:
        loader.shutdown(wait=True, cancel_futures=True)
        helpers.shutdown(wait=True, cancel_futures=True)


def _load(
    source: DevicePatches,
    measure: Measure | None,
    measures: int,
    transform: Transform | None,
    room: Room | None,
    helpers: Executor,
    indices: range,
) -> PatchBatch:
    """Put one batch together; measure and change what can be read of it."""
    with watch_device(source.device):
        pixels, readable = source.load(indices)
        numbers = np.full((len(indices), measures), np.nan, np.float32)
        if measure is None and transform is None:
            return PatchBatch(indices.start, pixels, readable, numbers)
        copied = source.copy(pixels)
    if transform is not None and room is not None:
        # From here they go to the device once more.
        ready = room(copied.shape)
        ready[:] = copied
        copied = ready

    def _judge(good: list[int]) -> None:
        if measure is not None:
            numbers[good] = measure(copied[good])
        if transform is not None:
            copied[good] = transform(copied[good])

    every = np.flatnonzero(readable).tolist()
    parts = [every[i : i + RUN] for i in range(0, len(every), RUN)]
    for _ in helpers.map(_judge, parts):
        pass
    if transform is None:
        return PatchBatch(indices.start, pixels, readable, numbers)
    return PatchBatch(indices.start, copied, readable, numbers)


__all__ = ["read_on_device"]
