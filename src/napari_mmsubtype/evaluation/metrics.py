"""Classification metrics, each with an interval from resampling patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Metric = Callable[[NDArray[np.int64], NDArray[np.float64]], float]
"""Labels (n,) and probabilities (n, c) to one number."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its interval.

    Attributes
    ----------
    value : float
        The metric on all rows.
    low, high : float
        Ends of the interval; both equal `value` where nothing could be resampled.
    level : float
        Coverage that the interval is meant to have, 0 to 1.
    """

    value: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def accuracy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Give the share of rows whose most probable class is the true one.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, 0 to c - 1.
    probabilities : array_like of float, shape (n, c)
        One row per case.

    Returns
    -------
    float
        0 to 1.
    """
    truth, scores = _checked(labels, probabilities)
    return float(np.mean(scores.argmax(axis=1) == truth))


def balanced_accuracy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Average the recall of the classes that occur.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, 0 to c - 1.
    probabilities : array_like of float, shape (n, c)
        One row per case.

    Returns
    -------
    float
        0 to 1; a constant answer scores one over the number of classes.
    """
    truth, scores = _checked(labels, probabilities)
    hit = scores.argmax(axis=1) == truth
    return float(np.mean([hit[truth == c].mean() for c in np.unique(truth)]))


def roc_auc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Measure how well the probabilities rank the classes.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, 0 to c - 1.
    probabilities : array_like of float, shape (n, c)
        One row per case; any scores that rise with the probability serve.

    Returns
    -------
    float
        Area under the ROC curve of class 1 where there are two classes; the mean over
        classes, each against the rest, where there are more.

    Raises
    ------
    ValueError
        If a class has no row, or all of them.
    """
    truth, scores = _checked(labels, probabilities)
    count = scores.shape[1]
    if count == 2:
        return binary_auc(truth == 1, scores[:, 1] - scores[:, 0])
    return float(np.mean([binary_auc(truth == c, scores[:, c]) for c in range(count)]))


def binary_auc(positive: ArrayLike, scores: ArrayLike) -> float:
    """Measure how often a positive row outranks a negative one, ties counting half.

    Parameters
    ----------
    positive : array_like of bool, shape (n,)
        Which rows belong to the class.
    scores : array_like of float, shape (n,)
        Higher for rows that are more likely positive.

    Returns
    -------
    float
        Area under the ROC curve, 0 to 1.

    Raises
    ------
    ValueError
        If all rows, or none, are positive.

    Notes
    -----
    The Mann-Whitney statistic by midranks: O(n log n), and fast enough to be repeated
    thousands of times by `bootstrap`.
    """
    member = np.asarray(positive, dtype=bool)
    values = np.asarray(scores, dtype=np.float64)
    m, n = int(member.sum()), int((~member).sum())
    if m == 0 or n == 0:
        msg = f"a ROC curve needs both classes, found {m} positive, {n} negative rows"
        raise ValueError(msg)
    ranks = rankdata(values)
    return float((ranks[member].sum() - m * (m + 1) / 2) / (m * n))


def bootstrap(
    metric: Metric,
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str],
    *,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate a metric with a percentile interval from resampled patients.

    Parameters
    ----------
    metric : callable
        Labels (n,) and probabilities (n, c) to float, for example `roc_auc`.
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per slide or case.
    patients : sequence of str
        Patient of each row; all rows of a patient are drawn together.
    repeats : int, default: 2000
        Number of resamples.
    level : float, default: 0.95
        Coverage of the interval.
    seed : int, default: 0
        Of the resampling.

    Returns
    -------
    Estimate
        The metric on the rows as given, and its interval.

    Notes
    -----
    Patients are drawn within strata of equal label (the label of the patient's first
    row), so that every resample holds every class. Time is O(repeats x metric).
    """
    truth, scores = _checked(labels, probabilities)
    if len(patients) != len(truth):
        msg = f"{len(truth)} rows need as many patients, found {len(patients)}"
        raise ValueError(msg)
    names, first, member = np.unique(
        np.asarray(patients, dtype=str), return_index=True, return_inverse=True
    )
    rows = [np.flatnonzero(member == i) for i in range(len(names))]
    strata = [
        np.flatnonzero(truth[first] == value) for value in np.unique(truth[first])
    ]
    rng = np.random.default_rng(seed)
    draws = np.empty(repeats)
    for k in range(repeats):
        drawn = np.concatenate([rng.choice(s, size=len(s)) for s in strata])
        chosen = np.concatenate([rows[i] for i in drawn])
        draws[k] = metric(truth[chosen], scores[chosen])
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(metric(truth, scores), float(low), float(high), level)


def _checked(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
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
    if not np.isfinite(scores).all():
        msg = f"{int((~np.isfinite(scores)).sum())} probabilities are not finite"
        raise ValueError(msg)
    return truth, scores
