"""Decide from a measurement whether fusing the steps of a network pays on a slide."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.inference.agreement import compare
from napari_mmsubtype.inference.batch_limit import size_key
from napari_mmsubtype.inference.device import has_tiles
from napari_mmsubtype.inference.fused_graph import FusedEncoder, fuse_encoder
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.inference.packed_encoder import PackedEncoder, pack_encoder
from napari_mmsubtype.inference.trial import (
    TRIED,
    Trial,
    sample_patches,
    try_patches,
)
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter

logger = logging.getLogger(__name__)

FILE_NAME = "fused-times.json"
FACT = "fused_steps"
"""What the provenance of a store calls how many steps were fused."""

SAYS_NOT_TO_BE_HAD = (
    "this run was begun in fused steps, which are not to be had here: the other "
    "patches run as usual, and differ from them by rounding only"
)

_LIKELY_SAVING = {"float32": 0.15, "bfloat16": 0.04}
_LIKELY_IN_TILES = 0.3
"""The same in bfloat16 with AMX: 0.45 for a ResNet-50, 0.36 for a ResNet-18, 0.19 for
one with squeeze and excitation."""
_LIKELY_WHEN_PACKED = 0.03
"""The same where weights are only kept in order: 0.05 to 0.1 for transformers, less
what it takes to bring them into order."""
_CLEARLY_SLOWER = 1.1
"""Time over that of the plain network which speaks against fused steps.

A trial is out by 7 % either way, which is more than what they save in bfloat16.
"""
_TOLERANCE = 1e-4
"""Largest change of float32 embeddings, as a share of their norm."""


def choose_encoder(
    encoder: Encoder,
    source: ReadsPatches,
    writer: StoreWriter,
    processor: Processor,
    *,
    transform: Transform | None = None,
    trial: Trial | None = None,
) -> Encoder:
    """Give the encoder that does a slide soonest, with the same numbers.

    It is tried on some patches where the slide is likely to repay that, and where it
    was clearly slower, twice, this network is not tried again on this machine. A run
    that is resumed goes on as it was begun.

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
    trial : Trial, optional
        Of the encoder in this precision; made here if left out.

    Returns
    -------
    Encoder
        The one given, or the one made of it.
    """
    if processor.device.type != "cpu" or processor.quantized:
        return encoder
    begun = bool(np.count_nonzero(writer.read(schema.STATUS)))
    if begun and not writer.attributes["provenance"].get(FACT):
        return encoder
    known = KnownNumbers.of_user(FILE_NAME)
    what = f"{encoder.name} at {encoder.input_size} px, {torch.get_num_threads()} CPUs"
    key = size_key(processor.device, what, processor.precision)
    is_slow = (known.find(key) or 0.0) > _CLEARLY_SLOWER
    repaid = _is_repaid(len(source), _likely_saving(processor.precision), trial)
    if not begun and (is_slow or not repaid):
        return encoder
    packs = begun or _is_repaid(len(source), _LIKELY_WHEN_PACKED, trial)
    fused = fuse_encoder(encoder) or (pack_encoder(encoder) if packs else None)
    if fused is not None and trial is None:
        trial = _try_plain(encoder, source, processor, transform)
    found = _measure(encoder, fused, trial, processor)
    if fused is None or found is None:
        if begun:
            logger.warning(SAYS_NOT_TO_BE_HAD)
        return encoder
    if not begun:
        known.keep(key, found)
        if found > _CLEARLY_SLOWER:
            return encoder
        facts = {FACT: fused.steps}
        writer.use_processor(str(processor.device), processor.precision, facts)
    logger.info(
        "%s: %d steps fused, %.0f %% of the time", what, fused.steps, 100 * found
    )
    return fused


def _try_plain(
    encoder: Encoder,
    source: ReadsPatches,
    processor: Processor,
    transform: Transform | None,
) -> Trial | None:
    """Try the encoder as it is; None where no patch can be read."""
    patches = sample_patches(source, transform)
    if not len(patches):
        return None
    return Trial(patches, *try_patches(encoder, patches, processor))


def _likely_saving(precision: str) -> float:
    """Tell which share of the time fused steps may save, of any network."""
    if precision == "bfloat16" and has_tiles():
        return _LIKELY_IN_TILES
    return _LIKELY_SAVING.get(precision, 0.0)


def _is_repaid(count: int, saving: float, trial: Trial | None) -> bool:
    """Tell whether a slide is likely to take longer than what is left of the trial."""
    cost = TRIED if trial else 2 * TRIED
    return count * saving >= cost


def _measure(
    encoder: Encoder,
    fused: FusedEncoder | PackedEncoder | None,
    trial: Trial | None,
    processor: Processor,
) -> float | None:
    """Compare, and do so again before slower is believed for 30 days."""
    found = _compare(encoder, fused, trial, processor)
    if trial is None or found is None or found <= _CLEARLY_SLOWER:
        return found
    plain_s = try_patches(encoder, trial.patches, processor)[1]
    again = _compare(encoder, fused, replace(trial, seconds=plain_s), processor)
    return found if again is None else min(found, again)


def _compare(
    encoder: Encoder,
    fused: FusedEncoder | PackedEncoder | None,
    trial: Trial | None,
    processor: Processor,
) -> float | None:
    """Give the time of the fused network over the plain one; None if it differs."""
    if fused is None or trial is None:
        return None
    rows = trial.rows
    try:
        others, fused_s = try_patches(fused, trial.patches, processor)
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
        agrees = compare(rows, others).holds_clearly
    if not agrees:
        logger.warning(
            "encoder %s gives other numbers with its steps fused; it runs as it is",
            encoder.name,
        )
        return None
    return fused_s / trial.seconds


__all__ = ["FACT", "FILE_NAME", "SAYS_NOT_TO_BE_HAD", "choose_encoder"]
