"""Run the encoder over the patches: embeddings, and per-cell evidence beside them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.inference.acceleration import fold_batch_norms, lower_weights
from napari_mmsubtype.inference.batch_limit import BatchLimit, room_for
from napari_mmsubtype.inference.cam import class_activation
from napari_mmsubtype.inference.device_loss import watch_device
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.news import PatchNews
from napari_mmsubtype.inference.rate import Meter
from napari_mmsubtype.inference.write_behind import WriteBehind
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_mmsubtype.core.progress import Job, Progress
    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.provisional import ProvisionalJudge
    from napari_mmsubtype.inference.stream import PatchBatch, ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter
    from napari_mmsubtype.slides.quality_measures import PatchMeter


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


@dataclass(frozen=True, slots=True, eq=False)
class _Embedded:
    """A run of patches as it goes into the store; without their pixels."""

    start: int
    status: NDArray[np.uint8]
    embedding: NDArray[Any]
    cells: NDArray[np.float32] | None
    measures: NDArray[np.float32] | None

    @classmethod
    def of(
        cls,
        batch: PatchBatch,
        arrays: list[NDArray[Any]],
        measures: NDArray[np.float32] | None,
    ) -> _Embedded:
        status = np.where(batch.readable, PatchStatus.DONE, PatchStatus.UNREADABLE)
        cells = arrays[1] if len(arrays) > 1 else None
        return cls(batch.start, status.astype(np.uint8), arrays[0], cells, measures)

    @classmethod
    def join(cls, parts: list[_Embedded]) -> _Embedded:
        """Put runs that follow each other into one."""

        def _column(name: str) -> Any:
            rows = [getattr(part, name) for part in parts]
            return None if rows[0] is None else np.concatenate(rows)

        columns = ("status", "embedding", "cells", "measures")
        return cls(parts[0].start, *map(_column, columns))


def _runs(done: list[_Embedded]) -> Iterator[_Embedded]:
    """Join what follows each other: chunks of the store hold many batches."""
    run = done[:1]
    for after in done[1:]:
        if after.start != run[-1].start + len(run[-1].status):
            yield _Embedded.join(run)
            run = []
        run.append(after)
    yield _Embedded.join(run)


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

    Batches are written while others are computed, once a second.

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
        When a batch is in the store, with its patches as `PartialPatches`; some at a
        time. Closing the generator there writes those that are embedded, too.

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

    def _write(done: list[_Embedded]) -> list[_Embedded]:
        for run in _runs(done):
            writer.write_patches(
                run.start, run.status, run.embedding, run.cells, run.measures
            )
        return done

    def _tell(done: _Embedded) -> Progress:
        event = rate.advance(len(done.status))
        partial = news.tell(done.start, done.status, done.cells)
        return replace(event, partial=partial)

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
    behind = WriteBehind(_write)
    with behind, closing(computed):
        for batch, arrays in computed:
            measures = None if meter is None else batch.measures
            for done in behind.submit(_Embedded.of(batch, arrays, measures)):
                yield _tell(done)
                rate.resume()
        for done in behind.finish():
            yield _tell(done)
