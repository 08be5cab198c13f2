"""Curves that a report draws: ROC, precision and recall, reliability, benefit, risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.evaluation.proportions import wilson
from napari_mmsubtype.evaluation.resampling import patient_weights
from napari_mmsubtype.evaluation.weighted_metrics import area_under_risk, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]

_POINTS = 101
_DRAWS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A curve on a grid, with a band from resampled patients.

    Attributes
    ----------
    x, y, low, high : ndarray of float64, shape (g,)
        The curve of the rows as they are, and the pointwise band around it.
    """

    x: Values
    y: Values
    low: Values
    high: Values


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Said and true share of right answers, in bins of equal mass.

    Attributes
    ----------
    said, found, low, high : ndarray of float64, shape (b,)
        Mean probability, share of right answers and its 95 % interval (Wilson).
    count : ndarray of int64, shape (b,)
        Rows in the bin.
    """

    said: Values
    found: Values
    low: Values
    high: Values
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DecisionCurve:
    """Net benefit of acting on a model, by how much harm is accepted.

    Attributes
    ----------
    threshold : ndarray of float64, shape (g,)
        Probability from which on one would act.
    model, everyone : ndarray of float64, shape (g,)
        Net benefit of acting by the model, and of always acting; never acting has 0.

    References
    ----------
    .. [1] Vickers and Elkin, "Decision curve analysis", Medical Decision Making 2006.
    """

    threshold: Values
    model: Values
    everyone: Values


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """The error among the patients whom a model is surest of.

    Attributes
    ----------
    coverage : ndarray of float64, shape (n,)
        Share of the rows kept, rising.
    risk : ndarray of float64, shape (n,)
        Share of wrong answers among them.
    area : float
        Area under the curve.
    """

    coverage: Values
    risk: Values
    area: float


def roc_band(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[str],
    *,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Band:
    """Give the ROC curve of a class with a band.

    Parameters
    ----------
    positive : array_like of bool, shape (n,)
        Rows of the class.
    scores : array_like of float, shape (n,)
        Its probabilities.
    patients : sequence of str, length n
        Patient of each row.
    draws : int, default: 500
        Resamples behind the band.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Band
        Sensitivity by one minus specificity.
    """
    grid = np.linspace(0, 1, _POINTS)

    def _curve(plus: Values, minus: Values) -> Values:
        x = np.append(0.0, np.cumsum(minus) / minus.sum())
        y = np.append(0.0, np.cumsum(plus) / plus.sum())
        found: Values = np.interp(grid, x, y)
        return found

    return _band(positive, scores, patients, grid, _curve, draws, seed)


def precision_band(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[str],
    *,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Band:
    """Give the precision of a class by its recall, with a band.

    Parameters
    ----------
    positive : array_like of bool, shape (n,)
        Rows of the class.
    scores : array_like of float, shape (n,)
        Its probabilities.
    patients : sequence of str, length n
        Patient of each row.
    draws : int, default: 500
        Resamples behind the band.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Band
        Precision at the first threshold that reaches a recall, as the average
        precision sums it.
    """
    grid = np.linspace(0, 1, _POINTS)

    def _curve(plus: Values, minus: Values) -> Values:
        hits, alarms = np.cumsum(plus), np.cumsum(minus)
        recall = hits / hits[-1]
        precision = np.nan_to_num(ratio(hits, hits + alarms))
        # Where no one was drawn nothing is reached: such steps are passed over.
        reached = np.flatnonzero(plus > 0)
        place = np.searchsorted(recall[reached], grid - 1e-12)
        return precision[reached][np.minimum(place, len(reached) - 1)]

    return _band(positive, scores, patients, grid, _curve, draws, seed)


def reliability(correct: ArrayLike, said: ArrayLike, *, bins: int = 10) -> Reliability:
    """Hold probabilities against what came true.

    Parameters
    ----------
    correct : array_like of bool, shape (n,)
        Whether it came true.
    said : array_like of float, shape (n,)
        Probability that it would.
    bins : int, default: 10
        Number of bins of equal mass; as many as rows at most.

    Returns
    -------
    Reliability
        Bins by rising probability.
    """
    true = np.asarray(correct, dtype=np.float64)
    values = np.asarray(said, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    count = np.array([len(part) for part in parts], dtype=np.int64)
    found = np.array([true[part].mean() for part in parts])
    means = np.array([values[part].mean() for part in parts])
    return Reliability(means, found, *wilson(found, count), count)


def decision_curve(
    positive: ArrayLike,
    probability: ArrayLike,
    thresholds: ArrayLike | None = None,
) -> DecisionCurve:
    """Weigh hits against false alarms at every threshold one could act on.

    Parameters
    ----------
    positive : array_like of bool, shape (n,)
        Rows of the class that one would act on.
    probability : array_like of float, shape (n,)
        Of that class, calibrated.
    thresholds : array_like of float, shape (g,), optional
        Above 0 and below 1; 0.01 to 0.99 if left out.

    Returns
    -------
    DecisionCurve
        Net benefit: share of hits minus share of false alarms times the odds of the
        threshold.
    """
    member = np.asarray(positive, dtype=bool)
    values = np.asarray(probability, dtype=np.float64)
    at = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds)
    if not (at.ndim == 1 and (at > 0).all() and (at < 1).all()):
        msg = "thresholds are above 0 and below 1"
        raise ValueError(msg)
    odds = at / (1 - at)
    acted = values[None, :] >= at[:, None]
    hits = (acted & member).mean(axis=1)
    alarms = (acted & ~member).mean(axis=1)
    share = member.mean()
    return DecisionCurve(at, hits - alarms * odds, share - (1 - share) * odds)


def risk_coverage(labels: ArrayLike, probabilities: ArrayLike) -> RiskCoverage:
    """Give the error among the surest answers, for every share that is kept.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per case; the most probable class is called.

    Returns
    -------
    RiskCoverage
        Rows of equal confidence are kept together.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == truth
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(truth) + 1)
    # The last row of each run of equal confidence speaks for the run.
    ends = np.append(np.diff(confidence[order]) < 0, True)
    last = np.flatnonzero(ends)[np.cumsum(ends) - ends]
    risk = (np.cumsum(~correct[order]) / kept)[last]
    area = area_under_risk(np.ones((1, len(truth))), confidence, correct)
    return RiskCoverage(kept / len(truth), risk, float(area[0]))


def _band(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[str],
    grid: Values,
    curve: Callable[[Values, Values], Values],
    draws: int,
    seed: int,
) -> Band:
    """Draw a curve of the rows, and of resamples for its band."""
    member = np.asarray(positive, dtype=bool)
    values = np.asarray(scores, dtype=np.float64)
    if member.all() or not member.any():
        msg = f"a curve needs rows of the class and others, found {int(member.sum())}"
        raise ValueError(msg)
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(values[order]) < 0))

    def _of(weight: Values) -> Values:
        taken = weight[order]
        plus = np.where(member[order], taken, 0.0)
        return curve(
            np.add.reduceat(plus, starts), np.add.reduceat(taken - plus, starts)
        )

    found = [
        _of(weight)
        for weights in patient_weights(patients, member, repeats=draws, seed=seed)
        for weight in weights
    ]
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return Band(grid, _of(np.ones(len(values))), low, high)
