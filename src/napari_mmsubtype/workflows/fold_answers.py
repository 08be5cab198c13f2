"""What a model says about patients, in rows of ``predictions.parquet``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.workflows.fold_survival import survival_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.calibration_record import Calibration
    from napari_mmsubtype.evaluation.decision import DecisionRule
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.workflows.fold_survival import SurvivalScale

CLASS = "class"
COVERAGE = 0.9
"""Of the prediction sets that are told."""

COLUMNS = (
    "model",
    "head",
    "subset",
    "main",
    "present",
    "repeat",
    "fold",
    "patient_id",
    "site",
    "y",
    "predicted",
    "called",
    "set_size",
    "in_set",
    "risk",
    "high_risk",
    "time",
    "event",
    "brier",
    "brier_reference",
)
"""Columns of ``predictions.parquet`` besides the probabilities."""


def answer_frame(
    cases: BagSet,
    logits: NDArray[np.float64],
    heads: Heads,
    calibration: Calibration,
    decision: DecisionRule,
    *,
    subset: Sequence[Modality],
    scales: Mapping[str, SurvivalScale],
    main: bool,
) -> pd.DataFrame:
    """Put the answers of all heads into rows.

    Parameters
    ----------
    cases : BagSet
        The patients, with what the model saw of them.
    logits : ndarray of float64, shape (n, size)
        Of all heads.
    heads : Heads
        With temperatures and centers.
    calibration : Calibration
        Of the classes.
    decision : DecisionRule
        Calls a class at the fold's threshold.
    subset : sequence of Modality
        What the model was allowed.
    scales : mapping of str to SurvivalScale
        By survival head.
    main : bool
        Whether that is all that the model takes.

    Returns
    -------
    DataFrame
        One row per head and patient; without model, fold and site.
    """
    key = subset_key(subset)
    frames = []
    for name, head in heads.heads.items():
        own = logits[:, heads.columns(name)]
        if head is heads.classes:
            columns = class_columns(cases.labels, own, calibration, key, decision)
            name = CLASS
        elif isinstance(head, ClassHead | OrdinalHead):
            columns = _levels(head, own, cases.targets[name])
        else:
            columns = survival_columns(head, own, cases.targets[name], scales[name])
        frame = pd.DataFrame(columns)
        frame.insert(0, "patient_id", list(cases.patients))
        present = [
            subset_key(m for m, h in zip(cases.modalities, row, strict=True) if h)
            for row in cases.present
        ]
        frames.append(frame.assign(head=name, subset=key, main=main, present=present))
    return pd.concat(frames, ignore_index=True)


def class_columns(
    labels: NDArray[np.int64],
    logits: NDArray[np.float64],
    calibration: Calibration,
    subset: str,
    decision: DecisionRule,
) -> dict[str, Any]:
    """Give probabilities, calls and prediction sets of the classes.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        True classes; -1 where not known.
    logits : ndarray of float64, shape (n, c)
        Before temperature.
    calibration : Calibration
        Of the model.
    subset : str
        As `cases.subset_key`.
    decision : DecisionRule
        Calls a class at the fold's threshold.

    Returns
    -------
    dict of str to array
        Columns.
    """
    probabilities = calibration.probabilities(subset, logits)
    size = np.full(len(logits), np.nan)
    inside = np.full(len(logits), np.nan)
    rule = calibration.conformal.get(subset)
    if rule is not None and None not in rule.quantiles[COVERAGE]:
        sets = rule.sets(probabilities, COVERAGE)
        size = sets.sum(axis=1).astype(float)
        known = labels >= 0
        inside[known] = sets[np.flatnonzero(known), labels[known]]
    return {
        "y": labels,
        **_columns(probabilities),
        "predicted": probabilities.argmax(axis=1),
        "called": decision.call(probabilities),
        "set_size": size,
        "in_set": inside,
    }


def _levels(
    head: ClassHead | OrdinalHead,
    logits: NDArray[np.float64],
    targets: NDArray[np.floating],
) -> dict[str, Any]:
    probabilities = head.answer(torch.from_numpy(logits)).numpy()
    truth = np.where(np.isnan(targets), -1, np.nan_to_num(targets)).astype(np.int64)
    return {
        "y": truth,
        **_columns(probabilities),
        "predicted": probabilities.argmax(axis=1),
    }


def _columns(probabilities: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    return {
        f"p{c}": probabilities[:, c].astype(np.float64)
        for c in range(probabilities.shape[1])
    }


def complete(frame: pd.DataFrame, width: int) -> pd.DataFrame:
    """Give a frame every column of ``predictions.parquet``, in order and type.

    Parameters
    ----------
    frame : DataFrame
        Some of the columns.
    width : int
        Number of probability columns.

    Returns
    -------
    DataFrame
        Ready to be written.
    """
    chances = [f"p{c}" for c in range(width)]
    order = [*COLUMNS[:10], *chances, *COLUMNS[10:]]
    whole = frame.reindex(columns=order)
    whole = whole.fillna({"y": -1, "predicted": -1, "called": -1, "site": ""})
    text = dict.fromkeys(
        ("model", "head", "subset", "present", "patient_id", "site"), str
    )
    whole_numbers = dict.fromkeys(
        ("repeat", "fold", "y", "predicted", "called"), np.int64
    )
    numbers = dict.fromkeys((*chances, *COLUMNS[12:]), np.float64)
    return whole.astype({**text, **whole_numbers, **numbers, "main": bool})
