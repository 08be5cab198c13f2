"""Run the encoder a second time to draw what its first pass could not know."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cam_methods import DEFAULT
from napari_mmsubtype.core.partial_patches import PartialCells
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.cam import map_embedding
from napari_mmsubtype.inference.encode import batches_left
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.rate import Meter
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter

    Draw = Callable[[torch.Tensor, slice], torch.Tensor]


def draw_cells_job(
    encoder: Encoder,
    source: ReadsPatches,
    processor: Processor,
    *,
    size_px: int,
    batch_size: int,
    mapped: NDArray[Any],
    draw: Draw,
    write: Callable[[int, NDArray[np.float32]], None],
    batches: list[range] | None = None,
    transform: Transform | None = None,
    limit: BatchLimit | None = None,
) -> Job[None]:
    """Draw every patch that is not drawn yet.

    Parameters
    ----------
    encoder : Encoder
        Prepared with `prepare`.
    source : ReadsPatches
        Where patches come from.
    processor : Processor
        Device and precision.
    size_px : int
        Side of a patch.
    batch_size : int
        Patches per forward pass.
    mapped : ndarray, shape (n,)
        Non-zero where a patch is drawn.
    draw : callable
        Takes the last feature maps of patches, float32, shape (k, d, y, x), on the
        device, and the slide's indices of these patches; gives their maps, float32,
        shape (k, channels, y, x). It runs in the thread that ran the encoder.
    write : callable
        Receives the index of the first patch of a batch, and its maps.
    batches : list of range, optional
        Batches to draw, in this order; those of `batches_left` if left out.
    transform : callable, optional
        The same as in the first pass.
    limit : BatchLimit, optional
        How many patches go through the network at once; ``batch_size`` if left out.

    Yields
    ------
    Progress
        After each batch, with its maps as `PartialCells`.
    """
    if batches is None:
        batches = batches_left(mapped, batch_size)
        total = len(source)
    else:
        total = sum(map(len, batches))
    meter = Meter("maps", total, total - sum(map(len, batches)))
    limit = limit or BatchLimit(batch_size, processor.device, encoder.name)
    for batch, (cells,) in forward_batches(
        encoder,
        source,
        batches,
        processor,
        size_px,
        lambda features, part: [draw(features, part)],
        limit,
        transform=transform,
    ):
        write(batch.start, cells)
        event = meter.advance(len(batch.pixels))
        yield replace(event, partial=PartialCells(batch.start, cells))
        meter.resume()


def gradient_maps(gradients: torch.Tensor, method: str = DEFAULT) -> Draw:
    """Make what draws the logits of a model by their gradients.

    Parameters
    ----------
    gradients : Tensor of float32, shape (n, c, d)
        Of each logit with respect to each patch's embedding, on the CPU: of a whole
        slide they may be gigabytes, and those of a batch go where it is.
    method : str, default: "grad-cam"
        How gradients become maps: one of `cam_methods.CAM_METHODS`.

    Returns
    -------
    callable
        For `draw_cells_job`: one channel per class.
    """

    def _draw(features: torch.Tensor, part: slice) -> torch.Tensor:
        rows = gradients[part].to(features.device)
        return map_embedding(features, rows, method)

    return _draw


def map_cells_job(
    encoder: Encoder,
    source: ReadsPatches,
    writer: StoreWriter,
    processor: Processor,
    *,
    size_px: int,
    batch_size: int,
    gradients: torch.Tensor,
    method: str = DEFAULT,
    transform: Transform | None = None,
    limit: BatchLimit | None = None,
) -> Job[None]:
    """Draw the evidence map of a model whose evidence is not linear.

    Parameters
    ----------
    encoder : Encoder
        Prepared with `prepare`.
    source : ReadsPatches
        Where patches come from.
    writer : StoreWriter
        Receives the per-cell attribution.
    processor : Processor
        Device and precision.
    size_px : int
        Side of a patch.
    batch_size : int
        Patches per forward pass.
    gradients : Tensor of float32, shape (n, c, d)
        Gradient of each logit with respect to each patch's embedding.
    method : str, default: "grad-cam"
        How gradients become maps: one of `cam_methods.CAM_METHODS`.
    transform : callable, optional
        The same as for `encode_job`.
    limit : BatchLimit, optional
        How many patches go through the network at once; ``batch_size`` if left out.

    Yields
    ------
    Progress
        After each batch.
    """
    drawing = draw_cells_job(
        encoder,
        source,
        processor,
        size_px=size_px,
        batch_size=batch_size,
        mapped=writer.read(schema.MAPPED),
        draw=gradient_maps(gradients, method),
        write=writer.write_cells,
        transform=transform,
        limit=limit,
    )
    try:
        for event in drawing:
            # The layers of a running analysis wait for the end: its scale is unknown.
            yield replace(event, partial=None)
    finally:
        drawing.close()
