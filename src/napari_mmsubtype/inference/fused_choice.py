"""Decide from a measurement whether fusing the steps of a network pays on a slide."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.inference.agreement import MIN_CENTERED, MIN_COSINE, compare
from napari_mmsubtype.inference.batch_limit import size_key
from napari_mmsubtype.inference.fused_graph import FusedEncoder, fuse_encoder
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.inference.trial import TRIED, sample_patches, try_patches
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter

logger = logging.getLogger(__name__)

FILE_NAME = "fused-times.json"
FACT = "fused_steps"
"""What the provenance of a store calls how many steps were fused."""

_LIKELY_SAVING = 0.1
_LEAST_SAVING = 0.03
_TOLERANCE = 1e-4
"""Largest change of float32 embeddings, as a share of their norm."""


def choose_encoder(
    encoder: Encoder,
    source: ReadsPatches,
    writer: StoreWriter,
    processor: Processor,
    *,
    transform: Transform | None = None,
) -> Encoder:
    """Give the encoder that does a slide soonest, with the same numbers.

    A trial on some patches costs the time of twice as many. It is made where the rest
    of the slide is likely to repay that, and what it finds of this network on this
    machine is remembered. A run that is resumed goes on as it was begun.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the processor.
    source : ReadsPatches
        The patches to do.
    writer : StoreWriter
        Keeps in its provenance how many steps were fused.
    processor : Processor
        Device and precision.
    transform : callable, optional
        Change of color of the patches before they are encoded.

    Returns
    -------
    Encoder
        The one given, or the one made of it.
    """
    if processor.device.type != "cpu":
        return encoder
    begun = bool(np.count_nonzero(writer.read(schema.STATUS)))
    if begun and not writer.attributes["provenance"].get(FACT):
        return encoder
    if not begun and len(source) * _LIKELY_SAVING < 2 * TRIED:
        return encoder
    known = KnownNumbers.of_user(FILE_NAME)
    what = f"{encoder.name} at {encoder.input_size} px, {torch.get_num_threads()} CPUs"
    key = size_key(processor.device, what, processor.precision)
    share = known.find(key)
    if not begun and share is not None and share > 1 - _LEAST_SAVING:
        return encoder
    fused = fuse_encoder(encoder)
    patches = sample_patches(source, transform) if fused else None
    found = None
    if fused is not None and patches is not None and len(patches):
        found = _time_both(encoder, fused, patches, processor)
    if fused is None or found is None:
        if begun:
            logger.warning(
                "this run was begun in fused steps, which are not to be had here: the "
                "other patches run as usual, and differ from them by rounding only"
            )
        return encoder
    if not begun:
        known.keep(key, found)
        if found > 1 - _LEAST_SAVING:
            return encoder
        facts = {FACT: fused.steps}
        writer.use_processor(str(processor.device), processor.precision, facts)
    logger.info(
        "%s: %d steps fused, %.0f %% of the time", what, fused.steps, 100 * found
    )
    return fused


def _time_both(
    encoder: Encoder,
    fused: FusedEncoder,
    patches: NDArray[np.uint8],
    processor: Processor,
) -> float | None:
    """Give the time of the fused network over the plain one; None if it differs."""
    rows, plain_s = try_patches(encoder, patches, processor)
    try:
        others, fused_s = try_patches(fused, patches, processor)
    except (AttributeError, RuntimeError, TypeError) as err:
        # For example a sum of maps of two sizes, which only the plain steps can do, or
        # an operation that another version of PyTorch calls differently.
        logger.info("encoder %s runs as it is: fused, it fails: %s", encoder.name, err)
        return None
    if processor.autocast is None:
        change = float(np.linalg.norm(others - rows) / np.linalg.norm(rows))
        agrees = change <= _TOLERANCE
    else:
        # Fused steps round less often; half of what the precision may cost is theirs.
        agreement = compare(rows, others)
        agrees = (
            agreement.cosine >= (1 + MIN_COSINE) / 2
            and agreement.centered >= (1 + MIN_CENTERED) / 2
        )
    if not agrees:
        logger.warning(
            "encoder %s gives other numbers with its steps fused; it runs as it is",
            encoder.name,
        )
        return None
    return fused_s / plain_s


__all__ = ["FACT", "FILE_NAME", "choose_encoder"]
