"""Run the encoder over the patches: embeddings, and per-cell evidence beside them."""

from __future__ import annotations

import os
from collections import deque
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.inference.acceleration import fold_batch_norms, lower_weights
from napari_mmsubtype.inference.batch_limit import BatchLimit, room_for
from napari_mmsubtype.inference.cam import class_activation
from napari_mmsubtype.inference.device_loss import watch_device
from napari_mmsubtype.inference.device_patches import DevicePatches
from napari_mmsubtype.inference.device_stream import read_on_device
from napari_mmsubtype.inference.lane import open_lane
from napari_mmsubtype.inference.news import PatchNews
from napari_mmsubtype.inference.rate import Meter
from napari_mmsubtype.inference.stream import PatchBatch, ReadsPatches, read_batches
from napari_mmsubtype.inference.write_behind import WriteBehind
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.slides.quality_measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.progress import Job, Progress
    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.lane import Arrival
    from napari_mmsubtype.inference.provisional import ProvisionalJudge
    from napari_mmsubtype.inference.stream import Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter
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


class CellProjector:
    """Turn feature maps into embeddings and per-cell evidence.

    For a head that is linear in the embedding, evidence per unit of patch weight is
    ``q_c . h`` with ``h`` the mean of the feature map over its cells, so each cell's
    share is ``q_c . A(y, x) / (h w)``: exact, and no backward pass is needed.

    Parameters
    ----------
    queries : Tensor, shape (c, d), or None
        None computes embeddings only.
    """

    def __init__(self, queries: torch.Tensor | None) -> None:
        self.queries = queries

    def __call__(
        self, features: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Project one batch.

        Parameters
        ----------
        features : Tensor of float32, shape (n, d, y, x)
            Last feature maps.

        Returns
        -------
        embedding : Tensor of float16, shape (n, d)
            As stored.
        cells : Tensor of float32, shape (n, c, y, x), or None
            Sums over ``(y, x)`` to the query times the stored embedding: the rounding
            to float16 is spread over the cells so that the sum stays exact.
        """
        embedding = features.mean(dim=(2, 3)).half()
        if self.queries is None:
            return embedding, None
        cells = class_activation(features, self.queries)
        whole = embedding.float() @ self.queries.T
        count = features.shape[2] * features.shape[3]
        rest = (whole - cells.sum(dim=(2, 3))) / count
        return embedding, cells + rest[:, :, None, None]


def batches_left(done: NDArray[Any], batch_size: int) -> list[range]:
    """List the batches that still hold work.

    Parameters
    ----------
    done : ndarray, shape (n,)
        Non-zero where a patch is finished.
    batch_size : int
        Patches per batch; batches start at its multiples, so that a resumed run
        forms the same batches and gives the same numbers.

    Returns
    -------
    list of range
        Patch indices, in reading order.
    """
    starts = range(0, len(done), batch_size)
    every = (range(s, min(s + batch_size, len(done))) for s in starts)
    return [r for r in every if not done[r.start : r.stop].all()]


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
        per patch.
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
        with watch_device(processor.device):
            pixels = lane.send(batch.pixels[part])
            with processor.autocasting():
                images = encoder.normalize(pixels)
                images = images.contiguous(memory_format=torch.channels_last)
                features = encoder.feature_map(images)
            inside = slice(batch.start + part.start, batch.start + part.stop)
            return lane.fetch(finish(features.float(), inside))

    # A batch that is under way keeps its pixels until its numbers are here.
    under_way: deque[tuple[PatchBatch, list[Arrival]]] = deque()

    def _land() -> tuple[PatchBatch, list[NDArray[Any]]]:
        batch, arrivals = under_way.popleft()
        with watch_device(processor.device):
            parts = [arrive() for arrive in arrivals]
        return batch, [np.concatenate(x) for x in zip(*parts, strict=True)]

    try:
        for batch in reading:
            work = partial(_work, batch)
            under_way.append((batch, limit.run(work, len(batch.pixels))))
            if len(under_way) > lane.ahead:
                yield _land()
        while under_way:
            yield _land()
    finally:
        reading.close()  # type: ignore[attr-defined]


def prepare(encoder: Encoder, processor: Processor) -> Encoder:
    """Bring an encoder to the device in the layout that convolutions like best.

    On the CPU its batch normalizations are folded into its convolutions, and its
    weights are kept in the precision they are used in.

    Parameters
    ----------
    encoder : Encoder
        Changed in place; preparing it again for a lower precision is possible.
    processor : Processor
        Where it will run.

    Returns
    -------
    Encoder
        The same encoder, in evaluation mode.
    """
    with (
        watch_device(processor.device),
        room_for(processor.device, f"the network {encoder.name}"),
    ):
        encoder.eval().to(processor.device)
        if processor.device.type == "cpu":
            fold_batch_norms(encoder)
            if processor.autocast is not None:
                lower_weights(encoder, processor.autocast)
        return encoder.to(memory_format=torch.channels_last)


def encode_job(
    encoder: Encoder,
    source: ReadsPatches,
    writer: StoreWriter,
    processor: Processor,
    *,
    size_px: int,
    batch_size: int,
    queries: torch.Tensor | None,
    transform: Transform | None = None,
    meter: PatchMeter | None = None,
    limit: BatchLimit | None = None,
    judge: ProvisionalJudge | None = None,
) -> Job[None]:
    """Embed every patch that the store does not hold yet.

    Each batch is written while the next one is computed.

    Parameters
    ----------
    encoder : Encoder
        Prepared with `prepare`.
    source : ReadsPatches
        Where patches come from.
    writer : StoreWriter
        Receives every batch as it is finished.
    processor : Processor
        Device and precision.
    size_px : int
        Side of a patch.
    batch_size : int
        Patches per forward pass.
    queries : Tensor, shape (c, d), or None
        For an exact head: computes the per-cell evidence in the same pass.
    transform : callable, optional
        Change of color of the patches before they are encoded.
    meter : PatchMeter, optional
        Measures what the quality flags rest on, in the pixels as they were read.
    limit : BatchLimit, optional
        How many patches go through the network at once; ``batch_size`` if left out.
    judge : ProvisionalJudge, optional
        Says now and then what a head thinks of the patches that is not exact.

    Yields
    ------
    Progress
        When a batch is in the store, with its patches as `PartialPatches`. Closing the
        generator there waits for the next one to be written, too.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    left = batches_left(writer.read(schema.STATUS), batch_size)
    project = CellProjector(None if queries is None else queries.to(processor.device))
    rate = Meter("patches", len(source), len(source) - sum(map(len, left)))
    news = PatchNews(writer, exact=queries is not None, judge=judge)
    limit = limit or BatchLimit(batch_size, processor.device, encoder.name)

    def _finish(features: torch.Tensor, part: slice) -> list[torch.Tensor]:
        embedding, cells = project(features)
        return [embedding] if cells is None else [embedding, cells]

    def _write(batch: PatchBatch, arrays: list[NDArray[Any]]) -> Callable[[], Progress]:
        status = np.where(batch.readable, PatchStatus.DONE, PatchStatus.UNREADABLE)
        status = status.astype(np.uint8)
        cells = arrays[1] if len(arrays) > 1 else None
        measures = None if meter is None else batch.measures
        writer.write_patches(batch.start, status, arrays[0], cells, measures)

        def _tell() -> Progress:
            event = rate.advance(len(status))
            return replace(event, partial=news.tell(batch.start, status, cells))

        return _tell

    computed = forward_batches(
        encoder,
        source,
        left,
        processor,
        size_px,
        _finish,
        limit,
        transform=transform,
        meter=meter,
    )
    behind: WriteBehind[Callable[[], Progress]] = WriteBehind()
    with behind, closing(computed):
        for batch, arrays in computed:
            for tell in behind.submit(partial(_write, batch, arrays)):
                yield tell()
                rate.resume()
        for tell in behind.finish():
            yield tell()
