"""Two models on the same patients: difference, interval, every paired test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation import metrics
from napari_mmsubtype.evaluation import weighted_metrics as weighted
from napari_mmsubtype.evaluation.metric_table import checked
from napari_mmsubtype.evaluation.paired_tests import (
    corrected_t,
    delong,
    effect_size,
    mcnemar,
    permutation,
    wilcoxon,
)
from napari_mmsubtype.evaluation.resampling import REPEATS, estimates
from napari_mmsubtype.evaluation.verdict import Verdict, holm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate

METRICS = {
    "balanced_accuracy": metrics.balanced_accuracy,
    "roc_auc": metrics.roc_auc,
    "accuracy": metrics.accuracy,
}
"""What models can be compared by."""

_NO_FOLDS = "too few folds hold every class"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better one model is than another.

    Attributes
    ----------
    metric : str
        Of `METRICS`.
    patients : int
        That both models have judged.
    difference : Estimate or None
        Metric of the first minus that of the second, pooled, with the interval from
        resampled patients; None where it cannot be computed.
    tests : tuple of Verdict
        DeLong, McNemar, corrected t, Wilcoxon and permutation.
    effect_size : float or None
        Cohen's d_z over folds.
    """

    metric: str
    patients: int
    difference: Estimate | None
    tests: tuple[Verdict, ...]
    effect_size: float | None


def compare_models(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[str],
    folds: ArrayLike,
    *,
    repeats: ArrayLike | None = None,
    metric: str = "balanced_accuracy",
    resamples: int = REPEATS,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their out-of-fold answers on the same rows.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    first, second : array_like of float, shape (n, c)
        Probabilities by either model.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,)
        Fold of each row.
    repeats : array_like of int, shape (n,), optional
        Repeat of each row; one repeat if left out.
    metric : str, default: "balanced_accuracy"
        Of `METRICS`.
    resamples : int, default: 2000
        Behind the interval of the difference.
    seed : int, default: 0
        Of resamples and permutations.

    Returns
    -------
    Comparison
        Tests of patients (DeLong, McNemar, permutation) see each patient once, by the
        mean of its probabilities. The corrected t sees the folds of all repeats;
        Wilcoxon those of the first only, as repeats are not independent.

    Raises
    ------
    ValueError
        If the metric is unknown or the rows do not fit together.
    """
    if metric not in METRICS:
        msg = f"models are compared by one of {list(METRICS)}, found {metric!r}"
        raise ValueError(msg)
    truth, one = checked(labels, first)
    _, other = checked(labels, second)
    place = np.asarray(folds, dtype=np.int64)
    again = np.zeros_like(place) if repeats is None else np.asarray(repeats, np.int64)
    difference = _difference(
        (truth, one, other), patients, (place, again), metric, resamples, seed
    )
    by_patient = [mean_by_patient(patients, v) for v in (truth, one, other)]
    own = by_patient[0].astype(np.int64)
    rounds = _by_fold(truth, one, other, place, again, metric)
    values = np.array([value for _, value in rounds])
    share = len(np.unique(place))
    tests = [
        delong(own, by_patient[1], by_patient[2]),
        mcnemar(
            by_patient[1].argmax(axis=1) == own, by_patient[2].argmax(axis=1) == own
        ),
    ]
    if len(values) < 2:
        tests += [
            Verdict(name, None, None, n=len(values), note=_NO_FOLDS)
            for name in ("corrected_t", "wilcoxon")
        ]
    else:
        once = [value for repeat, value in rounds if repeat == rounds[0][0]]
        tests += [corrected_t(values, 1 / (share - 1)), wilcoxon(once)]
    tests.append(_permuted(metric, own, by_patient[1], by_patient[2], seed))
    return Comparison(metric, len(own), difference, tuple(tests), effect_size(values))


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Adjust the tests of several comparisons for their number.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Made for one question, such as a model against each baseline.

    Returns
    -------
    list of Comparison
        In the same order; each kind of test is adjusted by Holm on its own.
    """
    by_test = [holm(same) for same in zip(*(c.tests for c in comparisons), strict=True)]
    by_model = list(zip(*by_test, strict=True))
    return [
        Comparison(c.metric, c.patients, c.difference, tests, c.effect_size)
        for c, tests in zip(comparisons, by_model, strict=True)
    ]


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Put a comparison into plain JSON types.

    Parameters
    ----------
    comparison : Comparison
        As made.

    Returns
    -------
    dict
        ``metric``, ``patients``, ``difference``, ``tests``, ``effect_size``.
    """
    found = comparison.difference
    return {
        "metric": comparison.metric,
        "patients": comparison.patients,
        "difference": None
        if found is None
        else {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "level": found.level,
        },
        "tests": [test.record() for test in comparison.tests],
        "effect_size": comparison.effect_size,
    }


def mean_by_patient(patients: Sequence[str], values: ArrayLike) -> NDArray[np.float64]:
    """Average the rows of each patient.

    Parameters
    ----------
    patients : sequence of str, length n
        Patient of each row.
    values : array_like of float, shape (n,) or (n, c)
        What to average.

    Returns
    -------
    ndarray of float64, shape (p,) or (p, c)
        Patients in the order of their names.
    """
    rows = np.asarray(values, dtype=np.float64)
    _, member, count = np.unique(
        np.asarray(patients, dtype=str), return_inverse=True, return_counts=True
    )
    total = np.zeros((len(count), *rows.shape[1:]))
    np.add.at(total, member, rows)
    return total / count.reshape(-1, *[1] * (rows.ndim - 1))


def _difference(
    rows: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    patients: Sequence[str],
    place: tuple[NDArray[np.int64], NDArray[np.int64]],
    metric: str,
    resamples: int,
    seed: int,
) -> Estimate | None:
    """Resample the patients of both models alike."""
    truth, one, other = rows

    def _sweep(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        values = [_measured(weights, truth, s, metric) for s in (one, other)]
        return {metric: values[0] - values[1]}

    strata = np.column_stack([truth, place[0]])
    return estimates(_sweep, patients, strata, repeats=resamples, seed=seed)[metric]


def _measured(
    weights: NDArray[np.float64],
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    metric: str,
) -> NDArray[np.float64]:
    """Compute one metric of several resamples."""
    count = scores.shape[1]
    if metric != "roc_auc":
        called = scores.argmax(axis=1)
        table = weighted.confusion(weights, truth, called, count)
        return weighted.call_metrics(table)[metric]
    classes = [1] if count == 2 else range(count)
    areas = [weighted.ranking(weights, truth == c, scores[:, c]) for c in classes]
    found: NDArray[np.float64] = np.mean(areas, axis=0)
    return found


def _by_fold(
    truth: NDArray[np.int64],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    place: NDArray[np.int64],
    again: NDArray[np.int64],
    metric: str,
) -> list[tuple[int, float]]:
    """Give the repeat and the difference of each fold that holds every class."""
    measure, found = METRICS[metric], []
    classes = len(np.unique(truth))
    for repeat, fold in np.unique(np.column_stack([again, place]), axis=0):
        own = (again == repeat) & (place == fold)
        if len(np.unique(truth[own])) == classes:
            value = measure(truth[own], one[own]) - measure(truth[own], other[own])
            found.append((int(repeat), value))
    return found


def _permuted(
    metric: str,
    truth: NDArray[np.int64],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    seed: int,
) -> Verdict:
    is_ranking = metric == "roc_auc"
    if is_ranking and len(np.unique(truth)) < one.shape[1]:
        note = "a class does not occur"
        return Verdict("permutation", None, None, n=len(truth), note=note)
    return permutation(
        METRICS[metric], truth, one, other, is_ranking=is_ranking, seed=seed
    )
