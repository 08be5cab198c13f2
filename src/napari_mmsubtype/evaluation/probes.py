"""Probes: what a class can be told from that should not tell it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from napari_mmsubtype.evaluation import weighted_metrics as weighted
from napari_mmsubtype.evaluation.resampling import REPEATS, estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate

_SHUFFLES = 999


def probe_area(
    labels: ArrayLike,
    groups: ArrayLike,
    patients: Sequence[str],
    folds: ArrayLike,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Estimate | None:
    """Measure how well a grouping of the patients tells the class, out of fold.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, from 0.
    groups : array_like of int, shape (n,)
        Group of each row, such as its site.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,)
        Fold of each row.
    repeats : int, default: 2000
        Resamples behind the interval.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Estimate or None
        Area under the ROC curve within folds (the mean over classes where there are
        more than two); None where a class does not occur.
    """
    truth = np.asarray(labels, dtype=np.int64)
    place = np.asarray(groups, dtype=np.int64)
    features = np.eye(int(place.max()) + 1)[place]
    return area_estimate(
        truth,
        probe_scores(truth, features, np.asarray(folds, dtype=np.int64)),
        patients,
        np.asarray(folds, dtype=np.int64),
        repeats=repeats,
        seed=seed,
    )


def probe_scores(
    labels: NDArray[np.int64], features: NDArray[np.float64], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Predict held-out rows by a logistic regression on the others.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        True classes, from 0.
    features : ndarray of float64, shape (n, g)
        What is known of each row.
    folds : ndarray of int64, shape (n,)
        Fold of each row.

    Returns
    -------
    ndarray of float64, shape (n, c)
        Probabilities; classes weigh the same, so that shares that differ between folds
        say nothing. Rows of a fold without training rows of two classes are uniform.
    """
    count = int(labels.max()) + 1
    scores = np.full((len(labels), count), 1 / count)
    for fold in np.unique(folds):
        held = folds == fold
        known = np.unique(labels[~held])
        if len(known) < 2:
            continue
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
        with warnings.catch_warnings():
            # A probe that has not fully converged is a probe all the same.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[~held], labels[~held])
        scores[held] = 0.0
        scores[np.ix_(held, known)] = model.predict_proba(features[held])
    return scores


def area_estimate(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    patients: Sequence[str],
    folds: NDArray[np.int64],
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Estimate | None:
    """Give the area under the ROC curve within folds, with an interval.

    Patients of different folds are not compared: a probe that knows nothing says the
    share of its training rows, which is low where that of its held-out rows is high.

    Parameters
    ----------
    truth : ndarray of int64, shape (n,)
        True classes.
    scores : ndarray of float64, shape (n, c)
        Probabilities.
    patients : sequence of str, length n
        Patient of each row.
    folds : ndarray of int64, shape (n,)
        Fold of each row.
    repeats : int, default: 2000
        Number of resamples.
    seed : int, default: 0
        Of the resamples.

    Returns
    -------
    Estimate or None
        None where a class does not occur.
    """

    def _sweep(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"area": area_within(weights, truth, scores, folds)}

    strata = np.column_stack([truth, folds])
    return estimates(_sweep, patients, strata, repeats=repeats, seed=seed)["area"]


def area_within(
    weights: NDArray[np.float64],
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    folds: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Measure areas under the ROC curve within folds, for several resamples.

    Parameters
    ----------
    weights : ndarray of float64, shape (b, n)
        How often each row counts.
    truth : ndarray of int64, shape (n,)
        True classes.
    scores : ndarray of float64, shape (n, c)
        Probabilities.
    folds : ndarray of int64, shape (n,)
        Fold of each row.

    Returns
    -------
    ndarray of float64, shape (b,)
        Mean over folds by their number of pairs, and over classes where there are more
        than two; NaN where a class does not occur.
    """
    count = scores.shape[1]
    areas = []
    for value in [1] if count == 2 else range(count):
        top, bottom = np.zeros(len(weights)), np.zeros(len(weights))
        for fold in np.unique(folds):
            own = folds == fold
            taken, member = weights[:, own], truth[own] == value
            pairs = taken[:, member].sum(axis=1) * taken[:, ~member].sum(axis=1)
            area = weighted.ranking(taken, member, scores[own, value])
            top += pairs * np.nan_to_num(area)
            bottom += pairs
        areas.append(weighted.ratio(top, bottom))
    found: NDArray[np.float64] = np.mean(areas, axis=0)
    return found


def association_p(
    labels: ArrayLike, groups: ArrayLike, patients: Sequence[str], *, seed: int = 0
) -> float:
    """Test whether groups of patients differ in their classes, by shuffling.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes, from 0.
    groups : array_like of int, shape (n,)
        Group of each row, from 0.
    patients : sequence of str, length n
        Patient of each row; the first row of each counts.
    seed : int, default: 0
        Of the shuffles.

    Returns
    -------
    float
        P-value of the statistic of chi-square among 999 shuffles of the labels; small
        groups do it no harm.
    """
    _, first = np.unique(np.asarray(patients, dtype=str), return_index=True)
    truth = np.asarray(labels, dtype=np.int64)[first]
    _, place = np.unique(np.asarray(groups)[first], return_inverse=True)
    count = int(truth.max()) + 1
    size = np.bincount(place)
    share = np.maximum(np.bincount(truth, minlength=count), 1)
    rng = np.random.default_rng(seed)

    def _statistic(drawn: NDArray[np.int64]) -> float:
        cells = np.bincount(place * count + drawn, minlength=len(size) * count)
        table = cells.reshape(len(size), count)
        return float((table**2 / size[:, None] / share).sum())

    found = _statistic(truth)
    drawn = [_statistic(rng.permutation(truth)) for _ in range(_SHUFFLES)]
    beyond = int(np.sum(np.asarray(drawn) >= found - 1e-12))
    return (1 + beyond) / (_SHUFFLES + 1)
