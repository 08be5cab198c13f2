"""Answers of a fusion model to cases of which more or less is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.bags import BagSet, collate
from napari_mmsubtype.training.fusion_loss import FusionLoss, forward

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.models.fusion import FusionModel

_CASES_AT_ONCE = 16
_PATCHES_AT_ONCE = 1 << 16
"""Of all cases together, the shorter ones padded; one case may have more."""


@torch.inference_mode()
def predict_views(
    model: FusionModel, cases: BagSet, views: Sequence[NDArray[np.bool_]]
) -> list[NDArray[np.float64]]:
    """Classify cases several times, reading the patches of each once.

    Parameters
    ----------
    model : FusionModel
        On any device; its mode is restored afterwards.
    cases : BagSet
        All patches of every case are used.
    views : sequence of ndarray of bool, shape (n, m)
        For each answer, which modalities each case shows, of those it has.

    Returns
    -------
    list of ndarray of float64, shape (n, c)
        Logits of each view before temperature; those of all heads.
    """
    was_training = model.training
    model.eval()
    device = model.embedding_mean.device
    parts: list[list[NDArray[np.float64]]] = [[] for _ in views]
    image = Modality.IMAGE in model.uses
    for rows in _spans([len(bag) if image else 0 for bag in cases.bags]):
        batch = collate(cases, rows, image=image, device=device)
        for found, view in zip(parts, views, strict=True):
            shown = torch.from_numpy(view[rows.start : rows.stop]).to(device)
            shown = shown & batch.present
            seen = batch
            if not bool(shown[:, 0].any()):
                # What nobody is shown need not be computed.
                seen = replace(batch, bag=batch.bag[:, :1], mask=batch.mask[:, :1])
            logits = forward(model, seen, shown).logits
            found.append(logits.cpu().numpy().astype(np.float64))
    model.train(was_training)
    return [np.concatenate(found) for found in parts]


def _spans(patches: Sequence[int]) -> Iterator[range]:
    """Divide cases into neighbors that fit into memory together."""
    start = 0
    while start < len(patches):
        stop, longest = start + 1, patches[start]
        while stop < min(start + _CASES_AT_ONCE, len(patches)):
            longest = max(longest, patches[stop])
            if longest * (stop + 1 - start) > _PATCHES_AT_ONCE:
                break
            stop += 1
        yield range(start, stop)
        start = stop


def validation_loss(model: FusionModel, cases: BagSet, objective: FusionLoss) -> float:
    """Average the loss of whole cases and the mean one of each modality alone.

    Parameters
    ----------
    model : FusionModel
        In training.
    cases : BagSet
        Validation cases.
    objective : FusionLoss
        The loss, here without smoothing or focus.

    Returns
    -------
    float
        Half that of the whole cases, half the mean one of each modality alone, over
        the cases that have it.
    """
    shown = [
        column
        for column, modality in enumerate(cases.modalities)
        if modality in model.uses and cases.present[:, column].any()
    ]
    everything = np.ones_like(cases.present)
    lone = np.eye(len(cases.modalities), dtype=bool)[shown]
    views = [everything, *(everything & only for only in lone)]

    whole, *alone = predict_views(model, cases, views)
    total = _loss(objective, whole, cases, np.arange(len(cases)))
    if not alone:
        return total
    own = [
        _loss(objective, logits, cases, np.flatnonzero(cases.present[:, column]))
        for column, logits in zip(shown, alone, strict=True)
    ]
    return (total + float(np.mean(own))) / 2


def _loss(
    objective: FusionLoss,
    logits: NDArray[np.float64],
    cases: BagSet,
    rows: NDArray[np.intp],
) -> float:
    """Judge some of the answers."""
    targets = {
        name: torch.from_numpy(np.asarray(values, np.float64)[rows])
        for name, values in cases.targets.items()
    }
    labels, answers = (
        torch.from_numpy(cases.labels[rows]),
        torch.from_numpy(logits[rows]),
    )
    return float(objective.of_answers(answers, labels, targets, smooth=False))
