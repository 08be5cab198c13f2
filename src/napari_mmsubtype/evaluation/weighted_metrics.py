"""Metrics of rows that count several times, for all resamples in one sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


def ratio(top: Values, bottom: Values) -> Values:
    """Divide where there is something to divide by.

    Parameters
    ----------
    top, bottom : ndarray of float64
        Of shapes that go together.

    Returns
    -------
    ndarray of float64
        NaN where `bottom` is zero.
    """
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    found = np.full(shape, np.nan)
    np.divide(top, bottom, out=found, where=bottom != 0)
    return found


def ranking(weights: Values, positive: NDArray[np.bool_], scores: Values) -> Values:
    """Measure the area under the ROC curve, ties counting half.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    positive : ndarray of bool, shape (n,)
        Rows of the class.
    scores : ndarray of float64, shape (n,)
        Higher for rows that are more likely positive.

    Returns
    -------
    ndarray of float64, shape (b,)
        NaN where all rows that count are positive, or none.
    """
    plus, minus = _by_score(weights, positive, scores)
    below = np.cumsum(minus, axis=1) - minus / 2
    return ratio((plus * below).sum(axis=1), plus.sum(axis=1) * minus.sum(axis=1))


def average_precision(
    weights: Values, positive: NDArray[np.bool_], scores: Values
) -> Values:
    """Measure the precision averaged over the steps of recall.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    positive : ndarray of bool, shape (n,)
        Rows of the class.
    scores : ndarray of float64, shape (n,)
        Higher for rows that are more likely positive.

    Returns
    -------
    ndarray of float64, shape (b,)
        Without interpolation; NaN where all rows that count are positive, or none.
    """
    plus, minus = _by_score(weights, positive, -scores)
    hits, alarms = np.cumsum(plus, axis=1), np.cumsum(minus, axis=1)
    precision = np.nan_to_num(ratio(hits, hits + alarms))
    total = np.where(minus.sum(axis=1) > 0, plus.sum(axis=1), 0.0)
    return ratio((plus * precision).sum(axis=1), total)


def confusion(
    weights: Values, labels: NDArray[np.int64], called: NDArray[np.int64], classes: int
) -> Values:
    """Count rows by true and called class.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    labels, called : ndarray of int64, shape (n,)
        True and called class.
    classes : int
        Their number.

    Returns
    -------
    ndarray of float64, shape (b, c, c)
        True class along the rows.
    """
    cells = np.eye(classes * classes)[labels * classes + called]
    counts: Values = weights @ cells
    return counts.reshape(len(weights), classes, classes)


def call_metrics(table: Values) -> dict[str, Values]:
    """Give the metrics that follow from a confusion matrix.

    Parameters
    ----------
    table : ndarray of float64, shape (b, c, c)
        As `confusion`.

    Returns
    -------
    dict of str to ndarray of float64, shape (b,)
        ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that occur;
        ``f1``, the mean over classes that occur or are called; ``mcc``; ``kappa``
        (Cohen) and ``quadratic_kappa``.
    """
    hits = np.diagonal(table, axis1=1, axis2=2)
    true, called, total = table.sum(axis=2), table.sum(axis=1), table.sum(axis=(1, 2))
    chance = (true * called).sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (called**2).sum(axis=1))
    mcc = ratio(total * hits.sum(axis=1) - chance, np.sqrt(np.maximum(spread, 0)))
    return {
        "accuracy": ratio(hits.sum(axis=1), total),
        "balanced_accuracy": _mean_known(ratio(hits, true)),
        "f1": _mean_known(ratio(2 * hits, true + called)),
        # A constant call knows nothing.
        "mcc": np.nan_to_num(mcc),
        "kappa": _kappa(table, power=0),
        "quadratic_kappa": _kappa(table, power=2),
    }


def calibration_error(
    weights: Values, confidence: Values, correct: NDArray[np.bool_], bins: int = 15
) -> Values:
    """Average the gap between confidence and accuracy over bins of equal mass.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    confidence : ndarray of float64, shape (n,)
        Probability of the called class.
    correct : ndarray of bool, shape (n,)
        Whether the call is right.
    bins : int, default: 15
        Number of bins; as many as rows at most.

    Returns
    -------
    ndarray of float64, shape (b,)
        As `calibration.expected_calibration_error` of the rows written out as often as
        they count.
    """
    order = np.argsort(confidence, kind="stable")
    taken = weights[:, order]
    gap = (correct.astype(np.float64) - confidence)[order]
    zero = np.zeros((len(weights), 1))
    count = np.concatenate([zero, np.cumsum(taken, axis=1)], axis=1)
    summed = np.concatenate([zero, np.cumsum(taken * gap, axis=1)], axis=1)
    found = np.empty(len(weights))
    for place, (counted, gaps) in enumerate(zip(count, summed, strict=True)):
        total = int(counted[-1])
        number = min(bins, total)
        # The sizes of np.array_split: the first ones are larger by one.
        sizes = np.full(number, total // number) + (np.arange(number) < total % number)
        edges = np.append(0, np.cumsum(sizes))
        found[place] = np.abs(np.diff(np.interp(edges, counted, gaps))).sum() / total
    return found


def area_under_risk(
    weights: Values, confidence: Values, correct: NDArray[np.bool_]
) -> Values:
    """Average the error among the surest rows over all shares of rows kept.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    confidence : ndarray of float64, shape (n,)
        Probability of the called class.
    correct : ndarray of bool, shape (n,)
        Whether the call is right.

    Returns
    -------
    ndarray of float64, shape (b,)
        Area under the risk-coverage curve; rows of equal confidence are kept together.
    """
    right, wrong = _by_score(weights, correct, -confidence)
    kept = right + wrong
    risk = np.nan_to_num(ratio(np.cumsum(wrong, axis=1), np.cumsum(kept, axis=1)))
    return ratio((kept * risk).sum(axis=1), kept.sum(axis=1))


def mean(weights: Values, values: Values) -> Values:
    """Average what is known of a value.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    values : ndarray of float64, shape (n,)
        NaN where not known.

    Returns
    -------
    ndarray of float64, shape (b,)
        NaN where nothing is known.
    """
    known = np.isfinite(values)
    taken = weights[:, known]
    return ratio(taken @ values[known], taken.sum(axis=1))


def _by_score(
    weights: Values, positive: NDArray[np.bool_], scores: Values
) -> tuple[Values, Values]:
    """Sum the weights of positive and other rows by score, rising."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) > 0))
    taken = weights[:, order]
    plus = np.where(positive[order], taken, 0.0)
    return (
        np.add.reduceat(plus, starts, axis=1),
        np.add.reduceat(taken - plus, starts, axis=1),
    )


def _mean_known(values: Values) -> Values:
    """Average over classes, leaving out those without a value."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1) * 1.0)


def _kappa(table: Values, *, power: int) -> Values:
    """Measure agreement beyond chance; errors weigh by distance to a power."""
    classes = table.shape[1]
    apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    cost = (apart > 0) * apart.astype(np.float64) ** power
    expected = table.sum(axis=2)[:, :, None] * table.sum(axis=1)[:, None, :]
    found = (table * cost).sum(axis=(1, 2)) * table.sum(axis=(1, 2))
    return 1 - ratio(found, (expected * cost).sum(axis=(1, 2)))
