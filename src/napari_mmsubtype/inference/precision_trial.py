"""Compare a lower precision with float32, on as few patches as leave no doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.inference.agreement import Agreement, compare
from napari_mmsubtype.inference.trial import Trial, try_patches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.models.encoders import Encoder

    Judge = Callable[[NDArray[np.float16]], Sequence[float]]

_ENOUGH = 8
"""Patches that tell what a precision costs, where that is clear."""


def try_in_float32(
    encoder: Encoder, whole: Processor, low: Trial, judge: Judge
) -> tuple[Trial, Agreement]:
    """Try float32 on every second patch, on the others too where that is not clear.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the processor.
    whole : Processor
        In float32.
    low : Trial
        What a lower precision made of the patches, of this encoder or of one made of
        it.
    judge : callable
        Gives the class probabilities of embeddings, float16, shape (n, d).

    Returns
    -------
    trial : Trial
        In float32, of the patches it was tried on.
    agreement : Agreement
        Of the lower precision with it, on these patches.
    """
    tried: list[Trial] = []
    order: list[int] = []
    count = len(low.rows)
    halves = [range(count)]
    if count >= 2 * _ENOUGH:
        halves = [range(0, count, 2), range(1, count, 2)]
    for part in halves:
        patches = low.patches[list(part)]
        tried.append(Trial(patches, *try_patches(encoder, patches, whole)))
        order += part
        known = np.concatenate([trial.rows for trial in tried])
        found = low.rows[order]
        before, after = (judge(rows.astype(np.float16)) for rows in (known, found))
        change = float(np.abs(np.subtract(before, after)).max())
        agreement = replace(compare(known, found), probability_change=change)
        if agreement.holds_clearly:
            break
    seconds = min(trial.seconds for trial in tried)
    return Trial(low.patches[order], known, seconds), agreement
