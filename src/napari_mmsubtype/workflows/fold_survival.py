"""Answers of survival heads on the scale of the training patients of a fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.evaluation.survival_brier import (
    POINTS,
    FollowUp,
    brier_parts,
    cox_survival,
    horizon,
    reference_survival,
)
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.survival_heads import CoxHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.models.heads import Head, Heads
    from napari_mmsubtype.models.survival_heads import HazardHead
    from napari_mmsubtype.training.bags import BagSet


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalScale:
    """What the answers of a survival head are compared with.

    Attributes
    ----------
    limit : float
        Median risk of the training patients, between low and high risk.
    training : FollowUp
        What became of those of whom it is known.
    risk : ndarray of float64, shape (m,)
        Of the same.
    times : ndarray of float64, shape (k,)
        At which chances are compared with what happened; the same for all folds.
    """

    limit: float
    training: FollowUp
    risk: NDArray[np.float64]
    times: NDArray[np.float64]


def survival_scales(
    heads: Heads, logits: NDArray[np.float64], train: BagSet, everyone: BagSet
) -> dict[str, SurvivalScale]:
    """Learn from the training patients what risks mean.

    Parameters
    ----------
    heads : Heads
        Of the model.
    logits : ndarray of float64, shape (n, size)
        Of the training patients.
    train : BagSet
        The training patients.
    everyone : BagSet
        All patients of the cohort, whose follow-up says until when to compare.

    Returns
    -------
    dict of str to SurvivalScale
        By survival head.
    """
    found = {}
    for name, head in heads.others.items():
        if isinstance(head, ClassHead | OrdinalHead):
            continue
        risk = risks(head, logits[:, heads.columns(name)])
        known, followed = _known(train.targets[name]), _known(everyone.targets[name])
        last = horizon(everyone.targets[name][followed, 0])
        if not isinstance(head, CoxHead):
            last = min(last, head.edges[-1])
        time, event = train.targets[name][known].astype(np.float64).T
        found[name] = SurvivalScale(
            float(np.median(risk)),
            FollowUp(time, event > 0),
            risk[known],
            np.linspace(0.0, last, POINTS),
        )
    return found


def risks(head: Head, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring a survival head's answer down to one number.

    Parameters
    ----------
    head : Head
        `CoxHead` or `HazardHead`.
    logits : ndarray of float64, shape (n, size)
        Its own.

    Returns
    -------
    ndarray of float64, shape (n,)
        Greater is worse: the log-risk, or less the sum of the survival curve.
    """
    answer = head.answer(torch.from_numpy(np.asarray(logits, np.float64))).numpy()
    if isinstance(head, CoxHead):
        return np.asarray(answer[:, 0], np.float64)
    return np.asarray(-answer.sum(axis=1), np.float64)


def survival_columns(
    head: CoxHead | HazardHead,
    logits: NDArray[np.float64],
    targets: NDArray[np.floating],
    scale: SurvivalScale,
) -> dict[str, Any]:
    """Give risks, groups and what the predicted chances are worth.

    Parameters
    ----------
    head : CoxHead or HazardHead
        The question.
    logits : ndarray of float64, shape (n, size)
        Its own, of patients that the model was not trained on.
    targets : ndarray of float, shape (n, 2)
        Time and event; NaN where not known.
    scale : SurvivalScale
        Of the same head.

    Returns
    -------
    dict of str to array
        Columns of ``predictions.parquet``.
    """
    risk = risks(head, logits)
    nothing = np.full(len(risk), -1, np.int64)
    columns = {
        "y": nothing,
        "predicted": nothing,
        "risk": risk,
        "high_risk": (risk > scale.limit).astype(float),
        "time": targets[:, 0].astype(float),
        "event": targets[:, 1].astype(float),
    }
    known = _known(targets)
    if not known.any() or not len(scale.risk):
        return columns
    chances = _chances(head, logits[known], risk[known], scale)
    same = reference_survival(scale.times, scale.training)
    judged = (columns["time"][known], columns["event"][known] > 0)
    for name, survival in (
        ("brier", chances),
        ("brier_reference", np.broadcast_to(same, chances.shape)),
    ):
        columns[name] = np.full(len(risk), np.nan)
        columns[name][known] = brier_parts(
            *judged, survival, scale.times, scale.training
        )
    return columns


def _chances(
    head: CoxHead | HazardHead,
    logits: NDArray[np.float64],
    risk: NDArray[np.float64],
    scale: SurvivalScale,
) -> NDArray[np.float64]:
    """Predict the chance of no event until each time, shape (n, times)."""
    if isinstance(head, CoxHead):
        return cox_survival(risk, scale.times, scale.training, scale.risk)
    answer = head.answer(torch.from_numpy(np.asarray(logits, np.float64))).numpy()
    edges = np.append(0.0, head.edges)
    # The last interval has no end: what the head says of it cannot be placed in time.
    ends = np.concatenate([np.ones((len(answer), 1)), answer[:, :-1]], axis=1)
    return np.stack([np.interp(scale.times, edges, row) for row in ends])


def _known(targets: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(targets).all(axis=1), np.bool_)
