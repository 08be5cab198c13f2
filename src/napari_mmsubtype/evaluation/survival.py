"""Survival: how well risks rank patients, and whether risk groups part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from napari_mmsubtype.evaluation.resampling import REPEATS, estimates
from napari_mmsubtype.evaluation.verdict import Verdict
from napari_mmsubtype.evaluation.weighted_metrics import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_mmsubtype.evaluation.metrics import Estimate

    Values = NDArray[np.float64]

_Z = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalCurve:
    """The share of patients without the event, by Kaplan and Meier.

    Attributes
    ----------
    time : ndarray of float64, shape (k,)
        Zero, and every time at which something happened; the share changes there.
    share, low, high : ndarray of float64, shape (k,)
        Share and its 95 % interval (log-log), from the time on.
    at_risk : ndarray of int64, shape (k,)
        Patients still followed just before.
    """

    time: Values
    share: Values
    low: Values
    high: Values
    at_risk: NDArray[np.int64]


def concordance(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    *,
    folds: ArrayLike | None = None,
    censoring: tuple[ArrayLike, ArrayLike] | None = None,
) -> float | None:
    """Measure how often the patient at higher risk has the event first.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up.
    event : array_like of bool, shape (n,)
        Whether it ended with the event.
    risk : array_like of float, shape (n,)
        Greater is worse.
    folds : array_like of int, shape (n,), optional
        Fold of each row: only patients of one fold are then compared, as the risks of
        different models have no common scale.
    censoring : tuple of array_like, optional
        Time and event of training patients, for the C-index of Uno: pairs weigh by the
        inverse probability of still being followed, squared. That of Harrell if left
        out.

    Returns
    -------
    float or None
        0.5 for risks that know nothing, ties counting half; None without a pair.

    References
    ----------
    .. [1] Harrell et al., "Multivariable prognostic models", Statistics in Medicine
       1996.
    .. [2] Uno et al., "On the C-statistics for evaluating overall adequacy of risk
       prediction procedures with censored survival data", Statistics in Medicine 2011.
    """
    concordant, comparable = _pairs(time, event, risk, folds, censoring)
    total = float(comparable.sum())
    return float(concordant.sum()) / total if total else None


def concordance_estimate(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    patients: Sequence[str],
    *,
    folds: ArrayLike | None = None,
    censoring: tuple[ArrayLike, ArrayLike] | None = None,
    repeats: int = REPEATS,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate | None:
    """Give a C-index its interval from resampled patients.

    Parameters
    ----------
    time, event, risk : array_like, shape (n,)
        As in `concordance`.
    patients : sequence of str, length n
        Patient of each row.
    folds : array_like of int, shape (n,), optional
        As in `concordance`; patients are then resampled within folds.
    censoring : tuple of array_like, optional
        As in `concordance`.
    repeats : int, default: 2000
        Number of resamples.
    level : float, default: 0.95
        Coverage of the interval.
    seed : int, default: 0
        Of the resampling.

    Returns
    -------
    Estimate or None
        None without a pair that can be compared.
    """
    concordant, comparable = _pairs(time, event, risk, folds, censoring)

    def _sweep(weights: Values) -> dict[str, Values]:
        top = ((weights @ concordant) * weights).sum(axis=1)
        bottom = ((weights @ comparable) * weights).sum(axis=1)
        return {"c_index": ratio(top, bottom)}

    happened = np.asarray(event, dtype=bool)
    strata = happened if folds is None else np.column_stack([happened, folds])
    return estimates(_sweep, patients, strata, repeats=repeats, level=level, seed=seed)[
        "c_index"
    ]


def logrank(time: ArrayLike, event: ArrayLike, high: ArrayLike) -> Verdict:
    """Test whether two risk groups differ in survival.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up of patients, each patient once.
    event : array_like of bool, shape (n,)
        Whether it ended with the event.
    high : array_like of bool, shape (n,)
        Patients at high risk, by a threshold that was set on training patients.

    Returns
    -------
    Verdict
        Of z, positive where patients at high risk have more events than expected.
    """
    ends, happened, group = _checked(time, event, np.asarray(high, dtype=np.float64))
    chosen = group > 0
    if not (chosen.any() and (~chosen).any() and happened.any()):
        note = (
            f"{int(chosen.sum())} patients at high and {int((~chosen).sum())} at low "
            f"risk, {int(happened.sum())} events"
        )
        return Verdict("logrank", None, None, n=len(ends), note=note)
    found = stats.logrank(
        *(
            stats.CensoredData.right_censored(ends[g], ~happened[g])
            for g in (chosen, ~chosen)
        )
    )
    return Verdict("logrank", float(found.statistic), float(found.pvalue), n=len(ends))


def kaplan_meier(time: ArrayLike, event: ArrayLike) -> SurvivalCurve:
    """Estimate the share of patients without the event over time.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Follow-up of patients, each patient once.
    event : array_like of bool, shape (n,)
        Whether it ended with the event.

    Returns
    -------
    SurvivalCurve
        A step function that begins with 1 at time 0.
    """
    ends, happened, _ = _checked(time, event, np.zeros(len(np.asarray(time))))
    times, place = np.unique(ends, return_inverse=True)
    deaths = np.bincount(place, weights=happened.astype(np.float64))
    leaving = np.bincount(place, minlength=len(times)).astype(np.float64)
    at_risk = len(ends) - np.append(0.0, np.cumsum(leaving)[:-1])
    share = np.cumprod(1 - deaths / at_risk)
    # Greenwood's variance on the scale of log(-log), as usual in survival packages.
    staying = np.asarray(at_risk * (at_risk - deaths), dtype=np.float64)
    spread = np.cumsum(ratio(np.asarray(deaths, dtype=np.float64), staying))
    inner = (share > 0) & (share < 1)
    low, high = share.copy(), share.copy()
    log = np.log(share[inner])
    width = _Z * np.sqrt(spread[inner]) / log
    low[inner] = np.exp(log * np.exp(-width))
    high[inner] = np.exp(log * np.exp(width))
    one = np.ones(1)
    return SurvivalCurve(
        np.append(0.0, times),
        np.append(one, share),
        np.append(one, low),
        np.append(one, high),
        np.append(len(ends), at_risk).astype(np.int64),
    )


def risk_groups(risk: ArrayLike, training_risk: ArrayLike) -> NDArray[np.bool_]:
    """Part patients at the median risk of the training patients.

    Parameters
    ----------
    risk : array_like of float, shape (n,)
        Of the patients that are judged.
    training_risk : array_like of float, shape (m,)
        Of the patients that the model was fitted to. The median of the judged ones
        themselves would be chosen after looking.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether a patient is at high risk.
    """
    threshold = float(np.median(np.asarray(training_risk, dtype=np.float64)))
    return np.asarray(np.asarray(risk, dtype=np.float64) > threshold, dtype=np.bool_)


def _pairs(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    folds: ArrayLike | None,
    censoring: tuple[ArrayLike, ArrayLike] | None,
) -> tuple[Values, Values]:
    """Weigh pairs: the patient of the row is known to have the event first."""
    ends, happened, worse = _checked(time, event, np.asarray(risk, dtype=np.float64))
    # At equal times, one with the event comes before one that was only lost sight of.
    before = (ends[:, None] < ends) | ((ends[:, None] == ends) & ~happened)
    comparable = (happened[:, None] & before).astype(np.float64)
    if folds is not None:
        fold = np.asarray(folds)
        comparable *= fold[:, None] == fold
    if censoring is not None:
        comparable *= _still_followed(ends, *censoring)[:, None] ** -2.0
    better = worse[:, None] - worse
    return comparable * ((better > 0) + 0.5 * (better == 0)), comparable


def _still_followed(ends: Values, time: ArrayLike, event: ArrayLike) -> Values:
    """Give the probability of not being lost sight of before a time."""
    lost = ~np.asarray(event, dtype=bool)
    curve = kaplan_meier(time, lost)
    place = np.searchsorted(curve.time, ends, side="left") - 1
    share = curve.share[np.maximum(place, 0)]
    # Beyond the last training patient nothing can be weighed: such pairs drop out.
    return np.where(share > 0, share, np.inf)


def _checked(
    time: ArrayLike, event: ArrayLike, values: Values
) -> tuple[Values, NDArray[np.bool_], Values]:
    ends = np.asarray(time, dtype=np.float64)
    happened = np.asarray(event, dtype=np.float64)
    fits = ends.ndim == 1 and ends.shape == happened.shape == values.shape
    if not (fits and len(ends)):
        msg = (
            "expected time, event and risk of shape (n,), n > 0, found "
            f"{ends.shape}, {happened.shape} and {values.shape}"
        )
        raise ValueError(msg)
    known = np.isfinite(ends) & np.isfinite(values) & np.isin(happened, (0, 1))
    if not (known.all() and ends.min() >= 0):
        msg = "expected finite times from 0 up, finite risks, and events of 0 or 1"
        raise ValueError(msg)
    return ends, happened.astype(bool), values
