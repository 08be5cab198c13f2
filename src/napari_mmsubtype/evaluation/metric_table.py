"""Everything that is said about a classifier in numbers, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation import weighted_metrics as weighted
from napari_mmsubtype.evaluation.resampling import REPEATS, estimates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate

_LEAST_PROBABILITY = float(np.finfo(np.float64).eps)


def classification_estimates(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str],
    *,
    folds: ArrayLike | None = None,
    averages: Mapping[str, ArrayLike] | None = None,
    repeats: int = REPEATS,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate | None]:
    """Give all metrics of a classifier with intervals from resampled patients.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, 0 to c - 1.
    probabilities : array_like of float, shape (n, c)
        One row per case, out of fold.
    patients : sequence of str, length n
        Patient of each row; all rows of a patient are drawn together.
    folds : array_like of int, shape (n,), optional
        Fold of each row: patients are then resampled within folds, as the models of
        different folds differ.
    averages : mapping of str to array_like of float, shape (n,), optional
        Further values of each row to be averaged, such as whether a prediction set
        holds the truth; NaN where not known.
    repeats : int, default: 2000
        Number of resamples.
    level : float, default: 0.95
        Coverage of the intervals.
    seed : int, default: 0
        Of the resampling.

    Returns
    -------
    dict of str to Estimate or None
        ``roc_auc`` and ``average_precision`` (of class 1 where there are two classes,
        otherwise the mean of each class against the rest), both with ``_micro`` (all
        classes pooled), ``accuracy``, ``balanced_accuracy``, ``f1`` (mean over
        classes), ``mcc``, ``kappa``, ``quadratic_kappa``, ``log_loss``, ``brier`` (sum
        over classes, 0 to 2), ``ece`` (15 bins of equal mass), ``aurc``,
        ``mean_absolute_error`` (in classes), and the names of `averages`. None where a
        metric cannot be computed, as the areas where a class does not occur.
    """
    truth, scores = checked(labels, probabilities)
    strata = truth if folds is None else np.column_stack([truth, np.asarray(folds)])
    further = {
        name: np.asarray(values, dtype=np.float64)
        for name, values in (averages or {}).items()
    }

    def _sweep(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found = classification_sweep(weights, truth, scores)
        for name, values in further.items():
            found[name] = weighted.mean(weights, values)
        return found

    return estimates(
        _sweep,
        patients,
        strata,
        repeats=repeats,
        level=level,
        seed=seed,
        biased=("ece",),
    )


def mean_estimates(
    values: Mapping[str, ArrayLike],
    patients: Sequence[str],
    strata: ArrayLike,
    *,
    repeats: int = REPEATS,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate | None]:
    """Give means over rows with intervals from resampled patients.

    Parameters
    ----------
    values : mapping of str to array_like of float, shape (n,)
        By name; NaN where not known.
    patients : sequence of str, length n
        Patient of each row.
    strata : array_like, shape (n,) or (n, k)
        As in `resampling.patient_weights`.
    repeats : int, default: 2000
        Number of resamples.
    level : float, default: 0.95
        Coverage of the intervals.
    seed : int, default: 0
        Of the resampling.

    Returns
    -------
    dict of str to Estimate or None
        By name; None where nothing is known.
    """
    given = {name: np.asarray(row, dtype=np.float64) for name, row in values.items()}
    return estimates(
        lambda weights: {n: weighted.mean(weights, row) for n, row in given.items()},
        patients,
        strata,
        repeats=repeats,
        level=level,
        seed=seed,
    )


def classification_sweep(
    weights: NDArray[np.float64],
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Compute the metrics of several resamples.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    truth : ndarray of int64, shape (n,)
        True classes.
    scores : ndarray of float64, shape (n, c)
        Probabilities.

    Returns
    -------
    dict of str to ndarray of float64, shape (b,)
        Named as in `classification_estimates`; NaN where not to be computed.
    """
    count = scores.shape[1]
    member = np.eye(count, dtype=bool)[truth]
    called = scores.argmax(axis=1)
    confidence, correct = scores.max(axis=1), called == truth
    rows = np.arange(len(truth))
    surprise = -np.log(np.maximum(scores[rows, truth], _LEAST_PROBABILITY))
    found = {}
    many = np.repeat(weights, count, axis=1)
    for name, measure in (
        ("roc_auc", weighted.ranking),
        ("average_precision", weighted.average_precision),
    ):
        ones = [1] if count == 2 else range(count)
        each = [measure(weights, member[:, c], scores[:, c]) for c in ones]
        found[name] = np.mean(each, axis=0)
        found[f"{name}_micro"] = measure(many, member.ravel(), scores.ravel())
    apart = np.abs(called - truth).astype(np.float64)
    return {
        **found,
        **weighted.call_metrics(weighted.confusion(weights, truth, called, count)),
        "log_loss": weighted.mean(weights, surprise),
        "brier": weighted.mean(weights, ((scores - member) ** 2).sum(axis=1)),
        "ece": weighted.calibration_error(weights, confidence, correct),
        "aurc": weighted.area_under_risk(weights, confidence, correct),
        "mean_absolute_error": weighted.mean(weights, apart),
    }


def class_table(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Describe how each class fares against the rest.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per case.
    classes : sequence of str, length c
        Names.

    Returns
    -------
    list of dict
        ``name``, ``support`` (rows), ``precision``, ``recall``, ``f1``, ``roc_auc``,
        ``average_precision``; None where there is nothing to compute from.
    """
    truth, scores = checked(labels, probabilities)
    called, once = scores.argmax(axis=1), np.ones((1, len(truth)))
    rows = []
    for value, name in enumerate(classes):
        member, taken = truth == value, called == value
        hits = float((member & taken).sum())
        support, calls = float(member.sum()), float(taken.sum())
        area = weighted.ranking(once, member, scores[:, value])
        precise = weighted.average_precision(once, member, scores[:, value])
        rows.append(
            {
                "name": str(name),
                "support": int(support),
                "precision": hits / calls if calls else None,
                "recall": hits / support if support else None,
                "f1": 2 * hits / (support + calls) if support + calls else None,
                "roc_auc": _plain(area),
                "average_precision": _plain(precise),
            }
        )
    return rows


def confusion_table(labels: ArrayLike, probabilities: ArrayLike) -> list[list[int]]:
    """Count rows by true and called class.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per case; the most probable class is called.

    Returns
    -------
    list of list of int
        True class along the rows.
    """
    truth, scores = checked(labels, probabilities)
    once = np.ones((1, len(truth)))
    table = weighted.confusion(once, truth, scores.argmax(axis=1), scores.shape[1])[0]
    return [[int(cell) for cell in row] for row in table]


def checked(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Refuse rows that no metric can be computed from.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per case.

    Returns
    -------
    tuple of ndarray
        Labels as int64, probabilities as float64.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a label or probability is out of range.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or scores.ndim != 2 or len(truth) != len(scores):
        msg = (
            "expected labels of shape (n,) and probabilities of shape (n, c), found "
            f"{truth.shape} and {scores.shape}"
        )
        raise ValueError(msg)
    if len(truth) == 0 or truth.min() < 0 or truth.max() >= scores.shape[1]:
        msg = f"expected labels from 0 to {scores.shape[1] - 1} and at least one row"
        raise ValueError(msg)
    if not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1.001):
        msg = "expected finite probabilities from 0 to 1"
        raise ValueError(msg)
    return truth, scores


def _plain(values: NDArray[np.float64]) -> float | None:
    return float(values[0]) if np.isfinite(values[0]) else None
