"""What a model's out-of-fold answers are worth, in the schema of ``results.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation import metrics as plain_metrics
from napari_mmsubtype.evaluation.metric_table import (
    class_table,
    classification_estimates,
    confusion_table,
    mean_estimates,
)
from napari_mmsubtype.evaluation.site_table import site_table
from napari_mmsubtype.evaluation.survival import concordance_estimate, logrank
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.workflows.cohort_targets import are_stages
from napari_mmsubtype.workflows.fold_answers import CLASS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate
    from napari_mmsubtype.models.heads import Head, Heads

LEAST_PATIENTS = 10
"""Patients with all of a subset below which it is not scored."""

AT_THRESHOLD = "balanced_accuracy_at_threshold"
"""Mean recall of the classes as called at each fold's own threshold."""

_MATRIX = ("roc_auc", "balanced_accuracy")
_ORDINAL = ("quadratic_kappa", "mean_absolute_error", "balanced_accuracy")
_CLASSES = ("roc_auc", "balanced_accuracy")
_BRIER = {
    "integrated_brier": "brier",
    "integrated_brier_reference": "brier_reference",
}
_SURVIVAL = ("c_index", *_BRIER)


def estimate_record(found: Estimate | None) -> dict[str, float] | None:
    """Put an estimate into plain JSON types.

    Parameters
    ----------
    found : Estimate or None
        With its interval.

    Returns
    -------
    dict or None
        ``value``, ``low``, ``high``, ``level``.
    """
    if found is None:
        return None
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "level": found.level,
    }


def class_rows(frame: pd.DataFrame, *, main: bool = True) -> pd.DataFrame:
    """Take the answers about classes that are known.

    Parameters
    ----------
    frame : DataFrame
        Of one model, as ``predictions.parquet``.
    main : bool, default: True
        Only those from all that the model takes.

    Returns
    -------
    DataFrame
        Some of the rows.
    """
    rows = frame[(frame["head"] == CLASS) & (frame["y"] >= 0)]
    return rows[rows["main"]] if main else rows


def chances(frame: pd.DataFrame, count: int) -> NDArray[np.float64]:
    """Take the probabilities of rows.

    Parameters
    ----------
    frame : DataFrame
        As ``predictions.parquet``.
    count : int
        Of classes or levels.

    Returns
    -------
    ndarray of float64, shape (n, count)
        As stored.
    """
    return frame[[f"p{c}" for c in range(count)]].to_numpy(np.float64)


def score_classes(
    frame: pd.DataFrame, classes: Sequence[str], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Score what a model says about the classes.

    Parameters
    ----------
    frame : DataFrame
        Of one model, as ``predictions.parquet``.
    classes : sequence of str
        Names.
    resamples : int
        Behind each interval; 0 gives intervals without width.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        ``patients``, ``metrics``, ``per_class``, ``confusion``, ``per_site``.
    """
    rows = class_rows(frame)
    if rows.empty:
        return {
            "patients": 0,
            "metrics": {},
            "per_class": [],
            "confusion": [],
            "per_site": [],
        }
    truth, scores = rows["y"].to_numpy(), chances(rows, len(classes))
    patients = rows["patient_id"].tolist()
    return {
        "patients": len(set(patients)),
        "metrics": _estimates(rows, scores, resamples, seed),
        "per_class": class_table(truth, scores, classes),
        "confusion": confusion_table(truth, scores),
        "per_site": [
            {
                **row,
                "balanced_accuracy": estimate_record(row["balanced_accuracy"]),
                "accuracy": estimate_record(row["accuracy"]),
            }
            for row in site_table(truth, scores, patients, rows["site"].tolist())
        ],
    }


def score_subsets(
    frame: pd.DataFrame, classes: Sequence[str], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Score a model by what it was allowed to look at.

    Parameters
    ----------
    frame : DataFrame
        Of one model, as ``predictions.parquet``.
    classes : sequence of str
        Names.
    resamples : int
        Behind each interval.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        By subset, over the patients that have all of it; metrics are None of fewer
        than `LEAST_PATIENTS`, or where a class does not occur.
    """
    rows = class_rows(frame, main=False)
    found = {}
    for subset in dict.fromkeys(rows["subset"]):
        own = rows[(rows["subset"] == subset) & (rows["present"] == subset)]
        count = int(own["patient_id"].nunique())
        entry: dict[str, Any] = {"patients": count}
        # A handful of patients, or of one class, would look perfect by chance.
        if count >= LEAST_PATIENTS and own["y"].nunique() == len(classes):
            scores = _estimates(own, chances(own, len(classes)), resamples, seed)
            entry |= {name: scores[name] for name in _MATRIX}
        else:
            entry |= dict.fromkeys(_MATRIX)
        found[str(subset)] = entry
    return found


def score_heads(
    frame: pd.DataFrame, heads: Heads, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Score the answers to the questions besides the classes.

    Parameters
    ----------
    frame : DataFrame
        Of one model, as ``predictions.parquet``.
    heads : Heads
        The questions.
    resamples : int
        Behind each interval.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        Metrics by head; without heads that the model does not answer.
    """
    found = {}
    for name, head in heads.others.items():
        rows = frame[(frame["head"] == name) & frame["main"]]
        if rows.empty:
            continue
        if isinstance(head, ClassHead | OrdinalHead):
            found[name] = _score_levels(rows, head, resamples, seed)
        else:
            found[name] = _score_survival(rows, resamples, seed)
    return found


def fold_scores(rows: pd.DataFrame, count: int) -> dict[str, float | None]:
    """Score one fold, without intervals.

    Parameters
    ----------
    rows : DataFrame
        As `class_rows`, of one fold.
    count : int
        Of classes.

    Returns
    -------
    dict
        ``roc_auc`` and ``balanced_accuracy``; None where a class is absent.
    """
    truth = rows["y"].to_numpy()
    if len(np.unique(truth)) < count:
        return {"roc_auc": None, "balanced_accuracy": None}
    scores = chances(rows, count)
    return {
        "roc_auc": float(plain_metrics.roc_auc(truth, scores)),
        "balanced_accuracy": float(plain_metrics.balanced_accuracy(truth, scores)),
    }


def strata_of(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Tell which rows are resampled among each other.

    Parameters
    ----------
    rows : DataFrame
        As ``predictions.parquet``.

    Returns
    -------
    ndarray of int64, shape (n,)
        The folds of one repeat. Over several repeats a patient is in several folds:
        then all rows are one.
    """
    if rows["repeat"].nunique() > 1:
        return np.zeros(len(rows), np.int64)
    return rows["fold"].to_numpy(np.int64)


def _estimates(
    rows: pd.DataFrame, scores: NDArray[np.float64], resamples: int, seed: int
) -> dict[str, Any]:
    """Give every metric of the classes with its interval."""
    found = classification_estimates(
        rows["y"].to_numpy(),
        scores,
        rows["patient_id"].tolist(),
        folds=strata_of(rows),
        averages={
            "conformal_coverage": rows["in_set"].to_numpy(np.float64),
            "conformal_size": rows["set_size"].to_numpy(np.float64),
            AT_THRESHOLD: _found(rows),
        },
        repeats=resamples,
        seed=seed,
    )
    return {name: estimate_record(value) for name, value in found.items()}


def _found(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Give each row what it adds to the balanced accuracy at the folds' thresholds.

    Resamples keep the number of rows of each class, so that the mean recall of the
    classes is a mean over rows.
    """
    if (rows["called"] < 0).any():
        return np.full(len(rows), np.nan)
    _, member, counts = np.unique(rows["y"], return_inverse=True, return_counts=True)
    hits = (rows["called"] == rows["y"]).to_numpy(np.float64)
    return hits * len(rows) / (len(counts) * counts[member])


def _score_levels(
    rows: pd.DataFrame, head: ClassHead | OrdinalHead, resamples: int, seed: int
) -> dict[str, Any]:
    names = head.levels if isinstance(head, OrdinalHead) else head.labels
    known = rows[rows["y"] >= 0]
    wanted = _ORDINAL if isinstance(head, OrdinalHead) else _CLASSES
    if known.empty:
        return dict.fromkeys(wanted)
    scores = chances(known, len(names))
    every = _estimates(known, scores, resamples, seed)
    found: dict[str, Any] = {name: every[name] for name in wanted}
    if isinstance(head, OrdinalHead) and are_stages(names):
        limit = len(names) // 2
        late = scores[:, limit:].sum(axis=1)
        pair = np.stack([1 - late, late], axis=1)
        binary = known.assign(y=(known["y"] >= limit).astype(int))
        found["early_late_roc_auc"] = _estimates(binary, pair, resamples, seed)[
            "roc_auc"
        ]
    return found


def _score_survival(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    known = rows[rows["time"].notna() & rows["event"].notna()]
    if known.empty:
        return dict.fromkeys((*_SURVIVAL, "logrank_p"))
    # Risks of different models have different zeros: pairs are within a fold.
    once = known[known["repeat"] == known["repeat"].min()]
    place = once["fold"].to_numpy(np.int64)
    time, event = once["time"].to_numpy(), once["event"].to_numpy() > 0
    found = concordance_estimate(
        time,
        event,
        once["risk"].to_numpy(),
        once["patient_id"].tolist(),
        folds=place,
        repeats=resamples,
        seed=seed,
    )
    groups = logrank(time, event, once["high_risk"].to_numpy() > 0)
    means = mean_estimates(
        {name: known[column].to_numpy() for name, column in _BRIER.items()},
        known["patient_id"].tolist(),
        strata_of(known),
        repeats=resamples,
        seed=seed,
    )
    return {
        "c_index": estimate_record(found),
        **{name: estimate_record(value) for name, value in means.items()},
        "logrank_p": groups.p,
    }


def head_record(head: Head) -> dict[str, Any]:
    """Describe a question for ``results.json``.

    Parameters
    ----------
    head : Head
        The question.

    Returns
    -------
    dict
        ``kind`` and ``names`` of classes or levels.
    """
    if isinstance(head, ClassHead):
        return {"kind": head.kind, "names": list(head.labels)}
    if isinstance(head, OrdinalHead):
        return {"kind": head.kind, "names": list(head.levels)}
    return {"kind": head.kind, "names": []}


def by_model(frame: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Divide predictions by model.

    Parameters
    ----------
    frame : DataFrame
        As ``predictions.parquet``.

    Returns
    -------
    mapping of str to DataFrame
        In the order in which the models first appear.
    """
    return {str(name): rows for name, rows in frame.groupby("model", sort=False)}
