"""Take patches through an encoder, batch by batch, while others are read."""

from __future__ import annotations

import itertools
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference.batch_limit import is_out_of_memory
from napari_mmsubtype.inference.core_teams import choose_teams
from napari_mmsubtype.inference.device_loss import keep_for_ever, watch_device
from napari_mmsubtype.inference.device_patches import DevicePatches
from napari_mmsubtype.inference.device_stream import read_on_device
from napari_mmsubtype.inference.lane import open_lane
from napari_mmsubtype.inference.stream import PatchBatch, ReadsPatches, read_batches
from napari_mmsubtype.slides.quality_measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.batch_limit import BatchLimit
    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.lane import Arrival
    from napari_mmsubtype.inference.stream import Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.slides.quality_measures import PatchMeter

    Finish = Callable[[torch.Tensor, slice], Sequence[torch.Tensor]]


def reader_threads() -> int:
    """Choose how many threads read patches.

    Returns
    -------
    int
        2 to 8: decoding releases the interpreter, and the network needs cores too.
    """
    return int(np.clip(os.cpu_count() or 2, 2, 8))


@torch.inference_mode()
def forward_batches(
    encoder: Encoder,
    source: ReadsPatches,
    batches: list[range],
    processor: Processor,
    size_px: int,
    finish: Finish,
    limit: BatchLimit,
    *,
    transform: Transform | None = None,
    meter: PatchMeter | None = None,
) -> Generator[tuple[PatchBatch, list[NDArray[Any]]], None, None]:
    """Run the encoder over batches of patches.

    Parameters
    ----------
    encoder : Encoder
        On the processor's device, in evaluation mode.
    source : ReadsPatches
        Where patches come from; `DevicePatches` put whole batches together on the
        device.
    batches : list of range
        Patch indices of each batch.
    processor : Processor
        Device and precision.
    size_px : int
        Side of a patch.
    finish : callable
        Takes the last feature maps of patches, float32, shape (n, d, y, x), on the
        device, and the slide's indices of these patches; gives arrays to keep, one row
        per patch. It runs in the thread that ran the encoder, on a CPU in several.
    limit : BatchLimit
        How many patches go through at once; it shrinks where memory runs out.
    transform : callable, optional
        Change of color of the patches, in the threads that read them.
    meter : PatchMeter, optional
        Measures every patch in the threads that read it.

    Yields
    ------
    batch : PatchBatch
        The patches read.
    arrays : list of ndarray
        What ``finish`` gave, of the whole batch.

    Raises
    ------
    OutOfMemoryError
        If not even one patch fits into memory.
    DeviceLostError
        If the device stopped answering.
    """
    lane = open_lane(processor.device)
    shared: dict[str, Any] = {
        "workers": reader_threads(),
        "measure": meter,
        "measures": 0 if meter is None else len(MEASURES),
        "transform": transform,
        "room": lane.room,
    }
    reading = (
        read_on_device(source, batches, size_px, **shared)
        if isinstance(source, DevicePatches)
        else read_batches(source, batches, size_px, **shared)
    )

    def _work(batch: PatchBatch, part: slice) -> Arrival:
        # In a thread of a team nothing is set that was set outside.
        with torch.inference_mode():
            pixels = lane.send(batch.pixels[part])
            with processor.autocasting():
                images = encoder.normalize(pixels)
                images = images.contiguous(memory_format=torch.channels_last)
                features = encoder.feature_map(images)
            inside = slice(batch.start + part.start, batch.start + part.stop)
            return lane.fetch(finish(features.float(), inside), pixels)

    def _begin(batch: PatchBatch) -> Callable[[], list[Arrival]]:
        work, count = partial(_work, batch), len(batch.pixels)
        if teams.count > 1 and count <= limit.size:
            return teams.begin(work, slice(0, count))
        parts = limit.run(partial(teams.run, work), count)
        return lambda: list(itertools.chain(*parts))

    def _land() -> tuple[PatchBatch, list[NDArray[Any]]]:
        batch, begun = under_way.popleft()
        arrivals = _unless_memory_ran_out(begun)
        if arrivals is None:
            again = partial(teams.run, partial(_work, batch))
            arrivals = list(itertools.chain(*limit.run(again, len(batch.pixels))))
        parts = [arrive() for arrive in arrivals]
        return batch, [np.concatenate(x) for x in zip(*parts, strict=True)]

    # A batch that is under way keeps its pixels until its numbers are here.
    under_way: deque[tuple[PatchBatch, Callable[[], list[Arrival]]]] = deque()
    device = processor.device
    try:
        with watch_device(device), choose_teams(device, limit.size) as teams:
            ahead = max(lane.ahead, 1 if teams.count > 1 else 0)
            for batch in reading:
                under_way.append((batch, _begin(batch)))
                if len(under_way) > ahead:
                    yield _land()
            while under_way:
                yield _land()
    except DeviceLostError as err:
        # Their frames hold what was being copied.
        keep_for_ever(err, under_way)
        raise
    finally:
        reading.close()  # type: ignore[attr-defined]


def _unless_memory_ran_out(begun: Callable[[], list[Arrival]]) -> list[Arrival] | None:
    """Give what was begun, or None where it needs more memory than there is."""
    try:
        return begun()
    except Exception as err:
        if not is_out_of_memory(err):
            raise
        return None


__all__ = ["forward_batches", "reader_threads"]
