"""Embed a cohort of which the pixels of patches lie on disk."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.inference.allocator import memory_kept
from napari_mmsubtype.inference.batch_limit import choose_limit
from napari_mmsubtype.inference.device import choose_processor
from napari_mmsubtype.inference.encode import batches_left, prepare
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.rate import Meter
from napari_mmsubtype.training.stored_patches import StoredPatches
from napari_mmsubtype.workflows.embed import EmbeddedSlides, bag_file, embed_job
from napari_mmsubtype.workflows.folder_files import write_array
from napari_mmsubtype.workflows.shared_work import SharedWork
from napari_mmsubtype.workflows.slide_files import read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.models.bundle_schema import Bundle
    from napari_mmsubtype.workflows.manifest import SlideEntry
    from napari_mmsubtype.workflows.patch_pixels import PatchPixels

_AT_ONCE = 256
"""Patches between two moments at which embeddings are written."""


def embed_pixels_job(
    slides: Sequence[SlideEntry],
    pixels: PatchPixels,
    model: Bundle,
    out: Path,
    *,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    work: SharedWork | None = None,
) -> Job[EmbeddedSlides]:
    """Embed slides: small ones from their pixels, the others by the engine.

    Parameters
    ----------
    slides : sequence of SlideEntry
        Of a manifest.
    pixels : PatchPixels
        Of these slides and the patches of the model.
    model : Bundle
        As `embedding_model` makes them.
    out : Path
        Folder for the stores and the bags.
    device : str, default: "auto"
        As `analyze`.
    precision : str, default: "auto"
        As `embed`.
    batch_size : int or None, default: None
        Patches per forward pass; None takes what suits.
    work : SharedWork or None, default: None
        Processes that share out the large slides; the first of them embeds the small
        ones, which go through the encoder in the same batches whatever their number.

    Yields
    ------
    Progress
        Stages ``slides`` and ``patches``.

    Returns
    -------
    EmbeddedSlides
        As `embed_job`; what is embedded already is not embedded again.
    """
    work = work or SharedWork()
    large = [s for s in slides if s.path in pixels.files and s.path not in pixels.whole]
    bags: dict[str, Path] = {}
    failures = dict(pixels.failures)
    if large:
        found = yield from embed_job(
            large,
            model,
            out,
            device=device,
            precision=precision,
            batch_size=batch_size,
            work=work,
        )
        bags |= found.bags
        failures |= found.failures
    small = [s for s in slides if s.path in pixels.whole]
    places = {slide.path: bag_file(out, slide, model) for slide in small}
    left = [s for s in small if read_state(places[s.path], s) is None]
    if left and work.rank == 0:
        processor = choose_processor(device, precision)
        encoder = prepare(copy.deepcopy(model.encoder), processor)
        size = model.patch.size_px
        chosen = batch_size or processor.default_batch_size(size)
        limit = choose_limit(processor, encoder, size, batch_size)
        total = sum(StoredPatches([pixels.files[s.path] for s in left]).counts)
        rate = Meter("patches", total, 0)
        with memory_kept():
            for group, source in _groups(left, pixels):
                batches = batches_left(np.zeros(len(source)), chosen)
                parts = [
                    arrays[0]
                    for _, arrays in forward_batches(
                        encoder, source, batches, processor, size, _pooled, limit
                    )
                ]
                rows = np.concatenate(parts)
                ends = np.cumsum(source.counts)[:-1]
                for slide, bag in zip(group, np.split(rows, ends), strict=True):
                    write_array(places[slide.path], bag)
                    write_state(places[slide.path], slide)
                yield rate.advance(len(source))
                rate.resume()
    yield from work.units((), "patches").gather_job(None)
    return EmbeddedSlides(out, bags | places, failures)


def _pooled(features: torch.Tensor, _: slice) -> list[torch.Tensor]:
    """Give embeddings as a store keeps them."""
    return [features.mean(dim=(2, 3)).half()]


def _groups(
    slides: Sequence[SlideEntry], pixels: PatchPixels
) -> Iterator[tuple[list[SlideEntry], StoredPatches]]:
    """Put slides of few patches together, so that batches are full."""
    group: list[SlideEntry] = []
    count = 0
    for slide in slides:
        group.append(slide)
        count += StoredPatches([pixels.files[slide.path]]).counts[0]
        if count >= _AT_ONCE:
            yield group, StoredPatches([pixels.files[s.path] for s in group])
            group, count = [], 0
    if group:
        yield group, StoredPatches([pixels.files[s.path] for s in group])
